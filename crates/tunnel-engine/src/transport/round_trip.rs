//! The shortest round trip to the server of late: the path's own, without what queues add to it under load.

use std::time::{Duration, Instant};

/// A round trip is forgotten after this time at the earliest, and after twice as much at the latest.
const MEMORY: Duration = Duration::from_secs(30 * 60);

/// Of one connection.
#[derive(Debug, Default)]
pub(super) struct ShortestRoundTrip {
    since: Option<Instant>,
    /// Since then…
    latest: Option<Duration>,
    /// …and in the time before.
    earlier: Option<Duration>,
}

impl ShortestRoundTrip {
    /// The server took so long for an answer.
    pub(super) fn note(&mut self, took: Duration, now: Instant) {
        let since = *self.since.get_or_insert(now);
        if now.saturating_duration_since(since) >= MEMORY {
            self.since = Some(now);
            self.earlier = self.latest.take();
        }
        self.latest = Some(self.latest.map_or(took, |known| known.min(took)));
    }

    /// `None`: nothing was answered yet.
    pub(super) fn known(&self) -> Option<Duration> {
        [self.latest, self.earlier].into_iter().flatten().min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shortest_is_known_until_it_is_old() {
        let (mut shortest, start) = (ShortestRoundTrip::default(), crate::clock::now());
        assert_eq!(shortest.known(), None);
        let mut note = |minutes: u64, millis| {
            shortest.note(Duration::from_millis(millis), start + Duration::from_secs(60 * minutes));
            shortest.known().unwrap().as_millis()
        };
        assert_eq!([note(0, 9), note(1, 5), note(29, 80)], [9, 5, 5]);
        assert_eq!([note(30, 80), note(59, 70), note(60, 90), note(61, 95)], [5, 5, 70, 70]);
        assert_eq!(note(62, 4), 4);
    }
}
