//! The sessions of a tunnel: the attempt, the living one, and the one that is to replace it.

use std::time::{Duration, Instant, SystemTime};

use tokio::sync::watch;
use tokio::task::{AbortHandle, Id};
use tunnel_engine::clock;
use tunnel_engine::failure::{Failure, FailureKind};
use tunnel_engine::forward::RemoteForwards;
use tunnel_engine::session::{IncomingChannels, Session};
use tunnel_engine::spec::SessionSpec;

use super::actor::{Actor, Event};
use super::handle::Context;
use super::locals::Listening;
use super::report;
use super::start;
use super::wind_down::{WindDown, cancel};
use crate::lifecycle::{Input, RECHECK, Want};

/// How long a living session may take to answer after USR1, link-up or resume. Longer than any route's round trip;
/// much shorter than the keepalive, which is the point of asking.
const PING_TIMEOUT: Duration = Duration::from_secs(5);

/// Wait between two attempts to replace a session that still lives: nobody is cut off meanwhile.
const REPLACE_AGAIN: Duration = Duration::from_secs(5);

/// A start under way.
pub(super) struct Attempt {
    epoch: u64,
    /// `None`: waits for local listeners, without which exit_on_forward_failure makes no session.
    dialing: Option<AbortHandle>,
}

impl Attempt {
    pub(super) fn is(&self, job: Id) -> bool {
        self.dialing.as_ref().is_some_and(|dialing| dialing.id() == job)
    }
}

/// A session that has just been authenticated.
pub(super) struct Opened {
    session: Session,
    incoming: IncomingChannels,
}

/// The living session.
pub(super) struct Live {
    pub(super) serial: u64,
    pub(super) epoch: u64,
    pub(super) session: Session,
    pub(super) connected_at: SystemTime,
    /// Takes the connections that the server hands us.
    pub(super) routes: RemoteForwards,
    /// The machine has been told. Until then, with exit_on_forward_failure, a refused forward is a failed start.
    pub(super) settled: bool,
    ended: watch::Receiver<Option<Failure>>,
}

/// A session for a changed config, while the one before still serves.
pub(super) enum Replacement {
    Dialing(AbortHandle),
    Waiting(Instant),
}

impl Replacement {
    pub(super) fn is(&self, job: Id) -> bool {
        matches!(self, Self::Dialing(dialing) if dialing.id() == job)
    }

    pub(super) const fn due(&self) -> Option<Instant> {
        match self {
            Self::Waiting(until) => Some(*until),
            Self::Dialing(_) => None,
        }
    }
}

/// The end of the living session; never, when there is none.
pub(super) async fn ended(live: Option<&mut Live>) -> Failure {
    let Some(live) = live else { return std::future::pending().await };
    match live.ended.wait_for(Option::is_some).await.map(|failure| (*failure).clone()) {
        Ok(Some(failure)) => failure,
        Ok(None) | Err(_) => Failure::new(FailureKind::ConnectionLost, "the session ended without a reason"),
    }
}

impl Actor {
    /// The machine wants a session.
    pub(super) fn open(&mut self, epoch: u64) {
        self.attempt = Some(Attempt { epoch, dialing: None });
        self.look_before(epoch);
        self.bind_listeners();
        self.dial_when_listening();
    }

    /// Goes on with an attempt that waits for local listeners.
    pub(super) fn dial_when_listening(&mut self) {
        let Some(Attempt { epoch, dialing: None }) = self.attempt else { return };
        let strict = self.spec.exit_on_forward_failure;
        match self.locals.listening() {
            Listening::Pending if strict => {}
            Listening::Failed(failure) if strict => self.opened(epoch, Err(failure)),
            Listening::Pending | Listening::Failed(_) | Listening::All => {
                let start = begin(self.spec.session.clone(), self.context.clone(), self.last_up);
                let job = self.jobs.spawn(async move { Event::Opened { epoch, result: start.await } });
                self.attempt = Some(Attempt { epoch, dialing: Some(job) });
            }
        }
    }

