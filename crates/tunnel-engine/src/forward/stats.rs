//! The counts of one forward, taken as bytes pass. They outlive sessions.

use std::sync::atomic::{AtomicU64, Ordering};

/// Live counters. One writer a connection, any number of readers.
#[derive(Debug, Default)]
pub struct ForwardStats {
    active: AtomicU64,
    held: AtomicU64,
    opened: AtomicU64,
    failed: AtomicU64,
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
}

/// A reading of [`ForwardStats`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ForwardCounts {
    /// Connections being carried now.
    pub active: u64,
    /// Connections accepted and waiting for a session now.
    pub held: u64,
    /// Connections carried since start, those of now included.
    pub opened: u64,
    /// Connections whose target refused, or that ended before they were carried.
    pub failed: u64,
    /// Bytes towards the listener's peer.
    pub bytes_in: u64,
    /// Bytes from the listener's peer.
    pub bytes_out: u64,
}

impl ForwardStats {
    /// Reads all of them. Each is exact; together they may be a moment apart.
    pub fn counts(&self) -> ForwardCounts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        ForwardCounts {
            active: read(&self.active),
            held: read(&self.held),
            opened: read(&self.opened),
            failed: read(&self.failed),
            bytes_in: read(&self.bytes_in),
            bytes_out: read(&self.bytes_out),
        }
    }

    /// Counts a connection as carried until the guard is dropped.
    pub fn carry(self: &std::sync::Arc<Self>) -> Gauge {
        self.opened.fetch_add(1, Ordering::Relaxed);
        Gauge::new(self, |stats| &stats.active)
    }

    /// Counts a connection as held until the guard is dropped.
    pub fn hold(self: &std::sync::Arc<Self>) -> Gauge {
        Gauge::new(self, |stats| &stats.held)
    }

    /// Counts a connection that was not carried.
    pub fn fail(&self) {
        self.failed.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts bytes towards the listener's peer.
    pub fn add_in(&self, bytes: usize) {
        self.bytes_in.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Counts bytes from the listener's peer.
    pub fn add_out(&self, bytes: usize) {
        self.bytes_out.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

/// One connection in a gauge; dropping it takes it out.
pub struct Gauge {
    stats: std::sync::Arc<ForwardStats>,
    field: fn(&ForwardStats) -> &AtomicU64,
}

impl Gauge {
    fn new(stats: &std::sync::Arc<ForwardStats>, field: fn(&ForwardStats) -> &AtomicU64) -> Self {
        field(stats).fetch_add(1, Ordering::Relaxed);
        Self { stats: stats.clone(), field }
    }
}

impl Drop for Gauge {
    fn drop(&mut self) {
        (self.field)(&self.stats).fetch_sub(1, Ordering::Relaxed);
    }
}
