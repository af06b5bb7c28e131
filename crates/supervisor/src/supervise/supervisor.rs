//! The loop: one event at a time.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::{Notify as Bell, mpsc, watch};
use tokio::task::JoinSet;
use tunnel_engine::alarm::Alarm;
use tunnel_engine::clock;
use tunnel_engine::log_limit::LogLimiter;

use super::liveness::Round;
use super::reloads::{LoadedConfig, ReloadOrigin};
use super::status_line::{TunnelSummary, problem, state_of, status_line};
use super::tunnels::Tunnels;
use super::waits::WaitRequest;
use super::{Applied, Loader, OnSignal, ProcessRole, Setup, SignalAction};
use crate::config::{Desired, Global};
use crate::history::{self, EventName, Moment, Recorder, SAMPLE_EVERY};
use crate::lifecycle::{Phase, Want};
use crate::os::{KeptListeners, NetworkChange, Notify, PidfileError, RecentLines, Signal};
use crate::protocol::Command;
use crate::tunnel::{Order, OrderSender, TunnelView};

/// How long READY waits for listeners: a listen address may be a name whose lookup hangs.
const LISTENERS_WITHIN: Duration = Duration::from_secs(5);

/// Status lines for the service manager at most this often: two hundred tunnels that come up make one line.
const STATUS_EVERY: Duration = Duration::from_secs(1);

/// Of each change of the network, and of each set of tunnels whose loops do not turn, a few lines in this time.
const LOG_INTERVAL: Duration = Duration::from_secs(600);
const LOG_BURST: u32 = 10;

/// Owns the tunnels, and decides one event after the other.
pub struct Supervisor {
    role: ProcessRole,
    pub(super) desired: Desired,
    /// What takes effect at a start of the daemon only is still as there.
    pub(super) started_with: Global,
    pub(super) generation: u64,
    pub(super) started_at: SystemTime,
    pub(super) tunnels: Tunnels,
    pub(super) history: Recorder,
    pub(super) waits: Vec<WaitRequest>,
    pub(super) notify: Notify,
    pub(super) recent: RecentLines,
    listeners: Arc<KeptListeners>,
    /// Every forward has had its chance to take what an earlier process left.
    settled: bool,
    pub(super) load: Loader,
    applied: Applied,
    /// Why this stops, where no signal said so.
    failed: Option<PidfileError>,
    /// The first is being loaded.
    pub(super) reloads: VecDeque<ReloadOrigin>,
    /// Loads, and answers that wait for tunnels to take their orders.
    pub(super) jobs: JoinSet<Option<LoadedConfig>>,
    /// Rung by tunnels whose view changed.
    changed: Arc<Bell>,
    commands: mpsc::Receiver<Command>,
    signals: mpsc::Receiver<Signal>,
    on_signal: OnSignal,
    network: mpsc::Receiver<NetworkChange>,
    alarm: Alarm,
    /// When the counters of the tunnels are read the next time, if at all.
    sample_at: Option<Instant>,
    log: LogLimiter,
    ready: Ready,
    status: StatusLine,
    watchdog: Option<SupervisorWatchdog>,
    stopping: bool,
    /// A second stop signal came: leave without waiting.
    drain_at_once: bool,
}

enum Ready {
    /// Not said yet; at that time in any case.
    Pending(Option<Instant>),
    Said,
}

struct StatusLine {
    said: String,
    not_before: Instant,
    due: bool,
}

struct SupervisorWatchdog {
    every: Duration,
    next: Instant,
    round: Round,
    /// For how long this process had not run when the round began.
    paused: Duration,
}

enum SupervisorEvent {
    Command(Command),
    Signal(Signal),
    Network(NetworkChange),
    Changed,
    Job(Option<LoadedConfig>),
    /// A tunnel that was ended has gone.
    Left(String),
    Due,
}

