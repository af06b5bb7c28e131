//! Remote forwards at work: takes the connections that the server hands to one session, looks up where each belongs,
//! connects there, and only then says yes.
//!
//! ```text
//!   incoming ─► route? ─ no ─► prohibited
//!                 │ yes; a probe under way: is this it? ─ yes: heard, done
//!                 │ no, and room (else resource shortage)
//!                 ▼
//!   connect to the target ─ failed ─► connect failed
//!                 │                                      reverse SOCKS: yes first, then the
//!                 ▼                                      peer says the target over the channel
//!               accept ─► relay ─► done
//! ```

mod classify;
mod connect;
mod permits;
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
use tracing::{debug, warn};

use self::classify::{ChannelSource, Classified, classify};
pub(super) use self::connect::connect;
use self::permits::ConnectionPermits;
use self::serve::{ServeOutcome, serve};
use super::probe::Expectations;
use super::stats::ForwardStats;
use super::traits::Incoming;
use crate::log_limit::{LogLimiter, PEER_INTERVAL};
use crate::session::{RejectReason, RemoteListen};
use crate::spec::{AddressFamily, Connect, PermitRemoteOpen};
use crate::{clock, shortage, task};

/// Connections that are looked at at once while a probe is under way; more are refused. They come at a busy listener's
/// own rate, within a round trip or two.
const MAX_SIFTED: u32 = 256;

/// Where the connections of one remote forward go.
#[derive(Debug, Clone)]
pub struct RemoteTarget {
    /// The forward as the config has it, for the log.
    pub forward: String,
    /// From here. [`Connect::Socks`]: to wherever the peer on the server asks.
    pub connect: Connect,
    /// Which addresses of a name are tried (`ssh -4`, `ssh -6`).
    pub family: AddressFamily,
    /// Where the peer on the server may ask for, with [`Connect::Socks`].
    pub permit: Arc<PermitRemoteOpen>,
    /// Connections at once; over it, the server is told `resource shortage`.
    pub max_connections: u32,
    /// Its counts, which outlive this session.
    pub stats: Arc<ForwardStats>,
    /// Cancelled when the forward is gone from the config: its connections are cut, whatever their session does.
    pub cut: CancellationToken,
}

/// The remote forwards of one session. Dropping it cuts their connections.
pub struct RemoteForwards {
    routes: Routes,
    closing: CancellationToken,
    task: AbortOnDropHandle<()>,
}

/// Which forward a listener of the server belongs to. A cheap handle, to be changed while connections come in.
#[derive(Clone)]
pub struct Routes {
    table: Arc<watch::Sender<RouteTable>>,
    expectations: Expectations,
}

type RouteTable = HashMap<RemoteListen, RemoteTarget>;

impl RemoteForwards {
    /// Serves what the server hands to a new session. Ends by itself when the session and its connections ended.
    pub fn spawn<I: Incoming>(incoming: mpsc::Receiver<I>) -> Self {
        let routes =
            Routes { table: Arc::new(watch::Sender::new(RouteTable::new())), expectations: Expectations::default() };
        let closing = CancellationToken::new();
        let router = RemoteRouter {
            incoming,
            open: true,
            routes: routes.table.subscribe(),
            expectations: routes.expectations.clone(),
            live: JoinSet::new(),
            sifting: ConnectionPermits::default(),
            permits: HashMap::new(),
            log: LogLimiter::new(PEER_INTERVAL),
        };
        let task = task::owned(router.run(closing.clone()));
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
        self.table.send_modify(|table| {
            table.insert(listen, target);
        });
    }

    /// Connections on `listen` are refused from now on; those that are connected stay.
    pub fn remove(&self, listen: &RemoteListen) {
        self.table.send_modify(|table| {
            table.remove(listen);
        });
    }

    /// The nonces of probes.
    pub(super) fn expectations(&self) -> &Expectations {
        &self.expectations
    }
}

/// The one task of a session's remote forwards.
struct RemoteRouter<I> {
    incoming: mpsc::Receiver<I>,
    open: bool,
    routes: watch::Receiver<RouteTable>,
    expectations: Expectations,
    live: JoinSet<(RemoteListen, ServeOutcome)>,
    sifting: ConnectionPermits,
    permits: HashMap<RemoteListen, ConnectionPermits>,
    /// For what the server and its peers can repeat.
    log: LogLimiter,
}

