//! Who may start now: pure, `now` is an argument.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::Notify;
use tunnel_engine::failure::FailureKind;

use crate::lifecycle::{PENALTY, SERVER_BUSY};

/// Logins under way at one server. sshd begins to refuse at ten (MaxStartups), which others need too.
pub(super) const MAX_HANDSHAKES: usize = 4;

/// One wish to start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Ticket(u64);

#[derive(Debug, Default)]
pub(super) struct Pacing {
    servers: HashMap<String, Server>,
    tickets: HashMap<Ticket, Wish>,
    next: u64,
}

#[derive(Debug, Default)]
struct Server {
    waiting: BTreeSet<Turn>,
    /// How many go before each, when a caller has asked since `waiting` changed.
    ranks: Option<HashMap<Ticket, usize>>,
    in_flight: usize,
    held_until: Option<Instant>,
    refusals: u32,
}

/// Most recently up first, then in order of asking; never up comes last.
type Turn = (Reverse<Option<Instant>>, Ticket);

#[derive(Debug)]
struct Wish {
    server: String,
    turn: Turn,
    admitted: bool,
    /// An operator wants it now, whatever the server asked for.
    insists: bool,
    /// Told when it may be its turn.
    turn_comes: Arc<Notify>,
}

impl Pacing {
    /// Queues a wish.
    pub(super) fn ask(&mut self, server: &str, last_up: Option<Instant>) -> Ticket {
        let ticket = Ticket(self.next);
        self.next += 1;
        let turn = (Reverse(last_up), ticket);
        self.servers.entry(server.to_owned()).or_default().waiting().insert(turn);
        let turn_comes = Arc::default();
        let wish = Wish { server: server.to_owned(), turn, admitted: false, insists: false, turn_comes };
        self.tickets.insert(ticket, wish);
        ticket
    }

    /// What tells the wish that it may be its turn: [`Self::admit`] is to be asked again.
    pub(super) fn turn_comes(&self, ticket: Ticket) -> Option<Arc<Notify>> {
        self.tickets.get(&ticket).map(|wish| wish.turn_comes.clone())
    }

    /// Tells those that may go now, and not the thousands behind them.
    fn tell_next(&self, server: &Server) {
        let next = server.waiting.iter().take(server.room());
        for wish in next.filter_map(|(_, ticket)| self.tickets.get(ticket)) {
            wish.turn_comes.notify_one();
        }
    }

    /// No hold counts for this wish.
    pub(super) fn insist(&mut self, ticket: Ticket) {
        if let Some(wish) = self.tickets.get_mut(&ticket) {
            wish.insists = true;
        }
    }

    /// The server that a wish waits for, how many go before it, and until when the server wants nobody.
    pub(super) fn standing(&mut self, ticket: Ticket) -> Option<(&str, usize, Option<Instant>)> {
        let wish = self.tickets.get(&ticket).filter(|wish| !wish.admitted)?;
        let server = self.servers.get_mut(&wish.server)?;
        // A status asks for all of them: they are counted once, and not once each.
        let waiting = &server.waiting;
        let count = || waiting.iter().zip(0..).map(|((_, ticket), before)| (*ticket, before)).collect();
        let before = server.ranks.get_or_insert_with(count).get(&ticket).copied()?;
        Some((&wish.server, before, server.held_until.filter(|_| !wish.insists)))
    }

    /// True once it is this wish's turn. Stays true.
    pub(super) fn admit(&mut self, ticket: Ticket, now: Instant) -> bool {
        let Some(wish) = self.tickets.get_mut(&ticket) else { return false };
        if wish.admitted {
            return true;
        }
        let Some(server) = self.servers.get_mut(&wish.server) else { return false };
        let held = server.held_until.is_some_and(|until| now < until) && !wish.insists;
        if held || !server.waiting.iter().take(server.room()).any(|turn| *turn == wish.turn) {
            return false;
        }
        server.waiting().remove(&wish.turn);
        server.in_flight += 1;
        wish.admitted = true;
        true
    }

    /// Until when the wish's server wants nobody.
    pub(super) fn hold(&self, ticket: Ticket) -> Option<Instant> {
        let wish = self.tickets.get(&ticket)?;
        self.servers.get(&wish.server)?.held_until
    }

    /// The start is over, or the wish is withdrawn.
    pub(super) fn give_back(&mut self, ticket: Ticket) {
        let Some(wish) = self.tickets.remove(&ticket) else { return };
        let Some(server) = self.servers.get_mut(&wish.server) else { return };
        if wish.admitted {
            server.in_flight -= 1;
        } else {
            server.waiting().remove(&wish.turn);
        }
        if server.in_flight == 0 && server.waiting.is_empty() && server.held_until.is_none() && server.refusals == 0 {
            self.servers.remove(&wish.server);
        } else if let Some(server) = self.servers.get(&wish.server) {
            self.tell_next(server);
        }
    }

    /// What a start to `server` taught us.
    pub(super) fn learn(&mut self, server: &str, outcome: Result<(), FailureKind>, now: Instant) {
        let Some(server) = self.servers.get_mut(server) else { return };
        let wait = match outcome {
            Err(FailureKind::ServerBusy) => Some(SERVER_BUSY),
            Err(FailureKind::Penalized) => Some(PENALTY),
            Ok(()) | Err(_) => None,
        };
        match wait {
            // Starts that were under way together are refused together: that is one refusal.
            Some(_) if server.held_until.is_some_and(|until| now < until) => {}
            Some(asked) => {
                server.held_until = Some(now + asked.wait(server.refusals));
                server.refusals = server.refusals.saturating_add(1);
            }
            None if outcome.is_ok() => {
                server.refusals = 0;
                server.held_until = None;
            }
            None => {}
        }
    }

    /// Nobody is held back any more.
    pub(super) fn forget_holds(&mut self) {
        for server in self.servers.values_mut() {
            server.held_until = None;
        }
        for server in self.servers.values() {
            self.tell_next(server);
        }
    }
}

impl Server {
    /// To change it.
    fn waiting(&mut self) -> &mut BTreeSet<Turn> {
        self.ranks = None;
        &mut self.waiting
    }

    /// Starts that may join those under way.
    const fn room(&self) -> usize {
        MAX_HANDSHAKES.saturating_sub(self.in_flight)
    }
}
