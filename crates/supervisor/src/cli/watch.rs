//! `status --watch`: the table again each second. On a terminal it is redrawn in place, until q or Ctrl-C.

use std::io::{IsTerminal, Read, stdin, stdout};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use nix::sys::termios::{LocalFlags, SetArg, Termios, tcgetattr, tcsetattr};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use tunnel_engine::clock;

use super::problem::{Problem, print};
use super::render;
use super::status::look;
use super::talk::Daemon;
use crate::exit;

/// People do not read faster.
const PERIOD: Duration = Duration::from_secs(1);

/// The alternate screen keeps what was on the terminal before.
const ENTER: &str = "\u{1b}[?1049h\u{1b}[?25l";
const LEAVE: &str = "\u{1b}[?25h\u{1b}[?1049l";
/// To the top; what is left of the old picture is erased line by line and below, so that nothing flickers.
const HOME: &str = "\u{1b}[H";
const ERASE_LINE: &str = "\u{1b}[K\n";
const ERASE_BELOW: &str = "\u{1b}[J";

pub(super) fn run(daemon: &Daemon, names: &[String], json: bool) -> Result<u8, Problem> {
    // Without a daemon there is nothing to watch; one that goes away later may come back.
    let mut picture = draw(daemon, names, json)?;
    let quit = quit_events().map_err(Problem::Start)?;
    let screen = Screen::enter()?;
    loop {
        print(&screen.frame(&picture))?;
        match quit.recv_timeout(PERIOD) {
            Ok(()) | Err(RecvTimeoutError::Disconnected) => return Ok(exit::OK),
            Err(RecvTimeoutError::Timeout) => {}
        }
        picture = draw(daemon, names, json).unwrap_or_else(|problem| format!("{problem}\n"));
    }
}

fn draw(daemon: &Daemon, names: &[String], json: bool) -> Result<String, Problem> {
    let status = daemon.status(names.to_vec())?;
    if json {
        return Ok(serde_json::to_string(&status).map_err(|error| Problem::Output(error.into()))? + "\n");
    }
    let now = clock::wall();
    let time = humantime::format_rfc3339_seconds(now);
    let head = format!("tunneld {} (pid {})  {time}  q quits\n\n", status.version, status.pid);
    let head = if stdout().is_terminal() { head } else { format!("{time}\n") };
    Ok(head + &render::status(&status, now, look()))
}

/// One word when a signal or the q key says that it is enough.
fn quit_events() -> std::io::Result<Receiver<()>> {
    let (quit, quits) = sync_channel(1);
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    let by_signal = quit.clone();
    let spawn = |name: &str, work: Box<dyn FnOnce() + Send>| std::thread::Builder::new().name(name.into()).spawn(work);
    spawn(
        "signals",
        Box::new(move || {
            if signals.forever().next().is_some() {
                let _ = by_signal.try_send(());
            }
        }),
    )?;
    spawn("keys", Box::new(move || watch_keys(&quit)))?;
    Ok(quits)
}

/// Only a terminal's keys count; a closed or redirected standard input quits nothing.
fn watch_keys(quit: &SyncSender<()>) {
    if !stdin().is_terminal() {
        return;
    }
    let mut key = [0];
    while stdin().read(&mut key).is_ok_and(|length| length > 0) {
        if matches!(key, [b'q' | b'Q']) {
            let _ = quit.try_send(());
            return;
        }
    }
}

/// A terminal that shows us alone, and goes back to what it was.
enum Screen {
    Terminal {
        /// `None`: the keys are not ours to change.
        keys: Option<Termios>,
    },
    Pipe,
}

impl Screen {
    fn enter() -> Result<Self, Problem> {
        if !stdout().is_terminal() {
            return Ok(Self::Pipe);
        }
        let keys = tcgetattr(stdin()).ok();
        if let Some(before) = &keys {
            let mut single = before.clone();
            single.local_flags.remove(LocalFlags::ICANON | LocalFlags::ECHO);
            // Without it, q needs Enter: no reason to show nothing.
            let _ = tcsetattr(stdin(), SetArg::TCSANOW, &single);
        }
        let screen = Self::Terminal { keys };
        print(ENTER)?;
        Ok(screen)
    }

    fn frame(&self, picture: &str) -> String {
        match self {
            Self::Terminal { .. } => format!("{HOME}{}{ERASE_BELOW}", picture.replace('\n', ERASE_LINE)),
            Self::Pipe => picture.to_owned(),
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        if let Self::Terminal { keys } = self {
            let _ = print(LEAVE);
            if let Some(before) = keys {
                let _ = tcsetattr(stdin(), SetArg::TCSANOW, before);
            }
        }
    }
}
