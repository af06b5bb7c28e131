//! When to try again: a schedule of waits as a plain value. Pure: the random share is an argument.
//!
//! The schedules of the engine's own loops are here; those of sessions, logins and probes are policy, and beside each other
//! in the supervisor's `lifecycle::backoff`. One table of all of them is in docs/ARCHITECTURE.md.

use std::time::Duration;

/// A local address that cannot be bound: one system call a try, on ticks that are common to all forwards. No server is
/// touched.
pub const LISTENER: Backoff = Backoff::every(Duration::from_secs(1));

/// A device that cannot be opened here, or that the server has not now: one request on the living session.
pub const DEVICE: Backoff = Backoff::every(Duration::from_secs(1));

/// A device that the server's policy forbids, which most servers read at login only.
pub const DEVICE_DENIED: Backoff = Backoff::every(Duration::from_secs(60));

/// A schedule of waits: the first, how each grows over the one before it, the longest, and the share that is random.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Backoff {
    /// The first wait.
    pub first: Duration,
    /// Each wait is this many times the one before it.
    pub factor: f64,
    /// No wait is longer, before the random share is added.
    pub longest: Duration,
    /// The random share.
    pub jitter: Jitter,
}

/// The share of a wait that is drawn at random, so that those who wait for one server do not come together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Jitter {
    /// None: no server is touched, or all who wait share one question, or the moment is a common tick.
    None,
    /// Up to this share less, so that the longest wait is a promise.
    Less(f64),
    /// Up to this share more, where the other side has asked for the wait.
    More(f64),
}

impl Backoff {
    /// The same wait each time.
    pub const fn every(wait: Duration) -> Self {
        Self { first: wait, factor: 1.0, longest: wait, jitter: Jitter::None }
    }

    /// Each wait is twice the one before it.
    pub const fn doubling(first: Duration, longest: Duration) -> Self {
        Self { first, factor: 2.0, longest, jitter: Jitter::None }
    }

    /// The same schedule with this random share.
    #[must_use]
    pub const fn with_jitter(self, jitter: Jitter) -> Self {
        Self { jitter, ..self }
    }

    /// The wait after `before` others, without its random share: first × factor^`before`, at most the longest.
    pub fn wait(&self, before: u32) -> Duration {
        let exponent = i32::try_from(before).unwrap_or(i32::MAX);
        let grown = self.first.as_secs_f64() * self.factor.max(1.0).powi(exponent);
        // An infinite or absurd product is simply too long.
        Duration::try_from_secs_f64(grown).map_or(self.longest, |grown| grown.min(self.longest))
    }

    /// How many waits, without their random share, are over after this time: as many as the wait goes on growing for.
    pub fn waits_within(&self, time: Duration) -> u32 {
        let grows = |before: &u32| self.wait(*before) < self.wait(before.saturating_add(1));
        let mut left = time;
        let is_over = |before: &u32| match left.checked_sub(self.wait(*before)) {
            Some(rest) => {
                left = rest;
                true
            }
            None => false,
        };
        let over = (0..u32::MAX).take_while(grows).take_while(is_over).count();
        u32::try_from(over).unwrap_or(u32::MAX)
    }

    /// The wait after `before` others. `draw`, in `0.0..1.0`, decides the random share.
    pub fn drawn(&self, before: u32, draw: f64) -> Duration {
        self.jitter.applied(self.wait(before), draw)
    }
}

impl Jitter {
    /// `wait` with the random share that `draw`, in `0.0..1.0`, decides.
    pub fn applied(self, wait: Duration, draw: f64) -> Duration {
        match self {
            Self::None => wait,
            Self::Less(share) => times(wait, 1.0 - share.clamp(0.0, 1.0) * draw).min(wait),
            Self::More(share) => times(wait, 1.0 + share.clamp(0.0, 1.0) * draw),
        }
    }
}

/// A product that no `Duration` holds leaves the wait as it is: `Duration::mul_f64` would panic.
fn times(wait: Duration, factor: f64) -> Duration {
    Duration::try_from_secs_f64(wait.as_secs_f64() * factor).unwrap_or(wait)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn random_share_stays_on_its_side_of_the_wait() {
        let backoff = Backoff::doubling(10 * SECOND, 40 * SECOND);
        let less = backoff.with_jitter(Jitter::Less(0.5));
        let more = backoff.with_jitter(Jitter::More(0.5));
        for before in [0, 1, 2, 3, u32::MAX] {
            let wait = backoff.wait(before);
            assert_eq!(
                (backoff.drawn(before, 0.9), less.drawn(before, 0.0), more.drawn(before, 0.0)),
                (wait, wait, wait)
            );
            assert!((wait / 2..wait).contains(&less.drawn(before, 0.99)));
            assert!((wait..=wait * 3 / 2).contains(&more.drawn(before, 0.99)));
        }
    }

    #[test]
    fn waits_are_counted_while_they_grow() {
        let backoff = Backoff::doubling(2 * SECOND, 10 * SECOND);
        for (seconds, over) in [(0, 0), (1, 0), (2, 1), (5, 1), (6, 2), (13, 2), (14, 3), (100_000, 3)] {
            assert_eq!(backoff.waits_within(seconds * SECOND), over, "{seconds} s");
        }
        assert_eq!(Backoff::every(SECOND).waits_within(3600 * SECOND), 0);
        assert_eq!(Backoff::doubling(Duration::ZERO, SECOND).waits_within(SECOND), 0);
    }

    #[test]
    fn wait_that_does_not_grow_is_the_same_each_time() {
        for before in [0, 1, 1000] {
            assert_eq!(Backoff::every(SECOND).wait(before), SECOND);
        }
    }
}
