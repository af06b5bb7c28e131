//! When a silent peer is dead: ssh_config(5) ServerAliveInterval and ServerAliveCountMax as a pure function.

use std::time::{Duration, Instant};

/// What the wire knows about its peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Signs {
    /// When the last byte came.
    pub last_byte: Instant,
    /// Since when somebody waits for bytes that do not come. `None` while nobody asks for any: the session loop is
    /// held up by a slow reader of ours, which is not the peer's fault.
    pub reading_since: Option<Instant>,
    /// Since when a write makes no progress.
    pub stalled_since: Option<Instant>,
}

/// ServerAliveInterval and ServerAliveCountMax.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Patience {
    interval: Duration,
    limit: Duration,
}

/// What [`Patience::judge`] says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing is wrong that could not turn out right until `look_again`.
    Alive {
        /// The next time the answer can change.
        look_again: Instant,
    },
    /// No byte came for as long as it takes.
    Silent,
    /// Bytes may have come, but the peer took none of ours for as long as it takes.
    Stalled,
}

impl Patience {
    /// `None` when the interval is zero: the keepalive is off.
    pub(super) fn new(interval: Duration, count_max: u32) -> Option<Self> {
        let limit = interval.saturating_mul(count_max.saturating_add(1));
        (!interval.is_zero()).then_some(Self { interval, limit })
    }

    /// How long a peer may say nothing before it is asked.
    pub(super) fn interval(&self) -> Duration {
        self.interval
    }

    /// How long a peer may say nothing at all: interval × (count max + 1), as ssh measures it.
    pub(super) fn limit(&self) -> Duration {
        self.limit
    }

    /// Is the peer dead? Every byte from it counts as life, whatever it says; ours to it do not.
    pub(super) fn judge(&self, signs: &Signs, now: Instant) -> Verdict {
        // A reader that comes back after a pause gives the peer its whole time again: nobody asked it anything.
        let silent = signs.reading_since.map(|since| since.max(signs.last_byte) + self.limit);
        // A reader that waits, too, sees the peer's life; without one, only a stalled write can tell.
        let stalled = signs.stalled_since.filter(|_| silent.is_none()).map(|since| since + self.limit);
        match (silent, stalled) {
            (Some(at), _) if at <= now => Verdict::Silent,
            (_, Some(at)) if at <= now => Verdict::Stalled,
            (Some(at), _) | (None, Some(at)) => Verdict::Alive { look_again: at },
            (None, None) => Verdict::Alive { look_again: now + self.interval },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn patience() -> Patience {
        Patience::new(15 * SECOND, 3).expect("on")
    }

    fn reading(start: Instant) -> Signs {
        Signs { last_byte: start, reading_since: Some(start), stalled_since: None }
    }

    #[test]
    fn an_interval_of_zero_turns_it_off() {
        assert_eq!(Patience::new(Duration::ZERO, 3), None);
    }

    #[test]
    fn a_silent_peer_is_dead_interval_times_count_max_plus_one_after_its_last_byte() {
        let start = crate::clock::now();
        let signs = reading(start);
        let end = start + 60 * SECOND;
        assert_eq!(patience().judge(&signs, end - SECOND), Verdict::Alive { look_again: end });
        assert_eq!(patience().judge(&signs, end), Verdict::Silent);
    }

    #[test]
    fn a_count_max_of_zero_ends_the_first_silent_interval() {
        let start = crate::clock::now();
        let strict = Patience::new(2 * SECOND, 0).expect("on");
        assert_eq!(strict.judge(&reading(start), start + 2 * SECOND), Verdict::Silent);
    }

    #[test]
    fn any_byte_starts_the_time_anew() {
        let start = crate::clock::now();
        let signs = Signs { last_byte: start + 59 * SECOND, ..reading(start) };
        assert!(matches!(patience().judge(&signs, start + 100 * SECOND), Verdict::Alive { .. }));
    }

    #[test]
    fn a_peer_is_not_dead_because_we_do_not_read() {
        let start = crate::clock::now();
        let signs = Signs { reading_since: None, ..reading(start) };
        let much_later = start + 3600 * SECOND;
        assert_eq!(patience().judge(&signs, much_later), Verdict::Alive { look_again: much_later + 15 * SECOND });
        let back = Signs { reading_since: Some(much_later), ..signs };
        assert!(matches!(patience().judge(&back, much_later + 59 * SECOND), Verdict::Alive { .. }));
        assert_eq!(patience().judge(&back, much_later + 60 * SECOND), Verdict::Silent);
    }

    #[test]
    fn a_peer_that_takes_nothing_is_dead_too() {
        let start = crate::clock::now();
        let signs = Signs { last_byte: start, reading_since: None, stalled_since: Some(start) };
        assert!(matches!(patience().judge(&signs, start + 59 * SECOND), Verdict::Alive { .. }));
        assert_eq!(patience().judge(&signs, start + 60 * SECOND), Verdict::Stalled);
    }

    #[test]
    fn bytes_from_the_peer_outweigh_a_stalled_write() {
        let start = crate::clock::now();
        let late = start + 100 * SECOND;
        let signs = Signs { last_byte: late, reading_since: Some(late), stalled_since: Some(start) };
        assert!(matches!(patience().judge(&signs, late + SECOND), Verdict::Alive { .. }));
    }
}
