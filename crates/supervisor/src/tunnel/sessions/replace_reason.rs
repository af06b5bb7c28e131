//! Whether the living session is to be replaced, why, and how soon after a failure that is tried again: pure.

use std::time::{Duration, Instant};

use tunnel_engine::backoff::{BLOCKED, REPLACEMENT, REPLACEMENT_DOUBTED, REPLACEMENT_IN_DOUBT};

/// The share of `session_lifetime` that is added at random, so that tunnels that came up together are not replaced
/// together. More, not less: a user's connection is promised that its session lives that long.
const LIFETIME_JITTER: f64 = 0.1;

/// A session that is in doubt so soon after its login, and on which nothing was answered, is the server's fault as likely as
/// the path's.
const SOON: Duration = Duration::from_secs(10);

/// Why a session is to be replaced although it lives. The first that holds is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::tunnel) enum ReplaceReason {
    Doubt,
    /// The config names another server, or other keys.
    Config,
    /// A host that was returned to denies a forward.
    Unfit,
    Lifetime,
    /// A host that is preferred may be back.
    Better,
}

impl ReplaceReason {
    /// What the new session is for, in a message.
    pub(in crate::tunnel) const fn purpose(self) -> &'static str {
        match self {
            Self::Doubt => "the session in place of a silent one",
            Self::Config => "the session for the new config",
            Self::Unfit => "the session in place of one to a host that denies a forward",
            Self::Lifetime => "the session in place of one whose session_lifetime is over",
            Self::Better => "the return to a better host",
        }
    }

    /// One word for a log field.
    pub(in crate::tunnel) const fn as_str(self) -> &'static str {
        match self {
            Self::Doubt => "doubtful_path",
            Self::Config => "config",
            Self::Unfit => "forward_denied",
            Self::Lifetime => "session_lifetime",
            Self::Better => "better_host",
        }
    }
}

/// What is known of the living session.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Facts {
    /// It was made for an earlier config.
    pub(super) outdated: bool,
    pub(super) doubtful: bool,
    pub(super) unfit: bool,
    pub(super) expires: Option<Instant>,
    pub(super) return_due: Option<Instant>,
}

impl Facts {
    fn reasons(&self) -> [(ReplaceReason, Option<Instant>); 2] {
        [(ReplaceReason::Lifetime, self.expires), (ReplaceReason::Better, self.return_due)]
    }

    pub(super) fn reason(&self, now: Instant) -> Option<ReplaceReason> {
        if self.doubtful {
            return Some(ReplaceReason::Doubt);
        }
        if self.outdated {
            return Some(ReplaceReason::Config);
        }
        if self.unfit {
            return Some(ReplaceReason::Unfit);
        }
        self.reasons().into_iter().find(|(_, at)| at.is_some_and(|at| at <= now)).map(|(reason, _)| reason)
    }

    /// When there will be a reason by itself.
    pub(super) fn due(&self, now: Instant) -> Option<Instant> {
        self.reasons().into_iter().filter_map(|(_, at)| at).filter(|at| *at > now).min()
    }
}

/// How long to wait after `failures` logins in a row that were to replace a living session.
pub(super) fn retry_delay(reason: ReplaceReason, failures: u32, permanent: bool) -> Duration {
    match (reason, permanent) {
        (_, true) => BLOCKED.first,
        (ReplaceReason::Doubt, false) => REPLACEMENT_IN_DOUBT.first,
        (ReplaceReason::Config | ReplaceReason::Unfit | ReplaceReason::Lifetime | ReplaceReason::Better, false) => {
            REPLACEMENT.wait(failures.saturating_sub(1))
        }
    }
}

/// Sessions in a row that came in doubt soon after their login, and on which the server answered nothing.
#[derive(Debug, Default)]
pub(super) struct SoonDoubted(u32);

