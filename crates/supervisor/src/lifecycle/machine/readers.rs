//! What can be asked of the machine: enough for `status` and `why`.

use std::time::Instant;

use tunnel_engine::failure::FailureKind;

use super::super::state::MachineState;
use super::super::{Phase, Policy, SessionId, Want};
use super::Machine;

impl Machine {
    pub const fn phase(&self) -> Phase {
        self.state.phase()
    }

    pub const fn since(&self) -> Instant {
        self.since
    }

    pub const fn want(&self) -> Want {
        self.want
    }

    pub const fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The session that is kept up, or the newest attempt to have one; 0 before the first.
    pub const fn session(&self) -> SessionId {
        self.session
    }

    /// Starts made so far; never reset.
    pub const fn starts_total(&self) -> u64 {
        self.starts_total
    }

    /// Whether the newest attempt was made because its wait ran out: no order, no changed file and no sign of the
    /// server asked for it.
    pub const fn is_scheduled(&self) -> bool {
        self.scheduled
    }

    /// Starts made since the last ResetFailed.
    pub const fn starts(&self) -> u64 {
        self.starts
    }

    /// Ends in a row without a session that lived `reset_after` before them; brought up to date when a session ends.
    pub const fn attempts(&self) -> u32 {
        self.streak.failures
    }

    /// autossh's count: starts in a row that did not get old. Brought up to date when a session ends.
    pub const fn tries(&self) -> u32 {
        self.streak.tries
    }

    /// Why the last session, or attempt, ended by itself; kept after recovery, cleared by ResetFailed.
    pub const fn last_kind(&self) -> Option<FailureKind> {
        self.last
    }

    /// Why no further start is made: `gate_time`, `max_start` or `max_lifetime`. Only in `Failed`.
    pub const fn gave_up(&self) -> Option<FailureKind> {
        if let MachineState::Failed { reason } = self.state { Some(reason) } else { None }
    }

    /// The session is being closed because `max_lifetime` is over: what is wanted is not followed by a start.
    pub fn is_at_its_end(&self) -> bool {
        self.phase() == Phase::Stopping && self.want == Want::Up
    }

    /// When the next start is due by itself, in `Backoff` and `Blocked`.
    pub const fn next_start(&self) -> Option<Instant> {
        match self.state {
            MachineState::Backoff { until, .. } => Some(until),
            MachineState::Blocked { recheck } => Some(recheck),
            MachineState::Stopped
            | MachineState::Connecting { .. }
            | MachineState::Up { .. }
            | MachineState::Failed { .. }
            | MachineState::Stopping => None,
        }
    }
}
