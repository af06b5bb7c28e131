//! The counts of one forward, taken as bytes pass, and what its users' connections showed. They outlive sessions.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::probe::ProbeFailure;
use super::refused::{LastRefused, RefusedConnection};

/// Live counters. One writer a connection, any number of readers.
#[derive(Debug, Default)]
pub struct ForwardStats {
    active: AtomicU64,
    held: AtomicU64,
    opened: AtomicU64,
    failed: AtomicU64,
    refused: AtomicU64,
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
    /// max_connections, while that many are there; else 0.
    full: AtomicU32,
    /// Whether `refusal` holds something, to be asked for each connection.
    doubted: AtomicBool,
    refusal: Mutex<Option<ProbeFailure>>,
    last_refused: Mutex<LastRefused>,
    changed: Arc<Notify>,
}

/// A reading of [`ForwardStats`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ForwardCounts {
    /// Connections being opened or carried now.
    pub active: u64,
    /// Connections accepted and waiting for a session now.
    pub held: u64,
    /// Connections that their target took since start, those of now included. One of a remote forward whose user has left
    /// meanwhile is among them: only then does the server say so.
    pub opened: u64,
    /// Connections that could not be carried: the target refused, no session was there, or nothing was asked for that SOCKS
    /// knows. Not those that their user reset before, or ended before a SOCKS request.
    pub failed: u64,
    /// Bytes towards the listener's peer.
    pub bytes_in: u64,
    /// Bytes from the listener's peer.
    pub bytes_out: u64,
}

impl ForwardStats {
    /// Rings `changed` when a user's connection shows that the target refuses, or that it no longer does.
    pub fn with_notify(changed: Arc<Notify>) -> Self {
        Self { changed, ..Self::default() }
    }

    /// Why the target does not take connections, as far as is known. Taken back by the next connection that is carried.
    pub fn refusal(&self) -> Option<ProbeFailure> {
        self.lock().clone()
    }

    /// What a probe found out, so that the next user's connection can disprove it.
    pub fn set_refusal(&self, refusal: Option<ProbeFailure>) {
        let mut current = self.lock();
        self.doubted.store(refusal.is_some(), Ordering::Relaxed);
        *current = refusal;
    }

    /// The target refused a user's connection.
    pub fn refuse(&self, refusal: ProbeFailure) {
        self.refused.fetch_add(1, Ordering::Relaxed);
        let mut current = self.lock();
        let news = current.as_ref().is_none_or(|known| known.cause != refusal.cause);
        self.doubted.store(true, Ordering::Relaxed);
        *current = Some(refusal);
        drop(current);
        if news {
            self.changed.notify_one();
        }
    }

    /// Users' connections that the target refused since start.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// As many connections as max_connections allows are there, or there is room again (`None`).
    pub(super) fn set_full(&self, limit: Option<u32>) {
        self.full.store(limit.unwrap_or_default(), Ordering::Relaxed);
    }

    /// max_connections, while new connections wait until one of that many ends.
    pub fn full(&self) -> Option<u32> {
        Some(self.full.load(Ordering::Relaxed)).filter(|limit| *limit > 0)
    }

    /// A user's connection was refused, by the server or by the target.
    pub(super) fn note_refused(&self, connection: RefusedConnection) {
        self.last_refused.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
    }

    /// The last of them, the newest first.
    pub fn last_refused(&self) -> Vec<RefusedConnection> {
        self.last_refused.lock().unwrap_or_else(PoisonError::into_inner).newest_first()
    }

    /// The newest of them, if no connection was carried since.
    pub fn refused_now(&self) -> Option<RefusedConnection> {
        self.last_refused.lock().unwrap_or_else(PoisonError::into_inner).current(self.counts().opened)
    }

    fn lock(&self) -> MutexGuard<'_, Option<ProbeFailure>> {
        self.refusal.lock().unwrap_or_else(PoisonError::into_inner)
    }

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

    /// Counts a connection as active until the guard is dropped: from when a session opens it.
    pub fn begin(self: &Arc<Self>) -> Gauge {
        Gauge::new(self, |stats| &stats.active)
    }

    /// Counts a connection that its target took.
    pub fn opened(&self) {
        self.opened.fetch_add(1, Ordering::Relaxed);
        if self.doubted.swap(false, Ordering::Relaxed) {
            *self.lock() = None;
            self.changed.notify_one();
        }
    }

    /// Counts a connection as held until the guard is dropped.
    pub fn hold(self: &Arc<Self>) -> Gauge {
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
    stats: Arc<ForwardStats>,
    field: fn(&ForwardStats) -> &AtomicU64,
}

impl Gauge {
    fn new(stats: &Arc<ForwardStats>, field: fn(&ForwardStats) -> &AtomicU64) -> Self {
        field(stats).fetch_add(1, Ordering::Relaxed);
        Self { stats: stats.clone(), field }
    }
}

impl Drop for Gauge {
    fn drop(&mut self) {
        (self.field)(&self.stats).fetch_sub(1, Ordering::Relaxed);
    }
}
