//! What wakes the loop of `--watch`: keys, signals and answers, in one bounded queue.

use std::io::stdin;
use std::os::fd::AsFd;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use ratatui::crossterm::event::{self, KeyEvent, KeyEventKind};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGWINCH};
use signal_hook::iterator::Signals;

use super::feed::FeedAnswer;
use crate::exit;

/// What waits to be looked at: a handful of keys. What comes on top waits in the terminal.
const QUEUE: usize = 16;

/// How long a loop that writes to a terminal which takes nothing may hold up the end of the program.
const GRACE: Duration = Duration::from_secs(2);

pub(super) enum WatchEvent {
    Key(KeyEvent),
    Answer(FeedAnswer),
    /// The terminal has another size.
    Resized,
    /// A signal, or the end of the terminal.
    Quit,
}

pub(super) fn channel() -> (SyncSender<WatchEvent>, Receiver<WatchEvent>) {
    sync_channel(QUEUE)
}

/// SIGINT, SIGTERM and SIGHUP quit. A loop that cannot, because it writes to a terminal that takes nothing, is ended after
/// [`GRACE`]; `last` is called before.
pub(super) fn watch_signals(
    events: SyncSender<WatchEvent>,
    last: impl FnOnce() + Send + 'static,
) -> std::io::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP, SIGWINCH])?;
    spawn("signals", move || {
        for signal in signals.forever() {
            if signal == SIGWINCH {
                // A full queue wakes the loop anyway.
                let _ = events.try_send(WatchEvent::Resized);
                continue;
            }
            let _ = events.try_send(WatchEvent::Quit);
            std::thread::park_timeout(GRACE);
            last();
            std::process::exit(exit::OK.into());
        }
    })
}

/// Keys of the terminal that is standard input, until it is gone.
pub(super) fn watch_keys(events: SyncSender<WatchEvent>) -> std::io::Result<()> {
    spawn("keys", move || {
        // Waits here and not in crossterm, which reads the end of a terminal again and again without a pause.
        while is_readable() {
            while event::poll(Duration::ZERO).unwrap_or(false) {
                let Ok(event::Event::Key(key)) = event::read() else { continue };
                if key.kind != KeyEventKind::Release && events.send(WatchEvent::Key(key)).is_err() {
                    return;
                }
            }
        }
        let _ = events.send(WatchEvent::Quit);
    })
}

/// Waits for keys. False: the terminal is gone.
fn is_readable() -> bool {
    let input = stdin();
    let mut wait = [PollFd::new(input.as_fd(), PollFlags::POLLIN)];
    loop {
        match poll(&mut wait, PollTimeout::NONE) {
            Err(nix::errno::Errno::EINTR) => {}
            Err(_) => return false,
            Ok(_) => return !is_gone(&wait),
        }
    }
}

/// The other end of the terminal was closed. Asked by a loop that may have nothing to write.
pub(super) fn has_hung_up(terminal: impl AsFd) -> bool {
    let mut wait = [PollFd::new(terminal.as_fd(), PollFlags::empty())];
    poll(&mut wait, PollTimeout::ZERO).is_ok_and(|_| is_gone(&wait))
}

fn is_gone(wait: &[PollFd<'_>]) -> bool {
    let gone = PollFlags::POLLHUP | PollFlags::POLLERR | PollFlags::POLLNVAL;
    wait.iter().any(|fd| fd.revents().is_some_and(|events| events.intersects(gone)))
}

/// A thread that lives as long as the program.
pub(super) fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
    std::thread::Builder::new().name(name.to_owned()).spawn(work).map(drop)
}