    pub(super) fn opened(&mut self, epoch: u64, result: Result<Opened, Failure>) {
        if self.attempt.as_ref().is_none_or(|attempt| attempt.epoch != epoch) {
            return;
        }
        self.attempt = None;
        match result {
            Ok(opened) => {
                self.go_live(epoch, opened);
                self.request_forwards();
                self.come_up_when_allowed();
            }
            Err(failure) => {
                self.feed(Input::SessionEnded { epoch, kind: failure.kind() });
                self.tell_failure(failure, None);
            }
        }
    }

    fn go_live(&mut self, epoch: u64, Opened { session, incoming }: Opened) {
        self.serial += 1;
        self.remotes.session_changed();
        let routes = report::span(&self.spec.name).in_scope(|| RemoteForwards::spawn(incoming));
        let live = Live {
            serial: self.serial,
            epoch,
            ended: session.ended(),
            connected_at: clock::wall(),
            routes,
            settled: false,
            session,
        };
        self.live = Some(live);
    }

    /// Tells the machine and the listeners about the session: at once, or with exit_on_forward_failure once the server
    /// listens as asked.
    pub(super) fn come_up_when_allowed(&mut self) {
        let waits = self.spec.exit_on_forward_failure && !self.remotes.all_up();
        let Some(live) = self.live.as_mut().filter(|live| !live.settled && !waits) else { return };
        live.settled = true;
        let (epoch, session) = (live.epoch, live.session.clone());
        self.tell_session(&session);
        self.current.send_replace(Some(session));
        self.last_up = Some(clock::now());
        self.feed(Input::SessionUp { epoch });
    }

    /// The living session ended by itself.
    pub(super) fn lost(&mut self, failure: Failure) {
        if let Some(live) = self.take_live() {
            self.feed(Input::SessionEnded { epoch: live.epoch, kind: failure.kind() });
            self.tell_failure(failure, None);
        }
    }

    /// Ends the living session for a reason of ours, and lets the machine judge it.
    pub(super) fn give_up_session(&mut self, failure: Failure, forward: Option<&str>) {
        if let Some(live) = self.take_live() {
            self.feed(Input::SessionEnded { epoch: live.epoch, kind: failure.kind() });
            self.tell_failure(failure, forward);
            self.jobs.spawn(async move {
                live.session.close().await;
                Event::Done
            });
        }
    }

    fn take_live(&mut self) -> Option<Live> {
        let live = self.live.take()?;
        self.current.send_replace(None);
        self.remotes.session_changed();
        self.drop_replacement();
        if live.settled {
            self.last_up = Some(clock::now());
        }
        Some(live)
    }

    /// The machine wants no session.
    pub(super) fn close(&mut self, epoch: u64) {
        if let Some(Attempt { dialing: Some(job), .. }) = self.attempt.take() {
            job.abort();
        }
        let drains = self.machine.want() == Want::Down;
        let listens = self.remotes.granted();
        let Some(live) = self.take_live() else { return self.closed(epoch) };
        let wind_down = WindDown {
            session: live.session,
            listens,
            flowing: self.all_stats(),
            until: drains.then(|| clock::now() + self.context.stop_timeout),
        };
        let routes = live.routes;
        self.jobs.spawn(async move {
            wind_down.run().await;
            drop(routes);
            Event::Closed { epoch }
        });
    }

    pub(super) fn closed(&mut self, epoch: u64) {
        // In `Stopping` the machine asks nobody why.
        self.feed(Input::SessionEnded { epoch, kind: FailureKind::ConnectionLost });
    }

    /// The operator, the link or a resume says that now is a good time.
    pub(super) fn retry_now(&mut self) {
        self.feed(Input::RetryNow);
        self.locals.retry_now();
        self.remotes.retry_now();
        self.hurry_probes();
        if let Some(Replacement::Waiting(until)) = &mut self.replacement {
            *until = clock::now();
        }
        let Some(live) = self.live.as_ref().filter(|live| live.settled) else { return };
        let (serial, session) = (live.serial, live.session.clone());
        self.jobs.spawn(async move {
            let result = session.ping(PING_TIMEOUT).await.map(drop);
            Event::Pinged { serial, result }
        });
    }

