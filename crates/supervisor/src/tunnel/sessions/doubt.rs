//! A session that may not answer any more: what becomes of new connections.

use tunnel_engine::session::Path;

use super::{LiveSession, TunnelSessions};

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
