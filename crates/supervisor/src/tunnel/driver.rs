//! The tokio side of a tunnel: it turns effects of the [`Core`] into tasks, and their results into events. What takes
//! time is a job: the loop waits for nothing but events, so it always answers.
//!
//! It has what cannot be written down: sessions, listeners, devices, and the jobs, under the numbers that the core gave
//! them. What a job brings lies ready while the core handles the event about it, and is dropped unless an effect wants it.

mod drain;
mod execute;
mod forwards;
mod pool;
mod request;
mod sessions;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::{AbortHandle, Id, JoinError};
use tokio_util::sync::CancellationToken;
use tunnel_engine::alarm::Alarm;
use tunnel_engine::dial::Link;
use tunnel_engine::failure::{Failure, FailureKind};
use tunnel_engine::forward::{Bound, DeviceChanges, StateChanges};
use tunnel_engine::session::Channel;
use tunnel_engine::spec::Destination;
use tunnel_engine::{clock, task};

use super::core::{Core, LoginFailure, Observed, Order, TunnelEvent};
use super::file_stamps::FileStamps;
use super::forwards::ForwardId;
use super::handle::{Context, Message};
use super::jobs::{Jobs, OwnedJob};
use super::on_change::OnChange;
use super::start::Opened;
use super::takeover::{Marks, mark};
use super::view::{Gauges, TunnelView};
use crate::config::TunnelSpec;
use crate::history::Moment;
use crate::lifecycle::SessionId;
use crate::servers::reachability::Endpoint;
use forwards::RunningForward;
use pool::Pool;
use sessions::OpenSession;

pub(super) struct TunnelDriver {
    core: Core,
    name: String,
    context: Context,
    messages: mpsc::Receiver<Message>,
    view: tokio::sync::watch::Sender<TunnelView>,
    alarm: Alarm,
    jobs: Jobs,
    logins: Vec<(SessionId, AbortHandle)>,
    /// The main session, those beside it, and those that have been replaced and are about to retire.
    sessions: Vec<OpenSession>,
    /// The sessions that local listeners use.
    pool: tokio::sync::watch::Sender<Option<Pool>>,
    /// How to tell each retired session that there are too many.
    retired: Vec<(SessionId, CancellationToken)>,
    /// When they end at the latest, because the tunnel is to stop.
    drain_by: tokio::sync::watch::Sender<Option<Instant>>,
    forwards: Vec<RunningForward>,
    marks: Marks,
    server_watch: Option<OwnedJob>,
    file_watch: Option<OwnedJob>,
    on_change: OnChange,
    /// Notified when a user's connection showed something.
    traffic: Arc<Notify>,
    /// What came with the event that is being handled.
    arrived: Option<Arrived>,
    /// Events that follow at once from effects.
    following: VecDeque<TunnelEvent>,
    /// Pauses of the process that the core knows of.
    paused: Duration,
}

/// What a job brought, for an effect to take.
enum Arrived {
    Session(SessionId, Opened),
    Listener(ForwardId, Bound),
    Link(Endpoint, Link),
}

pub(super) enum JobEnd {
    Quietly,
    With(TunnelEvent),
    LoggedIn(SessionId, Opened, Option<FileStamps>),
    Bound(ForwardId, Bound),
    ListenerChanged(ForwardId, StateChanges),
    DeviceChanged(ForwardId, DeviceChanges),
    Marked(SessionId, Channel),
    ServerBack(Destination, Endpoint, Option<Link>),
    ServerThere(Destination),
    FilesChanged(SessionId, FileStamps),
    Retired(SessionId),
}

