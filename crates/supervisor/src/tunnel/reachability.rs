//! While a tunnel waits because its servers are away: each is asked whether it is back.

use std::time::Instant;

use tunnel_engine::failure::{Failure, FailureKind, Unreached};
use tunnel_engine::spec::Destination;

use super::core::{AwayServer, Effects, TunnelEffect};
use crate::config::{BackoffKind, TunnelSpec};
use crate::lifecycle::Phase;

/// What a tunnel knows of the absence of its servers.
#[derive(Debug, Default)]
pub(super) struct AwayServers {
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

impl AwayServers {
    /// While they are asked for: since when the first of them has been away.
    pub(super) fn watched_since(&self) -> Option<Instant> {
        self.away.iter().map(|away| away.since).min().filter(|_| self.watching)
    }

    /// A start at `host` failed, or a session to it ended: whether it may be away. `named`: it is still in the config.
    pub(super) fn note(
        &mut self,
        failure: &Failure,
        host: &Destination,
        named: bool,
        now: Instant,
        effects: &mut Effects,
    ) {
        let in_doubt = failure.kind() == FailureKind::KeepaliveTimeout;
        let at = failure.unreached().or(in_doubt.then_some(Unreached::Directly));
        let before = self.away.iter().position(|away| away.host == *host);
        let before = before.map(|place| self.away.swap_remove(place)).filter(|away| Some(away.at) == at);
        if let Some(at) = at.filter(|_| named) {
            let since = before.map_or(now, |away| away.since);
            self.away.push(Away { host: host.clone(), since, at, in_doubt: failure.unreached().is_none() });
        }
        self.stop(effects);
    }

    /// Another network: the outage begins anew.
    pub(super) fn begin_anew(&mut self, now: Instant, effects: &mut Effects) {
        self.stop(effects);
        for away in &mut self.away {
            away.since = now;
        }
    }

    /// Has the servers watched while the tunnel waits for them, and at no other time. autossh's formula knows no such
    /// thing.
    pub(super) fn reconcile(
        &mut self,
        phase: Phase,
        last_up: Option<Instant>,
        spec: &TunnelSpec,
        effects: &mut Effects,
    ) {
        if phase == Phase::Up {
            self.away.clear();
        }
        let backoff = spec.policy.backoff;
        if backoff.kind != BackoffKind::Exponential || phase != Phase::Backoff {
            return self.stop(effects);
        }
        if self.watching {
            return;
        }
        let away = self.away.iter().filter_map(|away| {
            let spec = spec.servers().find(|spec| spec.destination == away.host)?.clone();
            let (at, since, in_doubt) = (away.at, away.since, away.in_doubt);
            Some(AwayServer { spec: Box::new(spec), at, since, in_doubt, last_up, at_most_every: backoff.min })
        });
        let away: Vec<AwayServer> = away.collect();
        if !away.is_empty() {
            self.watching = true;
            effects.push(TunnelEffect::WatchServers(away));
        }
    }

    /// A server can be reached again: the watch is over.
    pub(super) const fn is_back(&mut self) {
        self.watching = false;
    }

    /// The server was never away: nothing but the backoff says when it is dialled again.
    pub(super) fn was_there(&mut self, host: &Destination) {
        self.watching = false;
        self.away.retain(|away| away.host != *host);
    }

    fn stop(&mut self, effects: &mut Effects) {
        if std::mem::take(&mut self.watching) {
            effects.push(TunnelEffect::StopWatchingServers);
        }
    }
}

#[cfg(test)]
mod tests {
    use tunnel_engine::backoff::BLOCKED;
    use tunnel_engine::clock;

    use super::*;
    use crate::tunnel::test_support::tunnel_spec;

    fn refused() -> Failure {
        Failure::new(FailureKind::ConnectRefused, "refused").not_reached()
    }

    fn watched(reachability: &mut AwayServers, phase: Phase, spec: &TunnelSpec) -> Option<Vec<AwayServer>> {
        let mut effects = Effects::default();
        reachability.reconcile(phase, None, spec, &mut effects);
        effects.pop().and_then(|effect| if let TunnelEffect::WatchServers(away) = effect { Some(away) } else { None })
    }

    #[test]
    fn server_is_watched_once_while_its_tunnel_waits() {
        let (spec, now, mut effects) = (tunnel_spec("t", &[]), clock::now(), Effects::default());
        let mut reachability = AwayServers::default();
        reachability.note(&refused(), &spec.session.destination, true, now, &mut effects);
        assert_eq!((watched(&mut reachability, Phase::Connecting, &spec), reachability.watched_since()), (None, None));
        let away = watched(&mut reachability, Phase::Backoff, &spec).expect("a watch");
        assert!(away[0].since == now && !away[0].in_doubt);
        assert_eq!(
            (watched(&mut reachability, Phase::Backoff, &spec), reachability.watched_since()),
            (None, Some(now))
        );
        reachability.is_back();
        assert_eq!(reachability.watched_since(), None);
    }

    #[test]
    fn absence_lasts_from_its_first_failure_until_the_network_changes() {
        let (spec, now, mut effects) = (tunnel_spec("t", &[]), clock::now(), Effects::default());
        let (host, mut reachability) = (&spec.session.destination, AwayServers::default());
        reachability.note(&refused(), host, true, now, &mut effects);
        reachability.note(&refused(), host, true, now + BLOCKED.first, &mut effects);
        assert_eq!(watched(&mut reachability, Phase::Backoff, &spec).expect("a watch")[0].since, now);
        reachability.begin_anew(now + BLOCKED.first, &mut effects);
        assert_eq!(effects.pop(), Some(TunnelEffect::StopWatchingServers));
        assert_eq!(watched(&mut reachability, Phase::Backoff, &spec).expect("a watch")[0].since, now + BLOCKED.first);
    }

    #[test]
    fn silent_session_leaves_its_server_in_doubt_until_it_answers() {
        let (spec, now, mut effects) = (tunnel_spec("t", &[]), clock::now(), Effects::default());
        let (host, mut reachability) = (&spec.session.destination, AwayServers::default());
        reachability.note(&Failure::new(FailureKind::KeepaliveTimeout, "silent"), host, true, now, &mut effects);
        assert!(watched(&mut reachability, Phase::Backoff, &spec).expect("a watch")[0].in_doubt);
        reachability.was_there(host);
        assert_eq!(watched(&mut reachability, Phase::Backoff, &spec), None);
    }
}
