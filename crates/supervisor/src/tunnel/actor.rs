//! The loop: one event at a time, then what the machine wants done, then a fresh view.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::task::{Id, JoinError};
use tokio_util::sync::CancellationToken;
use tunnel_engine::alarm::Alarm;
use tunnel_engine::failure::{Failure, FailureKind};
use tunnel_engine::forward::{DeviceChanges, StateChanges};
use tunnel_engine::log_limit::LogLimiter;
use tunnel_engine::spec::Destination;
use tunnel_engine::{clock, task};

use super::devices::Devices;
use super::failure_counts::FailureCounts;
use super::file_stamps::{FileStamps, LoginFiles};
use super::handle::Context;
use super::jobs::Jobs;
use super::locals::{BoundJob, Locals};
use super::observer::Occurrence;
use super::on_change::OnChange;
use super::orders::Order;
use super::outage::Readiness;
use super::probes::Probed;
use super::reachability::{ReachabilityWatch, ServerBack};
use super::recording::Recorded;
use super::remotes::{Remotes, Requested};
use super::report;
use super::sessions::{
    self, Dialed, Extras, HandedOver, HostRecords, HostSequence, LiveSession, LoginAttempt, LoginId, Pool, Replacement,
    SessionEvent, SessionWatch,
};
use super::state::ready;
use super::takeover::{Marked, Takeover};
use super::view::{FailureView, SessionView, TunnelView};
use crate::config::TunnelSpec;
use crate::history::Cause;
use crate::lifecycle::{Effect, Input, Machine, Phase};

pub(super) struct Actor {
    pub(super) spec: TunnelSpec,
    pub(super) context: Context,
    pub(super) machine: Machine,
    /// Everything that takes time.
    pub(super) jobs: Jobs,
    pub(super) locals: Locals,
    pub(super) devices: Devices,
    pub(super) remotes: Remotes,
    /// The sessions that local listeners use.
    pub(super) current: watch::Sender<Option<Pool>>,
    pub(super) attempt: Option<LoginAttempt>,
    pub(super) live: Option<LiveSession>,
    pub(super) replacement: Option<Replacement>,
    /// The sessions beside the living one.
    pub(super) extras: Extras,
    /// Sessions that only finish what they carry, and how to tell each that there are too many.
    pub(super) retired: VecDeque<(u64, CancellationToken)>,
    /// When they end at the latest, because the tunnel is to stop.
    pub(super) drain_deadline: watch::Sender<Option<Instant>>,
    /// Closed sessions whose remote listeners may not be free yet.
    pub(super) ports_held: u32,
    /// The host in use, or tried last.
    pub(super) server: Destination,
    pub(super) hosts: HostRecords,
    /// The hosts that are left for the start of this number.
    pub(super) row: Option<(u64, HostSequence)>,
    /// Counts logins.
    pub(super) dials: u64,
    /// Counts sessions, replacements included: a late word from an old one is told by it.
    pub(super) serial: u64,
    pub(super) last_up: Option<Instant>,
    pub(super) last_failure: Option<FailureView>,
    pub(super) failures: Arc<FailureCounts>,
    pub(super) failures_logged: LogLimiter,
    pub(super) kinds_logged: LogLimiter,
    /// What can change to and fro: readiness, doubts, forwards.
    pub(super) changes_logged: LogLimiter,
    pub(super) readiness: Readiness,
    /// What the history knows.
    pub(super) recorded: Recorded,
    pub(super) on_change: OnChange,
    /// Why the next change happens, where that is known.
    pub(super) cause: Option<Cause>,
    pub(super) files: LoginFiles,
    pub(super) absence: ReachabilityWatch,
    /// The session on which local forwards are proven.
    pub(super) probed: Option<u64>,
    pub(super) takeover: Takeover,
    /// Spreads probes.
    pub(super) random: fastrand::Rng,
    /// Rung when a user's connection showed something.
    traffic_notify: Arc<Notify>,
    alarm: Alarm,
    phase: (Phase, SystemTime),
    pub(super) ending: bool,
    /// Pauses of the process that the machine knows of.
    paused: Duration,
    orders: mpsc::Receiver<Order>,
    view: watch::Sender<TunnelView>,
}

