//! One login under way, and whose it was when it has ended.

use std::sync::Arc;
use std::time::Instant;

use tunnel_engine::failure::Failure;
use tunnel_engine::session::SessionInfo;
use tunnel_engine::spec::Destination;

use super::super::core::{Core, Login, TunnelEffect};
use super::super::file_stamps::{FileStamps, WatchedFiles};
use super::{HostSequence, TunnelSessions};
use crate::lifecycle::SessionId;

/// A session that has just been authenticated.
pub(super) struct LoggedIn {
    pub(super) id: SessionId,
    pub(super) info: Arc<SessionInfo>,
    pub(super) server: Destination,
}

/// A login under way.
#[derive(Debug)]
pub(in crate::tunnel) struct PendingLogin {
    pub(super) session: SessionId,
    pub(super) server: Destination,
    /// The hosts that follow when this one fails.
    pub(super) hosts: HostSequence,
}

impl PendingLogin {
    pub(super) fn logged_in(&self, info: Arc<SessionInfo>) -> LoggedIn {
        LoggedIn { id: self.session, info, server: self.server.clone() }
    }
}

impl TunnelSessions {
    /// Whether some part of the tunnel still waits for this login.
    fn awaits(&self, session: SessionId) -> bool {
        let attempt = self.attempt.as_ref().and_then(|attempt| attempt.login());
        let replacement = self.replacement.as_ref().and_then(|replacement| replacement.login());
        attempt.into_iter().chain(replacement).any(|login| login.session == session) || self.standby.has(session)
    }
}

impl Core {
    /// All hosts of the config, in order of preference.
    pub(super) fn destinations(&self) -> Vec<&Destination> {
        self.spec.servers().map(|spec| &spec.destination).collect()
    }

    /// The place of the host in use among them; the last one for a host that is no longer among them.
    pub(super) fn place(&self) -> usize {
        let hosts = self.destinations();
        hosts.iter().position(|host| **host == self.sessions.server).unwrap_or(hosts.len().saturating_sub(1))
    }

    /// Logs in to the next host of the sequence, as `session`; `None` when there is none left.
    pub(super) fn log_in(&mut self, session: SessionId, mut hosts: HostSequence) -> Option<PendingLogin> {
        let place = hosts.next()?;
        let spec = self.spec.servers().nth(place)?.clone();
        let (server, last_up) = (spec.destination.clone(), self.sessions.last_up);
        let files = WatchedFiles::of(&spec, &self.spec.ssh_config_files);
        let scheduled = self.sessions.main.is_none() && self.machine.is_scheduled();
        self.sessions.logins.push(session);
        self.effect(TunnelEffect::Login(Box::new(Login { session, spec, files, last_up, scheduled })));
        Some(PendingLogin { session, server, hosts })
    }

    /// Gives up the logins that no part of the tunnel waits for any more.
    pub(in crate::tunnel) fn abandon_logins(&mut self) {
        let (kept, abandoned) = self.sessions.logins.iter().partition(|login| self.sessions.awaits(**login));
        self.sessions.logins = kept;
        let abandoned: Vec<SessionId> = abandoned;
        for login in abandoned {
            self.effect(TunnelEffect::AbandonLogin(login));
        }
    }

    /// A login succeeded.
    pub(in crate::tunnel) fn logged_in(
        &mut self,
        session: SessionId,
        info: Arc<SessionInfo>,
        files: Option<FileStamps>,
    ) {
        self.login_ended(session, Ok(info), files);
    }

    /// A login failed.
    pub(in crate::tunnel) fn login_failed(&mut self, session: SessionId, failure: Failure, files: Option<FileStamps>) {
        self.login_ended(session, Err(failure), files);
    }

    fn login_ended(
        &mut self,
        session: SessionId,
        result: Result<Arc<SessionInfo>, Failure>,
        files: Option<FileStamps>,
    ) {
        self.sessions.logins.retain(|login| *login != session);
        let now = self.now.awake;
        if let Some(login) = self.sessions.attempt.take_if(|attempt| attempt.awaits(session)) {
            self.files.before = files;
            self.learn(self.sessions.server.clone(), result.is_ok(), now);
            self.attempt_ended(login, result);
        } else if let Some(replacement) = self.sessions.replacement.take_if(|replacement| replacement.awaits(session)) {
            self.replacement_ended(replacement, result);
        } else if self.sessions.standby.has(session) {
            self.standby_logged_in(session, result);
        }
    }

    pub(super) fn learn(&mut self, host: Destination, worked: bool, now: Instant) {
        if worked {
            self.sessions.hosts.worked(&host);
        } else if !self.spec.fallbacks.is_empty() {
            self.sessions.hosts.failed(&host, now);
        }
    }
}
