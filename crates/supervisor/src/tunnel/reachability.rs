//! While a tunnel waits because its servers are away: each is asked whether it is back.

use std::time::Instant;

use futures_util::future::select_all;
use tokio::task::AbortHandle;
use tunnel_engine::clock;
use tunnel_engine::dial::Link;
use tunnel_engine::failure::{Failure, FailureKind, Unreached};
use tunnel_engine::spec::{Destination, SessionSpec};

use super::actor::{Actor, TunnelEvent};
use crate::config::BackoffKind;
use crate::lifecycle::{Input, Phase};
use crate::supervise::reachability::{Endpoint, Reachability, ReachabilityRequest};

/// What a tunnel knows of the absence of its servers.
#[derive(Default)]
pub(super) struct ReachabilityWatch {
    /// Those of its hosts that cannot be reached, or are thought to be.
    away: Vec<AbsentServer>,
    job: Option<AbortHandle>,
}

/// One of them.
#[derive(Debug, Clone)]
struct AbsentServer {
    host: Destination,
    since: Instant,
    at: Unreached,
    /// A session fell silent: whether its server is away is to be found out first. One that is there but does not
    /// answer would be logged in to again and again.
    in_doubt: bool,
}

/// A server that can be reached again.
pub(super) struct ServerBack {
    host: Destination,
    endpoint: Endpoint,
    link: Option<Link>,
}

impl ReachabilityWatch {
    /// While they are asked for: since when the first of them has been away.
    pub(super) fn watched_since(&self) -> Option<Instant> {
        self.away.iter().map(|away| away.since).min().filter(|_| self.job.is_some())
    }

    fn stop(&mut self) {
        if let Some(job) = self.job.take() {
            job.abort();
        }
    }
}

impl Actor {
    /// A start failed, or a session ended: whether its server may be away.
    pub(super) fn note_absence(&mut self, failure: &Failure) {
        let in_doubt = failure.kind() == FailureKind::KeepaliveTimeout;
        let at = failure.unreached().or(in_doubt.then_some(Unreached::Directly));
        let (host, known) = (self.server.clone(), self.spec.servers().any(|spec| spec.destination == self.server));
        let before = self.absence.away.iter().position(|away| away.host == host);
        let before = before.map(|place| self.absence.away.swap_remove(place)).filter(|away| Some(away.at) == at);
        self.absence.stop();
        if let Some(at) = at.filter(|_| known) {
            let since = before.map_or_else(clock::now, |away| away.since);
            self.absence.away.push(AbsentServer { host, since, at, in_doubt: failure.unreached().is_none() });
        }
    }

    /// Another network: the outage begins anew.
    pub(super) fn forget_absence(&mut self) {
        self.absence.stop();
        for away in &mut self.absence.away {
            away.since = clock::now();
        }
    }

    /// Has the servers watched while the tunnel waits for them, and at no other time. autossh's formula knows no such
    /// thing.
    pub(super) fn reconcile_reachability(&mut self) {
        let phase = self.machine.phase();
        if phase == Phase::Up {
            self.absence.away.clear();
        }
        let ours = self.machine.policy().backoff.kind == BackoffKind::Exponential && phase == Phase::Backoff;
        if !ours {
            return self.absence.stop();
        }
        if self.absence.job.is_some() {
            return;
        }
        let (last_up, at_most_every) = (self.last_up, self.machine.policy().backoff.min);
        let asked = self.absence.away.iter().filter_map(|away| {
            let spec = self.spec.servers().find(|spec| spec.destination == away.host)?;
            let endpoint = Endpoint::at(spec, away.at)?;
            let request = ReachabilityRequest { last_up, away_since: away.since, at_most_every };
            Some(Box::pin(find(self.context.reachability.clone(), endpoint, spec.clone(), request, away.in_doubt)))
        });
        let asked: Vec<_> = asked.collect();
        if !asked.is_empty() {
            self.absence.job = Some(self.jobs.spawn(async move { select_all(asked).await.0 }));
        }
    }

    /// A server can be reached; perhaps the connection is ours.
    pub(super) fn server_back(&mut self, ServerBack { host, endpoint, link }: ServerBack) {
        self.absence.job = None;
        if self.machine.phase() != Phase::Backoff {
            return;
        }
        // The first to be tried, before those that are still away.
        self.hosts.worked(&host);
        if let Some(link) = link {
            self.context.ready_link.put(endpoint, link);
        }
        self.feed(Input::PathBack);
    }

    /// The server was never away: nothing but the backoff says when it is dialled again.
    pub(super) fn server_there(&mut self, host: &Destination) {
        self.absence.job = None;
        self.absence.away.retain(|away| away.host != *host);
    }
}

async fn find(
    reachability: Reachability,
    endpoint: Endpoint,
    spec: SessionSpec,
    request: ReachabilityRequest,
    in_doubt: bool,
) -> TunnelEvent {
    let host = spec.destination.clone();
    if in_doubt && reachability.is_there(&spec).await {
        return TunnelEvent::ServerThere { host };
    }
    let link = reachability.back(endpoint.clone(), &spec, request).await;
    TunnelEvent::ServerBack(ServerBack { host, endpoint, link })
}
