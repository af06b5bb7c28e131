//! Logins under way, and what waits for each.

use std::time::Instant;

use tunnel_engine::spec::Destination;

use super::super::core::{Effects, Login, TunnelEffect};
use super::super::file_stamps::WatchedFiles;
use super::{HostSequence, TunnelSessions};
use crate::config::TunnelSpec;
use crate::lifecycle::SessionId;

#[derive(Debug)]
pub(in crate::tunnel) struct PendingLogin {
    pub(in crate::tunnel) session: SessionId,
    pub(in crate::tunnel) server: Destination,
    /// The hosts that follow when this one fails.
    pub(in crate::tunnel) hosts: HostSequence,
}

/// A start that the machine asked for.
#[derive(Debug)]
pub(in crate::tunnel) enum LoginAttempt {
    /// It waits for local listeners, without which exit_on_forward_failure makes no session.
    Waiting(SessionId, HostSequence),
    LoggingIn(PendingLogin),
}

impl LoginAttempt {
    pub(in crate::tunnel) fn awaits(&self, session: SessionId) -> bool {
        matches!(self, Self::LoggingIn(login) if login.session == session)
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