impl TunnelDriver {
    pub(super) fn new(
        spec: TunnelSpec,
        context: Context,
        messages: mpsc::Receiver<Message>,
    ) -> (Self, tokio::sync::watch::Receiver<TunnelView>) {
        let (name, marks) = (spec.name.clone(), Marks::new(mark(&spec)));
        let core = Core::new(spec, context.stop_timeout, context.seed, Moment::now());
        let start = (context.governor.clone(), context.place.clone());
        let gauges = Gauges { session: None, forwards: Vec::new(), start };
        let (view, watcher) = tokio::sync::watch::channel(TunnelView::new(core.snapshot().clone(), gauges));
        let mut driver = Self {
            core,
            name,
            context,
            messages,
            view,
            alarm: Alarm::default(),
            jobs: Jobs::default(),
            logins: Vec::new(),
            sessions: Vec::new(),
            pool: tokio::sync::watch::Sender::new(None),
            retired: Vec::new(),
            drain_by: tokio::sync::watch::Sender::new(None),
            forwards: Vec::new(),
            marks,
            server_watch: None,
            file_watch: None,
            on_change: OnChange::default(),
            traffic: Arc::default(),
            arrived: None,
            following: VecDeque::new(),
            paused: clock::paused(),
        };
        driver.execute_all();
        driver.view.send_replace(driver.current_view());
        (driver, watcher)
    }

    pub(super) async fn run(mut self) {
        while !(self.core.is_over() && self.jobs.is_empty()) {
            if let Some(event) = self.next().await {
                self.tell(event);
            }
        }
    }

    /// Waits for whatever comes first. Cancel-safe in every arm.
    async fn next(&mut self) -> Option<TunnelEvent> {
        let deadline = self.core.poll_timeout();
        tokio::select! {
            biased;
            message = self.messages.recv(), if !self.core.is_ending() => self.received(message),
            event = sessions::next_event(&mut self.sessions) => Some(event),
            Some(job) = self.jobs.join_next() => self.job_ended(job),
            () = self.traffic.notified() => Some(TunnelEvent::Observed(self.observed())),
            () = self.alarm.wait(deadline) => Some(TunnelEvent::Due(self.observed())),
        }
    }

    /// Tells the core of an event and of all that follows from it at once, and the readers of what came of it.
    fn tell(&mut self, event: TunnelEvent) {
        let paused = clock::paused();
        let pause = paused.saturating_sub(std::mem::replace(&mut self.paused, paused));
        self.tell_after(pause, event);
    }

    fn tell_after(&mut self, pause: Duration, event: TunnelEvent) {
        if pause > Duration::ZERO {
            // What has arrived belongs to the event.
            let arrived = self.arrived.take();
            self.handle(TunnelEvent::DidNotRun(pause));
            self.arrived = arrived;
        }
        self.handle(event);
        self.handle_following();
        if self.core.poll_timeout().is_some_and(|at| at <= clock::now()) {
            self.handle(TunnelEvent::Due(self.observed()));
            self.handle_following();
        }
        self.publish();
    }

    fn handle_following(&mut self) {
        while let Some(event) = self.following.pop_front() {
            self.handle(event);
        }
        // Hundreds of idle tunnels keep no room for what followed from their start.
        self.following = VecDeque::new();
    }

    /// The one place that reads the clock for the core: once an event.
    fn handle(&mut self, event: TunnelEvent) {
        let ended = if let TunnelEvent::SessionEnded(session, _) = &event { Some(*session) } else { None };
        self.core.handle(event, Moment::now());
        self.execute_all();
        self.arrived = None;
        if let Some(session) = ended {
            drop(self.take_session(session));
        }
    }

    fn execute_all(&mut self) {
        while let Some(effect) = self.core.poll_effect() {
            self.execute(effect);
        }
    }

    fn received(&self, message: Option<Message>) -> Option<TunnelEvent> {
        match message {
            Some(Message::Order(order)) => return Some(TunnelEvent::Order(order)),
            // The supervisor has gone.
            None => return Some(TunnelEvent::Order(Order::End)),
            Some(Message::Turn(reply)) => self.check_loop(reply),
            // The asker may have gone.
            Some(Message::Answer(reply)) => drop(reply.send(())),
        }
        None
    }

