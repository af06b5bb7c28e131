//! One tunnel at work, as autossh would run it: its machine decides, this hears signals, watches with the monitor, and
//! says with which code to end.

mod network;
mod watchdog;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};
use tokio_util::task::AbortOnDropHandle;
use tunnel_engine::alarm::Alarm;
use tunnel_engine::dial::NetDialer;
use tunnel_engine::failure::{Failure, FailureKind};
use tunnel_engine::{clock, task};

use super::log::{Log, phase_log, phrases};
use super::monitor::Monitor;
use crate::config::TunnelSpec;
use crate::history::Recorder;
use crate::lifecycle::Phase;
use crate::os::{KeptListeners, Notify, Signal};
use crate::servers::governor::{Governor, QueueEntry};
use crate::servers::reachability::Reachability;
use crate::tunnel::{self, CommandSlots, Context, Handle, OpenedLink, Order, TunnelView};
use network::Network;
use watchdog::RunWatchdog;

/// autossh's exit codes: there are no others.
pub(super) const DONE: u8 = 0;
/// Everything else.
pub(super) const FAILED: u8 = 1;

/// How long the goodbye may take: cancelling the remote forwards, and SSH's own last word.
const GOODBYE: Duration = Duration::from_secs(4);

pub(super) struct RunSetup {
    pub(super) spec: TunnelSpec,
    pub(super) max_start: Option<u32>,
    pub(super) poll: Duration,
    pub(super) first_poll: Duration,
    pub(super) monitor: Option<Monitor>,
    /// A changed network ends every wait; autossh sleeps on.
    pub(super) hears_network: bool,
    pub(super) log: Arc<Log>,
    pub(super) notify: Notify,
    pub(super) signals: mpsc::Receiver<Signal>,
}

/// Until a signal, or one of autossh's rules, ends it.
pub(super) async fn run(setup: RunSetup) -> u8 {
    let RunSetup { spec, max_start, poll, first_poll, monitor, hears_network, log, notify, signals } = setup;
    let (changed, changes) = watch::channel(0);
    let network = hears_network.then(|| Network::listen(changed));
    let dialer = Arc::new(NetDialer::new());
    let governor = Governor::default();
    let context = Context {
        reachability: Reachability::new(dialer.clone(), governor.clone()),
        ready_link: OpenedLink::default(),
        dialer,
        listeners: Arc::new(KeptListeners::none()),
        paths: tunnel_engine::forward::PathWatcher::default(),
        governor,
        place: QueueEntry::default(),
        network: changes,
        // ssh's connections end with it.
        stop_timeout: Duration::ZERO,
        changed: Arc::default(),
        commands: CommandSlots::default(),
        history: Recorder::default(),
        seed: fastrand::u64(..),
        observer: Some(phase_log::observer(log.clone(), max_start)),
    };
    let handle = tunnel::spawn(spec, context);
    let watchdog = notify.watchdog_interval().map(|every| RunWatchdog::new(every, clock::now()));
    let runner = Runner {
        view: handle.watch(),
        handle,
        monitor: monitor.map(Arc::new),
        poll,
        first_poll,
        log,
        notify,
        signals,
        network,
        alarm: Alarm::default(),
        starts: 0,
        next_test: None,
        test: None,
        ready: false,
        watchdog,
        beats: None,
    };
    runner.order(Order::Start);
    runner.run().await
}

struct Runner {
    handle: Handle,
    view: watch::Receiver<TunnelView>,
    monitor: Option<Arc<Monitor>>,
    poll: Duration,
    first_poll: Duration,
    log: Arc<Log>,
    notify: Notify,
    signals: mpsc::Receiver<Signal>,
    network: Option<Network>,
    alarm: Alarm,
    /// The start that the next test is about.
    starts: u64,
    next_test: Option<Instant>,
    test: Option<AbortOnDropHandle<bool>>,
    /// READY=1 was said.
    ready: bool,
    watchdog: Option<RunWatchdog>,
    /// While there is one, pauses of this process are noticed.
    beats: Option<AbortOnDropHandle<()>>,
}

enum RunEvent {
    Signal(Signal),
    Network,
    Changed,
    Tested(bool),
    Turned,
    Due,
}

impl Runner {
    async fn run(mut self) -> u8 {
        loop {
            self.reconcile_watchdog();
            let event = self.next().await;
            let over = match event {
                RunEvent::Signal(signal) => self.signal(signal),
                RunEvent::Network => {
                    self.order(Order::NetworkChanged);
                    None
                }
                RunEvent::Changed => self.changed(),
                RunEvent::Tested(passed) => {
                    self.tested(passed);
                    None
                }
                RunEvent::Turned => {
                    self.notify.watchdog();
                    None
                }
                RunEvent::Due => {
                    self.due();
                    None
                }
            };
            if let Some(code) = over {
                self.end().await;
                return code;
            }
        }
    }

