//! When again: every schedule by which the daemon touches a server, beside each other, and the formulas of a tunnel's own
//! `backoff`. Durations in, durations out; the random share is an argument. docs/ARCHITECTURE.md has them as a table, which a
//! test compares.

use std::time::Duration;

pub use tunnel_engine::backoff::Backoff;
pub(super) use tunnel_engine::backoff::Jitter;

use crate::spec::{BackoffKind, BackoffSpec};

use super::Policy;

/// What is drawn at random where nothing else is said: tunnels that wait for one server part within a few waits.
const SPREAD: Jitter = Jitter::Less(0.2);

/// The same where the wait is the least that the server is to be left alone.
const SPREAD_LATER: Jitter = Jitter::More(0.2);

/// A server that drops logins at random under load (MaxStartups) frees a place as soon as one of them is through or
/// gives up (LoginGraceTime, 2 min): seconds are enough at first, more only keeps its door blocked. It is asked at
/// least once a minute.
pub(crate) const SERVER_BUSY: Backoff =
    Backoff::doubling(Duration::from_secs(5), Duration::from_secs(60)).with_jitter(POLITE_JITTER);

/// PerSourcePenalties refuses at 15 s of outstanding penalty and runs down in real time (sshd_config(5)): sooner than
/// after 20 s, asking again is sure to be refused. The longest penalty that sshd gives by default is `max:600s`.
pub(crate) const PENALTY: Backoff =
    Backoff::doubling(Duration::from_secs(20), Duration::from_secs(600)).with_jitter(POLITE_JITTER);

/// Refused clients come back spread over at least this share of the wait, or they are refused together again.
const POLITE_JITTER: Jitter = Jitter::More(POLITE_SHARE);

/// See [`POLITE_JITTER`].
const POLITE_SHARE: f64 = 0.25;

/// How often a blocked tunnel tries by itself. A failed login costs 5 s of sshd's patience with our address, so this
/// leaves room for dozens of blocked tunnels behind one address. The governor lets them go a few at a time.
pub(super) const BLOCKED: Backoff = Backoff::every(Duration::from_secs(300));

/// The wait between the tries of a blocked tunnel.
pub const RECHECK: Duration = BLOCKED.first;

/// A server that is away is asked by TCP, once for all tunnels that wait for it: a server that is back is found within
/// this at the start of an outage. On ticks, so that many servers are asked in one wakeup.
pub const REACHABILITY: Backoff = Backoff::every(Duration::from_millis(500));

/// The same when it has been away for minutes. A firewall that counts connections (`ufw limit`: six within 30 s) counts
/// these too, and still lets us in.
pub const REACHABILITY_LATE: Backoff = Backoff::every(Duration::from_secs(10));

/// Between two logins at a jump host that is asked for the server behind it, when its session did not last, or it refused
/// the login.
pub const JUMP_LOGIN: Backoff = Backoff::doubling(Duration::from_secs(1), Duration::from_secs(60)).with_jitter(SPREAD);

/// Between two questions to that jump host, by the number of those that it has not answered. One asks for all tunnels.
pub const JUMP_QUESTION: Backoff = Backoff::doubling(Duration::from_millis(500), Duration::from_secs(4));

/// After logins that were to replace a session that still serves: no connection is cut meanwhile.
pub const REPLACEMENT: Backoff =
    Backoff::doubling(Duration::from_secs(5), Duration::from_secs(300)).with_jitter(SPREAD);

/// While the path is in doubt nothing passes, so the next login follows the failed one soon. The governor paces them.
pub const REPLACEMENT_IN_DOUBT: Backoff = Backoff::every(Duration::from_secs(1)).with_jitter(SPREAD);

/// How often the better hosts are tried while the tunnel is up on a lesser one, by the number of returns that did not
/// last. Only a whole login tells that a host works, and a failed one costs some of its patience with our address
/// (PerSourcePenalties).
pub const BETTER_HOST: Backoff =
    Backoff::doubling(Duration::from_secs(60), Duration::from_secs(3600)).with_jitter(SPREAD);

/// How often a busy remote port is asked for again on the living session, at first: the request costs the server no login,
/// and the old session that holds the port may end any moment. On ticks that all tunnels share, so that hundreds of them
/// cost few wakeups.
pub const REMOTE_PORT: Backoff = Backoff::every(Duration::from_secs(1)).with_jitter(SPREAD_LATER);

/// A server that notices dead sessions at all has ended an old session of ours by then (ClientAliveInterval, a minute or
/// two as it is usually set).
pub const REMOTE_PORT_EARLY: Duration = Duration::from_secs(300);

/// The same when the port has been busy for longer than [`REMOTE_PORT_EARLY`]: another program has it, for good perhaps. A
/// stock sshd writes two lines into its log for each request.
pub const REMOTE_PORT_LATE: Backoff =
    Backoff::doubling(Duration::from_secs(2), Duration::from_secs(10)).with_jitter(SPREAD_LATER);

/// The same for a port that the server's policy forbids: most servers read their policy at login only.
pub const REMOTE_PORT_DENIED: Backoff = Backoff::every(Duration::from_secs(60));

/// After a look at the holder of a remote port that changed nothing: a shell on the server each time.
pub const TAKEOVER_LOOK: Backoff = Backoff::doubling(Duration::from_secs(30), Duration::from_secs(480));

/// While an earlier session of ours has yet to give the port up.
pub const TAKEOVER_OURS: Backoff = Backoff::doubling(Duration::from_secs(2), Duration::from_secs(30));

/// A port that was taken over and lost again: another client wants it, too.
pub const TAKEOVER_CONTESTED: Backoff = Backoff::doubling(Duration::from_secs(60), Duration::from_secs(960));

/// After a probe that a target refused, which reached no service: each one is a line in the server's log.
pub const PROBE: Backoff = Backoff::doubling(Duration::from_secs(5), Duration::from_secs(60)).with_jitter(PROBE_JITTER);

/// Between two touches of a port that another program or session holds. A dead session on the server lives for as long as
/// its port is connected to more often than its own keepalive looks (ClientAliveInterval).
pub const PROBE_STALE: Backoff =
    Backoff::doubling(Duration::from_secs(30), Duration::from_secs(480)).with_jitter(PROBE_JITTER);

/// More, not less: a target is asked at most as often as `poll` says.
pub const PROBE_JITTER: Jitter = Jitter::More(0.1);

/// Proven sessions that ended young are replaced at once so many times within [`QUICK_WITHIN`]: a link that flaps
/// costs its users as little as it can, and a server sees no more than this from a tunnel beside the backoff.
pub const QUICK_REDIALS: usize = 5;

/// See [`QUICK_REDIALS`].
pub const QUICK_WITHIN: Duration = Duration::from_secs(60);

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