impl<I: Incoming> RemoteRouter<I> {
    async fn run(mut self, closing: CancellationToken) {
        while self.open || !self.live.is_empty() {
            tokio::select! {
                Some(ended) = self.live.join_next() => self.ended(ended.ok()),
                incoming = self.incoming.recv(), if self.open => match incoming {
                    Some(incoming) => self.route(incoming),
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

    fn route(&mut self, incoming: I) {
        let listen = incoming.listen().clone();
        let Some(target) = self.routes.borrow().get(&listen).cloned() else {
            if let Some(suppressed) = self.log.admit("no forward", clock::now()) {
                debug!(%listen, suppressed, "the server handed over a connection that no forward asked for");
            }
            return incoming.reject(RejectReason::Prohibited);
        };
        let permits = self.permits.entry(listen.clone()).or_default().clone();
        if let Some(expected) = self.expectations.on(&listen) {
            let Some(sifting) = self.sifting.take(MAX_SIFTED) else {
                expected.crowded();
                target.stats.fail();
                return incoming.reject(RejectReason::ResourceShortage);
            };
            self.live.spawn(async move {
                let cut = target.cut.clone();
                let served = async {
                    let classified = classify(incoming, &expected).await;
                    drop(sifting);
                    handle_classified(classified, target, &permits).await
                };
                (listen, until_cut(&cut, served).await)
            });
            return;
        }
        if shortage::users_wait() {
            target.stats.fail();
            if let Some(suppressed) = self.log.admit(("short", &target.forward), clock::now()) {
                let forward = &target.forward;
                warn!(
                    forward,
                    suppressed,
                    "{forward}: a connection was refused, as the last open files are left to logins: raise LimitNOFILE, or lower max_connections"
                );
            }
            return incoming.reject(RejectReason::ResourceShortage);
        }
        let Some(place) = permits.take(target.max_connections) else {
            target.stats.fail();
            if let Some(suppressed) = self.log.admit(("full", &target.forward), clock::now()) {
                let (forward, max_connections) = (&target.forward, target.max_connections);
                warn!(
                    forward,
                    max_connections,
                    suppressed,
                    "{forward}: {max_connections} connections are there, as many as max_connections allows: another one was refused"
                );
            }
            return incoming.reject(RejectReason::ResourceShortage);
        };
        self.live.spawn(async move {
            let cut = target.cut.clone();
            let outcome = until_cut(&cut, serve(ChannelSource::Offered(incoming), target)).await;
            drop(place);
            (listen, outcome)
        });
    }

    fn ended(&mut self, ended: Option<(RemoteListen, ServeOutcome)>) {
        // A panic in one connection is a bug, and no reason to stop the others.
        let Some((listen, outcome)) = ended else { return };
        if self.permits.get(&listen).is_some_and(ConnectionPermits::are_empty) {
            self.permits.remove(&listen);
        }
        // One that was removed meanwhile is known by where it listened.
        let forward = self.routes.borrow().get(&listen).map(|target| target.forward.clone());
        let forward = forward.unwrap_or_else(|| listen.to_string());
        match outcome {
            ServeOutcome::Carried
            | ServeOutcome::Left
            | ServeOutcome::SessionEnded
            | ServeOutcome::Probe
            | ServeOutcome::Full
            | ServeOutcome::Refused => {}
            ServeOutcome::NoRequest => debug!(forward, "a peer sent no SOCKS request that can be served"),
            ServeOutcome::RequestRefused(connect, error) => {
                match self.log.admit(("refused", &forward, connect.to_string(), error.to_string()), clock::now()) {
                    Some(suppressed) => {
                        warn!(forward, %connect, suppressed, "{forward}: a connection to {connect} was refused: {error}");
                    }
                    None => debug!(forward, %connect, "{forward}: a connection to {connect} was refused: {error}"),
                }
            }
        }
    }
}

/// A connection that is cut is dropped with its sockets: both ends see a reset.
async fn until_cut(cut: &CancellationToken, served: impl Future<Output = ServeOutcome>) -> ServeOutcome {
    cut.run_until_cancelled(served).await.unwrap_or(ServeOutcome::Carried)
}

/// Goes on with a connection that might have been a probe.
async fn handle_classified<I: Incoming>(
    classified: Classified<I>,
    target: RemoteTarget,
    permits: &ConnectionPermits,
) -> ServeOutcome {
    let user = match classified {
        Classified::Probe => return ServeOutcome::Probe,
        Classified::SessionEnded => return ServeOutcome::SessionEnded,
        Classified::User(user) => user,
    };
    let Some(_permit) = permits.take(target.max_connections) else {
        target.stats.fail();
        user.reject(RejectReason::ResourceShortage).await;
        return ServeOutcome::Full;
    };
    serve(user, target).await
}
