//! The sessions beside the one that a machine knows (`sessions = N`): the same judge says when each is dialled again.

use std::time::{Duration, Instant};

use tunnel_engine::backoff::BLOCKED;
use tunnel_engine::failure::{FailureKind, Unreached};

use super::Policy;
use super::judge::{SessionEnd, Streak, Verdict, judge};

/// What one such session's ends in a row have told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StandbyRecord(Streak);

/// How such a session, or its login, ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StandbyEnd {
    pub kind: FailureKind,
    /// The login found no server, and where.
    pub unreached: Option<Unreached>,
    /// The server asked to be left alone for so long.
    pub asked: Option<Duration>,
    /// From being up; `None`: it never was.
    pub lived: Option<Duration>,
    /// The server answered a question on it.
    pub proven: bool,
}

impl StandbyRecord {
    /// The wait before the next login. `draw`, in `0.0..1.0`, decides the jitter.
    pub fn ended(&mut self, policy: &Policy, ended: StandbyEnd, now: Instant, draw: f64) -> Duration {
        let StandbyEnd { kind, unreached, asked, lived, proven } = ended;
        let age = lived.unwrap_or_default();
        let end =
            SessionEnd { kind, unreached, asked, at: now, age, lived, proven, first: false, starts_used_up: false };
        let (verdict, streak) = judge(policy, &self.0, &end, draw);
        self.0 = streak;
        match verdict {
            Verdict::Retry { wait, .. } => wait,
            Verdict::Block | Verdict::GiveUp(_) => BLOCKED.first,
        }
    }
}
