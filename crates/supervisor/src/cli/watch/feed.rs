//! Asks the daemon, in a thread of its own: a daemon that takes long must not hold up keys.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};

use super::PERIOD;
use super::events::{Event, spawn};
use crate::cli::problem::Problem;
use crate::cli::talk::Daemon;
use crate::control::{LogLine, Request, Response};
use crate::history::TunnelHistory;
use crate::supervise::snapshot::Status;

/// Questions of the user that wait while the daemon answers another one.
const QUEUE: usize = 4;

/// What the user asks for beside the status.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Ask {
    /// Start, stop, restart.
    Order {
        order: Request,
        /// What to say when it is done.
        done: String,
    },
    /// Everything about one tunnel: its log and its last 24 hours.
    About(String),
}

/// What came of it.
#[derive(Debug)]
pub(super) enum Answer {
    /// The error is told to the user.
    Status(Result<Status, String>),
    /// What was done, or why not.
    Order(Result<String, String>),
    /// About the tunnel of this name.
    About { name: String, lines: Vec<LogLine>, histories: Vec<TunnelHistory> },
}

/// The way to the feed.
pub(super) struct Asks(SyncSender<Ask>);

impl Asks {
    /// False: too many wait already.
    pub(super) fn send(&self, ask: Ask) -> bool {
        !matches!(self.0.try_send(ask), Err(TrySendError::Full(_)))
    }
}

/// Asks for the status each [`PERIOD`], counted from the last answer, and for the rest at once.
pub(super) fn start(daemon: Daemon, names: Vec<String>, events: SyncSender<Event>) -> std::io::Result<Asks> {
    let (sender, asks) = sync_channel(QUEUE);
    spawn("feed", move || feed(&daemon, &names, &asks, &events))?;
    Ok(Asks(sender))
}

fn feed(daemon: &Daemon, names: &[String], asks: &Receiver<Ask>, events: &SyncSender<Event>) {
    loop {
        let answers = match asks.recv_timeout(PERIOD) {
            // What an order changed is seen at once.
            Ok(Ask::Order { order, done }) => vec![Answer::Order(ask(daemon, order, done)), status(daemon, names)],
            Ok(Ask::About(name)) => vec![about(daemon, name)],
            Err(RecvTimeoutError::Timeout) => vec![status(daemon, names)],
            Err(RecvTimeoutError::Disconnected) => return,
        };
        for answer in answers {
            if events.send(Event::Answer(answer)).is_err() {
                return;
            }
        }
    }
}

fn status(daemon: &Daemon, names: &[String]) -> Answer {
    Answer::Status(daemon.status(names.to_vec()).map_err(|problem| problem.to_string()))
}

fn ask(daemon: &Daemon, order: Request, done: String) -> Result<String, String> {
    match daemon.ask(order) {
        Ok(Response::Done) => Ok(done),
        Ok(_) => Err(Problem::Misunderstood.to_string()),
        Err(problem) => Err(problem.to_string()),
    }
}

fn about(daemon: &Daemon, name: String) -> Answer {
    let (lines, histories) = (daemon.log(&name), daemon.histories_of(vec![name.clone()]));
    Answer::About { name, lines, histories }
}
