//! A session that is to take over from the living one: make before break.

use std::time::Instant;

use tokio::task::Id;
use tokio_util::sync::CancellationToken;
use tunnel_engine::clock;
use tunnel_engine::failure::Failure;
use tunnel_engine::spec::Listen;

use super::super::actor::{Actor, TunnelEvent};
use super::super::drain::cancel;
use super::dial::{Dial, LoginId, Opened};
use super::replace_reason::{ReplaceReason, SessionFacts, again};
use super::retired::{DRAIN, MAX_RETIRED, Retired};
use super::{HostSequence, LiveSession};
use crate::lifecycle::Phase;

/// The login that is to replace the living session, or the wait for the next one.
pub(in crate::tunnel) struct Replacement {
    why: ReplaceReason,
    failures: u32,
    step: ReplacementStep,
}

enum ReplacementStep {
    Dialing(Dial),
    Waiting(Instant),
}

impl Replacement {
    /// Gives the login out for good: its result is here.
    pub(super) fn take_dial(&mut self, login: LoginId) -> Option<Dial> {
        match &self.step {
            ReplacementStep::Dialing(dial) if dial.has(login) => {}
            ReplacementStep::Dialing(_) | ReplacementStep::Waiting(_) => return None,
        }
        match std::mem::replace(&mut self.step, ReplacementStep::Waiting(clock::now())) {
            ReplacementStep::Dialing(dial) => Some(dial),
            ReplacementStep::Waiting(_) => None,
        }
    }

    pub(super) fn of_job(&self, job: Id) -> Option<LoginId> {
        match &self.step {
            ReplacementStep::Dialing(dial) => dial.of_job(job),
            ReplacementStep::Waiting(_) => None,
        }
    }

    /// The login under way, for a start that needs one.
    pub(super) fn into_dial(self) -> Option<Dial> {
        match self.step {
            // A try at the better hosts alone is no start.
            ReplacementStep::Dialing(dial) if self.why != ReplaceReason::Better => Some(dial),
            ReplacementStep::Dialing(_) | ReplacementStep::Waiting(_) => None,
        }
    }

    pub(super) fn retry_now(&mut self, now: Instant) {
        if let ReplacementStep::Waiting(until) = &mut self.step {
            *until = now;
        }
    }
}

/// What happens to the session that was replaced.
pub(super) struct ReplacedSession {
    pub(super) live: LiveSession,
    pub(super) listens: Vec<Listen>,
    pub(super) silent: bool,
    pub(super) until: Instant,
}

impl Actor {
    fn facts(&self) -> SessionFacts {
        let Some(live) = self.live.as_ref().filter(|live| live.settled && self.machine.phase() == Phase::Up) else {
            return SessionFacts::default();
        };
        SessionFacts {
            outdated: live.outdated,
            doubtful: live.is_doubtful(),
            expires: live.expires(self.spec.session_lifetime, self.context.seed),
            return_due: self.hosts.return_due(),
        }
    }

    /// When [`Actor::reconcile_replacement`] has something to do by itself.
    pub(in crate::tunnel) fn replacement_due(&self) -> Option<Instant> {
        match self.replacement.as_ref().map(|replacement| &replacement.step) {
            Some(ReplacementStep::Waiting(until)) => Some(*until),
            Some(ReplacementStep::Dialing(_)) | None => self.facts().due(clock::now()),
        }
    }

    /// Begins, goes on with or drops the replacement, as the facts have it.
    pub(in crate::tunnel) fn reconcile_replacement(&mut self) {
        if self.live.is_none() && self.machine.phase() == Phase::Connecting {
            return;
        }
        let now = clock::now();
        let Some(why) = self.facts().why(now) else {
            self.replacement = None;
            return;
        };
        if why == ReplaceReason::Doubt && self.promote_in_doubt() {
            self.replacement = None;
            return;
        }
        match &mut self.replacement {
            None => self.dial_replacement(why, 0),
            Some(replacement) => {
                let event = why != replacement.why && why == ReplaceReason::Doubt;
                replacement.why = why;
                if event {
                    replacement.retry_now(now);
                }
                let failures = replacement.failures;
                if matches!(replacement.step, ReplacementStep::Waiting(until) if until <= now) {
                    self.dial_replacement(why, failures);
                }
            }
        }
    }

    /// Another session of this tunnel answers: it takes the place of the silent one.
    fn promote_in_doubt(&mut self) -> bool {
        let listens = self.remotes.granted();
        let Some(live) = self.promote() else { return false };
        live.withdrawn.cancel();
        self.retire(ReplacedSession { live, listens, silent: true, until: clock::now() + DRAIN });
        true
    }

    fn dial_replacement(&mut self, why: ReplaceReason, failures: u32) {
        let now = clock::now();
        let mut places = self.hosts.order(&self.destinations(), now);
        if why == ReplaceReason::Better {
            let lesser = self.place();
            places = (0..lesser).collect();
        }
        self.go_on(why, failures, HostSequence::new(places));
    }

    fn go_on(&mut self, why: ReplaceReason, failures: u32, row: HostSequence) {
        let dial = self.dial(row);
        let step = dial.map_or_else(
            || ReplacementStep::Waiting(clock::now() + again(why, failures, false)),
            ReplacementStep::Dialing,
        );
        self.replacement = Some(Replacement { why, failures, step });
    }

