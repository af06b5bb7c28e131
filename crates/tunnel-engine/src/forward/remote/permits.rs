//! How many connections a listener has: users' only.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// The count of one listener.
#[derive(Clone, Default)]
pub(super) struct ConnectionPermits(Arc<AtomicU32>);

/// One of them, until it is dropped.
pub(super) struct ConnectionPermit(Arc<AtomicU32>);

impl ConnectionPermits {
    /// `None`: as many as there may be are taken.
    pub(super) fn take(&self, most: u32) -> Option<ConnectionPermit> {
        let more = |taken: u32| (taken < most).then(|| taken + 1);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok().map(|_| ConnectionPermit(self.0.clone()))
    }

    /// None is held.
    pub(super) fn are_empty(&self) -> bool {
        self.0.load(Ordering::Relaxed) == 0
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
