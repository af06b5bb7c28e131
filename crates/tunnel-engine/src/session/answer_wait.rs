//! How long the server has left a question of ours unanswered, without the time for which a queue explains that: a
//! pure calculation over samples.
//!
//! SSH's packets stay in order, so an answer comes after what the server sent before it, and a question arrives after
//! what we sent before it. On a slow link with full queues that takes many seconds. While such a transfer goes on,
//! the wait does not count: but only up to what any honest queue holds.

use std::time::{Duration, Instant};

/// A transfer that is slower than this, in bytes a second, explains no wait: its queues would take minutes to fill.
const SLOWEST_TRANSFER: u64 = 2 * 1024;
/// So many bytes between two looks are an upload, which a question may wait behind.
const BULK_SENT: u64 = 4 * 1024;
/// The kernel takes an upload in bursts, of up to the 256 KiB that it may hold unsent: 8 s at 256 kbit/s.
const LONGEST_BURST: Duration = Duration::from_secs(10);
/// The longest time that the queues of a link explain. A kernel's send buffer has at most 4 MiB, which takes 128 s
/// at 256 kbit/s.
const LONGEST_QUEUE: Duration = Duration::from_secs(130);
/// How many receive windows of its connections may come in before the answer: the server may have sent one of each
/// before it read the question. Twice, for connections that come and go between two samples.
const WINDOWS: u64 = 2;

/// What is seen of the session while an answer is awaited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct WaitFacts {
    /// Bytes of transfers so far, received or taken by the server.
    pub bulk: u64,
    /// Bytes to the server so far.
    pub bytes_out: u64,
    /// Bytes of ours are on their way, so that the question may still be one of them. `None`: it cannot be seen.
    pub outstanding: Option<bool>,
    /// Since when a write waits for room, in which the question may wait, too.
    pub stalled_since: Option<Instant>,
    /// The receive windows of all connections together.
    pub windows: u64,
}

/// The wait for one answer.
#[derive(Debug, Clone, Copy)]
pub(super) struct AnswerWait {
    since: Instant,
    first: WaitFacts,
    /// The largest that was seen.
    windows: u64,
    /// The question may not have arrived yet.
    under_way: bool,
    /// Bytes to the server at the last look.
    sent: u64,
    /// When they were last many, while the question could be behind them.
    sent_at: Option<Instant>,
    /// When a transfer was last seen to go on by what came in, and how much had come by then.
    progress: (Instant, u64),
}

impl AnswerWait {
    pub(super) const fn begin(seen: &WaitFacts, now: Instant) -> Self {
        Self {
            since: now,
            first: *seen,
            windows: seen.windows,
            under_way: true,
            sent: seen.bytes_out,
            sent_at: None,
            progress: (now, 0),
        }
    }

    /// The server could not answer, or its answer could not be read: the wait begins again.
    pub(super) const fn restart(&mut self, seen: &WaitFacts, now: Instant) {
        *self = Self { under_way: self.under_way, sent_at: self.sent_at, ..Self::begin(seen, now) };
    }

    /// One more sample.
    pub(super) fn sample(&mut self, seen: &WaitFacts, now: Instant) {
        self.windows = self.windows.max(seen.windows);
        self.under_way &= seen.outstanding != Some(false);
        let sent = seen.bytes_out - self.sent;
        self.sent = seen.bytes_out;
        if self.under_way && sent >= BULK_SENT {
            self.sent_at = Some(now);
        } else if self.under_way {
            self.sent_at = self.sent_at.max(seen.stalled_since);
        }
        let received = seen.bulk - self.first.bulk;
        let (at, before) = self.progress;
        let millis = u64::try_from(now.saturating_duration_since(at).as_millis()).unwrap_or(u64::MAX);
        if received > before && received - before >= SLOWEST_TRANSFER.saturating_mul(millis) / 1000 {
            self.progress = (now, received);
        }
    }

    /// From when the wait counts.
    pub(super) fn counts_from(&self, seen: &WaitFacts, now: Instant) -> Instant {
        let received_all = seen.bulk - self.first.bulk > self.windows.saturating_mul(WINDOWS);
        if received_all || now >= self.since + LONGEST_QUEUE {
            return self.since;
        }
        let sending = self.sent_at.map(|at| now.min(at + LONGEST_BURST));
        self.progress.0.max(sending.unwrap_or(self.since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    struct WaitScene {
        start: Instant,
        wait: AnswerWait,
        seen: WaitFacts,
        seconds: u32,
    }

    impl WaitScene {
        fn new(outstanding: Option<bool>) -> Self {
            let seen =
                WaitFacts { bulk: 1 << 30, bytes_out: 1 << 30, outstanding, stalled_since: None, windows: 16 << 20 };
            let start = crate::clock::now();
            Self { start, wait: AnswerWait::begin(&seen, start), seen, seconds: 0 }
        }

        /// A second, with so many bytes of transfers; gives the second from which the wait counts.
        fn pass(&mut self, received: u64, sent: u64) -> u64 {
            self.seconds += 1;
            self.seen.bulk += received;
            self.seen.bytes_out += sent;
            let now = self.start + self.seconds * SECOND;
            self.wait.sample(&self.seen, now);
            (self.wait.counts_from(&self.seen, now) - self.start).as_secs()
        }
    }

    #[test]
    fn a_server_that_sends_no_data_has_no_excuse() {
        let mut scene = WaitScene::new(Some(false));
        for _ in 0..60 {
            assert_eq!(scene.pass(0, 100), 0);
        }
    }

    #[test]
    fn full_queue_at_256_kbit_is_waited_through() {
        let mut scene = WaitScene::new(Some(false));
        for second in 1..=120 {
            assert_eq!(scene.pass(32_000, 0), second);
        }
        assert_eq!(scene.pass(0, 0), 120, "the last of the queue: from then on it counts");
    }

    #[test]
    fn upload_before_the_question_is_waited_through() {
        let mut scene = WaitScene::new(Some(true));
        for second in 1..60 {
            let burst = if second % 5 == 1 { 160_000 } else { 0 };
            assert_eq!(scene.pass(0, burst), second, "taken in bursts");
        }
        scene.seen.outstanding = Some(false);
        for _ in 0..11 {
            scene.pass(0, 32_000);
        }
        assert_eq!(scene.pass(0, 32_000), 66, "everything has arrived, the question too: 10 s after the last burst");
        scene.seen.outstanding = Some(true);
        assert_eq!(scene.pass(0, 32_000), 66);
    }

    #[test]
    fn blocked_write_is_waited_for_as_a_burst() {
        let mut scene = WaitScene::new(Some(true));
        scene.seen.stalled_since = Some(scene.start);
        for second in 1..=10 {
            assert_eq!(scene.pass(0, 0), second);
        }
        assert_eq!(scene.pass(0, 0), 10);
    }

    #[test]
    fn a_transfer_slower_than_any_link_is_no_excuse() {
        let mut scene = WaitScene::new(Some(false));
        for _ in 0..60 {
            assert_eq!(scene.pass(SLOWEST_TRANSFER - 1, 0), 0);
        }
    }

    #[test]
    fn more_than_all_windows_is_no_queue() {
        let mut scene = WaitScene::new(Some(false));
        assert_eq!(scene.pass(32 << 20, 0), 1);
        assert_eq!(scene.pass(1, 0), 0);
    }

    #[test]
    fn no_queue_is_longer_than_the_longest() {
        let mut scene = WaitScene::new(Some(false));
        for second in 1..130 {
            assert_eq!(scene.pass(8_000, 0), second);
        }
        assert_eq!(scene.pass(8_000, 0), 0);
    }
}
