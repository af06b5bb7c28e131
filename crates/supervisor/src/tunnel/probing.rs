//! When a forward is probed, and what is known about it: pure.
//!
//! ```text
//!                        ┌──────────── every poll, if no user proved it meanwhile ──────┐
//!   in place ─► probe ─► up ◄───────────────────────────────────────────────────────────┘
//!                 │ refused                    │ not ours
//!                 ▼                            ▼
//!               down ─► probe soon           stale ─► ask the server to listen again, probe seldom
//! ```
//! A local forward is probed only where the config asks for it (`probe = "tcp"` or `{ expect = … }`): a connection that
//! says nothing is an error to the service behind it. Else its users are the only evidence: it is up until the target
//! refuses one of them, and up again when the target takes one, or when `poll` passes without another refusal.

use std::time::{Duration, Instant};

use tunnel_engine::backoff::{Backoff, PROBE, PROBE_JITTER, PROBE_STALE};
use tunnel_engine::failure::{Failure, FailureKind};
use tunnel_engine::forward::{ProbeFailure, ProbeFailureKind, ProbeResult};

use super::state::ForwardState;

/// A port that the server chose is changed for another one, which is proven at once, so many times in a row. sshd takes
/// a port that is free on one of its addresses, whichever program holds it on the others; a server that does so again
/// and again is no chance.
const MAX_PORTS_AT_ONCE: u32 = 3;

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
        PROBE_JITTER.applied(wait, self.random)
    }
}

#[derive(Debug)]
pub(super) struct Probing {
    verdict: ForwardVerdict,
    due: Option<Instant>,
    running: bool,
    /// The number of the next probe: tells a late answer from one that is waited for.
    probe: u32,
    proofs: u32,
    /// Disproofs in a row.
    misses: u32,
    /// The users' connections that were carried, at the last proof.
    carried: u64,
    /// A stale port is not connected to before this.
    not_before: Option<Instant>,
    /// A probe found the target well: it is not connected to before this, whatever the session does.
    target_rests_until: Option<Instant>,
    /// The target refused the last user. It outlives sessions, which are not what refused.
    refusal: Option<UserRefusal>,
}

/// What users saw of a target.
#[derive(Debug)]
struct UserRefusal {
    failure: Failure,
    /// When it is not believed any more, unless another user is refused.
    until: Instant,
    /// How many users had been refused by then.
    refused: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ProbeMethod {
    /// Nothing: its users are the evidence.
    Nothing,
    /// Whether the listener is ours.
    Listener,
    /// Also whether the target takes a connection.
    Target,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum ForwardVerdict {
    Unknown,
    Up(Option<String>),
    Down(Failure),
    Stale(Failure),
    Unverified(String),
}

/// What follows from a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AfterProbe {
    /// Nothing but the next probe.
    Wait,
    /// The server is to listen anew: its listener is gone, or not ours.
    AskAgain,
}

impl Probing {
    pub(super) const fn new() -> Self {
        Self {
            verdict: ForwardVerdict::Unknown,
            due: None,
            running: false,
            probe: 0,
            proofs: 0,
            misses: 0,
            carried: 0,
            not_before: None,
            target_rests_until: None,
            refusal: None,
        }
    }

    /// Its session has gone: nothing is known but what the target itself said.
    pub(super) fn forget(&mut self) {
        *self = Self {
            probe: self.probe.wrapping_add(1),
            target_rests_until: self.target_rests_until,
            refusal: self.refusal.take(),
            ..Self::new()
        };
    }

    /// It has another target, or is asked in another way: nothing at all is known.
    pub(super) fn reset(&mut self) {
        *self = Self { probe: self.probe.wrapping_add(1), ..Self::new() };
    }

    /// It is in place, again or changed: to be proven at once, but for a port that is known to be held by another
    /// session or program.
    pub(super) fn begin(&mut self, now: Instant) {
        self.probe = self.probe.wrapping_add(1);
        self.running = false;
        self.proofs = 0;
        self.due = Some(self.not_before.map_or(now, |at| at.max(now)));
    }

    /// A local forward is in place on another session, which is no reason to ask its target more often than `poll`.
    pub(super) fn begin_rested(&mut self, now: Instant) {
        self.begin(now);
        if let Some(at) = self.target_rests_until.filter(|at| *at > now) {
            self.verdict = ForwardVerdict::Up(None);
            self.due = Some(at);
        }
    }

    /// Its session was replaced: an answer on the way by the old one does not come.
    pub(super) fn session_replaced(&mut self, now: Instant) {
        if self.running {
            self.begin_rested(now);
        }
    }

    /// It is in place, and nothing is asked about it.
    pub(super) fn presume(&mut self) {
        self.probe = self.probe.wrapping_add(1);
        (self.running, self.due) = (false, None);
        self.verdict = ForwardVerdict::Up(None);
    }

    /// The target took a probe lately: it is left alone.
    pub(super) fn target_rests(&self, now: Instant) -> bool {
        self.target_rests_until.is_some_and(|at| at > now)
    }

