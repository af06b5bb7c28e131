//! What follows the end of a session: a pure verdict over the policy, what went before, and why it ended.

use std::time::{Duration, Instant};

use tunnel_engine::backoff::{Backoff, PENALTY, QUICK_REDIALS, QUICK_WITHIN, SERVER_BUSY};
use tunnel_engine::failure::{FailureKind, Unreached};

use crate::spec::BackoffKind;

use super::Policy;
use super::backoff;

/// What the ends in a row, not preceded by a session that lived `reset_after`, have told. Each kind of trouble has a
/// count of its own, so that one does not lengthen the waits of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Streak {
    pub(super) failures: u32,
    /// Waits after starts that reached the server and failed, and after sessions that proved nothing; cleared by a
    /// proven session.
    failed: u32,
    /// Waits after proven sessions that ended young, less the redials at once since: a link that is cut a little more
    /// often than those allow must not come to long waits in the end.
    young: u32,
    /// Starts in a row that found no server.
    absences: u32,
    /// The one redial at once that a session without proof is answered with has been used.
    redialled: bool,
    /// When proven sessions were last redialled at once.
    quick: QuickRedials,
    /// autossh's `tries`, which has a rule of its own.
    pub(super) tries: u32,
}

/// The times of the last redials at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct QuickRedials([Option<Instant>; QUICK_REDIALS]);

impl QuickRedials {
    /// These with one more, where one more is allowed now.
    fn with(self, now: Instant) -> Option<Self> {
        let recent = |at: &Instant| now.saturating_duration_since(*at) < QUICK_WITHIN;
        let mut times = self.0;
        let free = times.iter_mut().find(|at| at.as_ref().is_none_or(|at| !recent(at)))?;
        *free = Some(now);
        Some(Self(times))
    }
}

/// How a session, or the attempt to have one, ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SessionEnd {
    pub(super) kind: FailureKind,
    /// The start found no server.
    pub(super) unreached: Option<Unreached>,
    /// The server asked to be left alone for so long.
    pub(super) asked: Option<Duration>,
    pub(super) at: Instant,
    /// From the start of the attempt.
    pub(super) age: Duration,
    /// From being up; `None`: it never was.
    pub(super) lived: Option<Duration>,
    /// The server answered a question on it.
    pub(super) proven: bool,
    /// The first start of a run, which `gate_time` is about.
    pub(super) first: bool,
    pub(super) starts_used_up: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Start again after this wait, which may be zero. `polite`: the server asked for it, so no change of policy
    /// shortens it.
    Retry { wait: Duration, polite: bool },
    /// Wait for a person, a changed file, or the slow re-check.
    Block,
    /// `gate_time` or `max_start`.
    GiveUp(FailureKind),
}

/// The verdict, and the row with this end added. `draw`, in `0.0..1.0`, is the only randomness.
pub(super) fn judge(policy: &Policy, before: &Streak, end: &SessionEnd, draw: f64) -> (Verdict, Streak) {
    let cause = FailureClass::of(end.kind);
    let streak = count(policy, before, end, cause);
    if end.first && cause != FailureClass::Planned && !passed_gate(policy, end) {
        return (Verdict::GiveUp(FailureKind::GateTime), streak);
    }
    if end.starts_used_up {
        return (Verdict::GiveUp(FailureKind::MaxStart), streak);
    }
    let at_once = |streak| (Verdict::Retry { wait: Duration::ZERO, polite: false }, streak);
    let refused = |asked: Duration, streak: Streak| {
        let polite = backoff::polite(asked, policy.backoff.jitter, draw);
        let (ordinary, streak) = schedule(policy, streak, |streak| &mut streak.failed, draw);
        (Verdict::Retry { wait: polite.max(ordinary), polite: true }, streak)
    };
    let after = |streak, count: fn(&mut Streak) -> &mut u32| {
        let (wait, streak) = schedule(policy, streak, count, draw);
        (Verdict::Retry { wait, polite: false }, streak)
    };
    match cause {
        FailureClass::Planned => at_once(streak),
        FailureClass::Permanent => (Verdict::Block, streak),
        FailureClass::Asked(schedule) => refused(end.asked.unwrap_or(schedule.first), streak),
        FailureClass::Forward => after(streak, |streak| &mut streak.failed),
        FailureClass::Loss if policy.backoff.kind == BackoffKind::Autossh => after(streak, |streak| &mut streak.failed),
        FailureClass::Loss => match (end.unreached, end.lived) {
            (Some(Unreached::Directly), _) => after(streak, |streak| &mut streak.absences),
            // Asked for over one session to the jump host: each start by the clock would be a login there.
            (Some(Unreached::BehindJump), _) => {
                (Verdict::Retry { wait: backoff::longest(policy), polite: false }, streak)
            }
            (None, Some(_)) if end.proven => match streak.quick.with(end.at) {
                Some(quick) => at_once(Streak { quick, young: streak.young.saturating_sub(1), ..streak }),
                None => after(streak, |streak| &mut streak.young),
            },
            (None, Some(_)) if !streak.redialled => at_once(Streak { redialled: true, ..streak }),
            (None, _) => after(streak, |streak| &mut streak.failed),
        },
    }
}

