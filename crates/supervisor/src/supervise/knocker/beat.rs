//! How often a server that is away is asked: pure.

use std::time::Duration;

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
