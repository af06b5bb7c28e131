//! The sessions' part of each event: logins, replacements and ends, and what they mean to the machine and the forwards.

use std::sync::Arc;

use tunnel_engine::failure::{Failure, FailureKind};
use tunnel_engine::session::{Path, SessionInfo};

use super::super::file_stamps::FileStamps;
use super::super::locals::ListenSummary;
use super::super::sessions::{
    DRAIN, HostSequence, LiveSession, LoginAttempt, PendingLogin, ReplaceReason, Replacement,
};
use super::{Close, Core, LoginFailure, Retire, TunnelEffect};
use crate::config::BackoffKind;
use crate::lifecycle::{Input, Phase, SessionId, Want};

impl Core {
    /// The machine wants a session: another host of the sequence under way, else a sequence of all.
    pub(super) fn open(&mut self, session: SessionId) {
        // Those that have a deadline keep it.
        self.effect(TunnelEffect::DrainBy(None));
        self.forwards.locals.bind(&self.spec, &mut self.effects);
        // A login that was to replace the session that was lost is as good as a new one.
        if let Some(login) = self.sessions.replacement.take().and_then(Replacement::into_login) {
            self.machine.session_replaced(login.session);
            return self.sessions.begin(login);
        }
        let hosts = self.sessions.sequence_for(session, &self.spec, self.now.awake);
        self.sessions.attempt = Some(LoginAttempt::Waiting(session, hosts));
        self.log_in_when_listening();
    }

    /// Goes on with an attempt that waits for local listeners.
    pub(super) fn log_in_when_listening(&mut self) {
        let listening = self.forwards.listening();
        let Some(LoginAttempt::Waiting(session, hosts)) = &mut self.sessions.attempt else { return };
        let (session, strict) = (*session, self.spec.exit_on_forward_failure);
        match listening {
            ListenSummary::Pending if strict => {}
            ListenSummary::Failed(failure) if strict => {
                self.sessions.attempt = None;
                self.feed(Input::SessionEnded { session, kind: failure.kind(), unreached: None, asked: None });
                self.note_failure(failure, None);
            }
            ListenSummary::Pending | ListenSummary::Failed(_) | ListenSummary::All => {
                let hosts = std::mem::take(hosts);
                let scheduled = self.sessions.main.is_none() && self.machine.is_scheduled();
                let login = self.sessions.log_in(session, hosts, scheduled, &self.spec, &mut self.effects);
                login.into_iter().for_each(|login| self.sessions.begin(login));
            }
        }
    }

    /// A login ended: whose it was.
    pub(super) fn login_ended(
        &mut self,
        session: SessionId,
        result: Result<Arc<SessionInfo>, LoginFailure>,
        files: Option<FileStamps>,
    ) {
        self.sessions.forget_login(session);
        if let Some(attempt) = self.sessions.attempt.take_if(|attempt| attempt.awaits(session)) {
            self.files.before = files;
            if let LoginAttempt::LoggingIn(login) = attempt {
                self.attempt_ended(login, result);
            }
        } else if let Some(replacement) = self.sessions.replacement.take_if(|replacement| replacement.awaits(session)) {
            self.files.before = files;
            if let Some((login, reason, failures)) = replacement.into_parts() {
                self.replacement_ended(login, (reason, failures), result);
            }
        } else if self.sessions.standby.has(session) {
            self.standby_logged_in(session, result);
        }
    }

    fn attempt_ended(&mut self, login: PendingLogin, result: Result<Arc<SessionInfo>, LoginFailure>) {
        let now = self.now.awake;
        self.sessions.learn(&login.server, result.is_ok(), &self.spec, now);
        match result {
            Ok(info) => {
                let mut live = LiveSession::new(&login, info, self.now);
                live.next_hosts = login.hosts;
                self.go_live(live);
                self.request_forwards();
                self.come_up_when_allowed();
            }
            Err(failed) => {
                self.host_failed(login.session, login.hosts, &failed);
                self.note_failure(failed.failure, None);
            }
        }
    }

    /// A start has failed with one host: the next one is tried, or the machine judges all of them.
    fn host_failed(&mut self, session: SessionId, mut hosts: HostSequence, failed: &LoginFailure) {
        let kind = failed.failure.kind();
        hosts.failed(kind, failed.failure.unreached(), failed.asked);
        if hosts.is_last() {
            let (kind, unreached) = hosts.verdict(kind);
            self.feed(Input::SessionEnded { session, kind, unreached, asked: hosts.asked(kind) });
        } else {
            self.feed(Input::NextHost { session, kind });
            self.sessions.sequence = Some((self.machine.session(), hosts));
        }
    }