/// What a server asks for by a failure of this kind, if it asks for anything. The governor counts the refusals, of all
/// tunnels that go there together, and each tunnel waits for as long as they come to.
pub const fn asked_for(kind: FailureKind) -> Option<Backoff> {
    if let FailureClass::Asked(asked) = FailureClass::of(kind) { Some(asked) } else { None }
}

/// What kinds of failure mean to a judge. One arm a kind, so that a new kind needs a decision.
#[derive(Debug, Clone, Copy, PartialEq)]
enum FailureClass {
    /// Wanted, so no failure.
    Planned,
    /// The way to the server, or the session, broke.
    Loss,
    /// The session is fine, a forward is not: a new session at once would meet the same.
    Forward,
    /// The server had no room for a login, or punishes our address: it is left alone for so long.
    Asked(Backoff),
    /// Trying again by itself cannot help.
    Permanent,
}

impl FailureClass {
    const fn of(kind: FailureKind) -> Self {
        match kind {
            FailureKind::SessionLifetime => Self::Planned,
            FailureKind::Dns
            | FailureKind::ConnectRefused
            | FailureKind::ConnectTimeout
            | FailureKind::Unreachable
            | FailureKind::ConnectionLost
            | FailureKind::KeepaliveTimeout
            | FailureKind::ClosedByServer
            | FailureKind::Protocol
            | FailureKind::JumpFailed
            | FailureKind::ProxyCommandFailed
            | FailureKind::KnownHostsCommandFailed
            | FailureKind::ProbeFailed
            | FailureKind::AgentUnavailable
            | FailureKind::ResourceShortage => Self::Loss,
            FailureKind::RemotePortBusy | FailureKind::ListenInUse => Self::Forward,
            FailureKind::ServerBusy => Self::Asked(SERVER_BUSY),
            FailureKind::Penalized => Self::Asked(PENALTY),
            FailureKind::HostKeyUnknown
            | FailureKind::HostKeyChanged
            | FailureKind::HostKeyRevoked
            | FailureKind::AuthRejected
            | FailureKind::PasswordChangeRequired
            | FailureKind::IdentityUnreadable
            | FailureKind::IdentityPermissions
            | FailureKind::PassphraseNeeded
            | FailureKind::NoCommonAlgorithm
            | FailureKind::RemoteForwardDenied
            | FailureKind::ListenDenied
            | FailureKind::GateTime
            | FailureKind::MaxStart
            | FailureKind::MaxLifetime
            | FailureKind::CertificateExpired => Self::Permanent,
        }
    }
}

/// A session that lived `reset_after` clears the row; then this end is added, unless it was planned.
fn count(policy: &Policy, before: &Streak, end: &SessionEnd, cause: FailureClass) -> Streak {
    let settled = end.lived.is_some_and(|lived| lived >= policy.backoff.reset_after);
    let row = if settled {
        Streak { tries: before.tries, quick: before.quick, ..Streak::default() }
    } else if end.proven {
        Streak { failed: 0, redialled: false, ..*before }
    } else {
        *before
    };
    let aged = end.age >= backoff::autossh_min_up(policy.poll);
    let tries = if aged { 0 } else { row.tries.saturating_add(1) };
    let failures = row.failures.saturating_add(1);
    match cause {
        FailureClass::Planned => Streak { tries: if aged { 0 } else { row.tries }, ..row },
        // Nothing that is said of a server is said by its absence.
        FailureClass::Loss if end.unreached.is_some() => Streak { failures, tries, ..row },
        FailureClass::Asked(_) | FailureClass::Loss | FailureClass::Forward | FailureClass::Permanent => {
            Streak { failures, absences: 0, tries, ..row }
        }
    }
}

/// The first start of a run must come up, and stay up for `gate_time`. autossh counts from the start, in whole seconds,
/// and does not ask whether it came up: a slow failure is tried again, a quick one is a mistake in the command line.
fn passed_gate(policy: &Policy, end: &SessionEnd) -> bool {
    policy.gate_time.is_zero()
        || match policy.backoff.kind {
            BackoffKind::Exponential => end.lived.is_some_and(|lived| lived >= policy.gate_time),
            // Nor does it ask about an ssh that its own monitor has ended.
            BackoffKind::Autossh => {
                end.age.as_secs() > policy.gate_time.as_secs() || end.kind == FailureKind::ProbeFailed
            }
        }
}

/// The next wait of the schedule that `count` counts for; autossh's formula has one for all.
fn schedule(
    policy: &Policy,
    mut streak: Streak,
    count: impl FnOnce(&mut Streak) -> &mut u32,
    draw: f64,
) -> (Duration, Streak) {
    match policy.backoff.kind {
        BackoffKind::Exponential => {
            let waits = count(&mut streak);
            let wait = backoff::exponential(&policy.backoff, *waits, draw);
            *waits = waits.saturating_add(1);
            (wait, streak)
        }
        BackoffKind::Autossh => (backoff::autossh(policy.poll, streak.tries), streak),
    }
}
