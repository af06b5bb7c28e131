//! A session that is to take over from the main one: make before break.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tunnel_engine::failure::Failure;
use tunnel_engine::session::SessionInfo;
use tunnel_engine::spec::Listen;

use super::super::core::{Core, Retire, TunnelEffect};
use super::login::{LoggedIn, PendingLogin};
use super::replace_reason::{Facts, ReplaceReason, retry_delay};
use super::{HostSequence, LiveSession};
use crate::lifecycle::{Phase, SessionId};

/// How long the connections of a session that was replaced for another reason than its age may go on. Long enough for
/// any transfer that a user waits for; a connection that never ends must not keep a login on the server for ever.
pub(super) const DRAIN: Duration = Duration::from_secs(3600);

/// TunnelSessions of one tunnel that only finish what they carry. When there are more, the oldest ends: each may hold a whole
/// backlog of unread bytes, and a login on the server.
pub(super) const MAX_RETIRED: usize = 8;

/// The login that is to replace the main session, or the wait for the next one.
#[derive(Debug)]
pub(super) struct Replacement {
    reason: ReplaceReason,
    failures: u32,
    step: ReplacementStep,
}

#[derive(Debug)]
enum ReplacementStep {
    LoggingIn(PendingLogin),
    Waiting(Instant),
}

impl Replacement {
    pub(super) const fn login(&self) -> Option<&PendingLogin> {
        match &self.step {
            ReplacementStep::LoggingIn(login) => Some(login),
            ReplacementStep::Waiting(_) => None,
        }
    }

    pub(super) fn awaits(&self, session: SessionId) -> bool {
        self.login().is_some_and(|login| login.session == session)
    }

    /// The login under way, for a start that needs one.
    pub(super) fn into_login(self) -> Option<PendingLogin> {
        match self.step {
            // A try at the better hosts alone is no start.
            ReplacementStep::LoggingIn(login) if self.reason != ReplaceReason::Better => Some(login),
            ReplacementStep::LoggingIn(_) | ReplacementStep::Waiting(_) => None,
        }
    }

    pub(super) fn retry_now(&mut self, now: Instant) {
        if let ReplacementStep::Waiting(until) = &mut self.step {
            *until = now;
        }
    }
}

/// What happens to the session that was replaced.
#[derive(Debug)]
pub(super) struct ReplacedSession {
    pub(super) session: SessionId,
    pub(super) silent: bool,
    pub(super) until: Instant,
}

impl Core {
    fn replace_facts(&self) -> Facts {
        let Some(live) = self.sessions.settled().filter(|_| self.machine.phase() == Phase::Up) else {
            return Facts::default();
        };
        Facts {
            outdated: live.outdated,
            doubtful: live.is_doubtful(),
            expires: live.expires(self.spec.session_lifetime, self.sessions.seed),
            return_due: self.sessions.hosts.return_due(),
        }
    }

    /// When [`Core::reconcile_replacement`] has something to do by itself.
    pub(in crate::tunnel) fn replacement_due(&self) -> Option<Instant> {
        match self.sessions.replacement.as_ref().map(|replacement| &replacement.step) {
            Some(ReplacementStep::Waiting(until)) => Some(*until),
            Some(ReplacementStep::LoggingIn(_)) | None => self.replace_facts().due(self.now.awake),
        }
    }

    /// Begins, goes on with or drops the replacement, as the facts have it.
    pub(in crate::tunnel) fn reconcile_replacement(&mut self) {
        if self.sessions.main.is_none() && self.machine.phase() == Phase::Connecting {
            return;
        }
        let now = self.now.awake;
        let Some(reason) = self.replace_facts().reason(now) else {
            self.sessions.replacement = None;
            return;
        };
        if reason == ReplaceReason::Doubt && self.promote_in_doubt() {
            self.sessions.replacement = None;
            return;
        }
        match &mut self.sessions.replacement {
            None => self.log_replacement_in(reason, 0),
            Some(replacement) => {
                let event = reason != replacement.reason && reason == ReplaceReason::Doubt;
                replacement.reason = reason;
                if event {
                    replacement.retry_now(now);
                }
                let failures = replacement.failures;
                if matches!(replacement.step, ReplacementStep::Waiting(until) if until <= now) {
                    self.log_replacement_in(reason, failures);
                }
            }
        }
    }

    /// Another session of this tunnel answers: it takes the place of the silent one.
    fn promote_in_doubt(&mut self) -> bool {
        let listens = self.forwards.remotes.granted();
        let Some(LiveSession { id: session, .. }) = self.promote() else { return false };
        self.effect(TunnelEffect::Withdraw(session));
        self.retire(ReplacedSession { session, silent: true, until: self.now.awake + DRAIN }, listens);
        true
    }

    fn log_replacement_in(&mut self, reason: ReplaceReason, failures: u32) {
        let mut places = self.sessions.hosts.order(&self.destinations(), self.now.awake);
        if reason == ReplaceReason::Better {
            places = (0..self.place()).collect();
        }
        self.try_hosts(reason, failures, HostSequence::new(places));
    }

