//! The sessions of a tunnel: the attempt, the living one, the one that is to replace it, and those that only finish
//! what they carry.
//!
//! ```text
//!   Open ─► Attempt ─► Live ───────────────► new connections, remote listeners
//!             │          │  a reason (`replace_reason`)
//!             │          ▼
//!    a row of hosts    Replacement ─► Live; the old one ─► Retired: its connections to their end
//! ```
//! What is decided is in `replace_reason` and `hosts`, and pure; the rest does it.

mod dial;
mod doubt;
mod extras;
mod hosts;
mod login_attempt;
mod pool;
mod replace_reason;
mod replacement;
mod retired;
mod session_watch;
#[cfg(test)]
mod tests;

use std::time::{Duration, Instant, SystemTime};

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tunnel_engine::clock;
use tunnel_engine::failure::{Failure, FailureKind};
use tunnel_engine::forward::RemoteForwards;
use tunnel_engine::session::{Path, Session};
use tunnel_engine::spec::Destination;

use super::actor::{Actor, TunnelEvent};
use super::drain::Drain;
use crate::config::BackoffKind;
use crate::lifecycle::{Input, Want};

use dial::Opened;
pub(super) use dial::{Dialed, LoginId};
pub(super) use extras::Extras;
pub(super) use hosts::{HostRecords, HostSequence};
pub(super) use login_attempt::LoginAttempt;
pub(super) use pool::Pool;
pub(super) use replacement::{HandedOver, Replacement};
pub(super) use session_watch::{SessionEvent, SessionWatch};

use pool::Member;

/// How long a new session's first answer is waited for. A server that takes longer has proven nothing, and the loss of
/// its session is answered with the backoff of one that throws us out.
const PROOF_WITHIN: Duration = Duration::from_secs(10);

/// The living session.
pub(super) struct LiveSession {
    pub(super) serial: u64,
    pub(super) epoch: u64,
    pub(super) session: Session,
    /// Whom it goes to.
    pub(super) server: Destination,
    pub(super) connected_at: SystemTime,
    /// Takes the connections that the server hands us.
    pub(super) routes: RemoteForwards,
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
    withdrawn: CancellationToken,
    watch: SessionWatch,
}

impl LiveSession {
    /// When it is as old as `session_lifetime` lets it become.
    fn expires(&self, lifetime: Option<Duration>, seed: u64) -> Option<Instant> {
        lifetime.and_then(|lifetime| replace_reason::expiry(self.since, lifetime, draw(seed, self.serial)))
    }

    fn member(&self) -> Member {
        Member { session: self.session.clone(), withdrawn: self.withdrawn.clone() }
    }
}

/// What the living session says of itself; nothing, when there is none.
pub(super) async fn event(live: Option<&mut LiveSession>) -> TunnelEvent {
    let Some(live) = live else { return std::future::pending().await };
    TunnelEvent::News { serial: live.serial, event: live.watch.next().await, watch: None }
}

/// In `0.0..1.0`, the same each time for one session of one tunnel.
fn draw(seed: u64, serial: u64) -> f64 {
    fastrand::Rng::with_seed(seed ^ serial.wrapping_mul(0x9E37_79B9_7F4A_7C15)).f64()
}

impl Actor {
    /// A session said something of itself.
    pub(super) fn on_session_event(&mut self, serial: u64, event: SessionEvent, watch: Option<SessionWatch>) {
        let main = self.live.as_ref().is_some_and(|live| live.serial == serial);
        match event {
            SessionEvent::Ended(failure) if main => return self.lost(failure),
            SessionEvent::Ended(failure) => return self.extra_lost(serial, failure),
            SessionEvent::Path(path) => self.path_changed(serial, path),
        }
        if let Some(watch) = watch.filter(|_| self.is_extra(serial)) {
            self.listen(serial, watch);
        }
    }

    fn new_live(&mut self, epoch: u64, Opened { session, incoming, server }: Opened) -> LiveSession {
        self.serial += 1;
        LiveSession {
            serial: self.serial,
            epoch,
            connected_at: clock::wall(),
            routes: RemoteForwards::spawn(incoming),
            settled: false,
            took_over: false,
            outdated: false,
            proven: false,
            since: clock::now(),
            path: Path::Clear,
            withdrawn: CancellationToken::new(),
            watch: SessionWatch::to(&session),
            server,
            session,
        }
    }

    /// A session carries from now on. `epoch` is the machine's number for it, and for those that replace it.
    fn go_live(&mut self, epoch: u64, opened: Opened) {
        let live = self.new_live(epoch, opened);
        self.remotes.session_changed();
        self.server = live.server.clone();
        self.live = Some(live);
    }

