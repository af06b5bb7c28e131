//! The tunnels that run, in the config's order, and those that are on their way out.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Notify, oneshot, watch};
use tokio::task::JoinSet;
use tunnel_engine::clock;
use tunnel_engine::dial::Dialer;
use tunnel_engine::forward::{PathWatcher, SocketStore};
use tunnel_engine::spec::ForwardKey;

use super::governor::{Governor, Place};
use super::knocker::Knocker;
use super::liveness::Round;
use super::names;
use super::snapshot::TunnelStatus;
use crate::config::TunnelSpec;
use crate::tunnel::{self, Context, Handle, Order, ReadyLink};

/// After `stop_timeout`, for cancelling, saying goodbye and closing.
const STOP_MARGIN: Duration = Duration::from_secs(5);

pub(super) struct Tunnels {
    running: Vec<Tunnel>,
    /// Ended by an order; each is cut when it has not ended by its deadline.
    leaving: JoinSet<()>,
    context: Context,
    network: watch::Sender<u64>,
    seeds: fastrand::Rng,
}

struct Tunnel {
    name: String,
    handle: Handle,
}

impl Tunnels {
    pub(super) fn new(
        dialer: Arc<dyn Dialer>,
        listeners: Arc<dyn SocketStore>,
        stop_timeout: Duration,
        seed: u64,
        bell: Arc<Notify>,
    ) -> Self {
        let (network, changes) = watch::channel(0);
        let governor = Governor::default();
        let context = Context {
            knocker: Knocker::new(dialer.clone(), governor.clone()),
            ready_link: ReadyLink::default(),
            place: Place::default(),
            dialer,
            listeners,
            paths: PathWatcher::default(),
            governor,
            network: changes,
            stop_timeout,
            bell,
            seed,
            observer: None,
        };
        Self { running: Vec::new(), leaving: JoinSet::new(), context, network, seeds: fastrand::Rng::with_seed(seed) }
    }

    /// Makes a tunnel, and starts it where it is enabled.
    pub(super) fn add(&mut self, at: usize, spec: TunnelSpec) {
        let (name, enabled) = (spec.name.clone(), spec.enabled);
        let context = Context {
            seed: self.seeds.u64(..),
            ready_link: ReadyLink::default(),
            place: Place::default(),
            ..self.context.clone()
        };
        let tunnel = Tunnel { name, handle: tunnel::spawn(spec, context) };
        if enabled {
            tunnel.order(Order::Start);
        }
        self.running.insert(at.min(self.running.len()), tunnel);
    }

    /// Ends a tunnel in good order. It is no longer ours from now on.
    pub(super) fn end(&mut self, name: &str) {
        let Some(at) = self.running.iter().position(|tunnel| tunnel.name == name) else { return };
        let tunnel = self.running.remove(at);
        let deadline = clock::now() + self.context.stop_timeout + STOP_MARGIN;
        tunnel.order(Order::End);
        self.leaving.spawn(async move {
            if tokio::time::timeout_at(deadline.into(), tunnel.handle.ended()).await.is_err() {
                tracing::warn!(tunnel = tunnel.name, "did not end in time: cut");
            }
        });
    }

    pub(super) fn end_all(&mut self) {
        let names: Vec<_> = self.running.iter().map(|tunnel| tunnel.name.clone()).collect();
        for name in names {
            self.end(&name);
        }
    }

    /// Waits until one that was ended has gone; never, when there is none.
    pub(super) async fn one_left(&mut self) {
        if self.leaving.join_next().await.is_none() {
            std::future::pending().await
        }
    }

    pub(super) fn all_gone(&self) -> bool {
        self.running.is_empty() && self.leaving.is_empty()
    }

    pub(super) fn reorder(&mut self, names: &[String]) {
        self.running.sort_by_key(|tunnel| names.iter().position(|name| *name == tunnel.name));
    }

    pub(super) fn set_stop_timeout(&mut self, timeout: Duration) {
        self.context.stop_timeout = timeout;
        for tunnel in &self.running {
            tunnel.order(Order::StopTimeout(timeout));
        }
    }

    pub(super) fn order(&self, name: &str, order: Order) {
        if let Some(tunnel) = self.running.iter().find(|tunnel| tunnel.name == name) {
            tunnel.order(order);
        }
    }

    /// The named tunnels get the order. Resolves names as people type them.
    pub(super) fn order_named(&self, names: &[String], order: fn() -> Order) -> Result<Taken, String> {
        let found = self.resolve(names)?;
        for at in &found {
            self.running[*at].order(order());
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
                    self.running[at].order(Order::Answer(sender));
                    receiver
                })
                .collect(),
        )
    }

    pub(super) fn retry_now(&self) {
        self.context.governor.forget_holds();
        for tunnel in &self.running {
            tunnel.order(Order::RetryNow);
        }
    }

    /// Dials under way begin anew, sessions prove themselves, waits end; but for those that a server asked for.
    pub(super) fn network_changed(&self) {
        self.network.send_modify(|changes| *changes += 1);
        for tunnel in &self.running {
            tunnel.order(Order::NetworkChanged);
        }
    }

    pub(super) fn resolve(&self, names: &[String]) -> Result<Vec<usize>, String> {
        let known: Vec<&str> = self.running.iter().map(|tunnel| tunnel.name.as_str()).collect();
        names::resolve(names, &known)
    }

    pub(super) fn statuses(&self, now: Instant) -> Vec<TunnelStatus> {
        self.running.iter().map(|tunnel| tunnel.handle.view().status(now)).collect()
    }

    /// Every listener of every tunnel that is wanted up has been bound, or has failed to.
    pub(super) fn listeners_tried(&self) -> bool {
        self.running.iter().all(|tunnel| tunnel.handle.view().listeners_tried)
    }

    /// Connections that a forward of a tunnel carries now.
    pub(super) fn connections(&self, name: &str, key: &ForwardKey) -> u64 {
        let Some(tunnel) = self.running.iter().find(|tunnel| tunnel.name == name) else { return 0 };
        let view = tunnel.handle.view();
        view.forwards.iter().filter(|forward| forward.key == *key).map(tunnel::ForwardView::active).sum()
    }

    /// Asks every loop whether it turns.
    pub(super) fn question(&self) -> Round {
        let mut round = Round::default();
        for tunnel in &self.running {
            let reply = round.ask(&tunnel.name);
            // A tunnel that takes no orders must stay unanswered, so its question is kept, not dropped.
            if let Err(reply) = tunnel.handle.ask(reply) {
                round.keep(reply);
            }
        }
        round
    }
}

impl Tunnel {
    fn order(&self, order: Order) {
        if self.handle.order(order).is_err() {
            tracing::error!(tunnel = self.name, "the tunnel takes no orders: its loop is stuck");
        }
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
