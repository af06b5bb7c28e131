//! A session that is to take over from the main one: make before break.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tunnel_engine::backoff::REPLACEMENT;
use tunnel_engine::spec::SessionSpec;

use super::super::core::Effects;
use super::login::PendingLogin;
use super::replace_reason::{Facts, ReplaceReason, retry_delay};
use super::{HostSequence, LiveSession, TunnelSessions};
use crate::config::TunnelSpec;
use crate::lifecycle::{Machine, SessionId};
use crate::plan::ServingSession;

/// How long the connections of a session that was replaced for another reason than its age may go on. Long enough for
/// any transfer that a user waits for; a connection that never ends must not keep a login on the server for ever.
pub(in crate::tunnel) const DRAIN: Duration = Duration::from_secs(3600);

/// TunnelSessions of one tunnel that only finish what they carry. When there are more, the oldest ends: each may hold a whole
/// backlog of unread bytes, and a login on the server.
pub(super) const MAX_RETIRED: usize = 8;

/// The login that is to replace the main session, or the wait for the next one.
#[derive(Debug)]
pub(in crate::tunnel) struct Replacement {
    reason: ReplaceReason,
    failures: u32,
    step: ReplacementStep,
    /// The last login, where it failed for good: until a file or the config changes.
    blocked: Option<SessionId>,
}

#[derive(Debug)]
enum ReplacementStep {
    LoggingIn(PendingLogin),
    Waiting(Instant),
}

impl Replacement {
    pub(in crate::tunnel) fn awaits(&self, session: SessionId) -> bool {
        matches!(&self.step, ReplacementStep::LoggingIn(login) if login.session == session)
    }

    /// The login under way, what it is for, and how often that failed before.
    pub(in crate::tunnel) fn into_parts(self) -> Option<(PendingLogin, ReplaceReason, u32)> {
        match self.step {
            ReplacementStep::LoggingIn(login) => Some((login, self.reason, self.failures)),
            ReplacementStep::Waiting(_) => None,
        }
    }

