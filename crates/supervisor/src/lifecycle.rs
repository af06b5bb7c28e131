//! When to start, wait, block and give up: one pure machine a tunnel. No runtime, no clock, no randomness of its own:
//! `now` and the seed are arguments.
//!
//! What each input does in each phase, and the phase that follows (`.`: nothing; a test reads this table and holds the
//! machine to it). `next host` is a failed start with another host to try, `ended -` a transient failure, `ended !` a
//! permanent one, `time` the deadline of that phase.
//!
//! | input        | Stopped    | Connecting | Up         | Backoff    | Blocked    | Failed     | Stopping   |
//! |--------------|------------|------------|------------|------------|------------|------------|------------|
//! | Start        | Connecting | .          | .          | Connecting | Connecting | Connecting | Connecting |
//! | Stop         | .          | Stopping   | Stopping   | Stopped    | Stopped    | Stopped    | .          |
//! | Restart      | Connecting | Connecting | Connecting | Connecting | Connecting | Connecting | Connecting |
//! | RetryNow     | .          | .          | .          | Connecting | Connecting | .          | .          |
//! | PathBack     | .          | .          | .          | Connecting | .          | .          | .          |
//! | ResetFailed  | .          | .          | .          | .          | Connecting | Connecting | .          |
//! | FilesChanged | .          | .          | .          | .          | Connecting | .          | .          |
//! | up           | .          | Up         | .          | .          | .          | .          | .          |
//! | proven       | .          | .          | .          | .          | .          | .          | .          |
//! | next host    | .          | Connecting | .          | .          | .          | .          | .          |
//! | ended -      | .          | Backoff    | Connecting | .          | .          | .          | Stopped    |
//! | ended !      | .          | Blocked    | Blocked    | .          | .          | .          | Stopped    |
//! | time         | .          | .          | .          | Connecting | Connecting | .          | .          |
//!
//! Beyond the table:
//! - Up, ended: a proven session is redialled at once, [`QUICK_REDIALS`](tunnel_engine::backoff::QUICK_REDIALS) times
//!   within `QUICK_WITHIN`, one that proved nothing once in a row; further ones go to Backoff.
//! - A start that found no server lengthens no wait but that of the next one that finds none.
//! - Connecting remembers RetryNow, PathBack and FilesChanged: an attempt that began before them and fails is made again
//!   at once.
//! - PathBack ends no wait that the server asked for, and makes no permanent failure good.
//! - A Restart closes the session, or gives the attempt up, and opens the next one at once: at most one session is
//!   open that was not told to close. So does a Start during Stopping: what is being closed ends beside it.
//! - In place of any start: Failed, when `max_start` or `max_lifetime` forbids it. In place of what follows the end of a
//!   run's first session: Failed, when `gate_time` says so. When `max_lifetime` runs out: Failed, through Stopping where
//!   there is a session to close.

mod backoff;
mod judge;
mod machine;
mod session_id;
mod standby;
mod state;
#[cfg(test)]
mod tests;

pub use judge::asked_for;
pub use machine::Machine;
pub use session_id::SessionId;
pub use standby::{StandbyEnd, StandbyRecord};

use std::time::Duration;

use tunnel_engine::failure::{FailureKind, Unreached};

pub use crate::spec::Policy;

/// What the operator and the config want.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Want {
    Up,
    Down,
}

impl Want {
    /// `up` or `down`: the word used in status.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
        }
    }
}

/// The phase of a tunnel, as in `status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Nothing runs and nothing is wanted.
    Stopped,
    Connecting,
    Up,
    Backoff,
    /// A permanent failure: waiting for a person, a changed file, or the slow re-check.
    Blocked,
    /// Gave up: gate_time, max_start or max_lifetime.
    Failed,
    Stopping,
}

impl std::fmt::Display for Want {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::fmt::Display for Phase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Phase {
    pub const ALL: [Self; 7] =
        [Self::Stopped, Self::Connecting, Self::Up, Self::Backoff, Self::Blocked, Self::Failed, Self::Stopping];

    /// The word used in status, logs and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::Connecting => "connecting",
            Self::Up => "up",
            Self::Backoff => "backoff",
            Self::Blocked => "blocked",
            Self::Failed => "failed",
            Self::Stopping => "stopping",
        }
    }
}

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

/// What happens to the machine. `session` names the session it is about: a late word from an old one is
/// harmless.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    Start,
    Stop,
    /// Close the session if there is one, and start at once, whatever the phase.
    Restart,
    /// USR1: end every wait. A living session is kept (the caller probes it).
    RetryNow,
    /// The network changed, or the server can be reached again: end a wait that was for that.
    PathBack,
    /// Forget the failure and the counts; leaves `Failed` and `Blocked` towards `Stopped` or a start, as wanted.
    ResetFailed,
    /// A watched file changed: leave `Blocked` for a start.
    FilesChanged,
    SessionUp {
        session: SessionId,
    },
    /// The server answered a question on this session: it did more than to log us in.
    SessionProven {
        session: SessionId,
    },
    /// The start of this session failed, and there is another host to try: at once, as a part of the same row.
    NextHost {
        session: SessionId,
        /// Kind of the failure that ended it.
        kind: FailureKind,
    },
    /// This session ended, or its start failed.
    SessionEnded {
        session: SessionId,
        /// Kind of the failure that ended it.
        kind: FailureKind,
        /// The start found no server, and where.
        unreached: Option<Unreached>,
        /// The server asked to be left alone for so long, as the governor counts it for all tunnels that go there.
        asked: Option<Duration>,
    },
}

/// A request of the machine to its driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Open a session under this number. Answer with `SessionUp` or `SessionEnded`.
    Open { session: SessionId },
    /// Close the session, or abandon the attempt, of this number. Answer with `SessionEnded`.
    Close { session: SessionId },
}
