//! Asks the daemon, in a thread of its own: a daemon that takes long must not hold up keys.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};

use super::PERIOD;
use super::events::{WatchEvent, spawn};
use crate::cli::daemon::DaemonAddress;
use crate::cli::problem::Problem;
use crate::history::TunnelHistory;
use crate::protocol::status::Status;
use crate::protocol::{LogLine, Request, Response};

/// Questions of the user that wait while the daemon answers another one.
const QUEUE: usize = 4;

/// What the user asks for beside the status.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum FeedRequest {
    /// Start, stop, restart.
    Order {
        order: Request,
        /// What to say when it is done.
        done: String,
    },
    /// Everything about one tunnel: its log and its last 24 hours.
    About(String),
}

#[derive(Debug)]
pub(super) enum FeedAnswer {
    /// The error is shown to the user.
    Status(Result<Status, String>),
    Order(Result<String, String>),
    /// About the tunnel of this name.
    About {
        name: String,
        lines: Vec<LogLine>,
        histories: Vec<TunnelHistory>,
    },
}

/// The way to the feed.
pub(super) struct FeedHandle(SyncSender<FeedRequest>);

impl FeedHandle {
    /// False: too many wait already.
    pub(super) fn send(&self, ask: FeedRequest) -> bool {
        !matches!(self.0.try_send(ask), Err(TrySendError::Full(_)))
    }
}

/// Asks for the status each [`PERIOD`], counted from the last answer, and for the rest at once.
pub(super) fn start(
    daemon: DaemonAddress,
    names: Vec<String>,
    events: SyncSender<WatchEvent>,
) -> std::io::Result<FeedHandle> {
    let (sender, asks) = sync_channel(QUEUE);
    spawn("feed", move || feed(&daemon, &names, &asks, &events))?;
    Ok(FeedHandle(sender))
}

fn feed(daemon: &DaemonAddress, names: &[String], asks: &Receiver<FeedRequest>, events: &SyncSender<WatchEvent>) {
    loop {
        let answers = match asks.recv_timeout(PERIOD) {
            // What an order changed is seen at once.
            Ok(FeedRequest::Order { order, done }) => {
                vec![FeedAnswer::Order(ask(daemon, order, done)), status(daemon, names)]
            }
            Ok(FeedRequest::About(name)) => vec![about(daemon, name)],
            Err(RecvTimeoutError::Timeout) => vec![status(daemon, names)],
            Err(RecvTimeoutError::Disconnected) => return,
        };
        for answer in answers {
            if events.send(WatchEvent::Answer(answer)).is_err() {
                return;
            }
        }
    }
}

fn status(daemon: &DaemonAddress, names: &[String]) -> FeedAnswer {
    FeedAnswer::Status(daemon.status(names.to_vec()).map_err(|problem| problem.to_string()))
}

fn ask(daemon: &DaemonAddress, order: Request, done: String) -> Result<String, String> {
    match daemon.ask(order) {
        Ok(Response::Done) => Ok(done),
        Ok(_) => Err(Problem::Misunderstood.to_string()),
        Err(problem) => Err(problem.to_string()),
    }
}

fn about(daemon: &DaemonAddress, name: String) -> FeedAnswer {
    let (lines, histories) = (daemon.log(&name), daemon.histories_of(vec![name.clone()]));
    FeedAnswer::About { name, lines, histories }
}
