//! The tunnels that run, in the config's order, and those that are on their way out.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use indexmap::IndexMap;
use tokio::sync::{Notify, oneshot, watch};
use tokio::task::JoinSet;
use tunnel_engine::clock;
use tunnel_engine::dial::Dialer;
use tunnel_engine::forward::{PathWatcher, SocketStore};
use tunnel_engine::spec::ForwardKey;

use super::liveness::Round;
use super::names::{self, TunnelNames};
use crate::config::{Global, TunnelSpec};
use crate::history::{Moment, Recorder, TunnelHistory};
use crate::lifecycle::{Phase, Want};
use crate::plan::{RunState, RunningTunnels, ServingSession};
use crate::protocol::status::TunnelStatus;
use crate::servers::governor::{Governor, QueueEntry};
use crate::servers::reachability::Reachability;
use crate::tunnel::{self, CommandSlots, Context, Handle, Observer, OpenedLink, Order, OrderSender, TunnelView};

/// After `stop_timeout`, for cancelling, saying goodbye and closing.
const STOP_MARGIN: Duration = Duration::from_secs(5);

pub(super) struct Tunnels {
    /// By name, in the config's order.
    running: IndexMap<String, Handle>,
    /// Ended by an order; each is cut when it has not ended by its deadline.
    leaving: JoinSet<String>,
    context: Context,
    network: watch::Sender<u64>,
    seeds: fastrand::Rng,
}

impl Tunnels {
    pub(super) fn new(
        dialer: Arc<dyn Dialer>,
        listeners: Arc<dyn SocketStore>,
        stop_timeout: Duration,
        seed: u64,
        changed: Arc<Notify>,
        history: Recorder,
        observer: Option<Observer>,
    ) -> Self {
        let (network, changes) = watch::channel(0);
        let governor = Governor::default();
        let context = Context {
            reachability: Reachability::new(dialer.clone(), governor.clone()),
            ready_link: OpenedLink::default(),
            place: QueueEntry::default(),
            dialer,
            listeners,
            paths: PathWatcher::default(),
            governor,
            network: changes,
            stop_timeout,
            changed,
            commands: CommandSlots::default(),
            history,
            seed,
            observer,
        };
        Self {
            running: IndexMap::new(),
            leaving: JoinSet::new(),
            context,
            network,
            seeds: fastrand::Rng::with_seed(seed),
        }
    }

    /// Makes a tunnel, and starts it where it is enabled. It is the last until [`Self::reorder`].
    pub(super) fn add(&mut self, spec: TunnelSpec) {
        let (name, enabled) = (spec.name.clone(), spec.enabled);
        let context = Context {
            seed: self.seeds.u64(..),
            ready_link: OpenedLink::default(),
            place: QueueEntry::default(),
            ..self.context.clone()
        };
        let handle = tunnel::spawn(spec, context);
        if enabled {
            order(&name, &handle, Order::Start);
        }
        self.running.insert(name, handle);
    }

    /// Ends a tunnel in good order. It is no longer ours from now on; the last takes its place until [`Self::reorder`].
    pub(super) fn end(&mut self, name: &str) {
        if let Some((name, handle)) = self.running.swap_remove_entry(name) {
            self.leave(name, handle);
        }
    }

    pub(super) fn end_all(&mut self) {
        for (name, handle) in std::mem::take(&mut self.running) {
            self.leave(name, handle);
        }
    }

    fn leave(&mut self, name: String, handle: Handle) {
        let deadline = clock::now() + self.stop_within();
        order(&name, &handle, Order::End);
        self.leaving.spawn(async move {
            if tokio::time::timeout_at(deadline.into(), handle.ended()).await.is_err() {
                tracing::warn!(tunnel = name, "{name}: it did not end in time, and was cut");
            }
            name
        });
    }

    /// Waits until one that was ended has gone, and names it; never, when there is none.
    pub(super) async fn one_left(&mut self) -> String {
        match self.leaving.join_next().await {
            Some(name) => name.unwrap_or_default(),
            None => std::future::pending().await,
        }
    }

    pub(super) fn all_gone(&self) -> bool {
        self.running.is_empty() && self.leaving.is_empty()
    }

