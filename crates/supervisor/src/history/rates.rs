//! Bytes a second, from counters that are read now and then. Pure.

use std::time::{Duration, Instant};

/// A reading that is younger says too little: one packet more or less would double the rate.
const MIN_INTERVAL: Duration = Duration::from_secs(5);

/// Counters that were not read for so long belong to a tunnel that has gone.
const STALE: Duration = Duration::from_secs(60);

/// Bytes of all forwards of a tunnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Traffic {
    /// Towards the listeners' peers.
    pub bytes_in: u64,
    /// From them.
    pub bytes_out: u64,
}

impl Traffic {
    /// What was added since; nothing where a forward was removed, and its counters with it.
    fn since(self, before: Self) -> Self {
        Self {
            bytes_in: self.bytes_in.saturating_sub(before.bytes_in),
            bytes_out: self.bytes_out.saturating_sub(before.bytes_out),
        }
    }
}

/// Bytes a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rates {
    /// Towards the listeners' peers.
    pub rate_in: u64,
    /// From them.
    pub rate_out: u64,
}

#[derive(Debug, Default)]
pub(super) struct Readings {
    last: Option<(Instant, Traffic)>,
    before: Option<(Instant, Traffic)>,
}

impl Readings {
    /// Keeps a reading; what was added since the last one.
    pub(super) fn add(&mut self, traffic: Traffic, now: Instant) -> Traffic {
        self.before = self.last.replace((now, traffic));
        self.before.map_or(traffic, |(_, before)| traffic.since(before))
    }

    /// The tunnel is not there any more.
    pub(super) fn are_stale(&self, now: Instant) -> bool {
        self.last.is_none_or(|(at, _)| now.saturating_duration_since(at) > STALE)
    }

    /// Since the youngest reading that is old enough.
    pub(super) fn rates(&self, traffic: Traffic, now: Instant) -> Option<Rates> {
        let old_enough = |(at, _): &&(Instant, Traffic)| now.saturating_duration_since(*at) >= MIN_INTERVAL;
        let (at, before) = self.last.iter().chain(&self.before).find(old_enough)?;
        let (added, seconds) = (traffic.since(*before), now.saturating_duration_since(*at).as_secs_f64());
        let rate = |bytes: u64| (bytes as f64 / seconds).round() as u64;
        Some(Rates { rate_in: rate(added.bytes_in), rate_out: rate(added.bytes_out) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tunnel_engine::clock;

    fn traffic(bytes_in: u64, bytes_out: u64) -> Traffic {
        Traffic { bytes_in, bytes_out }
    }

    #[test]
    fn rate_is_unknown_until_a_reading_is_old_enough() {
        let (start, mut readings) = (clock::now(), Readings::default());
        assert_eq!(readings.rates(traffic(9, 9), start), None);
        assert_eq!(readings.add(traffic(100, 10), start), traffic(100, 10));
        assert_eq!(readings.rates(traffic(200, 10), start + Duration::from_secs(4)), None);
        let rates = readings.rates(traffic(1100, 60), start + Duration::from_secs(10));
        assert_eq!(rates, Some(Rates { rate_in: 100, rate_out: 5 }));
    }

    #[test]
    fn rate_spans_the_reading_before_while_the_last_is_young() {
        let (start, mut readings) = (clock::now(), Readings::default());
        readings.add(traffic(0, 0), start);
        assert_eq!(readings.add(traffic(1000, 0), start + Duration::from_secs(10)), traffic(1000, 0));
        let rates = readings.rates(traffic(1200, 0), start + Duration::from_secs(12));
        assert_eq!(rates, Some(Rates { rate_in: 100, rate_out: 0 }));
    }

    #[test]
    fn removed_counters_make_no_negative_rate() {
        let (start, mut readings) = (clock::now(), Readings::default());
        readings.add(traffic(1000, 1000), start);
        let later = start + Duration::from_secs(10);
        assert_eq!(readings.rates(traffic(10, 2000), later), Some(Rates { rate_in: 0, rate_out: 100 }));
        assert_eq!(readings.add(traffic(10, 2000), later), traffic(0, 1000));
    }
}
