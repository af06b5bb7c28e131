//! `hosts`: in which order servers are tried, and when a better one than the one in use is: pure.

use std::time::{Duration, Instant};

use tunnel_engine::backoff::BETTER_HOST;
use tunnel_engine::failure::{FailureKind, Unreached};
use tunnel_engine::spec::Destination;

/// A return that held this long was a good one.
pub(super) const LASTED: Duration = Duration::from_secs(600);

/// For this long a host that failed is tried after the others: a dead one costs a whole `connect_timeout`.
const SHUNNED: Duration = Duration::from_secs(120);

/// Hosts remembered: more than a tunnel has.
const MAX_REMEMBERED: usize = 64;

/// What was learned of the hosts of a tunnel. Empty, and free, where there is one host only.
#[derive(Debug, Default)]
pub(in crate::tunnel) struct HostRecords {
    /// Which failed, and when last.
    failed: Vec<(Destination, Instant)>,
    /// When the better hosts are tried; `None`: the best one is in use, or none is.
    due: Option<Instant>,
    /// When the tunnel last went back to a better host.
    returned: Option<Instant>,
    /// Returns in a row that did not last.
    vain: u32,
    /// This tunnel's share of what is random in a wait.
    draw: f64,
}

impl HostRecords {
    /// `draw`, in `0.0..1.0`, sets the tunnel apart from others that go to the same hosts.
    pub(super) fn with_draw(draw: f64) -> Self {
        Self { draw, ..Self::default() }
    }

    pub(super) fn failed(&mut self, host: &Destination, now: Instant) {
        self.worked(host);
        if self.failed.len() < MAX_REMEMBERED {
            self.failed.push((host.clone(), now));
        }
    }

    pub(in crate::tunnel) fn worked(&mut self, host: &Destination) {
        self.failed.retain(|(known, _)| known != host);
    }

    /// The places of `hosts` in the order in which they are tried: as preferred, those that failed lately last.
    pub(super) fn order(&self, hosts: &[&Destination], now: Instant) -> Vec<usize> {
        let shunned = |host: &Destination| {
            self.failed.iter().any(|(known, at)| known == host && now.saturating_duration_since(*at) < SHUNNED)
        };
        let mut places: Vec<usize> = (0..hosts.len()).collect();
        places.sort_by_key(|place| (shunned(hosts[*place]), *place));
        places
    }

    /// The host at this place is in use from now on. `returning`: it was chosen because it is better than the one
    /// before.
    pub(super) fn in_use(&mut self, place: usize, returning: bool, now: Instant) {
        if returning {
            self.returned = Some(now);
        }
        if place == 0 {
            self.due = None;
            return;
        }
        if !returning && let Some(returned) = self.returned.take() {
            let lasted = now.saturating_duration_since(returned) >= LASTED;
            self.vain = if lasted { 0 } else { self.vain.saturating_add(1) };
        }
        self.due = Some(now + self.wait());
    }

    /// The host in use is at another place among the hosts now.
    pub(super) fn moved(&mut self, place: usize, now: Instant) {
        self.due = (place > 0).then(|| self.due.unwrap_or(now + self.wait()));
    }

    pub(super) fn still_lesser(&mut self, now: Instant) {
        self.due = Some(now + self.wait());
    }

    /// When the better hosts are to be tried.
    pub(super) const fn return_due(&self) -> Option<Instant> {
        self.due
    }

    /// The operator or the network says that now is a good time.
    pub(super) fn retry_now(&mut self, now: Instant) {
        self.due = self.due.map(|due| due.min(now));
    }

    fn wait(&self) -> Duration {
        BETTER_HOST.drawn(self.vain, self.draw)
    }
}

/// Hosts that are tried one after the other, as one start.
#[derive(Debug, Default)]
pub(in crate::tunnel) struct HostSequence {
    /// Places still to be tried, the next one last.
    left: Vec<usize>,
    /// How the others ended.
    ends: Vec<(FailureKind, Option<Unreached>)>,
    /// Those that asked to be left alone, and for how long.
    asked: Vec<(FailureKind, Duration)>,
}

impl HostSequence {
    pub(in crate::tunnel) fn new(mut places: Vec<usize>) -> Self {
        places.reverse();
        Self { left: places, ..Self::default() }
    }

    pub(in crate::tunnel) fn next(&mut self) -> Option<usize> {
        self.left.pop()
    }

    pub(in crate::tunnel) fn is_last(&self) -> bool {
        self.left.is_empty()
    }

