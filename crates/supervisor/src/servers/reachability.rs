//! Asks servers that are away, at the level of TCP, whether they are back: one for all tunnels that go there.
//!
//! A connection that comes about is not thrown away, for servers punish those who connect and say nothing
//! (PerSourcePenalties): the tunnel that was up last logs in over it, and the others are told that they may come too.
//! A server behind a jump host is asked for over one session to that host (`behind_jump`).

mod behind_jump;
mod probe_interval;
mod refused;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::sync::oneshot;
use tokio_util::task::AbortOnDropHandle;
use tunnel_engine::backoff::{REACHABILITY, REACHABILITY_LATE};
use tunnel_engine::dial::{Dialer, Link};
use tunnel_engine::failure::{Failure, Unreached};
use tunnel_engine::spec::{AddressFamily, Route, SessionSpec};
use tunnel_engine::{clock, task};

use behind_jump::JumpTarget;
pub use probe_interval::{EARLY_FOR, probe_interval};
use refused::Refused;

use super::governor::Governor;

/// How long one probe waits for an answer, its name lookup included; longer than any path needs.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);

/// The same while probes are few: the kernel must not repeat a SYN, as firewalls count each of them.
const SINGLE_PROBE_TIMEOUT: Duration = Duration::from_millis(950);

/// Probes that have no answer yet. More than fit into their timeout come about only when a lookup hangs.
const MAX_PROBES: usize = 4;

/// The address that is asked, and from where.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// Where a route begins: the first machine to be reached, by TCP.
    First {
        /// Its `host:port`.
        server: String,
        /// Address, name or interface.
        bind: (Option<String>, Option<String>),
        family: AddressFamily,
    },
    /// Behind a jump host, asked over a session to it.
    Behind(JumpTarget),
}

/// The first server on the way to that of `spec`; `None` where a command leads there.
pub fn first_hop(spec: &SessionSpec) -> Option<&SessionSpec> {
    match &spec.dial.via {
        Route::Direct => Some(spec),
        Route::Jump(jump) => first_hop(jump),
        Route::Command(_) => None,
    }
}

impl Endpoint {
    /// Of the first server on the way; `None` where a command leads there.
    pub fn of(spec: &SessionSpec) -> Option<Self> {
        let hop = first_hop(spec)?;
        let bind = (hop.dial.bind_address.clone(), hop.dial.bind_interface.clone());
        let family = hop.dial.address_family;
        Some(Self::First { server: hop.destination.host_port(), bind, family })
    }

    /// Of the server itself, where a jump host is in front of it.
    pub fn behind(spec: &SessionSpec) -> Option<Self> {
        match &spec.dial.via {
            Route::Jump(jump) => Some(Self::Behind(JumpTarget::new(jump, &spec.destination))),
            Route::Direct | Route::Command(_) => None,
        }
    }

    /// Of the address where no server was found.
    pub fn at(spec: &SessionSpec, unreached: Unreached) -> Option<Self> {
        match unreached {
            Unreached::Directly => Self::of(spec),
            Unreached::BehindJump => Self::behind(spec),
        }
    }
}

/// One tunnel that waits for its server.
#[derive(Debug, Clone, Copy)]
pub struct ReachabilityRequest {
    /// Tunnels that were up most recently go first: their users notice the outage.
    pub last_up: Option<Instant>,
    /// Since when its server cannot be reached.
    pub away_since: Instant,
    /// `backoff.min`: not more often than this.
    pub at_most_every: Duration,
}

/// Probes servers for all tunnels. A cheap handle.
#[derive(Clone)]
pub struct Reachability {
    shared: Arc<ReachabilityShared>,
}

struct ReachabilityShared {
    dialer: Arc<dyn Dialer>,
    /// Paces the logins to jump hosts.
    governor: Governor,
    endpoints: Mutex<WatchedEndpoints>,
}

#[derive(Default)]
struct WatchedEndpoints {
    waiting: HashMap<Endpoint, EndpointWatch>,
    next: u64,
}

struct EndpointWatch {
    /// By their number, which is their order of asking.
    waiters: BTreeMap<u64, WaitingTunnel>,
    refused: Option<Refused>,
    _probing: AbortOnDropHandle<()>,
}

struct WaitingTunnel {
    request: ReachabilityRequest,
    tell: oneshot::Sender<Option<Link>>,
}

impl Reachability {
    /// Over this way to servers; logins to jump hosts are paced by `governor`.
    pub fn new(dialer: Arc<dyn Dialer>, governor: Governor) -> Self {
        Self { shared: Arc::new(ReachabilityShared { dialer, governor, endpoints: Mutex::default() }) }
    }

    /// Returns when a server can be reached again at `endpoint`, an address on the route of `spec`; with the
    /// connection, for one of those who wait. Dropping the future ends the wait.
    pub async fn back(&self, endpoint: Endpoint, spec: &SessionSpec, request: ReachabilityRequest) -> Option<Link> {
        let Some(hop) = first_hop(spec) else { return std::future::pending().await };
        let (tell, told) = oneshot::channel();
        let id = self.shared.join(&endpoint, hop, request, tell);
        let _subscription = ProbeSubscription { shared: self.shared.clone(), endpoint, id };
        match told.await {
            Ok(link) => link,
            // The probing broke off: each tunnel has a next start of its own.
            Err(_) => std::future::pending().await,
        }
    }

    /// What a dial of the first server on the route of `spec` would be told now, where tunnels wait for that server and
    /// a dial has just been told so.
    pub fn refused(&self, spec: &SessionSpec) -> Option<Failure> {
        let endpoint = Endpoint::of(spec)?;
        self.shared.endpoints().waiting.get(&endpoint)?.refused.as_ref()?.at(clock::now())
    }

