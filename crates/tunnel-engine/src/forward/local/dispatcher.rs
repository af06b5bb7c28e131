//! The one task of a local forward: accepts, holds, hands out to sessions, and keeps the limits.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::{debug, warn};

use super::binding::Binding;
use super::carry::{Arrival, CarryOutcome, carry};
use super::{ListenState, Orders, OutagePolicy, accept};
use crate::alarm::Alarm;
use crate::clock;
use crate::forward::bind::Bound;
use crate::forward::hold_queue::{ArrivalOrder, HeldConnection, HoldQueue};
use crate::forward::probe::probe_failure;
use crate::forward::refused::RefusedConnection;
use crate::forward::relay::ByteCounters;
use crate::forward::stats::ForwardStats;
use crate::forward::stream::Stream;
use crate::forward::traits::ChannelOpener;
use crate::log_limit::{LogLimiter, PEER_INTERVAL};
use crate::session::OpenError;
use crate::spec::{Connect, Side};

/// Pause after `accept` failed for want of file descriptors or memory: what ssh waits, too.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// How often held connections are looked at for peers that left, so that they make room for others.
const SWEEP: Duration = Duration::from_secs(1);

pub(super) struct Dispatcher<O> {
    binding: Binding,
    session: watch::Receiver<Option<O>>,
    /// Counts the values that `session` had.
    epoch: u64,
    /// The epoch whose session is known to have ended, although `session` does not say so yet.
    ended_epoch: Option<u64>,
    source_gone: bool,
    orders: watch::Receiver<Orders>,
    state: watch::Sender<ListenState>,
    stats: Arc<ForwardStats>,
    arrivals: ArrivalOrder,
    held: HoldQueue<Arrival>,
    live: JoinSet<CarryOutcome>,
    turn: usize,
    accept_after: Option<Instant>,
    /// The orders to look at the addresses that have been obeyed.
    looks: u64,
    sweep_at: Option<Instant>,
    /// For how long this process has not run, as far as the held connections know.
    paused: Duration,
    /// For what peers can repeat: refused targets, connections that cannot be accepted.
    log: LogLimiter,
    alarm: Alarm,
}

/// What the select of [`Dispatcher::run`] woke up for.
enum Wake {
    Accepted(io::Result<Stream>),
    Ended(CarryOutcome),
    NewSession,
    SourceGone,
    Look,
}

impl<O: ChannelOpener> Dispatcher<O> {
    pub(super) fn new(
        bound: Bound,
        session: watch::Receiver<Option<O>>,
        orders: watch::Receiver<Orders>,
        state: watch::Sender<ListenState>,
        stats: Arc<ForwardStats>,
    ) -> Self {
        Self {
            binding: Binding::new(bound, orders.clone(), clock::now()),
            session,
            epoch: 0,
            ended_epoch: None,
            source_gone: false,
            orders,
            state,
            stats,
            arrivals: ArrivalOrder::default(),
            held: HoldQueue::new(),
            live: JoinSet::new(),
            turn: 0,
            accept_after: None,
            looks: 0,
            sweep_at: None,
            paused: clock::paused(),
            log: LogLimiter::new(PEER_INTERVAL),
            alarm: Alarm::default(),
        }
    }

    pub(super) async fn run(mut self) {
        loop {
            self.reconcile().await;
            if self.closing() && self.live.is_empty() {
                return;
            }
            match self.wake().await {
                Wake::Accepted(accepted) => self.accepted(accepted).await,
                Wake::Ended(outcome) => self.ended(outcome),
                Wake::NewSession => self.epoch += 1,
                Wake::SourceGone => self.source_gone = true,
                Wake::Look => {}
            }
        }
    }