    fn try_hosts(&mut self, reason: ReplaceReason, failures: u32, hosts: HostSequence) {
        let session = self.machine.next_session_id();
        let wait = ReplacementStep::Waiting(self.now.awake + retry_delay(reason, failures, false));
        let step = self.log_in(session, hosts).map_or(wait, ReplacementStep::LoggingIn);
        self.sessions.replacement = Some(Replacement { reason, failures, step });
    }

    /// The config names another server or other keys: what lives serves on until a session as configured is there.
    pub(in crate::tunnel) fn replace_session(&mut self) {
        self.sessions.replacement = None;
        if let Some(live) = &mut self.sessions.main {
            live.outdated = true;
        }
    }

    /// `hosts` changed: a session to one that is no longer named is replaced.
    pub(in crate::tunnel) fn change_hosts(&mut self) {
        let Some(live) = &self.sessions.main else { return };
        if self.destinations().contains(&&live.server) {
            let (place, now) = (self.place(), self.now.awake);
            self.sessions.hosts.moved(place, now);
        } else {
            self.replace_session();
        }
    }

    /// The login of the replacement ended.
    pub(super) fn replacement_ended(&mut self, replacement: Replacement, result: Result<Arc<SessionInfo>, Failure>) {
        let Replacement { reason, failures, step: ReplacementStep::LoggingIn(login) } = replacement else { return };
        let now = self.now.awake;
        self.learn(login.server.clone(), result.is_ok(), now);
        let failure = match result {
            Ok(info) => return self.take_over(reason, login.logged_in(info)),
            Err(failure) => failure,
        };
        let mut hosts = login.hosts;
        hosts.failed(failure.kind(), failure.unreached());
        if !hosts.is_last() {
            self.note_failure(failure.in_context(reason.purpose()), None);
            return self.try_hosts(reason, failures, hosts);
        }
        let failures = failures.saturating_add(1);
        if reason == ReplaceReason::Better {
            // No harm is done, and no operator has to act: the next try is told by the hosts.
            self.sessions.hosts.still_lesser(now);
            tracing::debug!(tunnel = self.spec.name, %failure, "no better host works");
        } else {
            let wait = retry_delay(reason, failures, hosts.verdict(failure.kind()).0.is_permanent());
            self.sessions.replacement =
                Some(Replacement { reason, failures, step: ReplacementStep::Waiting(now + wait) });
            self.note_failure(failure.in_context(reason.purpose()), None);
        }
    }

    /// Switches over: new connections use the new session at once, old ones go on with the old one. A port on one
    /// server can only have one owner, so remote listeners are taken back before they are asked for again; but a
    /// session that does not answer is not waited for.
    fn take_over(&mut self, reason: ReplaceReason, logged_in: LoggedIn) {
        let listens = self.forwards.remotes.granted();
        let Some(old) = self.sessions.main.take() else { return };
        let now = self.now.awake;
        self.machine.session_replaced(logged_in.id);
        self.go_live(logged_in);
        if let Some(live) = &mut self.sessions.main {
            (live.settled, live.took_over) = (true, true);
        }
        self.serve();
        let place = self.place();
        self.sessions.hosts.in_use(place, reason == ReplaceReason::Better, now);
        let (tunnel, server) = (self.spec.name.as_str(), &self.sessions.server);
        tracing::info!(tunnel, %server, reason = reason.as_str(), "{tunnel}: session replaced");
        let same_server = (&old.server.host, old.server.port) == (&server.host, server.port);
        let kept = match reason {
            ReplaceReason::Config => self.stop_timeout,
            // As long again: never more than two generations.
            ReplaceReason::Lifetime => self.spec.session_lifetime.unwrap_or(DRAIN),
            ReplaceReason::Doubt | ReplaceReason::Better => DRAIN,
        };
        let silent = reason == ReplaceReason::Doubt;
        if silent {
            self.effect(TunnelEffect::Withdraw(old.id));
        }
        let leaving = ReplacedSession { session: old.id, silent, until: now + kept };
        if silent || !same_server || listens.is_empty() {
            self.request_forwards();
            self.retire(leaving, listens);
        } else {
            let successor = self.machine.session();
            self.sessions.leaving.push((successor, leaving));
            self.effect(TunnelEffect::TakeBack(old.id, listens));
        }
    }

    /// The ports of a replaced session are free: its successor asks for them, and the old one ends when it is done.
    pub(in crate::tunnel) fn listens_taken_back(&mut self, session: SessionId) {
        let known = self.sessions.leaving.iter().position(|(_, leaving)| leaving.session == session);
        let Some((successor, leaving)) = known.map(|at| self.sessions.leaving.swap_remove(at)) else { return };
        if self.sessions.is_main(successor) {
            self.request_forwards();
        }
        self.retire(leaving, Vec::new());
    }

    pub(super) fn retire(&mut self, ReplacedSession { session, silent, until }: ReplacedSession, listens: Vec<Listen>) {
        if self.sessions.retired.len() >= MAX_RETIRED
            && let Some(oldest) = self.sessions.retired.pop_front()
        {
            self.effect(TunnelEffect::EndRetired(oldest));
        }
        self.sessions.retired.push_back(session);
        self.effect(TunnelEffect::Retire(Box::new(Retire { session, listens, silent, until })));
    }
}
