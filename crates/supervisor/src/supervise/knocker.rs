//! Asks servers that are away, at the level of TCP, whether they are back: one for all tunnels that go there.
//!
//! A connection that comes about is not thrown away, for servers punish those who connect and say nothing
//! (PerSourcePenalties): the tunnel that was up last logs in over it, and the others are told that they may come too.
//! A server behind a jump host is asked for over one session to that host (`behind`).

mod beat;
mod behind;
mod refused;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::sync::oneshot;
use tokio_util::task::AbortOnDropHandle;
use tunnel_engine::dial::{Dialer, Link};
use tunnel_engine::failure::{Failure, Unreached};
use tunnel_engine::spec::{AddressFamily, SessionSpec, Via};
use tunnel_engine::{clock, task};

pub use beat::{EAGER, EAGER_FOR, PATIENT, beat};
use behind::Behind;
use refused::Refused;

use super::governor::Governor;

/// How long one knock waits for an answer, its name lookup included; longer than any path needs.
const KNOCK_TIMEOUT: Duration = Duration::from_secs(2);

/// The same while knocks are few: the kernel must not repeat a SYN, as firewalls count each of them.
const SINGLE_KNOCK_TIMEOUT: Duration = Duration::from_millis(950);

/// Knocks that have no answer yet. More than fit into their timeout come about only when a lookup hangs.
const MOST_UNDER_WAY: usize = 4;

/// The address that is asked, and from where.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Door {
    /// Where a route begins: the first machine to be reached, by TCP.
    First {
        /// Its `host:port`.
        server: String,
        /// Address, name or interface.
        bind: (Option<String>, Option<String>),
        /// Which addresses of it count.
        family: AddressFamily,
    },
    /// Behind a jump host, asked over a session to it.
    Behind(Behind),
}

/// The first server on the way to that of `spec`; `None` where a command leads there.
pub fn first_hop(spec: &SessionSpec) -> Option<&SessionSpec> {
    match &spec.dial.via {
        Via::Direct => Some(spec),
        Via::Jump(jump) => first_hop(jump),
        Via::Command(_) => None,
    }
}

impl Door {
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
            Via::Jump(jump) => Some(Self::Behind(Behind::new(jump, &spec.destination))),
            Via::Direct | Via::Command(_) => None,
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
pub struct Waiting {
    /// Tunnels that were up most recently go first, for somebody is missing them.
    pub last_up: Option<Instant>,
    /// Since when its server cannot be reached.
    pub away_since: Instant,
    /// `backoff.min`: not more often than this.
    pub at_most_every: Duration,
}

/// Knocks for all tunnels. A cheap handle.
#[derive(Clone)]
pub struct Knocker {
    shared: Arc<Shared>,
}

struct Shared {
    dialer: Arc<dyn Dialer>,
    /// Paces the logins to jump hosts.
    governor: Governor,
    doors: Mutex<Doors>,
}

#[derive(Default)]
struct Doors {
    waiting: HashMap<Door, Crowd>,
    next: u64,
}

struct Crowd {
    /// By their number, which is their order of asking.
    waiters: BTreeMap<u64, Waiter>,
    /// What the last dial was told.
    refused: Option<Refused>,
    _knocking: AbortOnDropHandle<()>,
}

struct Waiter {
    wish: Waiting,
    tell: oneshot::Sender<Option<Link>>,
}

impl Knocker {
    /// Over this way to servers; logins to jump hosts are paced by `governor`.
    pub fn new(dialer: Arc<dyn Dialer>, governor: Governor) -> Self {
        Self { shared: Arc::new(Shared { dialer, governor, doors: Mutex::default() }) }
    }

    /// Returns when a server can be reached again at `door`, an address on the route of `spec`; with the connection,
    /// for one of those who wait. Dropping the future ends the wait.
    pub async fn back(&self, door: Door, spec: &SessionSpec, wish: Waiting) -> Option<Link> {
        let Some(hop) = first_hop(spec) else { return std::future::pending().await };
        let (tell, told) = oneshot::channel();
        let id = self.shared.join(&door, hop, wish, tell);
        let _place = Place { shared: self.shared.clone(), door, id };
        match told.await {
            Ok(link) => link,
            // The knocking broke off: whoever waits has its own next start.
            Err(_) => std::future::pending().await,
        }
    }

    /// What a dial of the first server on the route of `spec` would be told now, where tunnels wait for that server and
    /// a dial has just been told so.
    pub fn refused(&self, spec: &SessionSpec) -> Option<Failure> {
        let door = Door::of(spec)?;
        self.shared.doors().waiting.get(&door)?.refused.as_ref()?.at(clock::now())
    }

    /// A dial of the server of `spec` has been told this.
    pub fn note_refused(&self, spec: &SessionSpec, failure: &Failure) {
        if let (Via::Direct, Some(door)) = (&spec.dial.via, Door::of(spec)) {
            self.shared.note_refused(&door, failure);
        }
    }