    async fn wake(&mut self) -> Wake {
        let accepts = self.accepts();
        let deadline = self.next_deadline();
        tokio::select! {
            Some(ended) = self.live.join_next() => match ended {
                Ok(outcome) => Wake::Ended(outcome),
                // A panic in one connection is a bug, and no reason to stop listening.
                Err(_) => Wake::Look,
            },
            accepted = self.binding.next(&mut self.turn, accepts) => accepted.map_or(Wake::Look, Wake::Accepted),
            changed = self.session.changed(), if !self.source_gone => match changed {
                Ok(()) => Wake::NewSession,
                Err(_) => Wake::SourceGone,
            },
            // Without the handle this task is aborted, so the sender of the orders always exists.
            Ok(()) = self.orders.changed() => Wake::Look,
            () = self.alarm.wait(deadline) => Wake::Look,
        }
    }

    /// Brings everything in line with the orders, the session and the time.
    async fn reconcile(&mut self) {
        let now = clock::now();
        let session = self.current();
        if self.closing() {
            self.close();
            return;
        }
        self.drop_expired(now);
        match (&session, self.outage()) {
            (Some(session), _) => self.serve_held(session),
            (None, OutagePolicy::Hold { .. }) => {}
            (None, OutagePolicy::Refuse) => self.refuse(),
        }
        let looks = self.orders.borrow().looks;
        if std::mem::replace(&mut self.looks, looks) != looks {
            self.binding.look(now).await;
        }
        if session.is_some() || self.outage() != OutagePolicy::Refuse {
            self.binding.keep(now).await;
            self.report(self.binding.state());
        }
        self.note_room(now);
    }

    /// Tells where no more connections are accepted, for the peers only see that they wait.
    fn note_room(&mut self, now: Instant) {
        let max = self.orders.borrow().options.max_connections;
        let full = (!self.has_room()).then_some(max);
        if self.stats.full() == full {
            return;
        }
        self.stats.set_full(full);
        if full.is_some()
            && let Some(suppressed) = self.log.admit("full", now)
        {
            let forward = self.binding.forward();
            warn!(
                forward,
                max_connections = max,
                suppressed,
                "{forward}: {max} connections are there, as many as max_connections allows: new ones wait until one of these ends"
            );
        }
    }

    fn has_room(&self) -> bool {
        self.live.len() + self.held.len() < self.orders.borrow().options.max_connections as usize
    }

    fn close(&mut self) {
        self.binding.close();
        self.stats.set_full(None);
        while let Some(held) = self.held.take() {
            self.give_up(held.connection);
        }
        self.report(ListenState::Closed);
    }

    fn refuse(&mut self) {
        self.binding.close();
        while let Some(held) = self.held.take() {
            self.give_up(held.connection);
        }
        self.report(ListenState::Refusing);
    }

    fn drop_expired(&mut self, now: Instant) {
        let paused = clock::paused();
        if paused > self.paused {
            // Time in which this process did not run is no wait: what comes now is served first.
            self.held.postpone(paused - self.paused);
            self.paused = paused;
        }
        for arrival in self.held.expired(now) {
            self.give_up(arrival);
        }
        if self.sweep_at.is_none_or(|at| at <= now) {
            for arrival in self.held.abandoned(|arrival| arrival.stream.is_abandoned()) {
                self.give_up(arrival);
            }
            self.sweep_at = Some(now + SWEEP);
        }
    }

    fn serve_held(&mut self, session: &O) {
        while let Some(HeldConnection { connection: mut arrival, .. }) = self.held.take() {
            arrival.held = None;
            if arrival.stream.is_abandoned() {
                self.give_up(arrival);
            } else {
                self.carry(arrival, session.clone());
            }
        }
    }

    async fn accepted(&mut self, accepted: io::Result<Stream>) {
        match accepted {
            Ok(stream) => {
                let arrival = Arrival::new(self.arrivals.next(), stream);
                self.place(arrival);
            }
            Err(error) if accept::concerns_one_connection(&error) => {
                debug!(forward = self.binding.forward(), %error, "a connection ended before it was accepted")
            }
            Err(error) if accept::is_shut_down(&error) => self.binding.shut_down(self.turn, error, clock::now()).await,
            Err(error) => {
                let now = clock::now();
                self.accept_after = Some(now + ACCEPT_PAUSE);
                if let Some(suppressed) = self.log.admit(("accept", error.to_string()), now) {
                    let forward = self.binding.forward();
                    warn!(forward, %error, suppressed, "{forward}: cannot accept connections for now: raise LimitNOFILE, or lower max_connections");
                }
            }
        }
    }

