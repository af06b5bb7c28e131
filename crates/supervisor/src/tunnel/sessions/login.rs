//! One login under way, and whose it was when it has ended.

use std::sync::Arc;
use std::time::Instant;

use tunnel_engine::session::SessionInfo;
use tunnel_engine::spec::Destination;

use super::super::core::{Effects, Login, TunnelEffect};
use super::super::file_stamps::WatchedFiles;
use super::{HostSequence, TunnelSessions};
use crate::config::TunnelSpec;
use crate::lifecycle::SessionId;

/// A session that has just been authenticated.
pub(in crate::tunnel) struct LoggedIn {
    pub(in crate::tunnel) id: SessionId,
    pub(in crate::tunnel) info: Arc<SessionInfo>,
    pub(in crate::tunnel) server: Destination,
}

/// A login under way.
#[derive(Debug)]
pub(in crate::tunnel) struct PendingLogin {
    pub(in crate::tunnel) session: SessionId,
    pub(in crate::tunnel) server: Destination,
    /// The hosts that follow when this one fails.
    pub(in crate::tunnel) hosts: HostSequence,
}

impl PendingLogin {
    pub(in crate::tunnel) fn logged_in(&self, info: Arc<SessionInfo>) -> LoggedIn {
        LoggedIn { id: self.session, info, server: self.server.clone() }
    }
}

impl TunnelSessions {
    /// Logs in to the next host of the sequence, as `session`; `None` when there is none left. `scheduled`: nothing but
    /// the clock asked for it.
    pub(in crate::tunnel) fn log_in(
        &mut self,
        session: SessionId,
        mut hosts: HostSequence,
        scheduled: bool,
        spec: &TunnelSpec,
        effects: &mut Effects,
    ) -> Option<PendingLogin> {
        let place = hosts.next()?;
        let server = spec.servers().nth(place)?.clone();
        let files = WatchedFiles::of(&server, &spec.ssh_config_files);
        let (destination, last_up) = (server.destination.clone(), self.last_up);
        self.logins.push(session);
        effects.push(TunnelEffect::Login(Box::new(Login { session, spec: server, files, last_up, scheduled })));
        Some(PendingLogin { session, server: destination, hosts })
    }

    /// A login has ended.
    pub(in crate::tunnel) fn forget_login(&mut self, session: SessionId) {
        self.logins.retain(|login| *login != session);
    }

    /// Gives up the logins that no part of the tunnel waits for any more.
    pub(in crate::tunnel) fn abandon_logins(&mut self, effects: &mut Effects) {
        let (kept, abandoned): (Vec<_>, Vec<_>) = self.logins.iter().partition(|login| self.awaits(**login));
        self.logins = kept;
        abandoned.into_iter().for_each(|login| effects.push(TunnelEffect::AbandonLogin(login)));
    }

    /// Whether some part of the tunnel still waits for this login.
    fn awaits(&self, session: SessionId) -> bool {
        let attempt = self.attempt.as_ref().is_some_and(|attempt| attempt.awaits(session));
        let replacement = self.replacement.as_ref().is_some_and(|replacement| replacement.awaits(session));
        attempt || replacement || self.standby.has(session)
    }

    /// What a login to this host came to.
    pub(in crate::tunnel) fn learn(&mut self, host: &Destination, worked: bool, spec: &TunnelSpec, now: Instant) {
        if worked {
            self.hosts.worked(host);
        } else if !spec.fallbacks.is_empty() {
            self.hosts.failed(host, now);
        }
    }
}