/// What the loop wakes up for.
pub(super) enum TunnelEvent {
    /// The supervisor wants something.
    Order(Order),
    /// The supervisor has gone.
    Orphaned,
    /// A deadline has come.
    Due,
    /// A login succeeded or failed.
    Dialed { login: LoginId, dialed: Dialed },
    /// The server, which was away, can be reached again.
    ServerBack(ServerBack),
    /// The server, which might have been away, is there.
    ServerThere { host: Destination },
    /// A session said something of itself. `watch`: to be listened with again.
    News { serial: u64, event: SessionEvent, watch: Option<SessionWatch> },
    /// The server answered the first question on a session.
    SessionProven { serial: u64 },
    /// A session that we closed is closed.
    Closed { epoch: u64 },
    /// A session that we close has given its remote ports back.
    PortsReleased,
    /// An earlier session has been wound down, or a listener been closed: nothing follows.
    Done,
    /// A local listener is bound, or not.
    Bound(BoundJob),
    /// The server answered a request to listen.
    Requested(Requested),
    /// The remote listeners of the session before this one have been taken back.
    HandedOver { serial: u64, old: Box<HandedOver> },
    /// A session that had been replaced has ended.
    Gone { serial: u64 },
    /// A listener opened, closed or failed by itself.
    ListenerChanged { id: u64, changes: StateChanges },
    /// A tunnel device does.
    DeviceChanged { id: u64, changes: DeviceChanges },
    /// The living session has its mark, or not.
    Marked(Marked),
    /// A probe came to an end.
    Probed(Probed),
    /// A user's connection was refused by its target, or is taken again.
    Witnessed,
    /// The watched files look otherwise than before.
    Looked { epoch: u64, look: FileStamps },
    /// A job ended without an event: it was aborted, or it panicked.
    Broken { job: Id, panicked: bool },
}

impl Actor {
    pub(super) fn new(
        spec: TunnelSpec,
        context: Context,
        orders: mpsc::Receiver<Order>,
    ) -> (Self, watch::Receiver<TunnelView>) {
        let current = watch::Sender::new(None);
        let machine = Machine::new(spec.policy, context.seed, clock::now());
        let traffic_notify = Arc::<Notify>::default();
        let locals = Locals::new(&spec, current.subscribe(), traffic_notify.clone());
        let devices = Devices::new(&spec, current.subscribe());
        let remotes = Remotes::new(&spec, traffic_notify.clone());
        let takeover = Takeover::new(&spec);
        let random = fastrand::Rng::with_seed(context.seed);
        let phase = (machine.phase(), clock::wall());
        let server = spec.session.destination.clone();
        let failures = Arc::<FailureCounts>::default();
        let first = TunnelView {
            name: spec.name.clone(),
            want: machine.want(),
            phase: phase.0,
            ready: false,
            since: phase.1,
            starts: 0,
            starts_total: 0,
            attempts: 0,
            server: spec.session.destination.to_string(),
            session: None,
            last_failure: None,
            failures: failures.clone(),
            next_start: None,
            watched_since: None,
            turn: (context.governor.clone(), context.place.clone()),
            forwards: Vec::new(),
            listeners_tried: false,
        };
        let (view, watcher) = watch::channel(first);
        let mut actor = Self {
            spec,
            context,
            machine,
            jobs: Jobs::default(),
            locals,
            devices,
            remotes,
            current,
            attempt: None,
            live: None,
            replacement: None,
            extras: Extras::default(),
            retired: VecDeque::new(),
            drain_deadline: watch::Sender::new(None),
            ports_held: 0,
            server,
            hosts: HostRecords::default(),
            row: None,
            dials: 0,
            serial: 0,
            last_up: None,
            last_failure: None,
            failures,
            failures_logged: report::limiter(1),
            kinds_logged: report::limiter(report::TEXTS_LOGGED),
            changes_logged: report::limiter(report::CHANGES_LOGGED),
            files: LoginFiles::default(),
            absence: ReachabilityWatch::default(),
            probed: None,
            takeover,
            random,
            traffic_notify,
            alarm: Alarm::default(),
            phase,
            readiness: Readiness::default(),
            recorded: Recorded::default(),
            cause: None,
            on_change: OnChange::default(),
            ending: false,
            paused: clock::paused(),
            orders,
            view,
        };
        actor.publish();
        (actor, watcher)
    }

