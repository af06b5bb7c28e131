//! The formulas of a tunnel's own `backoff`, and of autossh's. Durations in, durations out; the random share is an argument.
//! The schedules that no key of the config sets are in [`tunnel_engine::backoff`].

use std::time::Duration;

use tunnel_engine::backoff::{Backoff, Jitter, POLITE_SHARE};

use super::Policy;
use crate::spec::{BackoffKind, BackoffSpec};

/// Whatever the config says: a server on this machine that refuses at once must not be dialled in a busy loop.
const SHORTEST_WAIT: Duration = Duration::from_millis(10);

/// autossh makes this many short-lived starts again without a wait.
const AUTOSSH_FAST_TRIES: u32 = 5;

/// autossh: a start shorter than a tenth of POLL, and in any case shorter than this, counts as short-lived.
const AUTOSSH_SHORTEST_LIFE: Duration = Duration::from_secs(10);

/// A tunnel's own `backoff`. Its jitter makes waits shorter, so that `max` is the longest.
pub(super) const fn of(spec: &BackoffSpec) -> Backoff {
    Backoff { first: spec.min, factor: spec.factor, longest: spec.max, jitter: Jitter::Less(spec.jitter) }
}

/// The next wait of a tunnel's own `backoff` after `waits` others. `draw` is in `0.0..1.0`.
pub(super) fn exponential(spec: &BackoffSpec, waits: u32, draw: f64) -> Duration {
    of(spec).drawn(waits, draw).max(SHORTEST_WAIT)
}

/// autossh 1.4g's delay before the start that has this `tries` value; in whole seconds, no jitter, at most POLL.
/// The order of its floating-point operations is kept, for they decide which way a whole second is truncated.
pub(super) fn autossh(poll: Duration, tries: u32) -> Duration {
    if tries <= AUTOSSH_FAST_TRIES {
        return Duration::ZERO;
    }
    let poll = Duration::from_secs(poll.as_secs());
    let t = f64::from(tries - AUTOSSH_FAST_TRIES);
    let seconds = (poll.as_secs_f64() / 100.0) * (t * (t / 3.0));
    Duration::try_from_secs_f64(seconds.trunc()).map_or(poll, |delay| delay.min(poll))
}

/// autossh: a start that was this old when it ended clears `tries`. Counted from the start, not from being up.
pub(super) fn autossh_min_up(poll: Duration) -> Duration {
    Duration::from_secs(poll.as_secs() / 10).max(AUTOSSH_SHORTEST_LIFE)
}

/// The wait of a tunnel whose server asks for `asked`. The random share is the schedule's, or the tunnel's where that is
/// larger.
pub(super) fn polite(asked: Duration, jitter: f64, draw: f64) -> Duration {
    Jitter::More(jitter.max(POLITE_SHARE)).applied(asked, draw)
}

/// No wait of this policy is longer, a refusing server's apart.
pub(super) fn longest(policy: &Policy) -> Duration {
    match policy.backoff.kind {
        BackoffKind::Exponential => policy.backoff.max.max(SHORTEST_WAIT),
        BackoffKind::Autossh => policy.poll,
    }
}
