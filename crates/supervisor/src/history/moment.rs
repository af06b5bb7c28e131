//! Both clocks at once: lengths are measured by the one that never jumps, places in time are the calendar's.

use std::time::{Duration, Instant, SystemTime};

use tunnel_engine::clock;

/// One reading of both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment {
    /// Stands still while the machine sleeps.
    pub(crate) awake: Instant,
    /// May be set back and forward.
    pub(crate) wall: SystemTime,
}

impl Moment {
    pub(crate) fn now() -> Self {
        Self { awake: clock::now(), wall: clock::wall() }
    }

    /// Milliseconds since 1970.
    pub(super) fn wall_ms(self) -> u64 {
        unix_ms(self.wall)
    }
}

/// A time as status, events and logs write it: RFC 3339, UTC, whole seconds.
pub(crate) fn rfc3339(time: SystemTime) -> String {
    humantime::format_rfc3339_seconds(time).to_string()
}

/// Milliseconds since 1970; 0 before.
pub(super) fn unix_ms(time: SystemTime) -> u64 {
    millis(time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default())
}

/// The inverse of [`unix_ms`].
pub(super) fn at_unix_ms(ms: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(ms)).unwrap_or(SystemTime::UNIX_EPOCH)
}

pub(super) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
