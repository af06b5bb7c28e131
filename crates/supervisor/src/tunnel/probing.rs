//! When a forward is probed, and what is known about it: pure.
//!
//! ```text
//!                        ┌──────────── every poll, if no user proved it meanwhile ──────┐
//!   in place ─► probe ─► up ◄───────────────────────────────────────────────────────────┘
//!                 │ refused                    │ not ours
//!                 ▼                            ▼
//!               down ─► probe soon           stale ─► ask the server to listen again, probe seldom
//! ```
//! The users' connections are the cheapest proof, and the first to notice.

use std::time::{Duration, Instant};

use tunnel_engine::failure::{Failure, FailureKind};
use tunnel_engine::forward::{Cause, Disproof, Finding};

use super::state::ForwardState;

/// After a refusal, which reached no service. It doubles: each one is a line in the server's log.
const SOON: Duration = Duration::from_secs(5);
const SOON_MOST: Duration = Duration::from_secs(60);

/// Between two touches of a port that somebody else holds. A dead session on the server lives for as long as its port
/// is connected to more often than its own keepalive looks (ClientAliveInterval); it doubles.
const SELDOM: Duration = Duration::from_secs(30);
const SELDOM_MOST: Duration = Duration::from_secs(480);

/// Share of a wait that is added at random, so that many tunnels do not probe together.
const JITTER: f64 = 0.1;

/// How often.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rhythm {
    /// After the first proof.
    pub(super) first: Duration,
    /// After each other one.
    pub(super) every: Duration,
    /// 0 to 1.
    pub(super) random: f64,
}

impl Rhythm {
    fn after(&self, proofs: u32) -> Duration {
        let wait = if proofs <= 1 { self.first } else { self.every };
        wait.mul_f64(JITTER.mul_add(self.random, 1.0))
    }
}

/// One forward.
#[derive(Debug)]
pub(super) struct Probing {
    verdict: Verdict,
    due: Option<Instant>,
    running: bool,
    /// Tells a late answer from one that is waited for.
    turn: u32,
    proofs: u32,
    /// Disproofs in a row.
    misses: u32,
    /// The users' connections that were carried, at the last proof.
    carried: u64,
    /// A stale port is not connected to before this.
    not_before: Option<Instant>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Verdict {
    Unknown,
    Up(Option<String>),
    Down(Failure),
    Stale(Failure),
    Unverified(String),
}

/// What follows from a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// Nothing but the next probe.
    Wait,
    /// The server is to listen anew: what it has is nobody's, or somebody else's.
    AskAgain,
}

impl Probing {
    pub(super) const fn new() -> Self {
        Self {
            verdict: Verdict::Unknown,
            due: None,
            running: false,
            turn: 0,
            proofs: 0,
            misses: 0,
            carried: 0,
            not_before: None,
        }
    }

    /// Its session has gone: nothing is known.
    pub(super) fn forget(&mut self) {
        *self = Self { turn: self.turn.wrapping_add(1), ..Self::new() };
    }

    /// It is in place, again or changed: to be proven at once, but for a port that is known to be somebody else's.
    pub(super) fn begin(&mut self, now: Instant) {
        self.turn = self.turn.wrapping_add(1);
        self.running = false;
        self.proofs = 0;
        self.due = Some(self.not_before.map_or(now, |at| at.max(now)));
    }

    /// The port is somebody else's, as far as is known.
    pub(super) const fn is_stale(&self) -> bool {
        matches!(self.verdict, Verdict::Stale(_))
    }

    /// It has not begun.
    pub(super) fn is_idle(&self) -> bool {
        self.due.is_none() && !self.running
    }

    /// When to look at it next.
    pub(super) const fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Whether to probe now. `carried`: the users' connections so far, which may have been proof enough.
    pub(super) fn look(&mut self, now: Instant, carried: u64, rhythm: Rhythm) -> Option<u32> {
        if self.running || self.due.is_none_or(|at| at > now) {
            return None;
        }
        let proven = std::mem::replace(&mut self.carried, carried) < carried;
        if proven && self.proofs > 0 && matches!(self.verdict, Verdict::Up(_)) {
            self.proofs += 1;
            self.due = Some(now + rhythm.after(self.proofs));
            return None;
        }
        self.running = true;
        self.due = None;
        Some(self.turn)
    }

