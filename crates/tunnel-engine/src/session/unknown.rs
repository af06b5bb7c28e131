//! Global requests of a server that no client knows. Each is refused; here they are counted, and logged with a limit.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

use super::fault::escaped;
use crate::clock;
use crate::log_limit::{LogLimiter, PEER_INTERVAL};

/// What is kept of a request's name, in characters.
const MAX_NAME: usize = 80;

/// Those of one session.
pub(super) struct UnknownRequests {
    /// `host:port`.
    server: String,
    seen: AtomicU64,
    last_logged: Mutex<NamedRequest>,
    came: Notify,
}

struct NamedRequest {
    /// The name of the first one.
    name: String,
    /// How many have been logged or counted in a line.
    count: u64,
    log: LogLimiter,
}

impl UnknownRequests {
    pub(super) fn new(server: &str) -> Arc<Self> {
        let last_logged = NamedRequest { name: String::new(), count: 0, log: LogLimiter::new(PEER_INTERVAL) };
        Arc::new(Self {
            server: server.to_owned(),
            seen: AtomicU64::new(0),
            last_logged: Mutex::new(last_logged),
            came: Notify::new(),
        })
    }

    /// One came. Does not log: its caller holds a lock.
    pub(super) fn note(&self, name: &str) {
        if self.seen.fetch_add(1, Ordering::Relaxed) == 0 {
            self.last_logged.lock().unwrap_or_else(PoisonError::into_inner).name = escaped(name, MAX_NAME);
        }
        self.came.notify_one();
    }

    /// Returns when there are more.
    pub(super) async fn came(&self) {
        self.came.notified().await;
    }

    /// Logs what came, unless that was done a moment ago; `last`: the session ends.
    pub(super) fn log_due(&self, last: bool) {
        let mut last_logged = self.last_logged.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = self.seen.load(Ordering::Relaxed);
        let more = seen - last_logged.count;
        if more == 0 || (last_logged.log.admit((), clock::now()).is_none() && !last) {
            return;
        }
        last_logged.count = seen;
        let (server, name) = (self.server.as_str(), last_logged.name.as_str());
        tracing::warn!(
            server,
            requests = more,
            "`{server}` asks for what no client knows, and is refused each time: {more} global requests, the first of them {name}"
        );
    }
}
