//! Manners towards servers: starts to one server are paced over all tunnels together, so that two hundred tunnels
//! that come back at once trip neither MaxStartups (10:30:100 by default, sshd_config(5)) nor PerSourcePenalties.

mod pacing;
mod place;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tunnel_engine::clock;
use tunnel_engine::failure::FailureKind;
use tunnel_engine::spec::{SessionSpec, Via};

use pacing::{Pacing, Ticket};
pub use place::Place;

/// Gives permits to start. A cheap handle.
#[derive(Clone, Default)]
pub struct Governor {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    /// Never held across an await; a permit's drop must be able to reach it.
    pacing: Mutex<Pacing>,
}

impl Governor {
    /// Waits for the turn of one start to every server that `spec` logs in to: its jump hosts too. `last_up` is when
    /// the tunnel was up: those that were up most recently go first, for somebody is missing them.
    pub async fn permit(&self, spec: &SessionSpec, last_up: Option<Instant>) -> Permit {
        self.permit_at(&Place::default(), spec, last_up).await
    }

    /// The same; `place` tells of the wait while it lasts, and whether an operator insists.
    pub async fn permit_at(&self, place: &Place, spec: &SessionSpec, last_up: Option<Instant>) -> Permit {
        let insists = place.take_insistence();
        let mut permit = Permit { governor: self.clone(), tickets: Vec::new() };
        // In one order for all: two tunnels that jump through each other's server never wait for each other.
        for server in servers(spec) {
            let ticket = self.pacing().ask(&server, last_up);
            if insists {
                self.pacing().insist(ticket);
            }
            place.waits_with(ticket);
            permit.tickets.push((server, ticket));
            self.turn(ticket).await;
        }
        permit
    }

    /// The operator asked to try now: forgets what servers asked for.
    pub fn forget_holds(&self) {
        self.pacing().forget_holds();
    }

    async fn turn(&self, ticket: Ticket) {
        loop {
            let (admitted, hold, turn_comes) = {
                let mut pacing = self.pacing();
                (pacing.admit(ticket, clock::now()), pacing.hold(ticket), pacing.turn_comes(ticket))
            };
            // A ticket is ours until the permit is dropped, and this future with it.
            let Some(turn_comes) = turn_comes.filter(|_| !admitted) else { return };
            let hold = hold.filter(|until| *until > clock::now());
            let over = async {
                match hold {
                    Some(until) => tokio::time::sleep_until(until.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = turn_comes.notified() => {}
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
    tickets: Vec<(String, Ticket)>,
}

impl Permit {
    /// How the start ended: a server that refuses before its banner holds all further starts to it back.
    /// `destination` is the `host:port` that refused or let in.
    pub fn finish(self, destination: &str, outcome: Result<(), FailureKind>) {
        let named = |server: &&String| server.split(FROM).next() == Some(destination);
        if let Some(server) = self.tickets.iter().map(|(server, _)| server).find(named) {
            self.governor.pacing().learn(server, outcome, clock::now());
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut pacing = self.governor.pacing();
        for (_, ticket) in &self.tickets {
            pacing.give_back(*ticket);
        }
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
            Via::Jump(jump) => Some(jump),
            Via::Direct | Via::Command(_) => None,
        };
    }
    servers.sort();
    servers.dedup();
    servers
}

#[cfg(test)]
mod tests;
