//! While a tunnel waits because its servers are away: each is asked whether it is back.

use std::time::Instant;

use tunnel_engine::failure::{Failure, FailureKind, Unreached};
use tunnel_engine::spec::Destination;

use super::core::{AwayServer, Core, Effect};
use crate::config::BackoffKind;
use crate::lifecycle::{Input, Phase};

/// What a tunnel knows of the absence of its servers.
#[derive(Debug, Default)]
pub(super) struct Reachability {
    /// Those of its hosts that cannot be reached, or are thought to be.
    away: Vec<Away>,
    /// They are being asked.
    watching: bool,
}

/// One of them.
#[derive(Debug, Clone)]
struct Away {
    host: Destination,
    since: Instant,
    at: Unreached,
    /// A session fell silent: whether its server is away is to be found out first. One that is there but does not
    /// answer would be logged in to again and again.
    in_doubt: bool,
}

impl Reachability {
    /// While they are asked for: since when the first of them has been away.
    pub(super) fn watched_since(&self) -> Option<Instant> {
        self.away.iter().map(|away| away.since).min().filter(|_| self.watching)
    }
}

impl Core {
    /// A start failed, or a session ended: whether its server may be away.
    pub(super) fn note_absence(&mut self, failure: &Failure) {
        let in_doubt = failure.kind() == FailureKind::KeepaliveTimeout;
        let at = failure.unreached().or(in_doubt.then_some(Unreached::Directly));
        let host = self.sessions.server.clone();
        let known = self.spec.servers().any(|spec| spec.destination == host);
        let away = &mut self.reachability.away;
        let before = away.iter().position(|away| away.host == host);
        let before = before.map(|place| away.swap_remove(place)).filter(|away| Some(away.at) == at);
        if let Some(at) = at.filter(|_| known) {
            let since = before.map_or(self.now.awake, |away| away.since);
            away.push(Away { host, since, at, in_doubt: failure.unreached().is_none() });
        }
        self.stop_watching_servers();
    }

    /// Another network: the outage begins anew.
    pub(super) fn forget_absence(&mut self) {
        self.stop_watching_servers();
        for away in &mut self.reachability.away {
            away.since = self.now.awake;
        }
    }

    fn stop_watching_servers(&mut self) {
        if std::mem::take(&mut self.reachability.watching) {
            self.effect(Effect::StopWatchingServers);
        }
    }

    /// Has the servers watched while the tunnel waits for them, and at no other time. autossh's formula knows no such
    /// thing.
    pub(super) fn reconcile_reachability(&mut self) {
        let phase = self.machine.phase();
        if phase == Phase::Up {
            self.reachability.away.clear();
        }
        let backoff = self.machine.policy().backoff;
        if backoff.kind != BackoffKind::Exponential || phase != Phase::Backoff {
            return self.stop_watching_servers();
        }
        if self.reachability.watching {
            return;
        }
        let away = self.reachability.away.iter().filter_map(|away| {
            let spec = self.spec.servers().find(|spec| spec.destination == away.host)?.clone();
            Some(AwayServer {
                spec: Box::new(spec),
                at: away.at,
                since: away.since,
                in_doubt: away.in_doubt,
                last_up: self.sessions.last_up,
                at_most_every: backoff.min,
            })
        });
        let away: Vec<AwayServer> = away.collect();
        if !away.is_empty() {
            self.reachability.watching = true;
            self.effect(Effect::WatchServers(away));
        }
    }

    /// A server can be reached; perhaps the connection that showed it is ours.
    pub(super) fn server_back(&mut self, host: &Destination) {
        self.reachability.watching = false;
        if self.machine.phase() != Phase::Backoff {
            return;
        }
        // The first to be tried, before those that are still away.
        self.sessions.hosts.worked(host);
        self.effect(Effect::KeepLink);
        self.feed(Input::PathBack);
    }

    /// The server was never away: nothing but the backoff says when it is dialled again.
    pub(super) fn server_there(&mut self, host: &Destination) {
        self.reachability.watching = false;
        self.reachability.away.retain(|away| away.host != *host);
    }
}
