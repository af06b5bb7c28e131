//! The states, and which input moves between them.
//!
//! ```text
//!                 Start                       up
//!   Stopped ─────────────────► Connecting ─────────────────► Up
//!      ▲                        ▲  ▲   │ ▲                  │ │
//!      │                        │  │   │ └─ Restart ────────┤ │ ended
//!      │                        │  │   ├──────────┬─────────┘ │ (a proven session, 5 times a minute:
//!      │ ended                  │  │   ▼          ▼           │  Connecting at once)
//!      │                        │  Backoff     Blocked        │
//!      │    ┌── Start, Restart ─┘  deadline,   re-check,      │ Stop,
//!      │    │                      RetryNow,   RetryNow,      │ max_lifetime
//!      │    │                      PathBack    FilesChanged   │
//!   Stopping ◄────────────────────────────────────────────────┘ (from Connecting too)
//!      │
//!      └──► Failed: gate_time, max_start, max_lifetime; from every phase but Stopped. Start, Restart and ResetFailed
//!                   begin anew.
//! ```

use std::time::{Duration, Instant};

use tunnel_engine::failure::{FailureKind, Unreached};

use super::{Input, Phase};

/// Where the machine is, and what it knows only there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MachineState {
    Stopped,
    Connecting {
        attempt: StartRecord,
        /// RetryNow came after this attempt began: its failure may be out of date.
        retry_now: bool,
        /// So did PathBack.
        path_back: bool,
        /// So did FilesChanged.
        files_changed: bool,
    },
    Up {
        attempt: StartRecord,
        since: Instant,
        /// The server answered a question on it.
        proven: bool,
    },
    Backoff {
        until: Instant,
        /// The server asked for the wait.
        polite: bool,
    },
    Blocked {
        recheck: Instant,
    },
    Failed {
        reason: FailureKind,
    },
    /// `Close` was asked for. What follows is read from what is wanted when the end is told.
    Stopping,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct StartRecord {
    pub(super) started: Instant,
    /// The first of its run: `gate_time` is about it.
    pub(super) first: bool,
}

impl MachineState {
    pub(super) const fn phase(&self) -> Phase {
        match self {
            Self::Stopped => Phase::Stopped,
            Self::Connecting { .. } => Phase::Connecting,
            Self::Up { .. } => Phase::Up,
            Self::Backoff { .. } => Phase::Backoff,
            Self::Blocked { .. } => Phase::Blocked,
            Self::Failed { .. } => Phase::Failed,
            Self::Stopping => Phase::Stopping,
        }
    }
}

/// What an input asks of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Move {
    Stay,
    /// Begin a new run with a start, beside the end of what is being closed.
    Begin,
    Start,
    /// Start, unless the server asked for the wait.
    StartUnlessAsked,
    Close,
    /// Come to rest: nothing is open.
    Rest,
    /// Close the session or the attempt, and start beside its end.
    Replace,
    /// The attempt began before this: keep it in mind.
    Remember,
    CameUp,
    Proven,
    /// The start failed, and goes on with the next host.
    Another(FailureKind),
    /// The session ended by itself.
    Judge {
        kind: FailureKind,
        unreached: Option<Unreached>,
        asked: Option<Duration>,
    },
    /// The session ended because we closed it.
    Closed,
}

/// The whole table. the session has been compared already: a word about an old session never comes here.
pub(super) const fn next(phase: Phase, input: Input) -> Move {
    use Input::{
        FilesChanged, NextHost, PathBack, ResetFailed, Restart, RetryNow, SessionEnded, SessionProven, SessionUp,
        Start, Stop,
    };
    use Phase::{Backoff, Blocked, Connecting, Failed, Stopped, Stopping, Up};
    match (phase, input) {
        (Stopped | Failed | Stopping, Start | Restart) => Move::Begin,
        (Connecting | Up, Start) => Move::Stay,
        (Connecting | Up, Stop) => Move::Close,
        (Connecting | Up, Restart) => Move::Replace,
        (Backoff | Blocked, Start | Restart) => Move::Start,
        (Backoff | Blocked | Failed, Stop) => Move::Rest,
        (Stopped | Stopping, Stop) => Move::Stay,

        (Connecting, RetryNow | PathBack | FilesChanged) => Move::Remember,
        (Backoff | Blocked, RetryNow) => Move::Start,
        (Blocked, FilesChanged) => Move::Start,
        (Stopped | Up | Failed | Stopping, RetryNow) => Move::Stay,
        (Backoff, PathBack) => Move::StartUnlessAsked,
        (Stopped | Up | Blocked | Failed | Stopping, PathBack) => Move::Stay,
        (Stopped | Up | Backoff | Failed | Stopping, FilesChanged) => Move::Stay,

        (Blocked, ResetFailed) => Move::Start,
        (Failed, ResetFailed) => Move::Begin,
        (Stopped | Connecting | Up | Backoff | Stopping, ResetFailed) => Move::Stay,

        (Connecting, SessionUp { .. }) => Move::CameUp,
        (Stopped | Up | Backoff | Blocked | Failed | Stopping, SessionUp { .. }) => Move::Stay,

        (Up, SessionProven { .. }) => Move::Proven,
        (Stopped | Connecting | Backoff | Blocked | Failed | Stopping, SessionProven { .. }) => Move::Stay,

        (Connecting, NextHost { kind, .. }) => Move::Another(kind),
        (Stopped | Up | Backoff | Blocked | Failed | Stopping, NextHost { .. }) => Move::Stay,

        (Connecting | Up, SessionEnded { kind, unreached, asked, .. }) => Move::Judge { kind, unreached, asked },
        (Stopping, SessionEnded { .. }) => Move::Closed,
        (Stopped | Backoff | Blocked | Failed, SessionEnded { .. }) => Move::Stay,
    }
}
