//! A local or dynamic forward at work: it accepts here and opens channels from the server, through whatever session
//! is the current one. The listener outlives sessions; a session that comes or goes does not touch it.
//!
//! ```text
//!             room left?                  session?
//!   accept ──────────────► connection ──────────────► open a channel ──► relay ──► done
//!                              │  no: hold                 │ refused: reset the peer
//!                              ▼                           │ session ended meanwhile: nothing was sent yet,
//!                           held, in order of arrival ◄────┘ so it waits again
//!                              │ waited long enough, or its peer left: reset
//! ```

mod accept;
mod binding;
mod carry;
mod dispatcher;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use self::dispatcher::Dispatcher;
use super::bind::{Bound, ListenAddress};
use super::stats::ForwardStats;
use super::traits::ChannelOpener;
use crate::failure::Failure;
use crate::spec::Connect;
use crate::task;

/// What may change while a listener runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListenOptions {
    /// Connections at once, those that wait included; over it, accept waits and the kernel queues.
    pub max_connections: u32,
    /// What to do while there is no session.
    pub outage: OutagePolicy,
}

/// What a listener does while there is no session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutagePolicy {
    /// Accept, and park.
    Hold {
        /// How long one connection waits, counted from when it first had to; then its peer is reset.
        timeout: Duration,
        /// How many wait; over it, accept waits. Those whose session ended while their channel was being opened
        /// come on top.
        max: u32,
    },
    /// Close the listening sockets, and bind them again when there is a session. Meanwhile another program may
    /// take the address; then it is tried again every second.
    Refuse,
}

/// Whether a forward listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListenState {
    /// It accepts, or would if there were room.
    Listening {
        /// Bound addresses.
        addresses: Vec<ListenAddress>,
        /// The addresses that are named and cannot be listened on: why, and who holds them. Tried again every second.
        missing: Option<Failure>,
    },
    /// [`OutagePolicy::Refuse`], and there is no session.
    Refusing,
    /// It could not be bound again: after an outage, or after its socket was lost. Tried again every second.
    Failed(Failure),
    /// It was closed. Its live connections may go on.
    Closed,
}

/// A running local or dynamic forward. Dropping it cuts its connections.
pub struct LocalForward {
    orders: watch::Sender<Orders>,
    state: watch::Receiver<ListenState>,
    stats: Arc<ForwardStats>,
    task: AbortOnDropHandle<()>,
}

/// Tells each change of a listener's state once. Keep it from one change to the next: only the receiver that was told
/// knows that it was.
pub struct StateChanges {
    state: watch::Receiver<ListenState>,
}

impl StateChanges {
    /// Returns itself after the next change; `None` when the listener is gone.
    pub async fn next(mut self) -> Option<Self> {
        self.state.changed().await.ok().map(|()| self)
    }

    /// Returns when the sockets are closed, or the listener is gone; its live connections may go on.
    pub async fn closed(mut self) {
        // An error is the end of the listener.
        let _ = self.state.wait_for(|state| *state == ListenState::Closed).await;
    }
}

/// What the handle wants of the task.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Orders {
    connect: Connect,
    options: ListenOptions,
    closing: bool,
    /// Counts the wishes to have the addresses looked at.
    looks: u64,
}

impl ListenState {
    fn listening(bound: &Bound) -> Self {
        match (bound.addresses(), bound.missing()) {
            (addresses, Some(missing)) if addresses.is_empty() => Self::Failed(missing.clone()),
            (addresses, missing) => Self::Listening { addresses, missing: missing.cloned() },
        }
    }

    /// What is to be told of it: an address that is not listened on.
    pub const fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Listening { missing, .. } => missing.as_ref(),
            Self::Failed(failure) => Some(failure),
            Self::Refusing | Self::Closed => None,
        }
    }
}

impl LocalForward {
    /// Serves `bound`, taking each connection to `connect` ([`Connect::Socks`]: to where its peer asks) from the
    /// server of the session that is current when it is served.
    pub fn spawn<O: ChannelOpener>(
        bound: Bound,
        connect: Connect,
        session: watch::Receiver<Option<O>>,
        options: ListenOptions,
        stats: Arc<ForwardStats>,
    ) -> Self {
        let (orders, obeyed) = watch::channel(Orders { connect, options, closing: false, looks: 0 });
        let (report, state) = watch::channel(ListenState::listening(&bound));
        let dispatcher = Dispatcher::new(bound, session, obeyed, report, stats.clone());
        let task = task::owned(dispatcher.run());
        Self { orders, state, stats, task }
    }

    /// Changes the limits; what is connected or held stays.
    pub fn retune(&self, options: ListenOptions) {
        self.orders.send_if_modified(|orders| std::mem::replace(&mut orders.options, options) != options);
    }

    /// Takes new connections, and those that are held, to `connect` from now on; live ones go on.
    pub fn retarget(&self, connect: Connect) {
        self.orders.send_if_modified(|orders| {
            let changed = orders.connect != connect;
            orders.connect = connect;
            changed
        });
    }

    /// Addresses of this machine may have changed: what is missing is bound now, and what has left is told.
    pub fn look(&self) {
        self.orders.send_modify(|orders| orders.looks = orders.looks.wrapping_add(1));
    }

    /// Stops listening and resets what is held. Live connections go on; [`LocalForward::drain`] waits for them.
    pub fn close(&self) {
        self.orders.send_if_modified(|orders| !std::mem::replace(&mut orders.closing, true));
    }

    /// Stops listening, lets live connections finish until `deadline`, and cuts those that have not.
    pub async fn drain(mut self, deadline: Instant) {
        self.close();
        let finished = tokio::time::timeout_at(deadline.into(), &mut self.task).await;
        if finished.is_err() {
            self.abort().await;
        }
    }

    /// Stops listening and cuts every connection now: their peers are reset.
    pub async fn abort(self) {
        self.task.abort();
        // Ends with the cancellation asked for: there is nothing else to learn.
        let _ = self.task.await;
    }

    /// Whether and where it listens, now.
    pub fn state(&self) -> watch::Ref<'_, ListenState> {
        self.state.borrow()
    }

    /// To wait for changes of [`LocalForward::state`] after now.
    pub fn changes(&self) -> StateChanges {
        let mut state = self.state.clone();
        state.mark_unchanged();
        StateChanges { state }
    }

    /// The real addresses; empty while it does not listen.
    pub fn addresses(&self) -> Vec<ListenAddress> {
        match &*self.state() {
            ListenState::Listening { addresses, .. } => addresses.clone(),
            ListenState::Refusing | ListenState::Failed(_) | ListenState::Closed => Vec::new(),
        }
    }

    /// The counters.
    pub fn stats(&self) -> &Arc<ForwardStats> {
        &self.stats
    }
}
