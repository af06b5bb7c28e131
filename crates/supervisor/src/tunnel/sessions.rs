//! The sessions of a tunnel: the attempt, the main one, the one that is to replace it, the standbys, and those that
//! only finish what they carry.
//!
//! ```text
//!   Open ─► Attempt ─► main ───────────────► new connections, remote listeners
//!             │          │  a reason (`replace_reason`)
//!             │          ▼
//!   a sequence of hosts  Replacement ─► main; the old one ─► retired: its connections to their end
//! ```
//! Each is a plain value with its [`SessionId`]; the driver has the sessions themselves under the same numbers.

mod doubt;
mod hosts;
mod login;
mod login_attempt;
mod replace_reason;
mod replacement;
mod standby;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tunnel_engine::failure::{Failure, FailureKind};
use tunnel_engine::session::{Path, SessionInfo};
use tunnel_engine::spec::Destination;

use super::core::{Close, Core, TunnelEffect};
use crate::config::BackoffKind;
use crate::history::Moment;
use crate::lifecycle::{Input, SessionId, Want};

pub(super) use hosts::{HostRecords, HostSequence};
use login::LoggedIn;
pub(super) use login_attempt::LoginAttempt;
use replacement::{ReplacedSession, Replacement};
use standby::Standby;

/// What is known of all of them.
pub(super) struct TunnelSessions {
    pub(super) attempt: Option<LoginAttempt>,
    /// The one that remote listeners are on.
    pub(super) main: Option<LiveSession>,
    replacement: Option<Replacement>,
    /// The sessions beside the main one.
    standby: Standby,
    /// TunnelSessions that only finish what they carry, the oldest first.
    pub(super) retired: VecDeque<SessionId>,
    /// Replaced sessions that are about to retire, each with its successor, which waits for its remote listeners to be
    /// taken back.
    leaving: Vec<(SessionId, ReplacedSession)>,
    /// Closed sessions whose remote listeners may not be free yet.
    ports_held: u32,
    /// The host in use, or tried last.
    pub(super) server: Destination,
    pub(super) hosts: HostRecords,
    /// The hosts that are left for the start of this number.
    sequence: Option<(SessionId, HostSequence)>,
    pub(super) last_up: Option<Instant>,
    /// Logins that have been asked for, and have not ended.
    logins: Vec<SessionId>,
    seed: u64,
    /// Spreads the logins of standbys.
    random: fastrand::Rng,
}

/// A living session.
#[derive(Debug)]
pub(super) struct LiveSession {
    pub(super) id: SessionId,
    pub(super) info: Arc<SessionInfo>,
    /// Whom it goes to.
    pub(super) server: Destination,
    pub(super) connected_at: SystemTime,
    /// The machine has been told. Until then, with exit_on_forward_failure, a refused forward is a failed start.
    pub(super) settled: bool,
    /// It took over from another, which may hold a remote port for a while yet: no reason to give it up.
    pub(super) took_over: bool,
    /// It was made for an earlier config.
    outdated: bool,
    /// The server answered a question on it.
    proven: bool,
    since: Instant,
    path: Path,
}

impl TunnelSessions {
    pub(super) fn new(server: Destination, seed: u64) -> Self {
        Self {
            attempt: None,
            main: None,
            replacement: None,
            standby: Standby::default(),
            retired: VecDeque::new(),
            leaving: Vec::new(),
            ports_held: 0,
            server,
            hosts: HostRecords::default(),
            sequence: None,
            last_up: None,
            logins: Vec::new(),
            seed,
            random: fastrand::Rng::with_seed(seed),
        }
    }

    /// The main one, and those beside it.
    pub(super) fn living(&self) -> impl Iterator<Item = &LiveSession> {
        self.main.iter().chain(self.standby.living())
    }

    /// The main one, once the machine knows of it.
    pub(super) fn settled(&self) -> Option<&LiveSession> {
        self.main.as_ref().filter(|live| live.settled)
    }

    pub(super) fn main_id(&self) -> Option<SessionId> {
        self.main.as_ref().map(|live| live.id)
    }

    pub(super) fn is_main(&self, session: SessionId) -> bool {
        self.main.as_ref().is_some_and(|live| live.id == session)
    }

    fn living_mut(&mut self, session: SessionId) -> Option<&mut LiveSession> {
        let main = self.main.as_mut().filter(|live| live.id == session);
        main.or_else(|| self.standby.living_mut().find(|live| live.id == session))
    }

    /// Those that new connections may use.
    fn serving(&self) -> Vec<SessionId> {
        self.living().filter(|live| live.takes_more()).map(|live| live.id).collect()
    }

    /// The server has yet to learn that the remote ports of a session before are free.
    pub(super) const fn are_ports_held(&self) -> bool {
        self.ports_held > 0
    }

    /// The operator or the network says that now is a good time.
    pub(super) fn retry_now(&mut self, now: Instant) {
        self.hosts.retry_now(now);
        self.standby.retry_now(now);
        if let Some(replacement) = &mut self.replacement {
            replacement.retry_now(now);
        }
    }
}