    pub(in crate::tunnel) fn failed(
        &mut self,
        kind: FailureKind,
        unreached: Option<Unreached>,
        asked: Option<Duration>,
    ) {
        self.ends.push((kind, unreached));
        self.asked.extend(asked.map(|asked| (kind, asked)));
    }

    /// For how long the last of them that failed in this way asked to be left alone.
    pub(in crate::tunnel) fn asked(&self, kind: FailureKind) -> Option<Duration> {
        self.asked.iter().rev().find(|(known, _)| *known == kind).map(|(_, asked)| *asked)
    }

    /// How the whole sequence ended: a tunnel is blocked only when each of its hosts is, and found no server only when
    /// each of them was away. `last` is how the last one ended.
    pub(in crate::tunnel) fn verdict(&self, last: FailureKind) -> (FailureKind, Option<Unreached>) {
        let transient = self.ends.iter().rev().map(|(kind, _)| *kind).find(|kind| !kind.is_permanent());
        let all_away = self.ends.iter().all(|(_, unreached)| unreached.is_some());
        // Asked by TCP where that can find one of them.
        let directly = self.ends.iter().find(|(_, unreached)| *unreached == Some(Unreached::Directly));
        let away = directly.or(self.ends.first()).and_then(|(_, unreached)| *unreached);
        (transient.unwrap_or(last), away.filter(|_| all_away))
    }
}

#[cfg(test)]
mod tests {
    use tunnel_engine::clock;

    use super::*;

    const RETURN_EVERY: Duration = BETTER_HOST.first;
    const RETURN_LATEST: Duration = BETTER_HOST.longest;

    fn host(name: &str) -> Destination {
        Destination { user: "me".to_owned(), host: name.to_owned(), port: 22 }
    }

    #[test]
    fn hosts_that_failed_lately_are_tried_last() {
        let (a, b, c) = (host("a"), host("b"), host("c"));
        let now = clock::now();
        let mut hosts = HostRecords::default();
        assert_eq!(hosts.order(&[&a, &b, &c], now), [0, 1, 2]);
        hosts.failed(&a, now);
        assert_eq!(hosts.order(&[&a, &b, &c], now), [1, 2, 0]);
        hosts.failed(&b, now);
        hosts.failed(&c, now);
        assert_eq!(hosts.order(&[&a, &b, &c], now), [0, 1, 2], "all failed: as preferred");
        hosts.worked(&c);
        assert_eq!(hosts.order(&[&a, &b, &c], now), [2, 0, 1]);
        assert_eq!(hosts.order(&[&a, &b, &c], now + SHUNNED), [0, 1, 2]);
    }

    #[test]
    fn better_host_is_tried_later_after_short_returns() {
        let now = clock::now();
        let mut hosts = HostRecords::default();
        hosts.in_use(0, false, now);
        assert_eq!(hosts.return_due(), None, "there is none better");
        hosts.in_use(1, false, now);
        assert_eq!(hosts.return_due(), Some(now + RETURN_EVERY));
        hosts.still_lesser(now);
        assert_eq!(hosts.return_due(), Some(now + RETURN_EVERY), "a failed try costs nothing");
        for vain in 1..20 {
            hosts.in_use(0, true, now);
            hosts.in_use(1, false, now + LASTED / 2);
            let wait = hosts.return_due().unwrap() - (now + LASTED / 2);
            assert_eq!(wait, (RETURN_EVERY * 2u32.pow(vain.min(10))).min(RETURN_LATEST));
        }
        hosts.in_use(0, true, now);
        hosts.in_use(1, false, now + LASTED);
        assert_eq!(hosts.return_due(), Some(now + LASTED + RETURN_EVERY), "a return that lasted clears it");
    }

    #[test]
    fn sequence_is_blocked_only_with_every_host() {
        let mut hosts = HostSequence::new(vec![0, 1, 2]);
        assert_eq!((hosts.next(), hosts.next(), hosts.is_last()), (Some(0), Some(1), false));
        hosts.failed(FailureKind::HostKeyChanged, None, None);
        assert_eq!(hosts.verdict(FailureKind::HostKeyChanged), (FailureKind::HostKeyChanged, None));
        hosts.failed(FailureKind::ConnectRefused, Some(Unreached::Directly), None);
        hosts.failed(FailureKind::AuthRejected, None, None);
        assert_eq!(hosts.verdict(FailureKind::AuthRejected), (FailureKind::ConnectRefused, None), "one was there");
    }
}