    fn ended(&mut self, outcome: CarryOutcome) {
        match outcome {
            // Who leaves by itself was not failed.
            CarryOutcome::Carried | CarryOutcome::Left => {}
            CarryOutcome::NoRequest => {
                self.stats.fail();
                debug!(forward = self.binding.forward(), "a peer sent no SOCKS request that can be served");
            }
            CarryOutcome::Refused(connect, error) => {
                self.stats.fail();
                let carried = self.stats.counts().opened;
                self.stats.note_refused(RefusedConnection::by_server(connect.clone(), &error, carried));
                // What a SOCKS peer asks for says nothing about the forward.
                let named = self.orders.borrow().connect != Connect::Socks;
                match probe_failure(&connect, &error).filter(|_| named) {
                    // Told once, by the reader of the stats.
                    Some(refusal) => {
                        debug!(forward = self.binding.forward(), "{}", refusal.words);
                        self.stats.refuse(refusal);
                    }
                    None => self.log_refusal(&connect, &error),
                }
            }
            CarryOutcome::SessionEnded(arrival, epoch) => {
                if epoch == self.epoch {
                    self.ended_epoch = Some(epoch);
                }
                self.place(arrival);
            }
        }
    }

    /// Gives a connection to the current session, or holds it until there is one.
    fn place(&mut self, mut arrival: Arrival) {
        if let Some(session) = self.current() {
            return self.carry(arrival, session);
        }
        let OutagePolicy::Hold { timeout, .. } = self.outage() else { return self.give_up(arrival) };
        let until = *arrival.until.get_or_insert_with(|| clock::now() + timeout);
        arrival.held = Some(self.stats.hold());
        self.held.put(HeldConnection { seq: arrival.seq, until, connection: arrival });
    }

    fn carry(&mut self, arrival: Arrival, session: O) {
        let tally = ByteCounters { stats: self.stats.clone(), listener: Side::Here };
        let connect = self.orders.borrow().connect.clone();
        self.live.spawn(carry(arrival, connect, session, self.epoch, tally));
    }

    fn give_up(&self, arrival: Arrival) {
        self.stats.fail();
        arrival.stream.reset();
    }

    /// The session to open channels on, unless it is known to have ended.
    fn current(&mut self) -> Option<O> {
        if self.session.has_changed().unwrap_or(false) {
            self.epoch += 1;
        }
        let session = self.session.borrow_and_update().clone();
        session.filter(|_| self.ended_epoch != Some(self.epoch))
    }

    fn accepts(&mut self) -> bool {
        let room = self.has_room();
        let paused = self.accept_after.is_some_and(|after| clock::now() < after);
        let place = match self.outage() {
            OutagePolicy::Hold { max, .. } => self.held.len() < max as usize || self.current().is_some(),
            OutagePolicy::Refuse => true,
        };
        !self.binding.sockets().is_empty() && room && place && !paused
    }

    fn next_deadline(&self) -> Option<Instant> {
        let now = clock::now();
        let paused = self.accept_after.filter(|after| now < *after);
        let sweep = self.sweep_at.filter(|_| !self.held.is_empty());
        [paused, self.binding.deadline(), sweep, self.held.next_expiry()].into_iter().flatten().min()
    }

    fn closing(&self) -> bool {
        self.orders.borrow().closing
    }

    fn outage(&self) -> OutagePolicy {
        self.orders.borrow().options.outage
    }

    fn report(&self, state: ListenState) {
        self.state.send_if_modified(|current| {
            let changed = *current != state;
            *current = state;
            changed
        });
    }

    fn log_refusal(&mut self, connect: &Connect, error: &OpenError) {
        let forward = self.binding.forward();
        match self.log.admit(("refused", connect.to_string(), error.to_string()), clock::now()) {
            Some(suppressed) => {
                warn!(forward, %connect, suppressed, "{forward}: a connection to {connect} was refused: {error}");
            }
            None => debug!(forward, %connect, "{forward}: a connection to {connect} was refused: {error}"),
        }
    }
}
