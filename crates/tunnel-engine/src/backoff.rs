//! When again: a schedule of waits as a plain value, and every schedule of the program beside each other. Pure: the random
//! share of a wait is an argument.
//!
//! The last four are of the engine's own loops. The others, of sessions, logins and probes, are the supervisor's: they are
//! here because the crate above can read this file and not the other way round. docs/ARCHITECTURE.md has all of them as a
//! table, which a test compares.

use std::time::Duration;

/// A schedule of waits: the first, how each grows over the one before it, the longest, and the share that is random.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Backoff {
    /// The first wait.
    pub first: Duration,
    /// Each wait is this many times the one before it.
    pub factor: f64,
    /// No wait is longer, before the random share is added.
    pub longest: Duration,
    /// The random share.
    pub jitter: Jitter,
}

/// The share of a wait that is drawn at random, so that those who wait for one server do not come together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Jitter {
    /// None: no server is touched, or all who wait share one question, or the moment is a common tick.
    None,
    /// Up to this share less, so that the longest wait is a promise.
    Less(f64),
    /// Up to this share more, where the other side has asked for the wait.
    More(f64),
}

impl Backoff {
    /// The same wait each time.
    pub const fn every(wait: Duration) -> Self {
        Self { first: wait, factor: 1.0, longest: wait, jitter: Jitter::None }
    }

    /// Each wait is twice the one before it.
    pub const fn doubling(first: Duration, longest: Duration) -> Self {
        Self { first, factor: 2.0, longest, jitter: Jitter::None }
    }

    /// The same schedule with this random share.
    #[must_use]
    pub const fn with_jitter(self, jitter: Jitter) -> Self {
        Self { jitter, ..self }
    }

    /// The wait after `before` others, without its random share: first × factor^`before`, at most the longest.
    pub fn wait(&self, before: u32) -> Duration {
        let exponent = i32::try_from(before).unwrap_or(i32::MAX);
        let grown = self.first.as_secs_f64() * self.factor.max(1.0).powi(exponent);
        // An infinite or absurd product is simply too long.
        Duration::try_from_secs_f64(grown).map_or(self.longest, |grown| grown.min(self.longest))
    }

    /// How many waits, without their random share, are over after this time: as many as the wait goes on growing for.
    pub fn waits_within(&self, time: Duration) -> u32 {
        let grows = |before: &u32| self.wait(*before) < self.wait(before.saturating_add(1));
        let mut left = time;
        let is_over = |before: &u32| match left.checked_sub(self.wait(*before)) {
            Some(rest) => {
                left = rest;
                true
            }
            None => false,
        };
        let over = (0..u32::MAX).take_while(grows).take_while(is_over).count();
        u32::try_from(over).unwrap_or(u32::MAX)
    }

    /// The wait after `before` others. `draw`, in `0.0..1.0`, decides the random share.
    pub fn drawn(&self, before: u32, draw: f64) -> Duration {
        self.jitter.applied(self.wait(before), draw)
    }
}

impl Jitter {
    /// `wait` with the random share that `draw`, in `0.0..1.0`, decides.
    pub fn applied(self, wait: Duration, draw: f64) -> Duration {
        match self {
            Self::None => wait,
            Self::Less(share) => times(wait, 1.0 - share.clamp(0.0, 1.0) * draw).min(wait),
            Self::More(share) => times(wait, 1.0 + share.clamp(0.0, 1.0) * draw),
        }
    }
}

/// A product that no `Duration` holds leaves the wait as it is: `Duration::mul_f64` would panic.
fn times(wait: Duration, factor: f64) -> Duration {
    Duration::try_from_secs_f64(wait.as_secs_f64() * factor).unwrap_or(wait)
}

/// What is drawn at random where nothing else is said: tunnels that wait for one server part within a few waits.
const SPREAD: Jitter = Jitter::Less(0.2);

/// The same where the wait is the least that the server is to be left alone.
const SPREAD_LATER: Jitter = Jitter::More(0.2);

/// A server that drops logins at random under load (MaxStartups) frees a place as soon as one of them is through or
/// gives up (LoginGraceTime, 2 min): seconds are enough at first, more only keeps its door blocked. It is asked at
/// least once a minute.
pub const SERVER_BUSY: Backoff =
    Backoff::doubling(Duration::from_secs(5), Duration::from_secs(60)).with_jitter(POLITE_JITTER);

/// PerSourcePenalties refuses at 15 s of outstanding penalty and runs down in real time (sshd_config(5)): sooner than
/// after 20 s, asking again is sure to be refused. The longest penalty that sshd gives by default is `max:600s`.
pub const PENALTY: Backoff =
    Backoff::doubling(Duration::from_secs(20), Duration::from_secs(600)).with_jitter(POLITE_JITTER);