    /// A dial of the server of `spec` has been told this.
    pub fn note_refused(&self, spec: &SessionSpec, failure: &Failure) {
        if let (Route::Direct, Some(endpoint)) = (&spec.dial.via, Endpoint::of(spec)) {
            self.shared.note_refused(&endpoint, failure);
        }
    }

    /// A login at the server of `spec` has succeeded: those who wait for it may come too.
    pub fn note_reached(&self, spec: &SessionSpec) {
        if let (Route::Direct, Some(endpoint)) = (&spec.dial.via, Endpoint::of(spec)) {
            self.shared.opened(&endpoint, None);
        }
    }

    /// Asks the first server on the route of `spec` once: whether it can be reached now.
    pub async fn is_there(&self, spec: &SessionSpec) -> bool {
        let Some(hop) = first_hop(spec) else { return true };
        let until = clock::now() + PROBE_TIMEOUT;
        let probe = self.shared.dialer.probe(hop, until);
        matches!(tokio::time::timeout_at(until.into(), probe).await, Ok(Ok(_)))
    }
}

impl ReachabilityShared {
    fn join(
        self: &Arc<Self>,
        endpoint: &Endpoint,
        hop: &SessionSpec,
        request: ReachabilityRequest,
        tell: oneshot::Sender<Option<Link>>,
    ) -> u64 {
        let mut endpoints = self.endpoints();
        endpoints.next += 1;
        let id = endpoints.next;
        let watch = endpoints.waiting.entry(endpoint.clone()).or_insert_with(|| {
            let probing = watch(self.clone(), endpoint.clone(), hop.clone());
            EndpointWatch { waiters: BTreeMap::new(), refused: None, _probing: task::owned(probing) }
        });
        watch.waiters.insert(id, WaitingTunnel { request, tell });
        id
    }

    /// Those who wait now; `None` when no tunnel does any more.
    fn interval(&self, endpoint: &Endpoint, now: Instant) -> Option<Duration> {
        let endpoints = self.endpoints();
        let requests = endpoints.waiting.get(endpoint)?.waiters.values().map(|waiter| waiter.request);
        // The youngest outage, and the most eager config, decide for all.
        requests
            .map(|request| probe_interval(now.saturating_duration_since(request.away_since), request.at_most_every))
            .min()
    }

    /// Kept for as long as tunnels wait there.
    fn note_refused(&self, endpoint: &Endpoint, failure: &Failure) {
        if let Some(refused) = Refused::of(failure, clock::now())
            && let Some(watch) = self.endpoints().waiting.get_mut(endpoint)
        {
            watch.refused = Some(refused);
        }
    }

    /// The server is back: the link, where there is one, goes to the one that was up last.
    fn opened(&self, endpoint: &Endpoint, mut link: Option<Link>) {
        let Some(watch) = self.endpoints().waiting.remove(endpoint) else { return };
        let mut waiters: Vec<WaitingTunnel> = watch.waiters.into_values().collect();
        // Stable: among equals, the first that asked.
        waiters.sort_by_key(|waiter| std::cmp::Reverse(waiter.request.last_up));
        for waiter in waiters {
            // The receiver was dropped: the link goes to the next one.
            if let Err(untaken) = waiter.tell.send(link.take()) {
                link = untaken;
            }
        }
    }

    fn endpoints(&self) -> MutexGuard<'_, WatchedEndpoints> {
        self.endpoints.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Asks until the server is back. Ends with the last who waits.
async fn watch(shared: Arc<ReachabilityShared>, endpoint: Endpoint, hop: SessionSpec) {
    let link = match &endpoint {
        Endpoint::First { .. } => probe_endpoint(&shared, &endpoint, &hop).await,
        Endpoint::Behind(behind) => behind_jump::watch(&shared, &endpoint, behind).await,
    };
    if link.is_some() {
        shared.opened(&endpoint, link);
    }
}

/// Asks `hop` by TCP for those who wait at `endpoint`; `None` when no tunnel does any more.
async fn probe_endpoint(shared: &ReachabilityShared, endpoint: &Endpoint, hop: &SessionSpec) -> Option<Link> {
    let mut under_way = FuturesUnordered::new();
    // An attempt has failed only now.
    let mut next = probe_interval::next(clock::now(), REACHABILITY.first);
    loop {
        tokio::select! {
            biased;
            Some(answer) = under_way.next() => match answer {
                Ok(Ok(link)) => return Some(link),
                Ok(Err(failure)) => shared.note_refused(endpoint, &failure),
                // Silence.
                Err(_) => {}
            },
            () = tokio::time::sleep_until(next.into()) => {
                let now = clock::now();
                let interval = shared.interval(endpoint, now)?;
                if under_way.len() < MAX_PROBES {
                    let timeout = if interval < REACHABILITY_LATE.first { PROBE_TIMEOUT } else { SINGLE_PROBE_TIMEOUT };
                    let probe = shared.dialer.probe(hop, now + timeout);
                    under_way.push(tokio::time::timeout_at((now + timeout).into(), probe));
                }
                next = probe_interval::next(now, interval);
            }
        }
    }
}

/// One waiter's.
struct ProbeSubscription {
    shared: Arc<ReachabilityShared>,
    endpoint: Endpoint,
    id: u64,
}

impl Drop for ProbeSubscription {
    fn drop(&mut self) {
        let mut endpoints = self.shared.endpoints();
        let Some(watch) = endpoints.waiting.get_mut(&self.endpoint) else { return };
        watch.waiters.remove(&self.id);
        let empty = watch.waiters.is_empty();
        // Outside the lock: it ends the probing.
        let ended = if empty { endpoints.waiting.remove(&self.endpoint) } else { None };
        drop(endpoints);
        drop(ended);
    }
}
