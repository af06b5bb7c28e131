//! What follows the end of a session: a pure verdict over the policy, what went before, and why it ended.

use std::time::Duration;

use tunnel_engine::failure::FailureKind;

use crate::config::BackoffKind;

use super::{Policy, backoff};

/// Ends in a row that were not preceded by a session that lived `reset_after`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Streak {
    /// How many.
    pub(super) failures: u32,
    /// How many of them were answered with a wait: the exponent of the next one.
    waits: u32,
    /// The one immediate redial of a row has been used.
    redialled: bool,
    /// Refusals before the banner, without anything else between them.
    refusals: u32,
    /// autossh's `tries`, which has a rule of its own.
    pub(super) tries: u32,
}

/// How a session, or the attempt to have one, ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct End {
    /// Why.
    pub(super) kind: FailureKind,
    /// From the start of the attempt.
    pub(super) age: Duration,
    /// From being up; `None`: it never was.
    pub(super) lived: Option<Duration>,
    /// The first start of a run, which `gate_time` is about.
    pub(super) first: bool,
    /// No further start is allowed.
    pub(super) starts_used_up: bool,
}

/// What to do.
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
pub(super) fn judge(policy: &Policy, before: &Streak, end: &End, draw: f64) -> (Verdict, Streak) {
    let cause = Cause::of(end.kind);
    let streak = count(policy, before, end, cause);
    if end.first && cause != Cause::Planned && !passed_gate(policy, end) {
        return (Verdict::GiveUp(FailureKind::GateTime), streak);
    }
    if end.starts_used_up {
        return (Verdict::GiveUp(FailureKind::MaxStart), streak);
    }
    let refused = |first, longest, streak: Streak| {
        let jitter = policy.backoff.jitter;
        let polite = backoff::polite(first, longest, streak.refusals.saturating_sub(1), jitter, draw);
        let (ordinary, streak) = schedule(policy, streak, draw);
        (Verdict::Retry { wait: polite.max(ordinary), polite: true }, streak)
    };
    match cause {
        Cause::Planned => (Verdict::Retry { wait: Duration::ZERO, polite: false }, streak),
        Cause::Permanent => (Verdict::Block, streak),
        Cause::Busy => refused(backoff::SERVER_BUSY_WAIT, backoff::SERVER_BUSY_WAIT_MAX, streak),
        Cause::Penalty => refused(backoff::PENALTY_WAIT, backoff::PENALTY_WAIT_MAX, streak),
        Cause::Loss if redial_at_once(policy, &streak, end) => {
            (Verdict::Retry { wait: Duration::ZERO, polite: false }, Streak { redialled: true, ..streak })
        }
        Cause::Loss | Cause::Forward => {
            let (wait, streak) = schedule(policy, streak, draw);
            (Verdict::Retry { wait, polite: false }, streak)
        }
    }
}

/// What kinds of failure mean to a judge. One arm a kind, so that a new kind needs a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    /// Wanted: nobody's fault.
    Planned,
    /// The way to the server, or the session, broke.
    Loss,
    /// The session is fine, a forward is not: a new session at once would meet the same.
    Forward,
    /// The server had no room for a login.
    Busy,
    /// The server punishes our address.
    Penalty,
    /// Trying again by itself cannot help.
    Permanent,
}

impl Cause {
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
            | FailureKind::AgentUnavailable => Self::Loss,
            FailureKind::RemotePortBusy | FailureKind::ListenInUse => Self::Forward,
            FailureKind::ServerBusy => Self::Busy,
            FailureKind::Penalized => Self::Penalty,
            FailureKind::HostKeyUnknown
            | FailureKind::HostKeyChanged
            | FailureKind::HostKeyRevoked
            | FailureKind::AuthRejected
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
fn count(policy: &Policy, before: &Streak, end: &End, cause: Cause) -> Streak {
    let settled = end.lived.is_some_and(|lived| lived >= policy.backoff.reset_after);
    let row = if settled { Streak { tries: before.tries, ..Streak::default() } } else { *before };
    let aged = end.age >= backoff::autossh_min_up(policy.poll);
    let tries = if aged { 0 } else { row.tries.saturating_add(1) };
    match cause {
        Cause::Planned => Streak { tries: if aged { 0 } else { row.tries }, ..row },
        Cause::Busy | Cause::Penalty => {
            Streak { failures: row.failures.saturating_add(1), refusals: row.refusals.saturating_add(1), tries, ..row }
        }
        Cause::Loss | Cause::Forward | Cause::Permanent => {
            Streak { failures: row.failures.saturating_add(1), refusals: 0, tries, ..row }
        }
    }
}

/// The first start of a run must come up, and stay up for `gate_time`. autossh counts from the start, in whole seconds,
/// and does not ask whether it came up: a slow failure is tried again, a quick one is a mistake in the command line.
fn passed_gate(policy: &Policy, end: &End) -> bool {
    policy.gate_time.is_zero()
        || match policy.backoff.kind {
            BackoffKind::Exponential => end.lived.is_some_and(|lived| lived >= policy.gate_time),
            // Nor does it ask about an ssh that its own monitor has ended.
            BackoffKind::Autossh => {
                end.age.as_secs() > policy.gate_time.as_secs() || end.kind == FailureKind::ProbeFailed
            }
        }
}

/// The first loss of a session in a row is most often a path that is already back. Once a row: a server that lets us in
/// and drops us must not be hammered. autossh's formula knows no such rule, it has its own fast tries.
fn redial_at_once(policy: &Policy, streak: &Streak, end: &End) -> bool {
    match policy.backoff.kind {
        BackoffKind::Exponential => end.lived.is_some() && !streak.redialled,
        BackoffKind::Autossh => false,
    }
}

fn schedule(policy: &Policy, streak: Streak, draw: f64) -> (Duration, Streak) {
    match policy.backoff.kind {
        BackoffKind::Exponential => {
            let wait = backoff::exponential(&policy.backoff, streak.waits, draw);
            (wait, Streak { waits: streak.waits.saturating_add(1), ..streak })
        }
        BackoffKind::Autossh => (backoff::autossh(policy.poll, streak.tries), streak),
    }
}
