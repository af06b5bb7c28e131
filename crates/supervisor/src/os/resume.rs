//! Has this machine slept? The clock that counts sleep has gone further than the one that does not.

use std::time::{Duration, Instant};

use tunnel_engine::clock;

/// How often to check: a resume is noticed this late at most.
pub(super) const CHECK_INTERVAL: Duration = clock::BEAT;

/// Less is the distance between two readings of two clocks.
const SHORTEST_SLEEP: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, Copy)]
pub(super) struct Wakefulness {
    boot: Duration,
    awake: Instant,
}

impl Wakefulness {
    /// `boot`: time since boot with sleep; `awake`: the monotonic clock, which stands still in sleep.
    pub(super) const fn new(boot: Duration, awake: Instant) -> Self {
        Self { boot, awake }
    }

    /// How long the machine has slept since the last check.
    pub(super) fn check(&mut self, boot: Duration, awake: Instant) -> Option<Duration> {
        let passed = boot.saturating_sub(self.boot);
        let slept = passed.saturating_sub(awake.saturating_duration_since(self.awake));
        *self = Self::new(boot, awake);
        (slept >= SHORTEST_SLEEP).then_some(slept)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sleep_is_the_difference_of_the_clocks() {
        let (boot, awake) = (Duration::from_secs(1000), clock::now());
        let mut wakefulness = Wakefulness::new(boot, awake);
        let later = |seconds| (boot + Duration::from_secs(seconds), awake + Duration::from_secs(seconds));
        let (b, a) = later(2);
        assert_eq!(wakefulness.check(b, a), None);
        let hour = Duration::from_secs(3600);
        let (b, a) = later(4);
        assert_eq!(wakefulness.check(b + hour, a), Some(hour));
        let (b, a) = later(6);
        assert_eq!(wakefulness.check(b + hour, a), None);
    }

    #[test]
    fn distance_between_two_readings_is_no_sleep() {
        let (boot, awake) = (Duration::from_secs(1000), clock::now());
        let mut wakefulness = Wakefulness::new(boot, awake);
        assert_eq!(wakefulness.check(boot + Duration::from_millis(900), awake), None);
        assert_eq!(wakefulness.check(boot, awake + Duration::from_secs(5)), None, "a clock that jumps back");
    }
}
