//! A session that may not answer any more: what becomes of new connections.

use tunnel_engine::clock;
use tunnel_engine::session::Path;

use super::super::actor::Actor;
use super::LiveSession;
use crate::lifecycle::Input;

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

impl Actor {
    /// The operator says that now is a good time.
    pub(in crate::tunnel) fn retry_now(&mut self) {
        self.feed(Input::RetryNow);
        self.expedite_probes();
        self.look_anew();
    }

    /// The way to the server may be another one now.
    pub(in crate::tunnel) fn network_changed(&mut self) {
        self.forget_absence();
        self.feed(Input::PathBack);
        self.look_anew();
    }

    /// Waits are over, and every living session proves itself: silence makes its path doubtful, and another session is
    /// opened; an answer changes nothing.
    fn look_anew(&mut self) {
        let now = clock::now();
        self.locals.retry_now();
        self.devices.retry_now();
        self.remotes.retry_now();
        self.hosts.retry_now(now);
        self.extras.retry_now(now);
        if let Some(replacement) = &mut self.replacement {
            replacement.retry_now(now);
        }
        for live in self.live.iter().chain(self.extras.living()) {
            live.session.probe_path();
        }
    }

    /// The path of a session looks different.
    pub(super) fn path_changed(&mut self, serial: u64, path: Path) {
        let Some(live) = self.session_mut(serial) else { return };
        let before = std::mem::replace(&mut live.path, path);
        let server = live.server.to_string();
        let tunnel = self.spec.name.as_str();
        let clear = matches!(path, Path::Clear);
        let event = clear != matches!(before, Path::Clear)
            && self.changes_logged.admit(("path", &server, clear), clock::now()).is_some();
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
        self.publish_pool();
    }

    pub(super) fn session_mut(&mut self, serial: u64) -> Option<&mut LiveSession> {
        let main = self.live.as_mut().filter(|live| live.serial == serial);
        main.or_else(|| self.extras.living_mut().find(|live| live.serial == serial))
    }

    /// What a person should know about the sessions, at each forward that has nothing of its own to tell.
    pub(in crate::tunnel) fn session_note(&self) -> Option<String> {
        let live = self.live.as_ref()?;
        if let Path::Doubtful { why, .. } = live.path {
            let server = live.server.host_port();
            return Some(format!(
                "the path to {server} is in doubt: it {}; another session is being opened",
                why.as_str()
            ));
        }
        let up = 1 + self.extras.living().filter(|extra| extra.takes_more()).count();
        let wanted = usize::try_from(self.spec.sessions).unwrap_or(usize::MAX);
        (live.settled && up < wanted).then(|| format!("{up} of {wanted} sessions are up"))
    }

    /// Nothing passes for now.
    pub(in crate::tunnel) fn is_doubtful(&self) -> bool {
        self.live.as_ref().is_some_and(LiveSession::is_doubtful)
    }
}
