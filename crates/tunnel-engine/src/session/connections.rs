//! How many connections a session carries, opens or is being handed.

use std::sync::Arc;

use tokio::sync::watch;

/// The count of one session.
#[derive(Default)]
pub(super) struct ConnectionCount {
    /// Channels that are open, being opened, or waiting for our yes.
    count: watch::Sender<usize>,
}

/// One connection; it counts until it is dropped.
pub(super) struct CountedConnection(Arc<ConnectionCount>);

impl Drop for CountedConnection {
    fn drop(&mut self) {
        self.0.count.send_modify(|count| *count -= 1);
    }
}

impl ConnectionCount {
    /// How many there are, and each change.
    pub(super) fn watch(&self) -> watch::Receiver<usize> {
        self.count.subscribe()
    }

    /// There is one more.
    pub(super) fn count(self: &Arc<Self>) -> CountedConnection {
        self.count.send_modify(|count| *count += 1);
        CountedConnection(self.clone())
    }
}
