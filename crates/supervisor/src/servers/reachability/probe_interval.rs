//! How often a server that is away is asked: pure.

use std::time::{Duration, Instant};

use tunnel_engine::clock;

use crate::lifecycle::{REACHABILITY, REACHABILITY_LATE};

/// At the start of an outage: a server that is back is found within this.
pub const EARLY_INTERVAL: Duration = REACHABILITY.first;

/// Restarts, and most faults of a network, are over by then.
pub const EARLY_FOR: Duration = Duration::from_secs(300);

/// Later on.
pub const LATE_INTERVAL: Duration = REACHABILITY_LATE.first;

/// The time to the next probe, when the server has been away for so long.
pub fn probe_interval(away: Duration, at_most_every: Duration) -> Duration {
    let interval = if away < EARLY_FOR { EARLY_INTERVAL } else { LATE_INTERVAL };
    interval.max(at_most_every)
}

/// The next probe after one at `now`. Servers that are asked equally often are asked in the same wakeup; where the
/// config says how often, not sooner than that.
pub(super) fn next(now: Instant, interval: Duration) -> Instant {
    let next = now + interval;
    if interval == EARLY_INTERVAL || interval == LATE_INTERVAL {
        clock::tick_before(next, EARLY_INTERVAL)
    } else {
        next
    }
}
