//! When to start, wait, block and give up: one pure machine a tunnel. No runtime, no clock, no randomness of its own:
//! `now` and the seed are arguments. If a question starts with "when", its answer is here.

use std::time::Duration;

use tunnel_engine::failure::FailureKind;

use crate::config::BackoffSpec;

/// `gate_time`, `max_start`, `max_lifetime`, `backoff`, `poll` of a tunnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// AUTOSSH_GATETIME; zero: off.
    pub gate_time: Duration,
    /// AUTOSSH_MAXSTART; `None`: no limit.
    pub max_start: Option<u32>,
    /// AUTOSSH_MAXLIFETIME; `None`: none.
    pub max_lifetime: Option<Duration>,
    /// Delay before the next start.
    pub backoff: BackoffSpec,
    /// AUTOSSH_POLL: drives autossh's backoff formula.
    pub poll: Duration,
}

/// What the operator and the config want.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Want {
    /// The tunnel should be up.
    Up,
    /// It should not.
    Down,
}

/// Where the machine is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Nothing runs and nothing is wanted.
    Stopped,
    /// A start is under way.
    Connecting,
    /// A session is up.
    Up,
    /// Waiting for the next start.
    Backoff,
    /// A permanent failure: waiting for a person, a changed file, or the slow re-check.
    Blocked,
    /// Gave up: gate_time, max_start or max_lifetime.
    Failed,
    /// The session is being closed.
    Stopping,
}

/// What happens to the machine. `epoch` is the number of the session it is about: a late word from an old one is
/// harmless.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    /// Operator or config: be up.
    Start,
    /// Operator or config: be down.
    Stop,
    /// Close the session if there is one, and start at once, whatever the phase.
    Restart,
    /// USR1, link up, resume: end every wait. A living session is kept (the caller probes it).
    RetryNow,
    /// Forget the failure and the counts; leaves `Failed` and `Blocked` towards `Stopped` or a start, as wanted.
    ResetFailed,
    /// A watched file changed: leave `Blocked` for a start.
    FilesChanged,
    /// The session of this epoch is up.
    SessionUp {
        /// Which.
        epoch: u64,
    },
    /// The session of this epoch ended, or its start failed.
    SessionEnded {
        /// Which.
        epoch: u64,
        /// Why.
        kind: FailureKind,
    },
}

/// What the machine wants done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Open a session under this number. Answer with `SessionUp` or `SessionEnded`.
    Open {
        /// Its number.
        epoch: u64,
    },
    /// Close the session, or abandon the attempt, of this number. Answer with `SessionEnded`.
    Close {
        /// Its number.
        epoch: u64,
    },
}
