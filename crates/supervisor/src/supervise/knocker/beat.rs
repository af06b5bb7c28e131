//! How often a server that is away is asked: pure.

use std::time::{Duration, Instant};

use tunnel_engine::clock;

/// At the start of an outage: a server that is back is found within this.
pub const EAGER: Duration = Duration::from_millis(500);

/// Restarts, and most faults of a network, are over by then.
pub const EAGER_FOR: Duration = Duration::from_secs(300);

/// Later on. A firewall that counts connections (`ufw limit`: six within 30 s) counts these too, and still lets us in.
pub const PATIENT: Duration = Duration::from_secs(10);

/// The time to the next knock, when the server has been away for so long.
pub fn beat(away: Duration, at_most_every: Duration) -> Duration {
    let pace = if away < EAGER_FOR { EAGER } else { PATIENT };
    pace.max(at_most_every)
}

/// The next knock after one at `now`. Servers that are asked equally often are asked in the same wakeup; where the
/// config says how often, not sooner than that.
pub(super) fn next(now: Instant, pace: Duration) -> Instant {
    let next = now + pace;
    if pace == EAGER || pace == PATIENT { clock::tick_before(next, EAGER) } else { next }
}