    async fn next(&mut self) -> RunEvent {
        let watchdog = self.watchdog.as_ref().map(RunWatchdog::next);
        let deadline = [self.next_test, watchdog].into_iter().flatten().min();
        tokio::select! {
            biased;
            Some(signal) = self.signals.recv() => RunEvent::Signal(signal),
            () = Network::heard(self.network.as_mut()) => RunEvent::Network,
            Ok(()) = self.view.changed() => RunEvent::Changed,
            passed = tested(&mut self.test) => RunEvent::Tested(passed),
            () = RunWatchdog::turned(self.watchdog.as_mut()) => RunEvent::Turned,
            () = self.alarm.wait(deadline) => RunEvent::Due,
        }
    }

    fn signal(&mut self, signal: Signal) -> Option<u8> {
        match signal {
            Signal::Term | Signal::Int => {
                match self.phase() {
                    Phase::Connecting | Phase::Up | Phase::Stopping => self.log.info(&phrases::signal(signal.number())),
                    Phase::Stopped | Phase::Backoff | Phase::Blocked | Phase::Failed => {
                        self.log.error(phrases::SIGNALLED);
                    }
                }
                return Some(FAILED);
            }
            Signal::Usr1 => {
                self.log.info(phrases::RESTART);
                self.order(Order::Restart);
            }
            // "Prod to retry", says autossh's manual; its program dies of it in the middle of a wait.
            Signal::Hup => self.order(Order::RetryNow),
            Signal::Usr2 => {}
        }
        None
    }

    fn changed(&mut self) -> Option<u8> {
        let view = self.view.borrow_and_update().clone();
        if view.starts != self.starts {
            self.starts = view.starts;
            self.test = None;
            self.next_test = self.monitor.as_ref().map(|_| clock::now() + self.first_poll);
        }
        if view.ready && !self.ready {
            self.ready = true;
            self.notify.ready();
        }
        self.notify.status(&format!("{}: {}", view.server, if view.ready { "ready" } else { view.phase.as_str() }));
        if view.phase != Phase::Failed {
            return None;
        }
        match view.last_failure.as_ref().map(|last| last.failure.kind()) {
            Some(FailureKind::MaxStart) => Some(DONE),
            Some(FailureKind::MaxLifetime) => {
                self.log.info(phrases::LIFETIME);
                Some(DONE)
            }
            _ => Some(FAILED),
        }
    }

    fn due(&mut self) {
        let now = clock::now();
        if self.next_test.is_some_and(|at| at <= now) {
            self.next_test = None;
            match &self.monitor {
                Some(monitor) if self.phase() == Phase::Up && monitor.is_cut(&self.view.borrow().forwards) => {
                    self.log.info(phrases::NO_LOOP);
                    self.next_test = Some(now + self.poll);
                }
                // A start that takes so long has a limit of its own.
                Some(monitor) if self.phase() == Phase::Up => {
                    let monitor = monitor.clone();
                    self.test = Some(task::owned(async move { monitor.test().await }));
                }
                Some(_) => self.next_test = Some(now + self.poll),
                None => {}
            }
        }
        if let Some(watchdog) = &mut self.watchdog {
            watchdog.due(&self.handle, now);
        }
    }

    fn tested(&mut self, passed: bool) {
        self.test = None;
        self.next_test = Some(clock::now() + self.poll);
        if !passed && self.phase() == Phase::Up {
            self.log.info(phrases::PORT_DOWN);
            let failure = Failure::new(FailureKind::ProbeFailed, "the monitor's line did not come back");
            let hint = "look at what holds the monitor port on the server; `-M 0` with ServerAliveInterval needs none";
            self.order(Order::GiveUp(Box::new(failure.with_hint(hint))));
        }
    }

    /// A pause of this process counts in what has a limit of time: logins, proofs, goodbyes. A tunnel at rest, of which
    /// people have hundreds, each a process, does not wake up for that. The network's watcher turns regularly anyway.
    fn reconcile_watchdog(&mut self) {
        let view = self.view.borrow();
        let rests = match view.phase {
            Phase::Connecting | Phase::Stopping => false,
            Phase::Up => view.ready,
            Phase::Stopped | Phase::Backoff | Phase::Blocked | Phase::Failed => true,
        };
        if rests || self.network.is_some() {
            self.beats = None;
        } else if self.beats.is_none() {
            self.beats = Some(task::owned(clock::beats()));
        }
    }

    fn phase(&self) -> Phase {
        self.view.borrow().phase
    }

    fn order(&self, order: Order) {
        if self.handle.order(order).is_err() {
            self.log.error("the tunnel takes no orders");
        }
    }

    async fn end(self) {
        self.notify.stopping();
        self.order(Order::End);
        // Whatever is left is cut with the process.
        let _ = tokio::time::timeout(GOODBYE, self.handle.ended()).await;
    }
}

async fn tested(test: &mut Option<AbortOnDropHandle<bool>>) -> bool {
    match test {
        Some(test) => test.await.unwrap_or(false),
        None => std::future::pending().await,
    }
}