    /// The login under way, for a start that needs one.
    pub(in crate::tunnel) fn into_login(self) -> Option<PendingLogin> {
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

impl TunnelSessions {
    /// Whether the main session is to be replaced by now, and why. `up`: the machine is up.
    pub(in crate::tunnel) fn replace_reason(&self, up: bool, spec: &TunnelSpec, now: Instant) -> Option<ReplaceReason> {
        self.facts(up, spec).reason(now)
    }

    /// When there is something to do about a replacement by itself.
    pub(in crate::tunnel) fn replacement_due(&self, up: bool, spec: &TunnelSpec, now: Instant) -> Option<Instant> {
        match self.replacement.as_ref().map(|replacement| &replacement.step) {
            Some(ReplacementStep::Waiting(until)) => Some(*until),
            Some(ReplacementStep::LoggingIn(_)) | None => self.facts(up, spec).due(now),
        }
    }

    fn facts(&self, up: bool, spec: &TunnelSpec) -> Facts {
        let Some(live) = self.settled().filter(|_| up) else { return Facts::default() };
        Facts {
            outdated: live.outdated.is_some(),
            doubtful: live.is_doubtful(),
            unfit: live.is_unfit,
            expires: live.expires(spec.session_lifetime, self.seed),
            return_due: self.hosts.return_due(),
        }
    }

    /// Begins with the replacement, or goes on with it, for this reason.
    pub(in crate::tunnel) fn continue_replacement(
        &mut self,
        reason: ReplaceReason,
        machine: &mut Machine,
        (spec, now): (&TunnelSpec, Instant),
        effects: &mut Effects,
    ) {
        let failures = match &mut self.replacement {
            None if reason == ReplaceReason::Doubt => {
                let unproven = self.main.as_ref().filter(|live| !live.proven);
                let wait = self.doubted.wait(unproven.map(|live| now.saturating_duration_since(live.since)));
                if !wait.is_zero() {
                    let step = ReplacementStep::Waiting(now + self.spread(wait));
                    self.replacement = Some(Replacement { reason, failures: 0, step, blocked: None });
                    return;
                }
                0
            }
            None => 0,
            Some(replacement) => {
                if reason == ReplaceReason::Doubt && replacement.reason != reason {
                    replacement.retry_now(now);
                }
                replacement.reason = reason;
                match replacement.step {
                    ReplacementStep::Waiting(until) if until <= now => replacement.failures,
                    ReplacementStep::Waiting(_) | ReplacementStep::LoggingIn(_) => return,
                }
            }
        };
        let hosts = match reason {
            ReplaceReason::Better => HostSequence::new((0..self.place(spec)).collect()),
            ReplaceReason::Unfit => self.other_hosts(spec, now),
            ReplaceReason::Doubt | ReplaceReason::Config | ReplaceReason::Lifetime => self.all_hosts(spec, now),
        };
        self.try_hosts((reason, failures), hosts, machine, (spec, now), effects);
    }

    /// Logs in to the next of these hosts.
    pub(in crate::tunnel) fn try_hosts(
        &mut self,
        (reason, failures): (ReplaceReason, u32),
        hosts: HostSequence,
        machine: &mut Machine,
        (spec, now): (&TunnelSpec, Instant),
        effects: &mut Effects,
    ) {
        let wait = ReplacementStep::Waiting(now + self.spread(retry_delay(reason, failures, false)));
        let scheduled = self.main.is_none() && machine.is_scheduled();
        let login = self.log_in(machine.next_session_id(), hosts, scheduled, spec, effects);
        let step = login.map_or(wait, ReplacementStep::LoggingIn);
        self.replacement = Some(Replacement { reason, failures, step, blocked: None });
    }

    /// The last login of a replacement failed: it is tried again later. A better host is tried when `hosts` says.
    /// `blocked`: that login, where it failed for good.
    pub(in crate::tunnel) fn replacement_failed(
        &mut self,
        (reason, failures): (ReplaceReason, u32),
        blocked: Option<SessionId>,
        now: Instant,
    ) {
        let failures = failures.saturating_add(1);
        if reason == ReplaceReason::Better {
            return self.hosts.still_lesser(now);
        }
        let step = ReplacementStep::Waiting(now + self.spread(retry_delay(reason, failures, blocked.is_some())));
        self.replacement = Some(Replacement { reason, failures, step, blocked });
    }

    /// The login for a replacement that failed for good, and waits.
    pub(in crate::tunnel) fn blocked_replacement(&self) -> Option<SessionId> {
        self.replacement.as_ref()?.blocked
    }

    /// A login that is to replace the main session is under way.
    pub(in crate::tunnel) fn is_replacing(&self) -> bool {
        let step = self.replacement.as_ref().map(|replacement| &replacement.step);
        matches!(step, Some(ReplacementStep::LoggingIn(_)))
    }

    /// What the login of a replacement failed for may be mended.
    pub(in crate::tunnel) fn retry_blocked(&mut self, now: Instant) {
        if let Some(replacement) = self.replacement.as_mut().filter(|replacement| replacement.blocked.is_some()) {
            replacement.retry_now(now);
        }
    }

    fn spread(&mut self, wait: Duration) -> Duration {
        REPLACEMENT.jitter.applied(wait, self.random.f64())
    }

    /// A login for the config of now failed, while a session of before it serves on.
    pub(in crate::tunnel) fn successor_failed(&mut self, why: &str) {
        if let Some(live) = self.main.as_mut().filter(|live| live.outdated.is_some()) {
            live.successor_failed = Some(why.to_owned());
        }
    }

    /// When the session that the config wants is tried again, while one of before it serves on.
    pub(in crate::tunnel) fn successor_due(&self) -> Option<Instant> {
        match &self.replacement.as_ref().filter(|_| self.is_outdated())?.step {
            ReplacementStep::Waiting(until) => Some(*until),
            ReplacementStep::LoggingIn(_) => None,
        }
    }

    /// The config names another server or other keys: what lives serves on until a session as configured is there.
    /// `before`: what the config wanted until now.
    pub(in crate::tunnel) fn replace_main(&mut self, before: &SessionSpec, now: Instant) {
        self.replacement = None;
        self.standby.drop_logins(now);
        for live in self.main.iter_mut().chain(self.standby.living_mut()) {
            let serving = || ServingSession { made_for: before.clone(), server: live.server.clone() };
            // Of several changes in a row, the first tells what it was made for.
            live.outdated.get_or_insert_with(|| Arc::new(serving()));
            live.successor_failed = None;
        }
    }

    /// The config has changed. True: it wants what the living session was made for again, so that what was to replace it
    /// is dropped, and nothing that it carries ends.
    pub(in crate::tunnel) fn is_taken_back(&mut self, spec: &TunnelSpec) -> bool {
        let again = |live: &LiveSession| {
            live.outdated.as_ref().is_some_and(|serving| serving.is_for(&spec.session, &spec.fallbacks))
        };
        self.standby.living_mut().filter(|live| again(live)).for_each(|live| live.outdated = None);
        let Some(live) = self.main.as_mut().filter(|live| again(live)) else { return false };
        (live.outdated, live.successor_failed) = (None, None);
        self.replacement = None;
        true
    }

    /// `hosts` changed: a session to one that is no longer named is replaced.
    pub(in crate::tunnel) fn hosts_changed(&mut self, spec: &TunnelSpec, before: &SessionSpec, now: Instant) {
        let Some(live) = &self.main else { return };
        if spec.servers().any(|spec| spec.destination == live.server) {
            let place = self.place(spec);
            self.hosts.moved(place, now);
        } else {
            self.replace_main(before, now);
        }
    }
}
