//! How often a server that is away is asked: pure.

use std::time::{Duration, Instant};

use tunnel_engine::backoff::{REACHABILITY, REACHABILITY_LATE};
use tunnel_engine::clock;

/// Restarts, and most faults of a network, are over by then.
pub const EARLY_FOR: Duration = Duration::from_secs(300);

/// The time to the next probe, when the server has been away for so long.
pub fn probe_interval(away: Duration, at_most_every: Duration) -> Duration {
    let interval = if away < EARLY_FOR { REACHABILITY.first } else { REACHABILITY_LATE.first };
    interval.max(at_most_every)
}

/// The next probe after one at `now`. Servers that are asked equally often are asked in the same wakeup; where the
/// config says how often, not sooner than that.
pub(super) fn next(now: Instant, interval: Duration) -> Instant {
    let next = now + interval;
    if interval == REACHABILITY.first || interval == REACHABILITY_LATE.first {
        clock::tick_before(next, REACHABILITY.first)
    } else {
        next
    }
}
