//! What a forward is in, as its tunnel is in a [`Phase`](super::Phase).

/// The state of a forward in one word, as in `status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ForwardPhase {
    /// Not set up yet: there is no session, or the server has not answered.
    Pending,
    /// It carries connections.
    Up,
    /// It could not be set up, or it was proven not to carry.
    Down,
    /// The server's port takes connections, and another session or program gets them.
    Stale,
    /// In place; the server forbids to prove more.
    Unverified,
}

impl ForwardPhase {
    pub const ALL: [Self; 5] = [Self::Pending, Self::Up, Self::Down, Self::Stale, Self::Unverified];

    /// The word used in status and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Up => "up",
            Self::Down => "down",
            Self::Stale => "stale",
            Self::Unverified => "unverified",
        }
    }

    /// As good as it can be known to be.
    pub const fn is_in_place(self) -> bool {
        match self {
            Self::Up | Self::Unverified => true,
            Self::Pending | Self::Down | Self::Stale => false,
        }
    }
}