impl Supervisor {
    /// With its tunnels, which start. To be called in a runtime.
    pub fn new(setup: Setup) -> Self {
        let Setup {
            role,
            desired,
            load,
            commands,
            signals,
            on_signal,
            network,
            notify,
            listeners,
            dialer,
            history,
            seed,
            recent,
            applied,
            observer,
        } = setup;
        let now = clock::now();
        let changed = Arc::new(Bell::new());
        let mut tunnels = Tunnels::new(
            dialer,
            listeners.clone(),
            desired.global.stop_timeout,
            seed,
            changed.clone(),
            history.clone(),
            observer,
        );
        let enabled = desired.tunnels.iter().filter(|spec| spec.enabled).map(|spec| spec.name.as_str());
        history.only(enabled, Moment::now());
        let count = match desired.tunnels.len() {
            1 => "1 tunnel".to_owned(),
            many => format!("{many} tunnels"),
        };
        let started = format!("tunneld {} runs {count}", env!("CARGO_PKG_VERSION"));
        history.push(history::Event::of_daemon(EventName::Started, &started, clock::wall()));
        for spec in &desired.tunnels {
            tunnels.add(spec.clone());
        }
        let watchdog = notify.watchdog_interval().map(|every| SupervisorWatchdog {
            every,
            next: now,
            round: Round::default(),
            paused: clock::paused(),
        });
        let daemon = role == ProcessRole::Daemon;
        Self {
            role,
            started_with: desired.global.clone(),
            desired,
            generation: 1,
            started_at: clock::wall(),
            tunnels,
            history,
            waits: Vec::new(),
            notify,
            recent,
            listeners,
            settled: false,
            load,
            applied,
            failed: None,
            reloads: VecDeque::new(),
            jobs: JoinSet::new(),
            changed,
            commands,
            signals,
            on_signal,
            network,
            alarm: Alarm::default(),
            sample_at: daemon.then_some(now),
            log: LogLimiter::with_burst(LOG_INTERVAL, LOG_BURST),
            ready: Ready::Pending(daemon.then_some(now + LISTENERS_WITHIN)),
            status: StatusLine { said: String::new(), not_before: now, due: true },
            watchdog,
            stopping: false,
            drain_at_once: false,
        }
    }

    /// A tunnel's view, and the way for orders to it: for tasks beside this one.
    pub fn tunnel(&self, name: &str) -> Option<(watch::Receiver<TunnelView>, OrderSender)> {
        self.tunnels.access(name)
    }

    /// Until its end, as the role has it.
    ///
    /// # Errors
    /// The pidfile cannot be written: the tunnels were ended for that.
    pub async fn run(mut self) -> Result<(), PidfileError> {
        // So that no status shows a tunnel before it has its order to start.
        self.tunnels.all_taken().wait().await;
        while !(self.stopping && (self.drain_at_once || self.tunnels.all_gone())) {
            self.look_around();
            let event = self.next().await;
            self.handle(event);
        }
        self.failed.map_or(Ok(()), Err)
    }

    /// What is desired is applied now.
    pub(super) fn record_applied(&mut self) {
        if let Err(error) = (self.applied)(&self.desired) {
            tracing::error!(%error, "tunneld ends");
            self.failed.get_or_insert(error);
            if !self.stopping {
                self.stop();
            }
        }
    }

    async fn next(&mut self) -> SupervisorEvent {
        let deadline = self.deadline();
        tokio::select! {
            biased;
            Some(signal) = self.signals.recv() => SupervisorEvent::Signal(signal),
            Some(change) = self.network.recv() => SupervisorEvent::Network(change),
            Some(command) = self.commands.recv() => SupervisorEvent::Command(command),
            Some(job) = self.jobs.join_next() => SupervisorEvent::Job(job.unwrap_or_default()),
            name = self.tunnels.one_left() => SupervisorEvent::Left(name),
            () = self.changed.notified() => SupervisorEvent::Changed,
            () = self.alarm.wait(deadline) => SupervisorEvent::Due,
        }
    }

    fn handle(&mut self, event: SupervisorEvent) {
        match event {
            SupervisorEvent::Command(command) => self.answer(command),
            SupervisorEvent::Signal(signal) => self.signal(signal),
            SupervisorEvent::Network(change) => {
                self.record_event(EventName::Network, change.what);
                if let Some(suppressed) = self.log.admit(change.what, clock::now()) {
                    let suppressed = (suppressed > 0).then_some(suppressed);
                    tracing::info!(
                        change = change.what,
                        suppressed,
                        "the network changed: every session is asked, every wait ended"
                    );
                }
                self.tunnels.network_changed();
            }
            SupervisorEvent::Changed => self.status.due = true,
            SupervisorEvent::Job(Some(loaded)) => self.loaded(loaded),
            // Its last words go too, unless a later reload has brought another of its name.
            SupervisorEvent::Left(name) if self.tunnels.view(&name).is_none() => self.recent.forget(&name),
            SupervisorEvent::Job(None) | SupervisorEvent::Left(_) | SupervisorEvent::Due => {}
        }
    }

    /// What follows from how things are now, whatever it was that happened.
    fn look_around(&mut self) {
        let now = clock::now();
        self.end_with_tunnels();
        self.feed_watchdog(now);
        self.sample(now);
        self.drop_unwanted_listeners();
        self.notify_ready(now);
        self.notify_status(now);
        self.end_waits(now);
    }

    fn deadline(&self) -> Option<Instant> {
        let ready = match self.ready {
            Ready::Pending(until) => until,
            Ready::Said => None,
        };
        let status = self.status.due.then_some(self.status.not_before);
        let watchdog = self.watchdog.as_ref().map(|watchdog| watchdog.next);
        let waits = self.waits.iter().map(|waiting| waiting.until).min();
        [ready, status, watchdog, waits, self.sample_at].into_iter().flatten().min()
    }