    /// Tells the listeners which sessions there are for new connections.
    fn publish_pool(&self) {
        let sessions = self.live.iter().chain(self.extras.living());
        let members = sessions.filter(|live| live.takes_more()).map(LiveSession::member).collect();
        self.current.send_replace(Pool::of(members));
    }

    /// Tells the machine and the listeners about the session: at once, or with exit_on_forward_failure once the server
    /// listens as asked.
    pub(super) fn come_up_when_allowed(&mut self) {
        let waits = self.spec.exit_on_forward_failure && !self.remotes.all_up();
        let Some(live) = self.live.as_mut().filter(|live| !live.settled && !waits) else { return };
        live.settled = true;
        let (epoch, session) = (live.epoch, live.session.clone());
        self.log_session(&session);
        self.publish_pool();
        let now = clock::now();
        self.last_up = Some(now);
        self.hosts.in_use(self.place(), false, now);
        self.feed(Input::SessionUp { epoch });
        if let Some(serial) = self.live.as_ref().map(|live| live.serial) {
            self.prove_session(serial, &session);
        }
    }

    /// Asks one question on a session that has just come up: a server that logs us in and throws us out answers none.
    fn prove_session(&mut self, serial: u64, session: &Session) {
        // autossh's formula knows no proof.
        if self.machine.policy().backoff.kind == BackoffKind::Autossh {
            return;
        }
        let session = session.clone();
        self.jobs.spawn(async move {
            match session.ping(PROOF_WITHIN).await {
                Ok(_) => TunnelEvent::SessionProven { serial },
                Err(_) => TunnelEvent::Done,
            }
        });
    }

    /// The server answered on a session.
    pub(super) fn session_proven(&mut self, serial: u64) {
        let Some(live) = self.session_mut(serial) else { return };
        live.proven = true;
        let epoch = live.epoch;
        if self.live.as_ref().is_some_and(|live| live.serial == serial) {
            self.feed(Input::SessionProven { epoch });
        }
    }

    /// The living session ended by itself.
    fn lost(&mut self, failure: Failure) {
        if self.promote().is_some() {
            return self.log_failure(failure.in_context("one of the sessions of this tunnel"), None);
        }
        if let Some(live) = self.take_live() {
            self.feed(Input::SessionEnded { epoch: live.epoch, kind: failure.kind(), unreached: None });
            self.log_failure(failure, None);
        }
    }

    /// Ends the living session for a reason of ours, and lets the machine judge it.
    pub(super) fn give_up_session(&mut self, failure: Failure, forward: Option<&str>) {
        if let Some(live) = self.take_live() {
            self.feed(Input::SessionEnded { epoch: live.epoch, kind: failure.kind(), unreached: None });
            self.log_failure(failure, forward);
            self.jobs.spawn(async move {
                live.session.close().await;
                TunnelEvent::Done
            });
        }
    }

    /// A login that was to replace it goes on: the next start takes it over.
    fn take_live(&mut self) -> Option<LiveSession> {
        let live = self.live.take()?;
        self.publish_pool();
        self.remotes.session_changed();
        if live.settled {
            self.last_up = Some(clock::now());
        }
        Some(live)
    }

    /// The machine wants this session no more: it ends by itself, beside whatever follows.
    pub(super) fn close(&mut self, epoch: u64) {
        self.attempt = None;
        self.replacement = None;
        let drains = self.machine.want() == Want::Down;
        let now = clock::now();
        let until = if drains { now + self.context.stop_timeout } else { now };
        self.drain_deadline.send_replace(Some(until));
        self.let_extras_go();
        let listens = self.remotes.granted();
        let Some(live) = self.take_live() else { return self.closed(epoch) };
        let tidy = self.takeover.tidy(&live.session, &listens);
        let (released, ports_released) = oneshot::channel();
        self.ports_held += 1;
        self.jobs.spawn(async move {
            // The sender says nothing: it is dropped when the ports are free, or the session is gone.
            let _ = ports_released.await;
            TunnelEvent::PortsReleased
        });
        let wind_down = Drain { session: live.session, listens, tidy, until: drains.then_some(until), released };
        let routes = live.routes;
        self.jobs.spawn(async move {
            wind_down.run().await;
            drop(routes);
            TunnelEvent::Closed { epoch }
        });
    }

    pub(super) fn closed(&mut self, epoch: u64) {
        // Another start may have begun beside it.
        if epoch == self.machine.epoch() {
            // In `Stopping` the machine does not ask why.
            self.feed(Input::SessionEnded { epoch, kind: FailureKind::ConnectionLost, unreached: None });
        }
    }

    /// A session that was closed has given its remote ports back: the one that was begun beside it may ask for them.
    pub(super) fn ports_released(&mut self) {
        self.ports_held = self.ports_held.saturating_sub(1);
        if self.live.is_some() {
            self.request_forwards();
        }
    }
}