/// Refused clients come back spread over at least this share of the wait, or they are refused together again.
pub const POLITE_SHARE: f64 = 0.25;

const POLITE_JITTER: Jitter = Jitter::More(POLITE_SHARE);

/// How often a blocked tunnel tries by itself. A failed login costs 5 s of sshd's patience with our address, so this
/// leaves room for dozens of blocked tunnels behind one address. The governor lets them go a few at a time.
pub const BLOCKED: Backoff = Backoff::every(Duration::from_secs(300));

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
pub const JUMP_QUESTION: Backoff =
    Backoff::doubling(Duration::from_millis(500), Duration::from_secs(4)).with_jitter(SPREAD_LATER);

/// After logins that were to replace a session that still serves: no connection is cut meanwhile.
pub const REPLACEMENT: Backoff =
    Backoff::doubling(Duration::from_secs(5), Duration::from_secs(300)).with_jitter(SPREAD);

/// While the path is in doubt nothing passes, so the next login follows the failed one soon. The governor paces them.
pub const REPLACEMENT_IN_DOUBT: Backoff = Backoff::every(Duration::from_secs(1)).with_jitter(SPREAD);

/// Before a session is replaced that came in doubt right after its login, by the number of such sessions in a row, from the
/// second on. A server that lets in and then answers late or never would see a login every few seconds.
pub const REPLACEMENT_DOUBTED: Backoff =
    Backoff::doubling(Duration::from_secs(2), Duration::from_secs(60)).with_jitter(SPREAD);

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
pub const REMOTE_PORT_DENIED: Backoff = Backoff::every(Duration::from_secs(60)).with_jitter(SPREAD_LATER);

/// After a look at the holder of a remote port that changed nothing: a shell on the server each time.
pub const TAKEOVER_LOOK: Backoff =
    Backoff::doubling(Duration::from_secs(30), Duration::from_secs(480)).with_jitter(SPREAD);

/// While an earlier session of ours has yet to give the port up.
pub const TAKEOVER_OURS: Backoff =
    Backoff::doubling(Duration::from_secs(2), Duration::from_secs(30)).with_jitter(SPREAD);

/// A port that was taken over and lost again: another client wants it, too.
pub const TAKEOVER_CONTESTED: Backoff =
    Backoff::doubling(Duration::from_secs(60), Duration::from_secs(960)).with_jitter(SPREAD_LATER);

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

/// A local address that cannot be bound: one system call a try, on ticks that are common to all forwards. No server is
/// touched.
pub const LISTENER: Backoff = Backoff::every(Duration::from_secs(1));

/// A device that cannot be opened here, or that a session lost.
pub const DEVICE: Backoff = Backoff::every(Duration::from_secs(1));

/// A device that the server has not now: one request on the living session, and lines in the server's log, each time.
pub const DEVICE_REFUSED: Backoff =
    Backoff::doubling(Duration::from_secs(1), Duration::from_secs(10)).with_jitter(SPREAD_LATER);

/// A device that the server's policy forbids, which most servers read at login only.
pub const DEVICE_DENIED: Backoff = Backoff::every(Duration::from_secs(60)).with_jitter(SPREAD_LATER);

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn random_share_stays_on_its_side_of_the_wait() {
        let backoff = Backoff::doubling(10 * SECOND, 40 * SECOND);
        let less = backoff.with_jitter(Jitter::Less(0.5));
        let more = backoff.with_jitter(Jitter::More(0.5));
        for before in [0, 1, 2, 3, u32::MAX] {
            let wait = backoff.wait(before);
            assert_eq!(
                (backoff.drawn(before, 0.9), less.drawn(before, 0.0), more.drawn(before, 0.0)),
                (wait, wait, wait)
            );
            assert!((wait / 2..wait).contains(&less.drawn(before, 0.99)));
            assert!((wait..=wait * 3 / 2).contains(&more.drawn(before, 0.99)));
        }
    }

    #[test]
    fn waits_are_counted_while_they_grow() {
        let backoff = Backoff::doubling(2 * SECOND, 10 * SECOND);
        for (seconds, over) in [(0, 0), (1, 0), (2, 1), (5, 1), (6, 2), (13, 2), (14, 3), (100_000, 3)] {
            assert_eq!(backoff.waits_within(seconds * SECOND), over, "{seconds} s");
        }
        assert_eq!(Backoff::every(SECOND).waits_within(3600 * SECOND), 0);
        assert_eq!(Backoff::doubling(Duration::ZERO, SECOND).waits_within(SECOND), 0);
    }

    #[test]
    fn wait_that_does_not_grow_is_the_same_each_time() {
        for before in [0, 1, 1000] {
            assert_eq!(Backoff::every(SECOND).wait(before), SECOND);
        }
    }
}
