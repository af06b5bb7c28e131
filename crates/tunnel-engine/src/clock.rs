//! The one place that reads a clock. Tests pause tokio's clock, and everything here follows it.

use std::time::{Instant, SystemTime};

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