    /// This loop turns, or it would not be here; the main session answers for its own.
    fn check_loop(&self, mut reply: oneshot::Sender<()>) {
        let session = self.core.main_session().and_then(|id| self.session(id)).map(|live| live.session.clone());
        task::detached(async move {
            let turn = async {
                if let Some(session) = session {
                    session.check_loop().await;
                }
            };
            tokio::select! {
                () = turn => {}
                // The answer is not waited for any more: the watchdog's next round asks anew.
                () = reply.closed() => return,
            }
            // The asker may have gone.
            let _ = reply.send(());
        });
    }

    fn job_ended(&mut self, job: Result<(Id, JobEnd), JoinError>) -> Option<TunnelEvent> {
        let ended = match job {
            Ok((_, ended)) => ended,
            Err(error) => {
                if error.is_panic() {
                    tracing::error!(tunnel = self.name, "{}: a job of this tunnel panicked", self.name);
                }
                let login = self.logins.iter().position(|(_, job)| job.id() == error.id())?;
                let (session, _) = self.logins.swap_remove(login);
                let failure = Failure::new(FailureKind::Protocol, "the start broke off inside tunneld");
                let failure = LoginFailure { failure, asked: None };
                return Some(TunnelEvent::LoginFailed { session, failure, files: None });
            }
        };
        self.logins.retain(|(_, job)| !job.is_finished());
        Some(match ended {
            JobEnd::Quietly => return None,
            JobEnd::With(event) => event,
            JobEnd::LoggedIn(session, opened, files) => {
                let info = Arc::new(opened.session.info().clone());
                self.arrived = Some(Arrived::Session(session, opened));
                TunnelEvent::LoggedIn { session, info, files }
            }
            JobEnd::Bound(forward, bound) => {
                self.arrived = Some(Arrived::Listener(forward, bound));
                TunnelEvent::Bound(forward, Ok(()))
            }
            JobEnd::ListenerChanged(forward, changes) => return self.listener_changed(forward, changes),
            JobEnd::DeviceChanged(forward, changes) => return self.device_changed(forward, changes),
            JobEnd::Marked(session, shell) => {
                if self.session(session).is_some() {
                    self.marks.hold(session, shell);
                }
                TunnelEvent::Marked(session, Ok(()))
            }
            JobEnd::ServerBack(host, endpoint, link) => {
                self.server_watch = None;
                self.arrived = link.map(|link| Arrived::Link(endpoint, link));
                TunnelEvent::ServerBack(host)
            }
            JobEnd::ServerThere(host) => {
                self.server_watch = None;
                TunnelEvent::ServerThere(host)
            }
            JobEnd::FilesChanged(session, look) => {
                self.file_watch = None;
                TunnelEvent::FilesChanged(session, look)
            }
            JobEnd::Retired(session) => {
                self.retired.retain(|(retired, _)| *retired != session);
                TunnelEvent::RetiredEnded(session)
            }
        })
    }

    fn observed(&self) -> Vec<Observed> {
        self.forwards.iter().map(RunningForward::observed).collect()
    }

    /// Publishes how the tunnel is, when that is something else than before.
    fn publish(&self) {
        let snapshot = self.core.snapshot();
        let changed = self.view.send_if_modified(|view| {
            let changed = !view.is_of(snapshot);
            if changed {
                *view = self.current_view();
            }
            changed
        });
        if changed {
            tracing::trace!(tunnel = self.name, "view published");
            self.context.changed.notify_one();
        }
    }

    fn current_view(&self) -> TunnelView {
        let snapshot = self.core.snapshot().clone();
        let main = snapshot.session.as_ref().and_then(|main| self.session(main.id));
        let session = main.map(|live| live.session.clone());
        let forwards = self.forwards.iter().map(|forward| (forward.id, forward.stats.clone())).collect();
        let start = (self.context.governor.clone(), self.context.place.clone());
        TunnelView::new(snapshot, Gauges { session, forwards, start })
    }
}

#[cfg(test)]
mod tests;
