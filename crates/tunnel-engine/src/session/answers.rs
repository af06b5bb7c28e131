//! What the server does for us, as opposed to what it merely sends: answers to our own questions, and user data in
//! quantity. Noted by the requests and by what the transport tells, read by the watchdog.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::Notify;

use super::requests::OPEN_TIMEOUT;
use crate::clock;

/// A packet of channel data with at least so many bytes is one of a transfer that fills the link's queues. A server
/// that reads from a busy target sends packets of 16 KiB and more; smaller ones are a conversation, which queues
/// nothing that an answer of the server could wait behind.
const BULK_PACKET: usize = 4 * 1024;

/// What a window adjustment says that the server has taken of an upload, at least. OpenSSH sends one for every 96 KiB.
const TAKEN_PER_ADJUSTMENT: u64 = 32 * 1024;

/// Of one session.
pub(super) struct Answers {
    state: Mutex<AnswerState>,
    /// Bytes of transfers: received, or taken by the server.
    bulk: AtomicU64,
    /// An open began to wait.
    open_waits: Notify,
}

struct AnswerState {
    /// When the server last answered anything.
    last: Instant,
    /// Opens without an answer, in the order in which they were sent.
    opens: BTreeMap<u64, Instant>,
    next_open: u64,
}

impl Default for Answers {
    fn default() -> Self {
        let state = AnswerState { last: clock::now(), opens: BTreeMap::new(), next_open: 0 };
        Self { state: Mutex::new(state), bulk: AtomicU64::new(0), open_waits: Notify::new() }
    }
}

impl Answers {
    /// The server answered one of our requests, whatever it said.
    pub(super) fn answered(&self) {
        self.lock().last = clock::now();
    }

    pub(super) fn last(&self) -> Instant {
        self.lock().last
    }

    /// A packet of channel data arrived.
    pub(super) fn received(&self, bytes: usize) {
        if bytes >= BULK_PACKET {
            self.bulk.fetch_add(bytes as u64, Ordering::Relaxed);
        }
    }

    /// The server has taken data of ours.
    pub(super) fn window_adjusted(&self) {
        self.bulk.fetch_add(TAKEN_PER_ADJUSTMENT, Ordering::Relaxed);
    }

    /// Bytes of transfers so far, in both directions.
    pub(super) fn bulk(&self) -> u64 {
        self.bulk.load(Ordering::Relaxed)
    }

    /// An open is sent to the server; it waits until the value is dropped.
    pub(super) fn open(self: &Arc<Self>) -> OpenWaits {
        let mut state = self.lock();
        let id = state.next_open;
        state.next_open += 1;
        state.opens.insert(id, clock::now());
        drop(state);
        self.open_waits.notify_one();
        OpenWaits { answers: self.clone(), id }
    }

    /// Since when the oldest open waits that was sent after the server's last answer.
    pub(super) fn open_since(&self) -> Option<Instant> {
        let state = self.lock();
        state.opens.values().copied().find(|since| *since >= state.last)
    }

    /// Since when the oldest open waits, whatever else the server answers; of those that are not given up by `now`, so
    /// that one which is never answered is no reason for ever.
    pub(super) fn oldest_open(&self, now: Instant) -> Option<Instant> {
        self.lock().opens.values().copied().find(|since| now < *since + OPEN_TIMEOUT)
    }

    /// Returns when an open has begun to wait.
    pub(super) async fn open_waits(&self) {
        self.open_waits.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, AnswerState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One open without an answer.
pub(super) struct OpenWaits {
    answers: Arc<Answers>,
    id: u64,
}

impl Drop for OpenWaits {
    fn drop(&mut self) {
        self.answers.lock().opens.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::time::Duration;

    #[tokio::test(start_paused = true)]
    async fn only_opens_sent_after_the_last_answer_are_doubtful() {
        let answers = Arc::new(Answers::default());
        let began = clock::now();
        let first = answers.open();
        assert_eq!(answers.open_since(), Some(began));
        tokio::time::advance(Duration::from_secs(1)).await;
        answers.answered();
        assert_eq!(answers.open_since(), None, "the server answers, its target does not");
        assert_eq!(answers.oldest_open(clock::now()), Some(began));
        tokio::time::advance(Duration::from_secs(1)).await;
        let second = answers.open();
        assert_eq!(answers.open_since(), Some(clock::now()));
        assert_eq!(
            answers.oldest_open(began + OPEN_TIMEOUT),
            Some(clock::now()),
            "no one waits for the first any more"
        );
        assert_eq!(answers.oldest_open(clock::now() + OPEN_TIMEOUT), None);
        drop((first, second));
        assert_eq!((answers.open_since(), answers.oldest_open(began)), (None, None));
    }

    #[test]
    fn small_packets_are_no_transfer() {
        let answers = Answers::default();
        answers.received(BULK_PACKET - 1);
        assert_eq!(answers.bulk(), 0);
        answers.received(BULK_PACKET);
        answers.window_adjusted();
        assert_eq!(answers.bulk(), BULK_PACKET as u64 + TAKEN_PER_ADJUSTMENT);
    }
}
