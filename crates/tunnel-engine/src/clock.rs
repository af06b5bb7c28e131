//! The one place that reads a clock. Tests pause tokio's clock, and everything here follows it.

mod pause;

use std::time::{Duration, Instant, SystemTime};

use nix::time::{ClockId, clock_gettime};

pub use pause::{BEAT, Deadline, Elapsed, LATE, beat, is_late, paused, timeout};

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

/// Time since boot, sleep included, which [`now`] leaves out. Never virtual. Zero where the kernel does not say.
pub fn boot() -> Duration {
    clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(Duration::ZERO, Duration::from)
}