    fn replacement_ended(
        &mut self,
        login: PendingLogin,
        (reason, failures): (ReplaceReason, u32),
        result: Result<Arc<SessionInfo>, LoginFailure>,
    ) {
        let now = self.now.awake;
        self.sessions.learn(&login.server, result.is_ok(), &self.spec, now);
        let failure = match result {
            Ok(info) => return self.take_over(reason, LiveSession::new(&login, info, self.now)),
            Err(LoginFailure { failure, .. }) => failure,
        };
        self.sessions.successor_failed(failure.message());
        let mut hosts = login.hosts;
        // For the next login to replace the session the governor waits.
        hosts.failed(failure.kind(), failure.unreached(), None);
        if !hosts.is_last() {
            self.note_failure(failure.in_context(reason.purpose()), None);
            return self.try_hosts((reason, failures), hosts);
        }
        let blocked = hosts.verdict(failure.kind()).0.is_permanent().then_some(login.session);
        self.sessions.replacement_failed((reason, failures), blocked, now);
        if reason == ReplaceReason::Better {
            // No harm is done, and no operator has to act.
            tracing::debug!(tunnel = self.spec.name, %failure, "no better host works");
        } else {
            self.note_failure(failure.in_context(reason.purpose()), None);
        }
    }

    fn try_hosts(&mut self, why: (ReplaceReason, u32), hosts: HostSequence) {
        let at = (&self.spec, self.now.awake);
        self.sessions.try_hosts(why, hosts, &mut self.machine, at, &mut self.effects);
    }

    fn standby_logged_in(&mut self, session: SessionId, result: Result<Arc<SessionInfo>, LoginFailure>) {
        match result {
            Ok(info) => {
                self.sessions.standby_up(session, info, self.now, &mut self.effects);
                self.prove_session(session);
                let tunnel = self.spec.name.as_str();
                if std::mem::take(&mut self.report.told.of_session) {
                    tracing::info!(tunnel, "{tunnel}: another session is up");
                } else {
                    tracing::debug!(tunnel, "another session is up");
                }
            }
            Err(failed) => self.standby_ended(session, failed, "another session of this tunnel"),
        }
    }

    fn standby_ended(&mut self, session: SessionId, ended: LoginFailure, which: &str) {
        let at = (&self.spec, self.now.awake);
        if self.sessions.standby_ended(session, &ended, at, &mut self.effects) {
            self.note_failure(ended.failure.in_context(which), None);
        }
    }

    pub(super) fn session_ended(&mut self, session: SessionId, failure: Failure) {
        const ONE_OF: &str = "one of the sessions of this tunnel";
        if !self.sessions.is_main(session) {
            return self.standby_ended(session, LoginFailure { failure, asked: None }, ONE_OF);
        }
        if self.promote().is_some() {
            return self.note_failure(failure.in_context(ONE_OF), None);
        }
        let proves = self.machine.policy().backoff.kind != BackoffKind::Autossh;
        let unproven = self.take_main().is_some_and(|live| proves && !live.proven);
        self.feed(Input::SessionEnded { session, kind: failure.kind(), unreached: None, asked: None });
        self.note_failure(if unproven { after_login(failure) } else { failure }, None);
    }

    /// A session carries from now on. Gives out the main one before it.
    fn go_live(&mut self, live: LiveSession) -> Option<LiveSession> {
        self.forwards.remotes.session_changed(&mut self.effects);
        self.sessions.go_live(live, &mut self.effects)
    }

    fn take_main(&mut self) -> Option<LiveSession> {
        let live = self.sessions.take_main(self.now.awake, &mut self.effects)?;
        self.forwards.remotes.session_changed(&mut self.effects);
        Some(live)
    }

    /// Another living session takes the place of the main one: no login, and the tunnel stays up. `None`: there is
    /// none that answers.
    fn promote(&mut self) -> Option<LiveSession> {
        let old = self.sessions.promote(self.now.awake, &mut self.effects)?;
        self.sessions.main_id().into_iter().for_each(|session| self.machine.session_replaced(session));
        self.forwards.remotes.session_changed(&mut self.effects);
        self.request_forwards();
        Some(old)
    }

