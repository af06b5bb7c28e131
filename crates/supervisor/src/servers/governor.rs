//! Starts to one server are paced over all tunnels together, so that two hundred tunnels
//! that come back at once trip neither MaxStartups (10:30:100 by default, sshd_config(5)) nor PerSourcePenalties.

mod login_limit;
mod pacing;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tunnel_engine::clock;
use tunnel_engine::failure::FailureKind;
use tunnel_engine::spec::{Route, SessionSpec};

use super::takeovers::TakeoverTurns;
use pacing::{Pacing, StartRequest};

/// Gives permits to start. A cheap handle.
#[derive(Clone, Default)]
pub struct Governor {
    shared: Arc<GovernorShared>,
}

#[derive(Default)]
struct GovernorShared {
    /// Never held across an await; a permit's drop must be able to reach it.
    pacing: Mutex<Pacing>,
    takeovers: TakeoverTurns,
}

impl Governor {
    /// Waits for the turn of one start to every server that `spec` logs in to: its jump hosts too. `last_up` is when
    /// the tunnel was up: those that were up most recently go first, as their users notice the outage.
    pub async fn permit(&self, spec: &SessionSpec, last_up: Option<Instant>) -> Permit {
        self.permit_at(&QueueEntry::default(), spec, last_up).await
    }

    /// The same; `queue_entry` tells of the wait while it lasts, and whether an operator insists.
    pub async fn permit_at(&self, entry: &QueueEntry, spec: &SessionSpec, last_up: Option<Instant>) -> Permit {
        let bypasses_hold = entry.take_bypass();
        let mut permit = Permit { governor: self.clone(), requests: Vec::new() };
        // In one order for all: two tunnels that jump through each other's server never wait for each other.
        for server in servers(spec) {
            let request = self.pacing().ask(&server, last_up);
            if bypasses_hold {
                self.pacing().bypass_hold(request);
            }
            entry.set_request(request);
            permit.requests.push((server, request));
            self.wait_for_turn(request).await;
        }
        permit
    }

    /// The turns of takeovers.
    pub fn takeovers(&self) -> &TakeoverTurns {
        &self.shared.takeovers
    }

    /// The operator asked to try now: forgets what servers asked for.
    pub fn forget_holds(&self) {
        self.pacing().forget_holds();
    }

    async fn wait_for_turn(&self, request: StartRequest) {
        loop {
            let (admitted, hold, granted) = {
                let mut pacing = self.pacing();
                (pacing.admit(request, clock::now()), pacing.hold(request), pacing.granted(request))
            };
            // A ticket is ours until the permit is dropped, and this future with it.
            let Some(granted) = granted.filter(|_| !admitted) else { return };
            let hold = hold.filter(|until| *until > clock::now());
            let over = async {
                match hold {
                    Some(until) => tokio::time::sleep_until(until.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = granted.notified() => {}
                () = over => {}
            }
        }
    }

    fn pacing(&self) -> MutexGuard<'_, Pacing> {
        self.shared.pacing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One start under way. Dropping it lets the next one go.
pub struct Permit {
    governor: Governor,
    requests: Vec<(String, StartRequest)>,
}

impl Permit {
    /// How the start ended: a server that refuses before its banner holds all further starts to it back, for as long as is
    /// returned. `destination` is the `host:port` that refused or let in. Not to be told of a server that was not reached.
    pub fn finish(self, destination: &str, outcome: Result<(), FailureKind>) -> Option<Duration> {
        let named = |server: &&String| server.split(FROM).next() == Some(destination);
        let server = self.requests.iter().map(|(server, _)| server).find(named)?;
        self.governor.pacing().learn(server, outcome, clock::now())
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut pacing = self.governor.pacing();
        for (_, request) in &self.requests {
            pacing.give_back(*request);
        }
    }
}

/// Where one tunnel stands among those that want to start. A cheap handle.
#[derive(Debug, Clone, Default)]
pub struct QueueEntry(Arc<Mutex<QueueEntryState>>);

#[derive(Debug, Default)]
struct QueueEntryState {
    request: Option<StartRequest>,
    bypasses_hold: bool,
}

impl QueueEntry {
    /// An operator wants this tunnel's next start now: it waits its turn, but no hold.
    pub fn bypass_hold(&self) {
        self.state().bypasses_hold = true;
    }

    fn take_bypass(&self) -> bool {
        std::mem::take(&mut self.state().bypasses_hold)
    }

    fn set_request(&self, request: StartRequest) {
        self.state().request = Some(request);
    }

    /// What a start waits for, as a person reads it; `None` when it waits for nothing.
    pub fn waits_for(&self, governor: &Governor, now: Instant) -> Option<String> {
        let request = self.state().request?;
        let mut pacing = governor.pacing();
        let (server, before, held_until) = pacing.standing(request)?;
        Some(match held_until.filter(|until| *until > now) {
            Some(until) => {
                let seconds = until.saturating_duration_since(now).as_secs() + 1;
                format!("{server} to take logins again, in {seconds} s")
            }
            None => format!("its turn at {server}: {before} before it"),
        })
    }

    fn state(&self) -> MutexGuard<'_, QueueEntryState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Between a server and the source address: servers judge clients by their address.
const FROM: &str = " from ";

/// `host:port` of every server that the session logs in to, with the source address where there is one, in an order
/// that does not depend on the way.
fn servers(spec: &SessionSpec) -> Vec<String> {
    let mut servers = Vec::new();
    let mut next = Some(spec);
    while let Some(spec) = next {
        let server = spec.destination.host_port();
        servers.push(match spec.dial.bind_address.as_ref().or(spec.dial.bind_interface.as_ref()) {
            Some(source) => format!("{server}{FROM}{source}"),
            None => server,
        });
        next = match &spec.dial.via {
            Route::Jump(jump) => Some(jump),
            Route::Direct | Route::Command(_) => None,
        };
    }
    servers.sort();
    servers.dedup();
    servers
}

#[cfg(test)]
mod tests;
