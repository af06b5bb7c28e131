//! Global requests of a server that no client knows. russh refuses each without a word to its handler: only a line of
//! its log tells. The program that keeps the log hands those lines in here, and each session tells of its own.

use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::Notify;

use super::fault::escaped;
use crate::clock;
use crate::log_limit::{LogLimiter, PEER_INTERVAL};

/// Where russh says it: the target of the event.
pub const LIBRARY_TARGET: &str = "russh::client::encrypted";

/// How the line begins; the name follows, in quotes.
const LINE: &str = "Unhandled global request: ";

/// What is kept of a request's name, in characters.
const MAX_NAME: usize = 80;

thread_local! {
    /// The session whose bytes were read last: russh decodes and logs in the same poll.
    static READING: RefCell<Weak<UnknownRequests>> = const { RefCell::new(Weak::new()) };
}

/// To be called with each line that the SSH library logs as a warning under [`LIBRARY_TARGET`], on the thread that logs it.
pub fn library_warned(line: &str) {
    if let Some(name) = line.strip_prefix(LINE)
        && let Some(requests) = READING.with_borrow(Weak::upgrade)
    {
        // Whether an answer is wanted follows the name.
        requests.note(name.rsplit_once(' ').map_or(name, |(name, _)| name));
    }
}

/// Those of one session.
pub(super) struct UnknownRequests {
    /// `host:port`.
    server: String,
    seen: AtomicU64,
    told: Mutex<Told>,
    came: Notify,
}

struct Told {
    /// The name of the first one.
    name: String,
    /// How many have been logged or counted in a line.
    count: u64,
    log: LogLimiter,
}

impl UnknownRequests {
    pub(super) fn new(server: &str) -> Arc<Self> {
        let told = Told { name: String::new(), count: 0, log: LogLimiter::new(PEER_INTERVAL) };
        Arc::new(Self {
            server: server.to_owned(),
            seen: AtomicU64::new(0),
            told: Mutex::new(told),
            came: Notify::new(),
        })
    }

    /// What this thread decodes next is this session's.
    pub(super) fn reading(self: &Arc<Self>) {
        READING.with_borrow_mut(|reading| {
            if !std::ptr::eq(reading.as_ptr(), Arc::as_ptr(self)) {
                *reading = Arc::downgrade(self);
            }
        });
    }

    fn note(&self, name: &str) {
        if self.seen.fetch_add(1, Ordering::Relaxed) == 0 {
            self.told.lock().unwrap_or_else(PoisonError::into_inner).name = escaped(name, MAX_NAME);
        }
        // Nothing is logged from within the logging of another line.
        self.came.notify_one();
    }

    /// Returns when there are more.
    pub(super) async fn came(&self) {
        self.came.notified().await;
    }

    /// Logs what came, unless that was done a moment ago; `last`: the session ends.
    pub(super) fn tell(&self, last: bool) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = self.seen.load(Ordering::Relaxed);
        let more = seen - told.count;
        if more == 0 || (told.log.admit((), clock::now()).is_none() && !last) {
            return;
        }
        told.count = seen;
        let (server, name) = (self.server.as_str(), told.name.as_str());
        tracing::warn!(
            server,
            requests = more,
            "`{server}` asks for what no client knows, and is refused each time: {more} global requests, the first of them {name}"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_library_counts_for_the_session_that_reads() {
        let [first, second] = ["a:22", "b:22"].map(UnknownRequests::new);
        first.reading();
        library_warned("Unhandled global request: \"odd@example.com\" 1");
        second.reading();
        library_warned("another line");
        assert_eq!((first.seen.load(Ordering::Relaxed), second.seen.load(Ordering::Relaxed)), (1, 0));
        drop(first);
        assert_eq!(second.told.lock().unwrap().name, "");
    }
}
