//! The terminal: taken, drawn on by one thread, and given back as it was, whatever ends the program.

use std::io::IsTerminal;
use std::io::{Stdout, stdin, stdout};
use std::mem::ManuallyDrop;
use std::sync::mpsc::{Receiver, RecvTimeoutError};

use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::cursor::Show;
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{self, EnterAlternateScreen, LeaveAlternateScreen};
use tunnel_engine::clock;

use super::PERIOD;
use super::app::{App, AppEffect};
use super::events::{self, WatchEvent};
use super::feed::{self, FeedHandle};
use super::view::{self, ViewContext};
use crate::cli::daemon::DaemonAddress;
use crate::cli::problem::Problem;
use crate::cli::status::{is_ascii, style};
use crate::exit;
use crate::protocol::status::Status;

pub(super) fn run(daemon: DaemonAddress, names: Vec<String>, first: Status) -> Result<u8, Problem> {
    let (sender, events) = events::channel();
    // A terminal that takes nothing gets no word of goodbye, but its modes back.
    events::watch_signals(sender.clone(), || drop(terminal::disable_raw_mode())).map_err(Problem::Start)?;
    let asks = feed::start(daemon, names, sender.clone()).map_err(Problem::Start)?;
    let _screen = Screen::enter().map_err(Problem::Output)?;
    if stdin().is_terminal() {
        events::watch_keys(sender).map_err(Problem::Start)?;
    }
    // Its drop would show the cursor, as `Screen` does, and panics where the terminal is gone, with standard error.
    let terminal = Terminal::new(CrosstermBackend::new(stdout())).map_err(Problem::Output)?;
    let mut terminal = ManuallyDrop::new(terminal);
    let mut app = App::new(first, clock::now());
    // A terminal that is gone takes no frame and wants no word of it.
    while frame(&mut terminal, &mut app).is_ok() && !events::has_hung_up(stdout()) {
        if next(&events, &asks, &mut app) {
            break;
        }
    }
    Ok(exit::OK)
}

fn frame(terminal: &mut Terminal<CrosstermBackend<Stdout>>, app: &mut App) -> std::io::Result<()> {
    let context = ViewContext { now: clock::now(), wall: clock::wall(), style: style(), ascii: is_ascii() };
    terminal.draw(|frame| view::draw(frame, app, context)).map(drop)
}

/// Takes in what happened, all of it, so that a slow terminal is drawn on once for it. True: enough.
fn next(events: &Receiver<WatchEvent>, asks: &FeedHandle, app: &mut App) -> bool {
    let first = match events.recv_timeout(PERIOD) {
        Ok(event) => event,
        // Ages go on.
        Err(RecvTimeoutError::Timeout) => return false,
        Err(RecvTimeoutError::Disconnected) => return true,
    };
    for event in std::iter::once(first).chain(events.try_iter()) {
        let effect = match event {
            WatchEvent::Key(key) => app.on_key(key),
            WatchEvent::Answer(answer) => app.on_answer(answer, clock::now()),
            WatchEvent::Resized => AppEffect::None,
            WatchEvent::Quit => AppEffect::Quit,
        };
        match effect {
            AppEffect::None => {}
            AppEffect::Quit => return true,
            AppEffect::Ask(ask) => {
                if !asks.send(ask) {
                    app.notice = Some("the daemon is slow to answer: try again later".to_owned());
                }
            }
        }
    }
    false
}

/// The terminal shows us alone while this lives; the alternate screen keeps what was there before.
struct Screen;

impl Screen {
    fn enter() -> std::io::Result<Self> {
        let previous = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            leave();
            previous(panic);
        }));
        // Without a terminal for keys there are none: no reason to show nothing.
        if stdin().is_terminal() {
            terminal::enable_raw_mode()?;
        }
        let screen = Self;
        execute!(stdout(), EnterAlternateScreen)?;
        Ok(screen)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        leave();
    }
}

/// The modes first: a terminal that takes no output gets them back all the same.
fn leave() {
    let _ = terminal::disable_raw_mode();
    let _ = execute!(stdout(), LeaveAlternateScreen, Show);
}