impl SoonDoubted {
    /// The living session is in doubt. `unproven`: so long after its login, if the server answered nothing on it. Gives how
    /// long it is waited for before it is replaced.
    pub(super) fn wait(&mut self, unproven: Option<Duration>) -> Duration {
        self.0 = if unproven.is_some_and(|age| age < SOON) { self.0.saturating_add(1) } else { 0 };
        self.0.checked_sub(2).map_or(Duration::ZERO, |again| REPLACEMENT_DOUBTED.wait(again))
    }
}

/// When a session that came up at `since` has lived `lifetime`. `draw` is in `0.0..1.0`.
pub(super) fn expiry(since: Instant, lifetime: Duration, draw: f64) -> Option<Instant> {
    let share = 1.0 + LIFETIME_JITTER * draw;
    since.checked_add(Duration::try_from_secs_f64(lifetime.as_secs_f64() * share).unwrap_or(lifetime).max(lifetime))
}

#[cfg(test)]
mod tests {
    use tunnel_engine::clock;

    use super::*;

    const RETRY: tunnel_engine::backoff::Backoff = REPLACEMENT;
    const RETRY_IN_DOUBT: Duration = REPLACEMENT_IN_DOUBT.first;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_session_that_is_well_is_not_replaced() {
        let now = clock::now();
        let facts = Facts { expires: Some(now + SECOND), ..Facts::default() };
        assert_eq!((facts.reason(now), facts.due(now)), (None, Some(now + SECOND)));
        assert_eq!(facts.reason(now + SECOND), Some(ReplaceReason::Lifetime));
    }

    #[test]
    fn the_strongest_reason_is_told() {
        let now = clock::now();
        let all = Facts { outdated: true, doubtful: true, unfit: true, expires: Some(now), return_due: Some(now) };
        assert_eq!(all.reason(now), Some(ReplaceReason::Doubt));
        let told = Facts { doubtful: false, ..all };
        assert_eq!(told.reason(now), Some(ReplaceReason::Config));
        let unfit = Facts { outdated: false, ..told };
        assert_eq!(unfit.reason(now), Some(ReplaceReason::Unfit));
        let aging = Facts { unfit: false, ..unfit };
        assert_eq!(aging.reason(now), Some(ReplaceReason::Lifetime));
        assert_eq!(Facts { return_due: Some(now), ..Facts::default() }.reason(now), Some(ReplaceReason::Better));
    }

    #[test]
    fn silent_path_is_retried_soon_and_the_rest_later() {
        assert_eq!(retry_delay(ReplaceReason::Doubt, 9, false), RETRY_IN_DOUBT);
        assert_eq!(
            (retry_delay(ReplaceReason::Config, 1, false), retry_delay(ReplaceReason::Config, 2, false)),
            (RETRY.first, 2 * RETRY.first)
        );
        assert_eq!(retry_delay(ReplaceReason::Lifetime, 40, false), RETRY.longest);
        assert_eq!(retry_delay(ReplaceReason::Doubt, 1, true), BLOCKED.first);
    }

    #[test]
    fn sessions_that_are_in_doubt_at_once_are_replaced_ever_later() {
        let mut doubted = SoonDoubted::default();
        let waits = [3 * SECOND; 8].map(|age| doubted.wait(Some(age)).as_secs());
        assert_eq!(waits, [0, 2, 4, 8, 16, 32, 60, 60]);
        for well in [Some(SOON), None] {
            assert_eq!(doubted.wait(well), Duration::ZERO, "a session that was well is replaced at once");
            assert_eq!([doubted.wait(Some(SECOND)), doubted.wait(Some(SECOND))], [Duration::ZERO, 2 * SECOND]);
        }
    }

    #[test]
    fn a_session_lives_its_lifetime_and_tunnels_part() {
        let since = clock::now();
        let age = |draw| expiry(since, 100 * SECOND, draw).unwrap() - since;
        assert_eq!(age(0.0), 100 * SECOND);
        assert!(age(0.99) > 109 * SECOND && age(0.99) <= 110 * SECOND);
        assert!(expiry(since, Duration::MAX, 0.0).is_none());
    }
}
