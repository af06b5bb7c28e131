//! Limits lines of the log that can repeat, above all those that a peer can cause. Pure: `now` is an argument.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, Hash, RandomState};
use std::time::{Duration, Instant};

/// What peers can cause is logged again after this long: a target that is down, or a hostile server, costs a line a
/// minute.
pub const PEER_INTERVAL: Duration = Duration::from_secs(60);

/// Events that are told apart within one interval. All others share one line: a peer that varies its text each time
/// gets this many lines an interval and one more.
const MAX_KNOWN: usize = 64;

/// Decides which of the events that repeat are logged: the first at once; the same again once an interval, with the
/// count of those between; another one, at once. Events are compared by what is passed to [`LogLimiter::admit`]. The
/// interval of an event that goes on and on may grow.
#[derive(Debug)]
pub struct LogLimiter {
    interval: Duration,
    longest: Duration,
    burst: u32,
    hasher: RandomState,
    /// By hash, so that long texts cost nothing.
    known: HashMap<u64, KnownEvent>,
    /// What came when `known` was full.
    others: Option<KnownEvent>,
}

#[derive(Debug, Clone, Copy)]
struct KnownEvent {
    since: Instant,
    interval: Duration,
    /// Lines in it.
    logged: u32,
    suppressed: u64,
}

impl LogLimiter {
    /// The same event is logged once an `interval`.
    pub fn new(interval: Duration) -> Self {
        Self::with_burst(interval, 1)
    }

    /// The same event is logged up to `burst` times an `interval`: for changes to and fro, of which a few are news.
    pub fn with_burst(interval: Duration, burst: u32) -> Self {
        Self { interval, longest: interval, burst, hasher: RandomState::new(), known: HashMap::new(), others: None }
    }

    /// Each interval in which an event goes on is twice as long as the one before, up to `longest`: an outage of days
    /// is worth some lines, not one for each ten minutes of it.
    #[must_use]
    pub fn growing_to(mut self, longest: Duration) -> Self {
        self.longest = longest;
        self
    }

    /// `Some` when this event is to be logged, with how many like it were not since the last one that was.
    pub fn admit(&mut self, event: impl Hash, now: Instant) -> Option<u64> {
        let key = self.hasher.hash_one(event);
        if let Some(known) = self.known.get_mut(&key) {
            return known.repeat((self.interval, self.longest), self.burst, now);
        }
        if self.known.len() >= MAX_KNOWN {
            // What has not come again within an interval makes room.
            self.known.retain(|_, known| now.saturating_duration_since(known.since) < known.interval);
        }
        let first = KnownEvent { since: now, interval: self.interval, logged: 1, suppressed: 0 };
        if self.known.len() < MAX_KNOWN {
            self.known.insert(key, first);
            return Some(0);
        }
        match &mut self.others {
            Some(others) => others.repeat((self.interval, self.longest), self.burst, now),
            None => {
                self.others = Some(first);
                Some(0)
            }
        }
    }

    /// The event was not admitted, and is logged all the same: how many like it were not since the last one that was.
    pub fn take_suppressed(&mut self, event: impl Hash) -> u64 {
        let known = self.known.get_mut(&self.hasher.hash_one(event)).or(self.others.as_mut());
        known.map_or(0, |known| std::mem::take(&mut known.suppressed).saturating_sub(1))
    }

    /// How many events were not logged and not told as a count since: for a summary at the end.
    pub fn suppressed(&self) -> u64 {
        self.known.values().chain(&self.others).map(|known| known.suppressed).sum()
    }

    /// All is well again: the next event is logged, whatever it is.
    pub fn reset(&mut self) {
        self.known.clear();
        self.others = None;
    }
}

impl KnownEvent {
    fn repeat(&mut self, (first, longest): (Duration, Duration), burst: u32, now: Instant) -> Option<u64> {
        let passed = now.saturating_duration_since(self.since);
        if passed >= self.interval {
            // After an interval without it, it is news again.
            let goes_on = passed < self.interval.saturating_mul(2);
            let interval = if goes_on { self.interval.saturating_mul(2).min(longest) } else { first };
            *self = Self { since: now, interval, logged: 0, ..*self };
        }
        if self.logged >= burst {
            self.suppressed += 1;
            return None;
        }
        self.logged += 1;
        Some(std::mem::take(&mut self.suppressed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn first_is_logged_then_one_an_interval_with_count() {
        let start = clock::now();
        let mut limiter = LogLimiter::new(MINUTE);
        assert_eq!(limiter.admit("a", start), Some(0));
        assert_eq!(limiter.admit("a", start), None);
        assert_eq!(limiter.admit("a", start + MINUTE - Duration::from_nanos(1)), None);
        assert_eq!(limiter.suppressed(), 2);
        assert_eq!(limiter.admit("a", start + MINUTE), Some(2));
        assert_eq!(limiter.admit("a", start + MINUTE * 2), Some(0));
    }

    #[test]
    fn what_is_logged_beyond_the_limit_has_the_count_too() {
        let start = clock::now();
        let mut limiter = LogLimiter::new(MINUTE);
        for _ in 0..4 {
            limiter.admit("a", start);
        }
        assert_eq!(limiter.take_suppressed("a"), 2);
        assert_eq!(limiter.admit("a", start + MINUTE), Some(0));
        assert_eq!(limiter.take_suppressed("b"), 0);
    }

    #[test]
    fn burst_is_logged_each_interval() {
        let start = clock::now();
        let mut limiter = LogLimiter::with_burst(MINUTE, 3);
        let mut logged = |now| (0..10).filter_map(|_| limiter.admit("ready", now)).collect::<Vec<_>>();
        assert_eq!(logged(start), [0, 0, 0]);
        assert_eq!(logged(start + MINUTE), [7, 0, 0]);
    }

    #[test]
    fn interval_grows_and_begins_anew_after_a_pause() {
        let start = clock::now();
        let mut limiter = LogLimiter::new(MINUTE).growing_to(MINUTE * 8);
        let mut logged = |minute| limiter.admit("a", start + MINUTE * minute).is_some();
        let minutes: Vec<u32> = (0..40).filter(|minute| logged(*minute)).collect();
        assert_eq!(minutes, [0, 1, 3, 7, 15, 23, 31, 39]);
        let minutes: Vec<u32> = (60..64).filter(|minute| logged(*minute)).collect();
        assert_eq!(minutes, [60, 61, 63]);
    }

    #[test]
    fn another_event_is_logged_at_once() {
        let now = clock::now();
        let mut limiter = LogLimiter::new(MINUTE);
        assert_eq!(limiter.admit(("dns", "a"), now), Some(0));
        assert_eq!(limiter.admit(("dns", "b"), now), Some(0));
        assert_eq!(limiter.admit(("refused", "b"), now), Some(0));
        assert_eq!(limiter.admit(("dns", "a"), now), None);
        limiter.reset();
        assert_eq!(limiter.admit(("dns", "a"), now), Some(0));
    }

    #[test]
    fn ever_new_events_are_bounded_in_lines_and_memory() {
        let start = clock::now();
        let mut limiter = LogLimiter::new(MINUTE);
        let flood = |limiter: &mut LogLimiter, now| {
            (0..100_000).filter(|event| limiter.admit((event, now), now).is_some()).count()
        };
        assert_eq!(flood(&mut limiter, start), MAX_KNOWN + 1);
        assert_eq!(limiter.known.len(), MAX_KNOWN);
        assert_eq!(limiter.suppressed(), 100_000 - 1 - MAX_KNOWN as u64);
        assert_eq!(flood(&mut limiter, start + MINUTE), MAX_KNOWN + 1);
    }
}