    pub(super) async fn run(mut self) {
        while !self.is_over() {
            let event = self.next().await;
            self.handle(event);
            self.reconcile();
        }
    }

    /// Waits for whatever comes first. Cancel-safe in every arm.
    async fn next(&mut self) -> TunnelEvent {
        let deadline = self.deadline();
        tokio::select! {
            biased;
            order = self.orders.recv(), if !self.ending => order.map_or(TunnelEvent::Orphaned, TunnelEvent::Order),
            event = sessions::event(self.live.as_mut()) => event,
            Some(job) = self.jobs.join_next() => joined(job),
            () = self.traffic_notify.notified() => TunnelEvent::Witnessed,
            () = self.alarm.wait(deadline) => TunnelEvent::Due,
        }
    }

    fn handle(&mut self, event: TunnelEvent) {
        match event {
            TunnelEvent::Order(order) => self.apply_order(order),
            TunnelEvent::Orphaned => self.end(),
            TunnelEvent::Due => self.due(),
            TunnelEvent::Dialed { login, dialed } => self.dialed(login, dialed),
            TunnelEvent::ServerBack(found) => self.server_back(found),
            TunnelEvent::ServerThere { host } => self.server_there(&host),
            TunnelEvent::News { serial, event, watch } => self.on_session_event(serial, event, watch),
            TunnelEvent::SessionProven { serial } => self.session_proven(serial),
            TunnelEvent::Closed { epoch } => self.closed(epoch),
            TunnelEvent::PortsReleased => self.ports_released(),
            TunnelEvent::Done => {}
            TunnelEvent::Bound(bound) => self.bound(bound),
            TunnelEvent::Requested(requested) => self.requested(requested),
            TunnelEvent::HandedOver { serial, old } => self.handed_over(serial, *old),
            TunnelEvent::Gone { serial } => self.gone(serial),
            TunnelEvent::ListenerChanged { id, changes } => self.listener_changed(id, changes),
            TunnelEvent::DeviceChanged { id, changes } => self.device_changed(id, changes),
            TunnelEvent::Marked(marked) => self.marked(marked),
            TunnelEvent::Probed(probed) => self.probed(probed),
            TunnelEvent::Witnessed => self.traffic_observed(),
            TunnelEvent::Looked { epoch, look } => self.looked(epoch, look),
            TunnelEvent::Broken { job, panicked } => self.broken(job, panicked),
        }
    }

    /// Carries out what the machine wants, until it wants nothing more, and tells.
    fn reconcile(&mut self) {
        while let Some(effect) = self.machine.poll_effect() {
            match effect {
                Effect::Open { epoch } => {
                    self.observe(&Occurrence::Start { count: self.machine.starts(), tries: self.machine.tries() });
                    self.open(epoch);
                }
                Effect::Close { epoch } => self.close(epoch),
            }
        }
        self.reconcile_replacement();
        self.reconcile_extras();
        self.reconcile_reachability();
        self.reconcile_listeners();
        self.reconcile_devices();
        self.reconcile_mark();
        self.reconcile_probes();
        self.watch_files();
        self.publish();
    }

    fn apply_order(&mut self, order: Order) {
        match order {
            Order::Start => {
                // One that starts with the daemon is not an operator's wish.
                if self.machine.phase() != Phase::Stopped {
                    self.context.place.bypass_hold();
                }
                self.feed(Input::Start);
            }
            Order::Stop => {
                self.pardon_targets();
                self.cause = Some(Cause::without_kind("stopped by an operator"));
                self.feed(Input::Stop);
            }
            Order::Restart => {
                self.pardon_targets();
                self.context.place.bypass_hold();
                self.cause = Some(Cause::without_kind("restarted by an operator"));
                self.feed(Input::Restart);
            }
            Order::RetryNow => self.retry_now(),
            Order::NetworkChanged => self.network_changed(),
            Order::ResetFailed => {
                self.last_failure = None;
                self.forget_failures_logged();
                self.feed(Input::ResetFailed);
            }
            Order::GiveUp(failure) => self.give_up_session(*failure, None),
            Order::Apply(steps) => self.apply(steps),
            Order::StopTimeout(timeout) => self.context.stop_timeout = timeout,
            Order::End => self.end(),
            Order::Turn(reply) => self.show_turning(reply),
            Order::Answer(reply) => drop(reply.send(())),
        }
    }

