//! Who may start now: pure, `now` is an argument.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tunnel_engine::failure::FailureKind;

use super::login_limit::LoginLimit;
use crate::lifecycle::asked_for;

/// One wish to start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct StartRequest(u64);

#[derive(Debug, Default)]
pub(super) struct Pacing {
    servers: HashMap<String, PacedServer>,
    requests: HashMap<StartRequest, WaitingStart>,
    next: u64,
}

#[derive(Debug, Default)]
struct PacedServer {
    waiting: BTreeSet<StartOrder>,
    /// How many go before each, when a caller has asked since `waiting` changed.
    ranks: Option<HashMap<StartRequest, usize>>,
    in_flight: usize,
    limit: LoginLimit,
    held_until: Option<Instant>,
    refusals: u32,
}

/// Most recently up first, then in order of asking; never up comes last.
type StartOrder = (Reverse<Option<Instant>>, StartRequest);

#[derive(Debug)]
struct WaitingStart {
    server: String,
    order: StartOrder,
    admitted: bool,
    /// An operator wants it now, whatever the server asked for.
    bypasses_hold: bool,
    /// Told when it may be its turn.
    granted: Arc<Notify>,
}

impl Pacing {
    pub(super) fn ask(&mut self, server: &str, last_up: Option<Instant>) -> StartRequest {
        let request = StartRequest(self.next);
        self.next += 1;
        let order = (Reverse(last_up), request);
        self.servers.entry(server.to_owned()).or_default().waiting().insert(order);
        let granted = Arc::default();
        let start = WaitingStart { server: server.to_owned(), order, admitted: false, bypasses_hold: false, granted };
        self.requests.insert(request, start);
        request
    }

    /// What tells the wish that it may be its turn: [`Self::admit`] is to be asked again.
    pub(super) fn granted(&self, request: StartRequest) -> Option<Arc<Notify>> {
        self.requests.get(&request).map(|start| start.granted.clone())
    }

    /// Tells those that may go now, and not the thousands behind them.
    fn grant_next(&self, server: &PacedServer) {
        let next = server.waiting.iter().take(server.room());
        for start in next.filter_map(|(_, request)| self.requests.get(request)) {
            start.granted.notify_one();
        }
    }

    /// No hold counts for this wish.
    pub(super) fn bypass_hold(&mut self, request: StartRequest) {
        if let Some(start) = self.requests.get_mut(&request) {
            start.bypasses_hold = true;
        }
    }

    /// The server that a request waits for, how many go before it, and until when the server admits none.
    pub(super) fn standing(&mut self, request: StartRequest) -> Option<(&str, usize, Option<Instant>)> {
        let start = self.requests.get(&request).filter(|start| !start.admitted)?;
        let server = self.servers.get_mut(&start.server)?;
        // A status asks for all of them: they are counted once, and not once each.
        let waiting = &server.waiting;
        let count = || waiting.iter().zip(0..).map(|((_, request), before)| (*request, before)).collect();
        let before = server.ranks.get_or_insert_with(count).get(&request).copied()?;
        Some((&start.server, before, server.held_until.filter(|_| !start.bypasses_hold)))
    }

    /// True once it is this wish's turn. Stays true.
    pub(super) fn admit(&mut self, request: StartRequest, now: Instant) -> bool {
        let Some(start) = self.requests.get_mut(&request) else { return false };
        if start.admitted {
            return true;
        }
        let Some(server) = self.servers.get_mut(&start.server) else { return false };
        let held = server.held_until.is_some_and(|until| now < until) && !start.bypasses_hold;
        if held || !server.waiting.iter().take(server.room()).any(|order| *order == start.order) {
            return false;
        }
        server.waiting().remove(&start.order);
        server.in_flight += 1;
        start.admitted = true;
        true
    }

    /// Until when the server of the request admits none.
    pub(super) fn hold(&self, request: StartRequest) -> Option<Instant> {
        let start = self.requests.get(&request)?;
        self.servers.get(&start.server)?.held_until
    }

    /// The start is over, or the wish is withdrawn.
    pub(super) fn give_back(&mut self, request: StartRequest) {
        let Some(start) = self.requests.remove(&request) else { return };
        let Some(server) = self.servers.get_mut(&start.server) else { return };
        if start.admitted {
            server.in_flight -= 1;
        } else {
            server.waiting().remove(&start.order);
        }
        let is_as_new = server.held_until.is_none() && server.refusals == 0 && server.limit.is_highest();
        if server.in_flight == 0 && server.waiting.is_empty() && is_as_new {
            self.servers.remove(&start.server);
        } else if let Some(server) = self.servers.get(&start.server) {
            self.grant_next(server);
        }
    }

    /// What a start to `server` taught us: the one place that counts refusals. Returns how long the server is to be left
    /// alone, where this was one.
    pub(super) fn learn(&mut self, server: &str, outcome: Result<(), FailureKind>, now: Instant) -> Option<Duration> {
        let server = self.servers.get_mut(server)?;
        let Some(asked) = outcome.err().and_then(asked_for) else {
            // Whatever else a server says, it has room for a login.
            server.refusals = 0;
            if outcome.is_ok() {
                server.limit = server.limit.after_login();
            }
            server.held_until = server.held_until.filter(|_| outcome.is_err());
            return None;
        };
        // Starts that were under way together are refused together: that is one refusal.
        if server.held_until.is_none_or(|until| until <= now) {
            server.held_until = Some(now + asked.wait(server.refusals));
            server.refusals = server.refusals.saturating_add(1);
            server.limit = server.limit.after_drop();
        }
        server.held_until.map(|until| until.saturating_duration_since(now))
    }

    pub(super) fn forget_holds(&mut self) {
        for server in self.servers.values_mut() {
            server.held_until = None;
        }
        for server in self.servers.values() {
            self.grant_next(server);
        }
    }
}

impl PacedServer {
    fn waiting(&mut self) -> &mut BTreeSet<StartOrder> {
        self.ranks = None;
        &mut self.waiting
    }

    /// Starts that may join those under way.
    const fn room(&self) -> usize {
        self.limit.logins().saturating_sub(self.in_flight)
    }
}