    /// Tells the machine and the listeners about the session: at once, or with exit_on_forward_failure once the server
    /// listens as asked.
    pub(super) fn come_up_when_allowed(&mut self) {
        let waits = self.spec.exit_on_forward_failure && !self.forwards.remotes.all_up();
        let Some(live) = self.sessions.main.as_mut().filter(|live| !live.settled && !waits) else { return };
        live.settled = true;
        live.next_hosts = HostSequence::default();
        let (session, now) = (live.id, self.now.awake);
        self.log_session();
        self.sessions.serve(&mut self.effects);
        self.sessions.last_up = Some(now);
        self.sessions.in_use(false, &self.spec, now);
        self.feed(Input::SessionUp { session });
        self.prove_session(session);
    }

    /// Asks one question on a session that has just come up: a server that logs us in and throws us out answers none.
    fn prove_session(&mut self, session: SessionId) {
        // autossh's formula knows no proof.
        if self.machine.policy().backoff.kind != BackoffKind::Autossh {
            self.effect(TunnelEffect::Prove(session));
        }
    }

    pub(super) fn session_proven(&mut self, session: SessionId) {
        let Some(live) = self.sessions.living_mut(session) else { return };
        live.proven = true;
        if self.sessions.is_main(session) {
            self.feed(Input::SessionProven { session });
        }
    }

    /// Ends the main session for a reason of ours. Where it was not up yet, its host has failed.
    pub(super) fn give_up_session(&mut self, failure: Failure, forward: Option<&str>) {
        let Some(LiveSession { id: session, server, next_hosts, settled, .. }) = self.take_main() else { return };
        if !settled {
            self.sessions.learn(&server, false, &self.spec, self.now.awake);
        }
        let failed = LoginFailure { failure, asked: None };
        self.host_failed(session, next_hosts, &failed);
        self.note_failure(failed.failure, forward);
        self.effect(TunnelEffect::Disconnect(session));
    }

    /// The server in use denies a forward. Where it was returned to because it is preferred, the one before is wanted
    /// again.
    pub(super) fn leaves_unfit_host(&mut self) -> bool {
        let Some(live) = self.sessions.main.as_mut().filter(|live| live.is_return) else { return false };
        live.is_unfit = true;
        let server = live.server.clone();
        self.sessions.learn(&server, false, &self.spec, self.now.awake);
        true
    }

    /// Begins, goes on with or drops the replacement, as the facts have it.
    pub(super) fn reconcile_replacement(&mut self) {
        let (phase, now) = (self.machine.phase(), self.now.awake);
        if self.sessions.main.is_none() && phase == Phase::Connecting {
            return;
        }
        let reason = self.sessions.replace_reason(phase == Phase::Up, &self.spec, now);
        let promoted = reason == Some(ReplaceReason::Doubt) && self.promote_in_doubt();
        let Some(reason) = reason.filter(|_| !promoted) else {
            self.sessions.replacement = None;
            return;
        };
        let at = (&self.spec, now);
        self.sessions.continue_replacement(reason, &mut self.machine, at, &mut self.effects);
    }

    /// Another session of this tunnel answers: it takes the place of the silent one.
    fn promote_in_doubt(&mut self) -> bool {
        let listens = self.forwards.remotes.granted();
        let Some(LiveSession { id: session, .. }) = self.promote() else { return false };
        self.effect(TunnelEffect::Withdraw(session));
        let replaced = Retire { session, listens, silent: true, until: self.now.awake + DRAIN };
        self.sessions.retire(replaced, &mut self.effects);
        true
    }