impl LiveSession {
    fn new(logged_in: LoggedIn, now: Moment) -> Self {
        let LoggedIn { id, info, server } = logged_in;
        Self {
            id,
            info,
            server,
            connected_at: now.wall,
            settled: false,
            took_over: false,
            outdated: false,
            proven: false,
            since: now.awake,
            path: Path::Clear,
        }
    }

    /// When it is as old as `session_lifetime` lets it become.
    fn expires(&self, lifetime: Option<Duration>, seed: u64) -> Option<Instant> {
        lifetime.and_then(|lifetime| replace_reason::expiry(self.since, lifetime, draw(seed, self.id)))
    }
}

/// In `0.0..1.0`, the same each time for one session of one tunnel.
fn draw(seed: u64, session: SessionId) -> f64 {
    fastrand::Rng::with_seed(seed ^ session.as_u64().wrapping_mul(0x9E37_79B9_7F4A_7C15)).f64()
}

impl Core {
    /// A living session ended by itself.
    pub(super) fn session_ended(&mut self, session: SessionId, failure: Failure) {
        if !self.sessions.is_main(session) {
            return self.standby_lost(session, failure);
        }
        if self.promote().is_some() {
            return self.note_failure(failure.in_context("one of the sessions of this tunnel"), None);
        }
        if self.take_main().is_some() {
            self.feed(Input::SessionEnded { session, kind: failure.kind(), unreached: None });
            self.note_failure(failure, None);
        }
    }

    /// A session carries from now on.
    fn go_live(&mut self, logged_in: LoggedIn) {
        let live = LiveSession::new(logged_in, self.now);
        self.forwards.remotes.session_changed(&mut self.effects);
        self.sessions.server = live.server.clone();
        self.effect(TunnelEffect::Keep(live.id));
        self.sessions.main = Some(live);
    }

    /// Tells the listeners which sessions there are for new connections.
    fn serve(&mut self) {
        let serving = self.sessions.serving();
        self.effect(TunnelEffect::Serve(serving));
    }

    /// Tells the machine and the listeners about the session: at once, or with exit_on_forward_failure once the server
    /// listens as asked.
    pub(super) fn come_up_when_allowed(&mut self) {
        let waits = self.spec.exit_on_forward_failure && !self.forwards.remotes.all_up();
        let Some(live) = self.sessions.main.as_mut().filter(|live| !live.settled && !waits) else { return };
        live.settled = true;
        let session = live.id;
        self.log_session();
        self.serve();
        let (now, place) = (self.now.awake, self.place());
        self.sessions.last_up = Some(now);
        self.sessions.hosts.in_use(place, false, now);
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

    /// The server answered on a session.
    pub(super) fn session_proven(&mut self, session: SessionId) {
        let Some(live) = self.sessions.living_mut(session) else { return };
        live.proven = true;
        if self.sessions.is_main(session) {
            self.feed(Input::SessionProven { session });
        }
    }

    /// Ends the main session for a reason of ours, and lets the machine judge it.
    pub(super) fn give_up_session(&mut self, failure: Failure, forward: Option<&str>) {
        if let Some(LiveSession { id: session, .. }) = self.take_main() {
            self.feed(Input::SessionEnded { session, kind: failure.kind(), unreached: None });
            self.note_failure(failure, forward);
            self.effect(TunnelEffect::Disconnect(session));
        }
    }

    /// A login that was to replace it goes on: the next start takes it over.
    fn take_main(&mut self) -> Option<LiveSession> {
        let live = self.sessions.main.take()?;
        self.serve();
        self.forwards.remotes.session_changed(&mut self.effects);
        if live.settled {
            self.sessions.last_up = Some(self.now.awake);
        }
        Some(live)
    }

    /// The machine wants this session no more: it ends by itself, beside whatever follows.
    pub(super) fn close(&mut self, session: SessionId) {
        self.sessions.attempt = None;
        self.sessions.replacement = None;
        let drains = self.machine.want() == Want::Down;
        let now = self.now.awake;
        let until = if drains { now + self.stop_timeout } else { now };
        self.effect(TunnelEffect::DrainBy(Some(until)));
        self.release_standby();
        let listens = self.forwards.remotes.granted();
        let Some(live) = self.take_main() else { return self.closed(session) };
        let tidy = self.takeover.may_tidy();
        self.sessions.ports_held += 1;
        self.effect(TunnelEffect::Close(Box::new(Close {
            session: live.id,
            listens,
            tidy,
            until: drains.then_some(until),
        })));
    }

    /// A session that was to be closed has ended.
    pub(super) fn closed(&mut self, session: SessionId) {
        // Another start may have begun beside it.
        if session == self.machine.session() {
            // In `Stopping` the machine does not ask why.
            self.feed(Input::SessionEnded { session, kind: FailureKind::ConnectionLost, unreached: None });
        }
    }

    /// A session that was closed has given its remote ports back: the one that was begun beside it may ask for them.
    pub(super) fn ports_released(&mut self) {
        self.sessions.ports_held = self.sessions.ports_held.saturating_sub(1);
        if self.sessions.main.is_some() {
            self.request_forwards();
        }
    }
}