    /// The way to the server may be another one now: the living session proves itself, and waits are over.
    pub(super) fn network_changed(&mut self) {
        self.forget_absence();
        self.feed(Input::PathBack);
        self.locals.retry_now();
        self.remotes.retry_now();
        if let Some(Replacement::Waiting(until)) = &mut self.replacement {
            *until = clock::now();
        }
        if let Some(live) = &self.live {
            live.session.examine();
        }
    }

    pub(super) fn pinged(&mut self, serial: u64, result: Result<(), Failure>) {
        if let Err(failure) = result
            && self.live.as_ref().is_some_and(|live| live.serial == serial)
        {
            self.give_up_session(failure, None);
        }
    }

    /// Opens a session for a changed config beside the living one.
    pub(super) fn replace(&mut self) {
        self.drop_replacement();
        let start = begin(self.spec.session.clone(), self.context.clone(), self.last_up);
        let job = self.jobs.spawn(async move { Event::Replaced { result: start.await } });
        self.replacement = Some(Replacement::Dialing(job));
    }

    pub(super) fn retry_replacement(&mut self, now: Instant) {
        if self.replacement.as_ref().and_then(Replacement::due).is_some_and(|until| until <= now) {
            self.replace();
        }
    }

    fn drop_replacement(&mut self) {
        if let Some(Replacement::Dialing(job)) = self.replacement.take() {
            job.abort();
        }
    }

    /// Switches over: new connections use the new session at once, old ones go on with the old one. A port on the
    /// server can only have one owner, so remote listeners are taken back before they are asked for again.
    pub(super) fn replaced(&mut self, result: Result<Opened, Failure>) {
        let opened = match result {
            Ok(opened) => opened,
            Err(failure) => {
                let wait = if failure.kind().is_permanent() { RECHECK } else { REPLACE_AGAIN };
                self.replacement = Some(Replacement::Waiting(clock::now() + wait));
                self.tell_failure(failure.in_context("the session for the new config"), None);
                return;
            }
        };
        self.replacement = None;
        let listens = self.remotes.granted();
        let Some(old) = self.live.take() else { return };
        self.go_live(old.epoch, opened);
        let serial = self.serial;
        if let Some(live) = self.live.as_mut() {
            live.settled = true;
            self.current.send_replace(Some(live.session.clone()));
        }
        tracing::info!(tunnel = self.spec.name, server = %self.spec.session.destination, "{}: session replaced", self.spec.name);
        let flowing = self.all_stats();
        let until = Some(clock::now() + self.context.stop_timeout);
        self.jobs.spawn(async move {
            cancel(&old.session, &listens).await;
            let wind_down = WindDown { session: old.session, listens: Vec::new(), flowing, until };
            Event::HandedOver { serial, old: Retired { wind_down, routes: old.routes } }
        });
    }

    /// The ports of the old session are free: the new one asks for them, and the old one ends when it is done.
    pub(super) fn handed_over(&mut self, serial: u64, old: Retired) {
        if self.live.as_ref().is_some_and(|live| live.serial == serial) {
            self.request_forwards();
        }
        self.jobs.spawn(async move {
            old.wind_down.run().await;
            drop(old.routes);
            Event::Done
        });
    }
}

/// A session that has been replaced. Its connections go on for a while.
pub(super) struct Retired {
    wind_down: WindDown,
    routes: RemoteForwards,
}

/// One start: the server's turn first, then all of it before `connect_timeout`.
async fn begin(spec: SessionSpec, context: Context, last_up: Option<Instant>) -> Result<Opened, Failure> {
    let permit = context.governor.permit(&spec, last_up).await;
    let result = start::session(&spec, &context).await;
    let outcome = result.as_ref().map(drop).map_err(Failure::kind);
    permit.finish(&spec.destination.host_port(), outcome);
    result.map(|(session, incoming)| Opened { session, incoming })
}
