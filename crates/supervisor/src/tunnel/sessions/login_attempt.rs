//! A start that the machine asked for.

use std::sync::Arc;

use tunnel_engine::failure::Failure;
use tunnel_engine::session::SessionInfo;

use super::super::core::{Core, TunnelEffect};
use super::super::locals::ListenSummary;
use super::login::PendingLogin;
use super::{HostSequence, Replacement};
use crate::lifecycle::{Input, SessionId};

/// A start under way.
#[derive(Debug)]
pub(in crate::tunnel) enum LoginAttempt {
    /// It waits for local listeners, without which exit_on_forward_failure makes no session.
    Waiting(SessionId, HostSequence),
    LoggingIn(PendingLogin),
}

impl LoginAttempt {
    pub(super) const fn login(&self) -> Option<&PendingLogin> {
        match self {
            Self::LoggingIn(login) => Some(login),
            Self::Waiting(..) => None,
        }
    }

    pub(super) fn awaits(&self, session: SessionId) -> bool {
        self.login().is_some_and(|login| login.session == session)
    }
}

impl Core {
    /// The machine wants a session: another host of the sequence under way, else a sequence of all.
    pub(in crate::tunnel) fn open(&mut self, session: SessionId) {
        // Those that have a deadline keep it.
        self.effect(TunnelEffect::DrainBy(None));
        // A login that was to replace the session that was lost is as good as a new one.
        if let Some(login) = self.sessions.replacement.take().and_then(Replacement::into_login) {
            self.machine.session_replaced(login.session);
            self.sessions.server = login.server.clone();
            self.sessions.attempt = Some(LoginAttempt::LoggingIn(login));
            self.forwards.locals.bind(&self.spec, &mut self.effects);
            return;
        }
        let hosts = match self.sessions.sequence.take() {
            Some((next, hosts)) if next == session => hosts,
            Some(_) | None => HostSequence::new(self.sessions.hosts.order(&self.destinations(), self.now.awake)),
        };
        self.sessions.attempt = Some(LoginAttempt::Waiting(session, hosts));
        self.forwards.locals.bind(&self.spec, &mut self.effects);
        self.log_in_when_listening();
    }

    /// Goes on with an attempt that waits for local listeners.
    pub(in crate::tunnel) fn log_in_when_listening(&mut self) {
        let listening = self.forwards.listening();
        let Some(LoginAttempt::Waiting(session, hosts)) = &mut self.sessions.attempt else { return };
        let (session, strict) = (*session, self.spec.exit_on_forward_failure);
        match listening {
            ListenSummary::Pending if strict => {}
            ListenSummary::Failed(failure) if strict => {
                self.sessions.attempt = None;
                self.feed(Input::SessionEnded { session, kind: failure.kind(), unreached: None });
                self.note_failure(failure, None);
            }
            ListenSummary::Pending | ListenSummary::Failed(_) | ListenSummary::All => {
                let hosts = std::mem::take(hosts);
                if let Some(login) = self.log_in(session, hosts) {
                    self.sessions.server = login.server.clone();
                    self.sessions.attempt = Some(LoginAttempt::LoggingIn(login));
                }
            }
        }
    }

    /// The login of the attempt ended.
    pub(super) fn attempt_ended(&mut self, attempt: LoginAttempt, result: Result<Arc<SessionInfo>, Failure>) {
        let LoginAttempt::LoggingIn(login) = attempt else { return };
        match result {
            Ok(info) => {
                self.go_live(login.logged_in(info));
                self.request_forwards();
                self.come_up_when_allowed();
            }
            Err(failure) => {
                let (session, kind, mut hosts) = (login.session, failure.kind(), login.hosts);
                hosts.failed(kind, failure.unreached());
                if hosts.is_last() {
                    let (kind, unreached) = hosts.verdict(kind);
                    self.feed(Input::SessionEnded { session, kind, unreached });
                } else {
                    self.feed(Input::NextHost { session, kind });
                    self.sessions.sequence = Some((self.machine.session(), hosts));
                }
                self.note_failure(failure, None);
            }
        }
    }
}
