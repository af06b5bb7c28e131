//! How long to wait before the next start. Durations in, durations out; the random share is an argument.

use std::time::Duration;

use crate::spec::{BackoffKind, BackoffSpec};

use super::Policy;

/// A schedule of waits: the first, how each grows over the one before it, and the longest.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Backoff {
    /// The wait after the first failure.
    pub first: Duration,
    /// Each wait is this many times the one before it.
    pub factor: f64,
    /// No wait is longer.
    pub longest: Duration,
}

impl Backoff {
    /// Each wait is twice the one before it.
    pub const fn doubling(first: Duration, longest: Duration) -> Self {
        Self { first, factor: 2.0, longest }
    }

    /// The schedule of a tunnel's own `backoff`, without its jitter.
    pub const fn of(spec: &BackoffSpec) -> Self {
        Self { first: spec.min, factor: spec.factor, longest: spec.max }
    }

    /// The wait after `before` others: first × factor^`before`, at most the longest.
    pub fn wait(&self, before: u32) -> Duration {
        let exponent = i32::try_from(before).unwrap_or(i32::MAX);
        let grown = self.first.as_secs_f64() * self.factor.max(1.0).powi(exponent);
        // An infinite or absurd product is simply too long.
        Duration::try_from_secs_f64(grown).map_or(self.longest, |grown| grown.min(self.longest))
    }
}

/// A server that drops logins at random under load (MaxStartups) frees a place as soon as one of them is through or
/// gives up (LoginGraceTime, 2 min): seconds are enough at first, more only keeps its slots taken. It is asked at
/// least once a minute.
pub const SERVER_BUSY: Backoff = Backoff::doubling(Duration::from_secs(5), Duration::from_secs(60));

/// PerSourcePenalties refuses at 15 s of outstanding penalty and runs down in real time (sshd_config(5)): sooner than
/// after 20 s, asking again is sure to be refused. The longest penalty that sshd gives by default is `max:600s`.
pub const PENALTY: Backoff = Backoff::doubling(Duration::from_secs(20), Duration::from_secs(600));

/// Proven sessions that ended young are replaced at once so many times within [`QUICK_WITHIN`]: a link that flaps
/// costs its users as little as it can, and a server sees no more than this from a tunnel beside the backoff.
pub const QUICK_REDIALS: usize = 5;

/// See [`QUICK_REDIALS`].
pub const QUICK_WITHIN: Duration = Duration::from_secs(60);

/// Refused clients come back spread over at least this share of the wait, or they are refused together again.
const POLITE_JITTER: f64 = 0.25;

/// Whatever the config says: a server on this machine that refuses at once must not be dialled in a busy loop.
const SHORTEST_WAIT: Duration = Duration::from_millis(10);

/// autossh makes this many short-lived starts again without a wait.
const AUTOSSH_FAST_TRIES: u32 = 5;

/// autossh: a start shorter than a tenth of POLL, and in any case shorter than this, counts as short-lived.
const AUTOSSH_SHORTEST_LIFE: Duration = Duration::from_secs(10);

/// min × factor^`waits`, at most max, less a random part of the share `jitter`: the result lies in
/// `delay × (1 - jitter) ..= delay`. Less, not more, so that `max` is the longest wait; `draw` is in `0.0..1.0`.
pub(super) fn exponential(spec: &BackoffSpec, waits: u32, draw: f64) -> Duration {
    let delay = Backoff::of(spec).wait(waits);
    times(delay, 1.0 - spec.jitter.clamp(0.0, 1.0) * draw).min(delay).max(SHORTEST_WAIT)
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

/// The wait that a refusing server is given after `refusals` others, plus a random part.
pub(super) fn polite(asked: Backoff, refusals: u32, jitter: f64, draw: f64) -> Duration {
    times(asked.wait(refusals), 1.0 + jitter.clamp(POLITE_JITTER, 1.0) * draw)
}

/// No wait of this policy is longer, a refusing server's apart.
pub(super) fn longest(policy: &Policy) -> Duration {
    match policy.backoff.kind {
        BackoffKind::Exponential => policy.backoff.max.max(SHORTEST_WAIT),
        BackoffKind::Autossh => policy.poll,
    }
}

/// A product that no `Duration` holds leaves the delay as it is: `Duration::mul_f64` would panic.
fn times(delay: Duration, factor: f64) -> Duration {
    Duration::try_from_secs_f64(delay.as_secs_f64() * factor).unwrap_or(delay)
}