    /// The config names another server or other keys: what lives serves on until a session as configured is there.
    pub(in crate::tunnel) fn replace(&mut self) {
        self.replacement = None;
        if let Some(live) = &mut self.live {
            live.outdated = true;
        }
    }

    /// `hosts` changed: a session to one that is no longer named is replaced.
    pub(in crate::tunnel) fn change_hosts(&mut self) {
        let Some(live) = &self.live else { return };
        if self.destinations().contains(&&live.server) {
            self.hosts.moved(self.place(), clock::now());
        } else {
            self.replace();
        }
    }

    /// The session that is up is not the one that the config wants.
    pub(in crate::tunnel) fn is_outdated(&self) -> bool {
        self.live.as_ref().is_some_and(|live| live.outdated)
    }

    /// The login of the replacement ended.
    pub(super) fn replaced(&mut self, mut dial: Dial, result: Result<Opened, Failure>) {
        let Some(replacement) = self.replacement.take() else { return };
        let (why, mut row) = (replacement.why, std::mem::take(&mut dial.row));
        match result {
            Ok(opened) => self.take_over(why, opened),
            Err(failure) if !row.is_last() => {
                row.failed(failure.kind(), failure.unreached());
                self.log_failure(failure.in_context(why.purpose()), None);
                self.go_on(why, replacement.failures, row);
            }
            Err(failure) => {
                let now = clock::now();
                row.failed(failure.kind(), failure.unreached());
                let failures = replacement.failures.saturating_add(1);
                if why == ReplaceReason::Better {
                    // No harm is done, and nobody has to act: the next try is told by the hosts.
                    self.hosts.still_lesser(now);
                    tracing::debug!(tunnel = self.spec.name, %failure, "no better host works");
                } else {
                    let wait = again(why, failures, row.verdict(failure.kind()).0.is_permanent());
                    self.replacement = Some(Replacement { why, failures, step: ReplacementStep::Waiting(now + wait) });
                    self.log_failure(failure.in_context(why.purpose()), None);
                }
            }
        }
    }

    /// Switches over: new connections use the new session at once, old ones go on with the old one. A port on one
    /// server can only have one owner, so remote listeners are taken back before they are asked for again; but a
    /// session that does not answer is not waited for.
    fn take_over(&mut self, why: ReplaceReason, opened: Opened) {
        let listens = self.remotes.granted();
        let Some(old) = self.live.take() else { return };
        let now = clock::now();
        self.go_live(old.epoch, opened);
        if let Some(live) = &mut self.live {
            (live.settled, live.took_over) = (true, true);
        }
        self.publish_pool();
        self.hosts.in_use(self.place(), why == ReplaceReason::Better, now);
        let (tunnel, server) = (self.spec.name.as_str(), &self.server);
        tracing::info!(tunnel, %server, reason = why.as_str(), "{tunnel}: session replaced");
        let same_server = (&old.server.host, old.server.port) == (&server.host, server.port);
        let kept = match why {
            ReplaceReason::Config => self.context.stop_timeout,
            // As long again: never more than two generations.
            ReplaceReason::Lifetime => self.spec.session_lifetime.unwrap_or(DRAIN),
            ReplaceReason::Doubt | ReplaceReason::Better => DRAIN,
        };
        let silent = why == ReplaceReason::Doubt;
        if silent {
            old.withdrawn.cancel();
        }
        let leaving = ReplacedSession { live: old, listens, silent, until: now + kept };
        if silent || !same_server || leaving.listens.is_empty() {
            self.request_forwards();
            self.retire(leaving);
            return;
        }
        let serial = self.serial;
        self.jobs.spawn(async move {
            cancel(&leaving.live.session, &leaving.listens).await;
            let old = Box::new(HandedOver(ReplacedSession { listens: Vec::new(), ..leaving }));
            TunnelEvent::HandedOver { serial, old }
        });
    }

    /// The ports of the old session are free: the new one asks for them, and the old one ends when it is done.
    pub(in crate::tunnel) fn handed_over(&mut self, serial: u64, HandedOver(leaving): HandedOver) {
        if self.live.as_ref().is_some_and(|live| live.serial == serial) {
            self.request_forwards();
        }
        self.retire(leaving);
    }

    pub(super) fn retire(&mut self, ReplacedSession { live, listens, silent, until }: ReplacedSession) {
        let enough = CancellationToken::new();
        if self.retired.len() >= MAX_RETIRED
            && let Some((_, oldest)) = self.retired.pop_front()
        {
            oldest.cancel();
        }
        self.retired.push_back((live.serial, enough.clone()));
        let drain_deadline = self.drain_deadline.subscribe();
        let retired =
            Retired { session: live.session, routes: live.routes, listens, silent, until, drain_deadline, enough };
        let serial = live.serial;
        self.jobs.spawn(async move {
            retired.run().await;
            TunnelEvent::Gone { serial }
        });
    }

    /// A session that was replaced has ended.
    pub(in crate::tunnel) fn gone(&mut self, serial: u64) {
        self.retired.retain(|(known, _)| *known != serial);
    }
}

/// A session whose remote listeners have been taken back.
pub(in crate::tunnel) struct HandedOver(ReplacedSession);
