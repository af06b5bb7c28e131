//! Remote forwards at work: takes the connections that the server hands to one session, looks up where each belongs,
//! connects there, and only then says yes.
//!
//! ```text
//!   incoming ─► route? ─ no ─► prohibited
//!                 │ yes, and room (else resource shortage)
//!                 ▼
//!   connect to the target ─ failed ─► connect failed
//!                 │                                      reverse SOCKS: yes first, then the
//!                 ▼                                      peer says the target over the channel
//!               accept ─► relay ─► done
//! ```

mod connect;
mod serve;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::{Instrument as _, debug, warn};

use self::serve::{Outcome, serve};
use super::complaints::Complaints;
use super::seams::Incoming;
use super::stats::ForwardStats;
use crate::session::{RejectReason, RemoteListen};
use crate::spec::{AddressFamily, Connect};
use crate::{clock, task};

/// Where the connections of one remote forward go.
#[derive(Debug, Clone)]
pub struct RemoteTarget {
    /// From here. [`Connect::Socks`]: to wherever the peer on the server asks.
    pub connect: Connect,
    /// Which addresses of a name are tried (`ssh -4`, `ssh -6`).
    pub family: AddressFamily,
    /// Connections at once; over it, the server is told `resource shortage`.
    pub max_connections: u32,
    /// Its counts, which outlive this session.
    pub stats: Arc<ForwardStats>,
}

/// The remote forwards of one session. Dropping it cuts their connections.
pub struct RemoteForwards {
    routes: Routes,
    closing: CancellationToken,
    task: AbortOnDropHandle<()>,
}

/// Which forward a listener of the server belongs to. A cheap handle, to be changed while connections come in.
#[derive(Clone)]
pub struct Routes(Arc<watch::Sender<Table>>);

type Table = HashMap<RemoteListen, RemoteTarget>;

impl RemoteForwards {
    /// Serves what the server hands to a new session. Ends by itself when the session and its connections ended.
    pub fn spawn<I: Incoming>(incoming: mpsc::Receiver<I>) -> Self {
        let routes = Routes(Arc::new(watch::Sender::new(Table::new())));
        let closing = CancellationToken::new();
        let router = Router {
            incoming,
            open: true,
            routes: routes.0.subscribe(),
            live: JoinSet::new(),
            counts: HashMap::new(),
            refusals: Complaints::default(),
        };
        let task = task::owned(router.run(closing.clone()).in_current_span());
        Self { routes, closing, task }
    }

    /// The table to change.
    pub fn routes(&self) -> Routes {
        self.routes.clone()
    }

    /// Takes no more connections, lets live ones finish until `deadline`, and cuts those that have not.
    pub async fn drain(mut self, deadline: Instant) {
        self.closing.cancel();
        if tokio::time::timeout_at(deadline.into(), &mut self.task).await.is_err() {
            self.abort().await;
        }
    }

    /// Cuts every connection now: their targets see a reset.
    pub async fn abort(self) {
        self.task.abort();
        // Ends with the cancellation asked for: there is nothing else to learn.
        let _ = self.task.await;
    }
}

impl Routes {
    /// Connections on `listen` go to `target` from now on; those that are connected stay where they are.
    /// To be called from `granted` of [`Session::request_forward_then`](crate::session::Session::request_forward_then),
    /// so that the first connection finds its route.
    pub fn add(&self, listen: RemoteListen, target: RemoteTarget) {
        self.0.send_modify(|table| {
            table.insert(listen, target);
        });
    }

    /// Connections on `listen` are refused from now on; those that are connected stay.
    pub fn remove(&self, listen: &RemoteListen) {
        self.0.send_modify(|table| {
            table.remove(listen);
        });
    }
}

/// The one task of a session's remote forwards.
struct Router<I> {
    incoming: mpsc::Receiver<I>,
    open: bool,
    routes: watch::Receiver<Table>,
    live: JoinSet<(RemoteListen, Outcome)>,
    counts: HashMap<RemoteListen, u32>,
    refusals: Complaints,
}

impl<I: Incoming> Router<I> {
    async fn run(mut self, closing: CancellationToken) {
        while self.open || !self.live.is_empty() {
            tokio::select! {
                Some(ended) = self.live.join_next() => self.ended(ended.ok()),
                incoming = self.incoming.recv(), if self.open => match incoming {
                    Some(incoming) => self.route(incoming).await,
                    None => self.open = false,
                },
                () = closing.cancelled(), if self.open => self.close(),
            }
        }
    }

    /// What was handed over and not looked at is refused when the receiver is dropped with the task.
    fn close(&mut self) {
        self.incoming.close();
        self.open = false;
    }

    async fn route(&mut self, incoming: I) {
        let listen = incoming.listen().clone();
        let Some(target) = self.routes.borrow().get(&listen).cloned() else {
            debug!(kind = "remote", listen = %shown(&listen), "the server handed over a connection that no forward asked for");
            return incoming.reject(RejectReason::Prohibited).await;
        };
        let count = self.counts.entry(listen.clone()).or_default();
        if *count >= target.max_connections {
            target.stats.fail();
            return incoming.reject(RejectReason::ResourceShortage).await;
        }
        *count += 1;
        self.live.spawn(async move { (listen, serve(incoming, target).await) });
    }

    fn ended(&mut self, ended: Option<(RemoteListen, Outcome)>) {
        // A panic in one connection is a bug, and no reason to stop the others; its place is lost.
        let Some((listen, outcome)) = ended else { return };
        if let Some(count) = self.counts.get_mut(&listen) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&listen);
            }
        }
        let listen = shown(&listen);
        match outcome {
            Outcome::Carried | Outcome::SessionEnded => {}
            Outcome::NoRequest => debug!(kind = "remote", %listen, "a peer sent no SOCKS request that can be served"),
            Outcome::Refused(connect, error) => match self.refusals.admit(clock::now()) {
                Some(suppressed) => {
                    warn!(kind = "remote", %listen, %connect, suppressed, "a connection to {connect} was refused: {error}");
                }
                None => debug!(kind = "remote", %listen, %connect, "a connection to {connect} was refused: {error}"),
            },
        }
    }
}

fn shown(listen: &RemoteListen) -> String {
    match listen {
        RemoteListen::Tcp { address, port } if address.contains(':') => format!("[{address}]:{port}"),
        RemoteListen::Tcp { address, port } => format!("{address}:{port}"),
        RemoteListen::Unix(path) => path.clone(),
    }
}