    /// Switches over: new connections use the new session at once, old ones go on with the old one. A port on one
    /// server can only have one owner, so remote listeners are taken back before they are asked for again; but a
    /// session that does not answer is not waited for.
    fn take_over(&mut self, reason: ReplaceReason, mut successor: LiveSession) {
        let (id, now, listens) = (successor.id, self.now.awake, self.forwards.remotes.granted());
        if self.sessions.main.is_none() {
            return;
        }
        self.machine.session_replaced(id);
        successor.is_return = reason == ReplaceReason::Better;
        let Some(old) = self.go_live(successor) else { return };
        self.sessions.serve(&mut self.effects);
        self.sessions.in_use(reason == ReplaceReason::Better, &self.spec, now);
        let (tunnel, server) = (self.spec.name.as_str(), &self.sessions.server);
        tracing::info!(tunnel, %server, reason = reason.as_str(), "{tunnel}: session replaced");
        if reason == ReplaceReason::Lifetime {
            self.note_session_lifetime();
        }
        let server = &self.sessions.server;
        let same_server = (&old.server.host, old.server.port) == (&server.host, server.port);
        let kept = match reason {
            ReplaceReason::Config => self.stop_timeout,
            // As long again: never more than two generations.
            ReplaceReason::Lifetime => self.spec.session_lifetime.unwrap_or(DRAIN),
            ReplaceReason::Doubt | ReplaceReason::Unfit | ReplaceReason::Better => DRAIN,
        };
        let silent = reason == ReplaceReason::Doubt;
        if silent {
            self.effect(TunnelEffect::Withdraw(old.id));
        }
        let replaced = |listens| Retire { session: old.id, listens, silent, until: now + kept };
        if silent || !same_server || listens.is_empty() {
            self.request_forwards();
            self.sessions.retire(replaced(listens), &mut self.effects);
        } else {
            self.sessions.hand_over(replaced(Vec::new()), id);
            self.effect(TunnelEffect::TakeBack(old.id, listens));
        }
    }

    /// The ports of a replaced session are free: its successor asks for them, and the old one ends when it is done.
    pub(super) fn listens_taken_back(&mut self, session: SessionId) {
        let Some((successor, replaced)) = self.sessions.handed_over(session) else { return };
        if self.sessions.is_main(successor) {
            self.request_forwards();
        }
        self.sessions.retire(replaced, &mut self.effects);
    }

    /// The machine wants this session no more: it ends by itself, beside whatever follows.
    pub(super) fn close(&mut self, session: SessionId) {
        self.sessions.attempt = None;
        self.sessions.replacement = None;
        let drains = self.machine.want() == Want::Down;
        let now = self.now.awake;
        let until = if drains { now + self.stop_timeout } else { now };
        self.effect(TunnelEffect::DrainBy(Some(until)));
        self.sessions.release_standby(&self.spec, now, &mut self.effects);
        let listens = self.forwards.remotes.granted();
        let Some(LiveSession { id, .. }) = self.take_main() else { return self.closed(session) };
        self.sessions.hold_ports();
        let (tidy, until) = (self.takeover.may_tidy(), drains.then_some(until));
        self.effect(TunnelEffect::Close(Box::new(Close { session: id, listens, tidy, until })));
    }

    pub(super) fn closed(&mut self, session: SessionId) {
        // Another start may have begun beside it.
        if session == self.machine.session() {
            // In `Stopping` the machine does not ask why.
            self.feed(Input::SessionEnded { session, kind: FailureKind::ConnectionLost, unreached: None, asked: None });
        }
    }

    /// A session that was closed has given its remote ports back: the one that was begun beside it may ask for them.
    pub(super) fn ports_released(&mut self) {
        self.sessions.release_ports();
        self.request_forwards();
    }

    pub(super) fn path_changed(&mut self, session: SessionId, path: Path) {
        let Some(live) = self.sessions.living_mut(session) else { return };
        let before = std::mem::replace(&mut live.path, path);
        let server = live.server.to_string();
        let tunnel = self.spec.name.as_str();
        match (before, path) {
            (Path::Clear, Path::Doubtful { why, .. })
                if self.report.changes_logged.admit(("path", &server), self.now.awake).is_some() =>
            {
                live.doubt_told = true;
                self.report.told.any = true;
                let why = why.as_str();
                tracing::warn!(
                    tunnel,
                    server,
                    "{tunnel}: the path to {server} is in doubt: it {why}; another session is being opened"
                );
            }
            (Path::Doubtful { .. }, Path::Clear) if std::mem::take(&mut live.doubt_told) => {
                tracing::info!(tunnel, server, "{tunnel}: the path to {server} is back");
            }
            (Path::Clear | Path::Doubtful { .. }, Path::Clear | Path::Doubtful { .. }) => {}
        }
        self.sessions.serve(&mut self.effects);
    }
}

/// The failure of a session that was lost before the server had answered anything on it: as a rule it is the server's doing.
fn after_login(failure: Failure) -> Failure {
    const HINT: &str = "look into the server's log: the session ended right after the login, before the server answered \
                        anything; else look at the network between";
    let is_general =
        failure.kind() == FailureKind::ConnectionLost && failure.hint() == FailureKind::ConnectionLost.hint();
    if is_general { failure.with_hint(HINT) } else { failure }
}
