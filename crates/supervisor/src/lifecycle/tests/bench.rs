//! Drives a machine by hand, on a clock of its own.

use std::time::{Duration, Instant};

use tunnel_engine::failure::{FailureKind, Unreached};

use crate::lifecycle::{Effect, Input, Machine, Phase, Policy, SessionId};
use crate::spec::{BackoffKind, BackoffSpec};

pub(super) const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// The documented defaults, without jitter.
pub(super) const POLICY: Policy = Policy {
    gate_time: Duration::ZERO,
    max_start: None,
    max_lifetime: None,
    backoff: BackoffSpec {
        kind: BackoffKind::Exponential,
        min: Duration::from_millis(250),
        max: secs(60),
        factor: 2.0,
        jitter: 0.0,
        reset_after: secs(30),
    },
    poll: secs(600),
};

pub(super) struct Bench {
    pub(super) machine: Machine,
    pub(super) now: Instant,
}

impl Bench {
    pub(super) fn new(policy: Policy) -> Self {
        let now = tunnel_engine::clock::now();
        Self { machine: Machine::new(policy, 7, now), now }
    }

    /// Started, and its first attempt under way.
    pub(super) fn started(policy: Policy) -> Self {
        let mut bench = Self::new(policy);
        assert_eq!(bench.give(Input::Start), [Effect::Open { session: SessionId::from(1) }]);
        bench
    }

    /// Started, and up.
    pub(super) fn up(policy: Policy) -> Self {
        let mut bench = Self::started(policy);
        bench.comes_up();
        bench
    }

    /// The input, and what the machine wants done for it.
    pub(super) fn give(&mut self, input: Input) -> Vec<Effect> {
        self.machine.handle(input, self.now);
        self.effects()
    }

    pub(super) fn comes_up(&mut self) {
        let session = self.machine.session();
        assert_eq!(self.give(Input::SessionUp { session }), []);
        assert_eq!(self.machine.phase(), Phase::Up);
    }

    pub(super) fn ends(&mut self, kind: FailureKind) -> Vec<Effect> {
        let session = self.machine.session();
        self.give(Input::SessionEnded { session, kind, unreached: None, asked: None })
    }

    /// The server answered on the session that is up.
    pub(super) fn is_proven(&mut self) {
        let session = self.machine.session();
        assert_eq!(self.give(Input::SessionProven { session }), []);
    }

    /// The start found no server.
    pub(super) fn finds_no_server(&mut self, at: Unreached) {
        let session = self.machine.session();
        assert_eq!(
            self.give(Input::SessionEnded {
                session,
                kind: FailureKind::ConnectRefused,
                unreached: Some(at),
                asked: None
            }),
            []
        );
        assert_eq!(self.phase(), Phase::Backoff);
    }

    pub(super) fn passes(&mut self, time: Duration) -> Vec<Effect> {
        self.now += time;
        self.machine.handle_timeout(self.now);
        self.effects()
    }

    /// Goes to the deadline; how far that was, and the reason.
    pub(super) fn reaches_deadline(&mut self) -> (Duration, &'static str) {
        let (at, reason) = self.deadline().expect("a deadline");
        let wait = at.saturating_duration_since(self.now);
        self.now = self.now.max(at);
        self.machine.handle_timeout(self.now);
        let _ = self.effects();
        (wait, reason)
    }

    /// The next deadline, and what it is for.
    pub(super) fn deadline(&self) -> Option<(Instant, &'static str)> {
        let at = self.machine.poll_timeout()?;
        let by_itself = self.machine.next_start() == Some(at);
        let waiting = if self.phase() == Phase::Blocked { "recheck" } else { "backoff" };
        let reason = if by_itself { waiting } else { "max lifetime" };
        Some((at, reason))
    }

    /// Until the next start by itself.
    pub(super) fn wait(&self) -> Option<Duration> {
        self.machine.next_start().map(|at| at.saturating_duration_since(self.now))
    }

    pub(super) fn phase(&self) -> Phase {
        self.machine.phase()
    }

    fn effects(&mut self) -> Vec<Effect> {
        std::iter::from_fn(|| self.machine.poll_effect()).collect()
    }
}