    /// One timer for all tunnels: a reading of a counter costs nanoseconds, and no byte waits for it.
    fn sample(&mut self, now: Instant) {
        if self.sample_at.is_some_and(|at| at <= now) {
            self.tunnels.sample(Moment { awake: now, wall: clock::wall() });
            self.sample_at = Some(now + SAMPLE_EVERY);
        }
    }

    fn signal(&mut self, signal: Signal) {
        match (self.on_signal)(signal) {
            SignalAction::Stop => {
                self.record_event(EventName::Stopping, signal.as_str());
                self.stop();
            }
            SignalAction::Reload => self.reload(ReloadOrigin::Signal),
            SignalAction::RetryNow => {
                self.record_event(EventName::Order, &format!("retry now: asked for by {}", signal.as_str()));
                self.tunnels.retry_now();
            }
            SignalAction::Restart => self.tunnels.order_all(|| Order::Restart),
            SignalAction::LogStatus => self.log_status(),
            SignalAction::Nothing => {}
        }
    }

    /// A command whose tunnels have all given up has nothing left to do.
    fn end_with_tunnels(&mut self) {
        let failed = |view: TunnelView| view.phase == Phase::Failed;
        if self.role == ProcessRole::Command && !self.stopping && self.tunnels.views().all(failed) {
            self.stop();
        }
    }

    fn stop(&mut self) {
        self.drain_at_once = self.stopping;
        if !self.stopping {
            self.stopping = true;
            self.notify.stopping(self.tunnels.stop_within());
            self.listeners.leave();
            self.waits.clear();
            self.tunnels.end_all();
        }
    }

    pub(super) const fn is_stopping(&self) -> bool {
        self.stopping
    }

    fn log_status(&self) {
        for tunnel in self.tunnels.views().map(|view| view.status(clock::now())) {
            let (name, server) = (tunnel.name.as_str(), tunnel.server.as_str());
            let (want, phase, since) = (tunnel.want.as_str(), tunnel.phase.as_str(), tunnel.since.as_str());
            let (ready, starts, active) =
                (tunnel.ready, tunnel.starts, tunnel.forwards.iter().map(|f| f.active).sum::<u64>());
            let text = if ready || tunnel.want != Want::Up {
                "status".to_owned()
            } else {
                format!("status: {}", problem(&tunnel))
            };
            tracing::info!(tunnel = name, server, want, phase, ready, since, starts, active, "{text}");
        }
    }

    fn drop_unwanted_listeners(&mut self) {
        if !self.settled && self.tunnels.listeners_tried() {
            self.settled = true;
            self.listeners.drop_unwanted();
        }
    }

    fn notify_ready(&mut self, now: Instant) {
        let Ready::Pending(until) = self.ready else { return };
        let ready = match self.role {
            ProcessRole::Daemon => self.tunnels.listeners_tried(),
            ProcessRole::Command => self.tunnels.views().all(|view| view.ready),
        };
        if ready || until.is_some_and(|until| until <= now) {
            self.ready = Ready::Said;
            self.record_applied();
            if !self.stopping {
                self.notify.ready();
            }
        }
    }

    fn notify_status(&mut self, now: Instant) {
        if !self.status.due || now < self.status.not_before {
            return;
        }
        let mut views = self.tunnels.views();
        let line = match self.role {
            _ if self.stopping => "stopping".to_owned(),
            ProcessRole::Command => views.next().map(|view| state_of(&view)).unwrap_or_default(),
            ProcessRole::Daemon => {
                // Both are in the order of the config.
                let tunnels =
                    views.zip(&self.desired.tunnels).map(|(view, spec)| TunnelSummary::of(&view, spec.enabled));
                status_line(tunnels, |at| self.tunnels.statuses(&[at], now).pop())
            }
        };
        if line != self.status.said {
            self.notify.status(&line);
        }
        self.status = StatusLine { said: line, not_before: now + STATUS_EVERY, due: false };
    }

    /// Feeds the watchdog of the service manager when every tunnel answered the questions of the last round.
    fn feed_watchdog(&mut self, now: Instant) {
        let Some(watchdog) = self.watchdog.as_mut().filter(|watchdog| watchdog.next <= now) else { return };
        let silent = std::mem::take(&mut watchdog.round).silent();
        // A round in which this process did not run is none: nothing could answer.
        let paused = clock::paused();
        let silent = if std::mem::replace(&mut watchdog.paused, paused) == paused { silent } else { Vec::new() };
        watchdog.next = now + watchdog.every;
        watchdog.round = self.tunnels.question();
        if silent.is_empty() {
            self.notify.watchdog();
        } else if let Some(suppressed) = self.log.admit(&silent, now) {
            tracing::error!(
                tunnels = silent.join(" "),
                suppressed,
                "the loops of these tunnels do not turn: the watchdog is not fed"
            );
        }
    }
}