    /// The answer to the probe of this turn; `None`: it is not waited for any more.
    pub(super) fn finish(&mut self, turn: u32, finding: Finding, now: Instant, rhythm: Rhythm) -> Option<Next> {
        if turn != self.turn || !self.running {
            return None;
        }
        self.running = false;
        let mut next = Next::Wait;
        let wait = match finding {
            Finding::Up(note) => self.proven(Verdict::Up(note), rhythm),
            Finding::Unverified(words) => self.proven(Verdict::Unverified(words), rhythm),
            Finding::Down(disproof) => {
                if disproof.cause == Cause::NotListening {
                    next = Next::AskAgain;
                }
                self.verdict = Verdict::Down(failure(&disproof));
                let soon = self.missed(SOON, SOON_MOST);
                // Whoever spoke was connected to: not more often than asked for.
                if disproof.cause == Cause::WrongBanner { rhythm.after(2) } else { soon }
            }
            Finding::Stale(words) => {
                next = Next::AskAgain;
                if !matches!(self.verdict, Verdict::Stale(_)) {
                    self.misses = 0;
                }
                self.verdict = Verdict::Stale(stale(words));
                let seldom = self.missed(SELDOM, SELDOM_MOST);
                self.not_before = Some(now + seldom);
                seldom
            }
            Finding::Nothing => SOON,
        };
        self.due = Some(now + wait);
        Some(next)
    }

    /// A user's connection was refused by the target, or is taken again.
    pub(super) fn witness(&mut self, refusal: Option<&Disproof>, now: Instant, rhythm: Rhythm) {
        match (refusal, &self.verdict) {
            (Some(refusal), Verdict::Unknown | Verdict::Up(_) | Verdict::Unverified(_)) => {
                self.verdict = Verdict::Down(failure(refusal));
                self.misses = 0;
                let soon = now + self.missed(SOON, SOON_MOST);
                self.due = (!self.running).then_some(soon);
            }
            (None, Verdict::Down(_)) => {
                let wait = self.proven(Verdict::Up(None), rhythm);
                self.due = (!self.running).then_some(now + wait);
            }
            (Some(_), Verdict::Down(_) | Verdict::Stale(_))
            | (None, Verdict::Unknown | Verdict::Up(_) | Verdict::Stale(_) | Verdict::Unverified(_)) => {}
        }
    }

    /// The operator, the link or a resume says that now is a good time.
    pub(super) fn hurry(&mut self, now: Instant) {
        if self.due.is_some() {
            self.due = Some(self.not_before.map_or(now, |at| at.max(now)));
            // A look at what users did is not what was asked for.
            self.proofs = 0;
        }
    }

    /// The state of a forward that is in place.
    pub(super) fn state(&self) -> ForwardState {
        match &self.verdict {
            Verdict::Unknown => ForwardState::Pending,
            Verdict::Up(_) => ForwardState::Up,
            Verdict::Down(failure) => ForwardState::Down(failure.clone()),
            Verdict::Stale(failure) => ForwardState::Stale(failure.clone()),
            Verdict::Unverified(words) => ForwardState::Unverified(words.clone()),
        }
    }

    /// What a person should know about one that is up.
    pub(super) fn note(&self) -> Option<&String> {
        match &self.verdict {
            Verdict::Up(note) => note.as_ref(),
            Verdict::Unknown | Verdict::Down(_) | Verdict::Stale(_) | Verdict::Unverified(_) => None,
        }
    }

    fn proven(&mut self, verdict: Verdict, rhythm: Rhythm) -> Duration {
        self.verdict = verdict;
        self.proofs += 1;
        self.misses = 0;
        self.not_before = None;
        rhythm.after(self.proofs)
    }

    fn missed(&mut self, least: Duration, most: Duration) -> Duration {
        let wait = least.saturating_mul(1 << self.misses.min(16)).min(most);
        self.misses += 1;
        wait
    }
}

/// In people's words, with what to do.
pub(super) fn failure(disproof: &Disproof) -> Failure {
    let hint = match disproof.cause {
        Cause::Refused => "start the service there, or correct the forward's connect address",
        Cause::Prohibited => {
            "allow it on the server: AllowTcpForwarding and PermitOpen (for a path: AllowStreamLocalForwarding), and the key's options in authorized_keys"
        }
        Cause::NotListening => "nothing to do if it comes back: the server is asked to listen again",
        Cause::RefusedHere => "start the service on this machine, or correct the forward's connect address",
        Cause::NoAnswer => "look at the service, and at firewalls in front of it",
        Cause::WrongBanner => "another program answers there, or `probe` expects the wrong words",
    };
    Failure::new(FailureKind::ProbeFailed, disproof.words.clone()).with_hint(hint)
}

fn stale(words: String) -> Failure {
    Failure::new(FailureKind::ProbeFailed, words).with_hint(
        "an earlier session of this tunnel, or another program: `ss -ltnp` (for a path: `ss -lxp`) on the server, as root, names it; \
         ClientAliveInterval there ends dead sessions sooner",
    )
}

#[cfg(test)]
mod tests;