    /// When a port that is held by another session or program is looked at again.
    pub(super) fn next_look(&self) -> Option<Instant> {
        self.not_before.filter(|_| self.is_stale())
    }

    /// The port is held by another session or program, as far as is known.
    pub(super) const fn is_stale(&self) -> bool {
        matches!(self.verdict, ForwardVerdict::Stale(_))
    }

    /// The port is another program's, and the next one is another.
    pub(super) fn change_port(&mut self) {
        if self.misses <= MAX_PORTS_AT_ONCE {
            self.not_before = None;
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.due.is_none() && !self.running
    }

    pub(super) const fn is_unknown(&self) -> bool {
        matches!(self.verdict, ForwardVerdict::Unknown)
    }

    pub(super) fn due(&self) -> Option<Instant> {
        let lapse = self.refusal.as_ref().map(|refusal| refusal.until);
        self.due.into_iter().chain(lapse).min()
    }

    /// A user's refusal is old enough to be doubted.
    pub(super) fn is_lapsed(&self, now: Instant) -> bool {
        self.refusal.as_ref().is_some_and(|refusal| refusal.until <= now)
    }

    /// Doubts a refusal of [`Self::is_lapsed`], unless more users than then have been `refused`. Returns whether the
    /// target has the benefit of the doubt now.
    pub(super) fn lapse(&mut self, refused: u64, now: Instant, rhythm: Rhythm) -> bool {
        match &mut self.refusal {
            Some(refusal) if refusal.refused < refused => {
                (refusal.refused, refusal.until) = (refused, now + rhythm.after(2));
                false
            }
            Some(_) | None => self.pardon(),
        }
    }

    /// The users' refusals do not count any more. Returns whether there was one.
    pub(super) fn pardon(&mut self) -> bool {
        self.refusal.take().is_some()
    }

    /// The target refused the last user, as far as is known.
    pub(super) const fn is_refused(&self) -> bool {
        self.refusal.is_some()
    }

    /// Whether to probe now. `carried`: the users' connections so far, which may have been proof enough.
    pub(super) fn start_if_due(&mut self, now: Instant, carried: u64, rhythm: Rhythm) -> Option<u32> {
        if self.running || self.due.is_none_or(|at| at > now) {
            return None;
        }
        let proven = std::mem::replace(&mut self.carried, carried) < carried;
        if proven && self.proofs > 0 && matches!(self.verdict, ForwardVerdict::Up(_)) {
            self.proofs += 1;
            self.due = Some(now + rhythm.after(self.proofs));
            return None;
        }
        self.running = true;
        self.due = None;
        Some(self.probe)
    }

    /// The answer to the probe of this number; `None`: it is not waited for any more. `target`: the target was
    /// connected to, if the finding is that it carries.
    pub(super) fn finish(
        &mut self,
        probe: u32,
        (result, target): (ProbeResult, bool),
        now: Instant,
        rhythm: Rhythm,
    ) -> Option<AfterProbe> {
        if probe != self.probe || !self.running {
            return None;
        }
        self.running = false;
        let mut next = AfterProbe::Wait;
        let took_it = target && matches!(result, ProbeResult::Up(_) | ProbeResult::Unverified(_));
        let wait = match result {
            ProbeResult::Up(note) => self.proven(ForwardVerdict::Up(note), rhythm),
            ProbeResult::Unverified(words) => self.proven(ForwardVerdict::Unverified(words), rhythm),
            ProbeResult::Down(reason) => {
                if reason.cause == ProbeFailureKind::NotListening {
                    next = AfterProbe::AskAgain;
                }
                self.verdict = ForwardVerdict::Down(failure(&reason));
                let soon = self.missed_soon(rhythm);
                // The target was connected to: not more often than asked for.
                if reason.cause == ProbeFailureKind::WrongBanner { rhythm.after(2) } else { soon }
            }
            ProbeResult::Stale(words) => {
                next = AfterProbe::AskAgain;
                if !matches!(self.verdict, ForwardVerdict::Stale(_)) {
                    self.misses = 0;
                }
                self.verdict = ForwardVerdict::Stale(stale(words));
                let seldom = self.missed(PROBE_STALE, rhythm);
                self.not_before = Some(now + seldom);
                seldom
            }
            ProbeResult::Nothing => PROBE.drawn(0, rhythm.random),
        };
        if took_it {
            self.refusal = None;
            self.target_rests_until = Some(now + wait);
        }
        self.due = Some(now + wait);
        Some(next)
    }

    /// A user's connection was refused by the target, as `refused` were by now, or is taken again.
    pub(super) fn traffic_observed(
        &mut self,
        refusal: Option<&ProbeFailure>,
        refused: u64,
        asked: ProbeMethod,
        now: Instant,
        rhythm: Rhythm,
    ) {
        match (refusal, &self.verdict) {
            (Some(refusal), ForwardVerdict::Unknown | ForwardVerdict::Up(_) | ForwardVerdict::Unverified(_)) => {
                let event = self.refusal.is_none();
                let until = now + rhythm.after(2);
                self.refusal = Some(UserRefusal { failure: failure(refusal), until, refused });
                if event && asked == ProbeMethod::Target && !self.is_unknown() {
                    self.misses = 0;
                    let soon = now + self.missed_soon(rhythm);
                    self.target_rests_until = None;
                    self.due = (!self.running).then_some(soon);
                }
            }
            (None, ForwardVerdict::Down(_)) => {
                self.refusal = None;
                let wait = self.proven(ForwardVerdict::Up(None), rhythm);
                self.due = (!self.running).then_some(now + wait);
            }
            (
                None,
                ForwardVerdict::Unknown
                | ForwardVerdict::Up(_)
                | ForwardVerdict::Stale(_)
                | ForwardVerdict::Unverified(_),
            ) => {
                self.refusal = None;
            }
            (Some(_), ForwardVerdict::Down(_) | ForwardVerdict::Stale(_)) => {}
        }
    }

    /// The operator, the link or a resume says that now is a good time.
    pub(super) fn expedite(&mut self, now: Instant) {
        self.target_rests_until = None;
        if self.due.is_some() {
            self.due = Some(self.not_before.map_or(now, |at| at.max(now)));
            // A look at what users did is not what was asked for.
            self.proofs = 0;
        }
    }

    /// The state of a forward that is in place.
    pub(super) fn state(&self) -> ForwardState {
        match (&self.verdict, &self.refusal) {
            (ForwardVerdict::Up(_) | ForwardVerdict::Unverified(_), Some(refusal)) => {
                ForwardState::Down(refusal.failure.clone())
            }
            (ForwardVerdict::Unknown, _) => ForwardState::Pending,
            (ForwardVerdict::Up(_), None) => ForwardState::Up,
            (ForwardVerdict::Down(failure), _) => ForwardState::Down(failure.clone()),
            (ForwardVerdict::Stale(failure), _) => ForwardState::Stale(failure.clone()),
            (ForwardVerdict::Unverified(words), None) => ForwardState::Unverified(words.clone()),
        }
    }

    /// What a person should know about one that is up.
    pub(super) fn note(&self) -> Option<&String> {
        match &self.verdict {
            ForwardVerdict::Up(note) => note.as_ref(),
            ForwardVerdict::Unknown
            | ForwardVerdict::Down(_)
            | ForwardVerdict::Stale(_)
            | ForwardVerdict::Unverified(_) => None,
        }
    }

    fn proven(&mut self, verdict: ForwardVerdict, rhythm: Rhythm) -> Duration {
        self.verdict = verdict;
        self.proofs += 1;
        self.misses = 0;
        self.not_before = None;
        rhythm.after(self.proofs)
    }

    /// Nothing was connected to: the next look may be sooner than `poll`, and is no later.
    fn missed_soon(&mut self, rhythm: Rhythm) -> Duration {
        self.missed(PROBE, rhythm).min(rhythm.every)
    }

    fn missed(&mut self, backoff: Backoff, rhythm: Rhythm) -> Duration {
        let wait = backoff.drawn(self.misses, rhythm.random);
        self.misses = self.misses.saturating_add(1);
        wait
    }
}

/// In people's words, with what to do.
pub(super) fn failure(reason: &ProbeFailure) -> Failure {
    let hint = match reason.cause {
        ProbeFailureKind::Refused => "start the service there, or correct the forward's connect address",
        ProbeFailureKind::Prohibited => {
            "allow it on the server: AllowTcpForwarding and PermitOpen (for a path: AllowStreamLocalForwarding), the key's options in authorized_keys, and the age of the login's password (`chage -l`); then `tunneld restart` the tunnel, as sshd keeps for a session what it had at its login"
        }
        ProbeFailureKind::Unsupported => {
            "the server does not forward this kind of connection: unix sockets need OpenSSH 6.7"
        }
        ProbeFailureKind::Shortage => {
            "raise the server's limits: open files and processes of its login, or connections to the target"
        }
        ProbeFailureKind::Unnamed => "look into the server's log for the reason",
        ProbeFailureKind::NotListening => "nothing to do if it comes back: the server is asked to listen again",
        ProbeFailureKind::RefusedHere => "start the service on this machine, or correct the forward's connect address",
        ProbeFailureKind::NoAnswer => "look at the service, and at firewalls in front of it",
        ProbeFailureKind::WrongBanner => "another program answers there, or `probe` expects the wrong words",
    };
    Failure::new(FailureKind::ProbeFailed, reason.words.clone()).with_hint(hint)
}

fn stale(words: String) -> Failure {
    Failure::new(FailureKind::ProbeFailed, words).with_hint(
        "an earlier session of this tunnel, or another program: `ss -ltnp` (for a path: `ss -lxp`) on the server, as root, names it; \
         ClientAliveInterval there ends dead sessions sooner",
    )
}

#[cfg(test)]
mod tests;
