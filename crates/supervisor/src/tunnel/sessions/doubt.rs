//! A session that may not answer any more: what becomes of new connections.

use tunnel_engine::session::Path;

use super::super::core::Core;
use super::{LiveSession, TunnelSessions};
use crate::lifecycle::SessionId;

impl LiveSession {
    /// New connections may use it.
    pub(super) fn takes_more(&self) -> bool {
        self.settled && self.path == Path::Clear
    }

    /// Its path does not answer.
    pub(super) fn is_doubtful(&self) -> bool {
        self.path != Path::Clear
    }
}

impl TunnelSessions {
    /// Nothing passes for now.
    pub(in crate::tunnel) fn is_doubtful(&self) -> bool {
        self.main.as_ref().is_some_and(LiveSession::is_doubtful)
    }

    /// The session that is up is not the one that the config wants.
    pub(in crate::tunnel) fn is_outdated(&self) -> bool {
        self.main.as_ref().is_some_and(|live| live.outdated)
    }

    /// What a person should know about the sessions, of which `wanted` should be up, at each forward that has nothing of
    /// its own to tell.
    pub(in crate::tunnel) fn note(&self, wanted: u32) -> Option<String> {
        let live = self.main.as_ref()?;
        if let Path::Doubtful { why, .. } = live.path {
            let server = live.server.host_port();
            return Some(format!(
                "the path to {server} is in doubt: it {}; another session is being opened",
                why.as_str()
            ));
        }
        let up = 1 + self.standby.living().filter(|standby| standby.takes_more()).count();
        let wanted = usize::try_from(wanted).unwrap_or(usize::MAX);
        (live.settled && up < wanted).then(|| format!("{up} of {wanted} sessions are up"))
    }
}

impl Core {
    /// The path of a session looks different.
    pub(in crate::tunnel) fn path_changed(&mut self, session: SessionId, path: Path) {
        let Some(live) = self.sessions.living_mut(session) else { return };
        let before = std::mem::replace(&mut live.path, path);
        let server = live.server.to_string();
        let tunnel = self.spec.name.as_str();
        let clear = matches!(path, Path::Clear);
        let event = clear != matches!(before, Path::Clear)
            && self.report.changes_logged.admit(("path", &server, clear), self.now.awake).is_some();
        match (before, path) {
            _ if !event => {}
            (Path::Clear, Path::Doubtful { why, .. }) => {
                let why = why.as_str();
                tracing::warn!(
                    tunnel,
                    server,
                    "{tunnel}: the path to {server} is in doubt: it {why}; another session is being opened"
                );
            }
            (Path::Doubtful { .. }, Path::Clear) => {
                tracing::info!(tunnel, server, "{tunnel}: the path to {server} is back");
            }
            (Path::Clear, Path::Clear) | (Path::Doubtful { .. }, Path::Doubtful { .. }) => {}
        }
        self.serve();
    }
}
