//! The one number that names a session of a tunnel.

use std::fmt;

/// Names a session from the moment that its login is decided upon until it has ended. Never given out twice by one
/// tunnel, so that a late event about an earlier session is told by it. 0 is no session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct SessionId(u64);

impl SessionId {
    pub(super) const fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// As a number, to seed what differs between the sessions of one tunnel.
    pub const fn as_u64(self) -> u64 {
        self.0
    }
}

impl From<u64> for SessionId {
    fn from(number: u64) -> Self {
        Self(number)
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