    /// Puts them in this order; one that is not named comes first.
    pub(super) fn reorder<'a>(&mut self, names: impl Iterator<Item = &'a str>) {
        let ranks: HashMap<&str, usize> = names.zip(0..).collect();
        let rank = |name: &String| ranks.get(name.as_str()).copied();
        self.running.sort_by(|a, _, b, _| rank(a).cmp(&rank(b)));
    }

    pub(super) fn set_stop_timeout(&mut self, timeout: Duration) {
        self.context.stop_timeout = timeout;
        self.order_all(|| Order::StopTimeout(timeout));
    }

    /// How long a stop takes at most.
    pub(super) fn stop_within(&self) -> Duration {
        self.context.stop_timeout.saturating_add(STOP_MARGIN)
    }

    pub(super) fn order(&self, name: &str, what: Order) {
        if let Some(handle) = self.running.get(name) {
            order(name, handle, what);
        }
    }

    pub(super) fn order_all(&self, what: impl Fn() -> Order) {
        for (name, handle) in &self.running {
            order(name, handle, what());
        }
    }

    /// The named tunnels get the order. Resolves names as people type them.
    pub(super) fn order_named(&self, names: &[String], what: fn() -> Order) -> Result<Taken, String> {
        let found = self.resolve(names)?;
        for at in &found {
            self.order_at(*at, what());
        }
        Ok(self.taken(found.into_iter()))
    }

    /// Resolves once all orders that any tunnel has been given so far are taken.
    pub(super) fn all_taken(&self) -> Taken {
        self.taken(0..self.running.len())
    }

    fn taken(&self, which: impl Iterator<Item = usize>) -> Taken {
        Taken(
            which
                .map(|at| {
                    let (sender, receiver) = oneshot::channel();
                    if let Some((_, handle)) = self.running.get_index(at) {
                        handle.taken(sender);
                    }
                    receiver
                })
                .collect(),
        )
    }

    pub(super) fn retry_now(&self) {
        self.context.governor.forget_holds();
        self.order_all(|| Order::RetryNow);
    }

    /// Dials under way begin anew, sessions prove themselves, waits end; but for those that a server asked for.
    pub(super) fn network_changed(&self) {
        self.network.send_modify(|changes| *changes += 1);
        self.order_all(|| Order::NetworkChanged);
    }

    fn order_at(&self, at: usize, what: Order) {
        if let Some((name, handle)) = self.running.get_index(at) {
            order(name, handle, what);
        }
    }

    pub(super) fn resolve(&self, names: &[String]) -> Result<Vec<usize>, String> {
        names::resolve(names, self)
    }

    /// All of them, as they are.
    pub(super) fn views(&self) -> impl Iterator<Item = TunnelView> {
        self.running.values().map(Handle::view)
    }

    pub(super) fn access(&self, name: &str) -> Option<(watch::Receiver<TunnelView>, OrderSender)> {
        self.running.get(name).map(|handle| (handle.watch(), handle.orders()))
    }

    pub(super) fn view(&self, name: &str) -> Option<TunnelView> {
        self.running.get(name).map(Handle::view)
    }

    /// Of those at these places.
    pub(super) fn statuses(&self, which: &[usize], now: Instant) -> Vec<TunnelStatus> {
        let handles = which.iter().filter_map(|at| self.running.get_index(*at));
        let moment = Moment { awake: now, wall: clock::wall() };
        handles
            .map(|(name, handle)| {
                let view = handle.view();
                let rates = self.context.history.rates(name, view.traffic(), moment);
                let (rate_in, rate_out) = (rates.map(|rates| rates.rate_in), rates.map(|rates| rates.rate_out));
                TunnelStatus { rate_in, rate_out, ..view.status(now) }
            })
            .collect()
    }

    /// The last 24 hours of those at these places.
    pub(super) fn histories(&self, which: &[usize]) -> Vec<TunnelHistory> {
        self.context.history.report(self.names_at(which), Moment::now())
    }

    pub(super) fn names_at<'a>(&'a self, which: &'a [usize]) -> impl Iterator<Item = &'a str> {
        which.iter().filter_map(|at| self.running.get_index(*at)).map(|(name, _)| name.as_str())
    }

    /// Takes a reading of every tunnel's counters.
    pub(super) fn sample(&self, now: Moment) {
        for (name, handle) in &self.running {
            let view = handle.view();
            let rtt = view.rtt();
            self.context.history.sample(name, view.traffic(), rtt, now);
        }
        self.context.history.tick(now);
    }

    /// Every listener of every tunnel that is wanted up has been bound, or has failed to.
    pub(super) fn listeners_tried(&self) -> bool {
        self.views().all(|view| view.listeners_tried)
    }

    /// Asks every loop whether it turns.
    pub(super) fn question(&self) -> Round {
        let mut round = Round::default();
        for (name, handle) in &self.running {
            let reply = round.ask(name);
            // A tunnel that takes no orders must stay unanswered, so its question is kept, not dropped.
            if let Err(reply) = handle.ask(reply) {
                round.keep(reply);
            }
        }
        round
    }
}

/// The daemon as it runs now, for the report of a plan.
pub(super) struct RunningDaemon<'a> {
    pub(super) tunnels: &'a Tunnels,
    pub(super) started_with: &'a Global,
}

impl RunningTunnels for RunningDaemon<'_> {
    fn started_with(&self) -> &Global {
        self.started_with
    }

    fn state(&self, tunnel: &str) -> RunState {
        match self.tunnels.view(tunnel) {
            Some(view) if view.phase == Phase::Up => RunState::Up,
            Some(view) if view.want == Want::Up && view.phase != Phase::Failed => RunState::Starting,
            Some(_) | None => RunState::AtRest,
        }
    }

    fn serving(&self, tunnel: &str) -> Option<Arc<ServingSession>> {
        self.tunnels.view(tunnel)?.serving.clone()
    }

    fn carried(&self, tunnel: &str, forward: &ForwardKey) -> u64 {
        self.tunnels.view(tunnel).map_or(0, |view| view.count(forward, |counts| counts.active))
    }

    fn held(&self, tunnel: &str, forward: &ForwardKey) -> u64 {
        self.tunnels.view(tunnel).map_or(0, |view| view.count(forward, |counts| counts.held))
    }
}

impl TunnelNames for Tunnels {
    fn place(&self, name: &str) -> Option<usize> {
        self.running.get_index_of(name)
    }

    fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.running.keys().map(String::as_str)
    }
}

fn order(name: &str, handle: &Handle, order: Order) {
    if handle.order(order).is_err() {
        tracing::error!(tunnel = name, "{name}: the tunnel takes no orders: its loop is stuck");
    }
}

/// Orders on their way.
pub(super) struct Taken(Vec<oneshot::Receiver<()>>);

impl Taken {
    /// Waits until they are taken. A tunnel that ended takes no more.
    pub(super) async fn wait(self) {
        for taken in self.0 {
            let _ = taken.await;
        }
    }
}
