//! The one place that reads a clock. Tests pause tokio's clock, and everything here follows it.

mod pause;

use std::sync::LazyLock;
use std::time::{Duration, Instant, SystemTime};

use nix::time::{ClockId, clock_gettime};

pub use pause::{BEAT, Deadline, Elapsed, LATE, beat, beats, is_late, paused, timeout};

/// Monotonic time. A value for arithmetic; under a paused tokio clock it is virtual.
#[expect(clippy::disallowed_methods, reason = "the one reader of the monotonic clock")]
pub fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// The calendar's time, for certificates' validity, logs and status. Never for measuring.
#[expect(clippy::disallowed_methods, reason = "the one reader of the calendar clock")]
pub fn wall() -> SystemTime {
    SystemTime::now()
}

/// Where the ticks of [`tick_before`] begin.
static FIRST_TICK: LazyLock<Instant> = LazyLock::new(now);

/// The last multiple of `tick` that is not after `at`. All parts of the process count from the same moment, so work that
/// may be done a little early is done together: one wakeup serves all of it.
pub fn tick_before(at: Instant, tick: Duration) -> Instant {
    let passed = at.saturating_duration_since(*FIRST_TICK).as_nanos();
    let beyond = passed.checked_rem(tick.as_nanos()).and_then(|beyond| u64::try_from(beyond).ok());
    at - Duration::from_nanos(beyond.unwrap_or_default())
}

/// Time since boot, sleep included, which [`now`] leaves out. Never virtual. Zero where the kernel does not say.
pub fn boot() -> Duration {
    clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(Duration::ZERO, Duration::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_of_one_tick_are_the_same_moment() {
        let tick = Duration::from_secs(3);
        let first = *FIRST_TICK + 5 * tick;
        for later in [0, 1, 2999] {
            assert_eq!(tick_before(first + Duration::from_millis(later), tick), first);
        }
        assert_eq!(tick_before(first + tick, tick), first + tick);
        assert_eq!(tick_before(first, Duration::ZERO), first);
    }
}