    /// This loop turns, or it would not be here; the session answers for its own.
    fn show_turning(&self, mut reply: oneshot::Sender<()>) {
        let session = self.live.as_ref().map(|live| live.session.clone());
        task::detached(async move {
            let turn = async {
                if let Some(session) = session {
                    session.check_loop().await;
                }
            };
            tokio::select! {
                () = turn => {}
                // Nobody waits for the answer any more: the watchdog's next round asks anew.
                () = reply.closed() => return,
            }
            // Whoever asked may have gone.
            let _ = reply.send(());
        });
    }

    fn end(&mut self) {
        self.ending = true;
        self.cause = Some(Cause::without_kind("tunneld stops, or the tunnel has left the config"));
        self.on_change.end();
        self.feed(Input::Stop);
    }

    fn is_over(&self) -> bool {
        self.ending && self.machine.phase() == Phase::Stopped && self.jobs.is_empty()
    }

    pub(super) fn feed(&mut self, input: Input) {
        self.notice_pause();
        let before = self.machine.phase();
        self.machine.handle(input, clock::now());
        self.observe_input(before, input);
    }

    fn notice_pause(&mut self) {
        let paused = clock::paused();
        self.machine.did_not_run(paused.saturating_sub(self.paused));
        self.paused = paused;
    }

    fn deadline(&mut self) -> Option<Instant> {
        let probes = self.probes_due();
        let machine = self.machine.poll_timeout().map(|(at, _)| at);
        let (replacement, extras) = (self.replacement_due(), self.extras_due());
        [machine, self.remotes.due(), replacement, extras, probes].into_iter().flatten().min()
    }

    fn due(&mut self) {
        let now = clock::now();
        self.notice_pause();
        self.machine.handle_timeout(now);
        self.retry_requests(now);
    }

    fn publish(&mut self) {
        let phase = self.machine.phase();
        if phase != self.phase.0 {
            self.phase = (phase, clock::wall());
            self.log_phase(phase);
        }
        let forwards = self.forward_views();
        let ready =
            ready(phase, self.is_outdated() || self.is_doubtful(), forwards.iter().map(|forward| &forward.state));
        self.log_readiness(ready);
        self.record(ready, &forwards);
        let view = TunnelView {
            name: self.spec.name.clone(),
            want: self.machine.want(),
            phase,
            ready,
            since: self.phase.1,
            starts: self.machine.starts(),
            starts_total: self.machine.epoch(),
            attempts: if phase == Phase::Up { 0 } else { self.machine.attempts() },
            server: self.server.to_string(),
            session: self
                .live
                .as_ref()
                .map(|live| SessionView { session: live.session.clone(), connected_at: live.connected_at }),
            last_failure: self.last_failure.clone(),
            failures: self.failures.clone(),
            next_start: self.machine.next_start(),
            watched_since: self.absence.watched_since(),
            turn: (self.context.governor.clone(), self.context.place.clone()),
            forwards,
            listeners_tried: self.listeners_tried(),
        };
        let changed = self.view.send_if_modified(|published| {
            let changed = *published != view;
            if changed {
                *published = view;
            }
            changed
        });
        if changed {
            tracing::trace!(tunnel = self.spec.name, "view published");
            self.context.changed.notify_one();
        }
    }

    fn broken(&mut self, job: Id, panicked: bool) {
        if panicked {
            tracing::error!(tunnel = self.spec.name, "{}: a job of this tunnel panicked", self.spec.name);
        }
        if let Some(login) = self.ticket_of(job) {
            let failure = Failure::new(FailureKind::Protocol, "the start broke off inside tunneld");
            self.dialed(login, Dialed { result: Err(failure), before: None });
        }
    }
}

/// What a job came back with.
fn joined(job: Result<(Id, TunnelEvent), JoinError>) -> TunnelEvent {
    match job {
        Ok((_, event)) => event,
        Err(error) => TunnelEvent::Broken { job: error.id(), panicked: error.is_panic() },
    }
}