    /// A login at the server of `spec` has succeeded: those who wait for it may come too.
    pub fn note_reached(&self, spec: &SessionSpec) {
        if let (Via::Direct, Some(door)) = (&spec.dial.via, Door::of(spec)) {
            self.shared.opened(&door, None);
        }
    }

    /// Asks the first server on the route of `spec` once: whether it can be reached now.
    pub async fn is_there(&self, spec: &SessionSpec) -> bool {
        let Some(hop) = first_hop(spec) else { return true };
        let until = clock::now() + KNOCK_TIMEOUT;
        let knock = self.shared.dialer.knock(hop, until);
        matches!(tokio::time::timeout_at(until.into(), knock).await, Ok(Ok(_)))
    }
}

impl Shared {
    fn join(
        self: &Arc<Self>,
        door: &Door,
        hop: &SessionSpec,
        wish: Waiting,
        tell: oneshot::Sender<Option<Link>>,
    ) -> u64 {
        let mut doors = self.doors();
        doors.next += 1;
        let id = doors.next;
        let crowd = doors.waiting.entry(door.clone()).or_insert_with(|| {
            let knocking = watch(self.clone(), door.clone(), hop.clone());
            Crowd { waiters: BTreeMap::new(), refused: None, _knocking: task::owned(knocking) }
        });
        crowd.waiters.insert(id, Waiter { wish, tell });
        id
    }

    /// Those who wait now; `None` when no tunnel does any more.
    fn pace(&self, door: &Door, now: Instant) -> Option<Duration> {
        let doors = self.doors();
        let wishes = doors.waiting.get(door)?.waiters.values().map(|waiter| waiter.wish);
        // The youngest outage, and the most eager config, decide for all.
        wishes.map(|wish| beat(now.saturating_duration_since(wish.away_since), wish.at_most_every)).min()
    }

    /// Kept for as long as tunnels wait there.
    fn note_refused(&self, door: &Door, failure: &Failure) {
        if let Some(refused) = Refused::of(failure, clock::now())
            && let Some(crowd) = self.doors().waiting.get_mut(door)
        {
            crowd.refused = Some(refused);
        }
    }

    /// The server is back: the link, where there is one, goes to the one that was up last.
    fn opened(&self, door: &Door, mut link: Option<Link>) {
        let Some(crowd) = self.doors().waiting.remove(door) else { return };
        let mut waiters: Vec<Waiter> = crowd.waiters.into_values().collect();
        // Stable: among equals, the first that asked.
        waiters.sort_by_key(|waiter| std::cmp::Reverse(waiter.wish.last_up));
        for waiter in waiters {
            // Whoever has just left leaves the link to the next.
            if let Err(untaken) = waiter.tell.send(link.take()) {
                link = untaken;
            }
        }
    }

    fn doors(&self) -> MutexGuard<'_, Doors> {
        self.doors.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Asks until the server is back. Ends with the last who waits.
async fn watch(shared: Arc<Shared>, door: Door, hop: SessionSpec) {
    let link = match &door {
        Door::First { .. } => knock(&shared, &door, &hop).await,
        Door::Behind(behind) => behind::watch(&shared, &door, behind).await,
    };
    if link.is_some() {
        shared.opened(&door, link);
    }
}

/// Asks `hop` by TCP for those who wait at `door`; `None` when no tunnel does any more.
async fn knock(shared: &Shared, door: &Door, hop: &SessionSpec) -> Option<Link> {
    let mut under_way = FuturesUnordered::new();
    // An attempt has failed only now.
    let mut next = beat::next(clock::now(), EAGER);
    loop {
        tokio::select! {
            biased;
            Some(answer) = under_way.next() => match answer {
                Ok(Ok(link)) => return Some(link),
                Ok(Err(failure)) => shared.note_refused(door, &failure),
                // Silence.
                Err(_) => {}
            },
            () = tokio::time::sleep_until(next.into()) => {
                let now = clock::now();
                let pace = shared.pace(door, now)?;
                if under_way.len() < MOST_UNDER_WAY {
                    let timeout = if pace < PATIENT { KNOCK_TIMEOUT } else { SINGLE_KNOCK_TIMEOUT };
                    let knock = shared.dialer.knock(hop, now + timeout);
                    under_way.push(tokio::time::timeout_at((now + timeout).into(), knock));
                }
                next = beat::next(now, pace);
            }
        }
    }
}

/// One waiter's.
struct Place {
    shared: Arc<Shared>,
    door: Door,
    id: u64,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut doors = self.shared.doors();
        let Some(crowd) = doors.waiting.get_mut(&self.door) else { return };
        crowd.waiters.remove(&self.id);
        let empty = crowd.waiters.is_empty();
        // Outside the lock: it ends the knocking.
        let ended = if empty { doors.waiting.remove(&self.door) } else { None };
        drop(doors);
        drop(ended);
    }
}
