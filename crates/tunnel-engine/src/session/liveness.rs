//! When a silent peer is dead: ssh_config(5) ServerAliveInterval and ServerAliveCountMax as a pure function.

use std::time::{Duration, Instant};

use super::Role;
use crate::clock;

/// The part of an interval by which a question may be put early, so that many sessions ask in one wakeup; and by which
/// the session to a jump host asks late, because answers to the session inside it prove it, too.
const EARLY: u32 = 5;

/// What the wire knows about its peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LinkActivity {
    /// Time of the last byte from the peer.
    pub last_byte: Instant,
    /// Since when bytes are waited for and do not come. `None` while the link is not read, because the layer above has
    /// messages enough to work on: that is not the peer's fault.
    pub reading_since: Option<Instant>,
    /// Since when a write makes no progress.
    pub stalled_since: Option<Instant>,
}

impl LinkActivity {
    /// The same for a process that ran only from `resumed` on: what came before it says nothing.
    pub(super) fn since(self, resumed: Instant) -> Self {
        let later = |at: Instant| at.max(resumed);
        Self {
            last_byte: later(self.last_byte),
            reading_since: self.reading_since.map(later),
            stalled_since: self.stalled_since.map(later),
        }
    }
}

/// The question that has no answer yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct UnansweredProbe {
    /// Time of the question.
    pub at: Instant,
    /// From when the wait for its answer counts.
    pub counts_from: Instant,
    /// When the server last answered anything.
    pub last_answer: Instant,
}

/// ServerAliveInterval and ServerAliveCountMax.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct AliveLimit {
    interval: Duration,
    limit: Duration,
    /// How long after its last answer the server is asked.
    ask_after: Duration,
    /// How much sooner it may be asked. That changes nothing about when it is dead.
    tick: Duration,
}

/// What [`AliveLimit::judge`] says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LivenessVerdict {
    /// Nothing is wrong that could not turn out right until `check_again`.
    Alive {
        /// The next time the answer can change.
        check_again: Instant,
    },
    /// No byte came for as long as it takes.
    Silent,
    /// Bytes came, but no answer to what we asked.
    Unanswered,
    /// Bytes may have come, but the peer took none of ours for as long as it takes.
    Stalled,
}

impl AliveLimit {
    /// `None` when the interval is zero: the keepalive is off.
    pub(super) fn new(interval: Duration, count_max: u32, role: Role) -> Option<Self> {
        let limit = interval.saturating_mul(count_max.saturating_add(1));
        // A server that is given one interval only must have been asked within it.
        let ask_after = if count_max == 0 { interval / 2 } else { interval };
        let tick = interval / EARLY;
        let ask_after = match role {
            Role::Tunnel => ask_after,
            Role::JumpHost => ask_after + tick,
        };
        (!interval.is_zero()).then_some(Self { interval, limit, ask_after, tick })
    }

    /// When a server is asked that has answered nothing since `last_answer`.
    pub(super) fn ask_at(&self, last_answer: Instant) -> Instant {
        clock::tick_before(last_answer + self.ask_after, self.tick)
    }

    /// How long a peer may say nothing at all: interval × (count max + 1), as ssh measures it.
    pub(super) fn limit(&self) -> Duration {
        self.limit
    }

    /// Is the peer dead? It is when it has been asked and no byte came for [`Self::limit`], or, while it sends
    /// something, no answer did. (ssh counts every packet as life, so that a server that is stuck but chatters on
    /// keeps a session for ever.)
    pub(super) fn judge(
        &self,
        activity: &LinkActivity,
        asked: Option<UnansweredProbe>,
        now: Instant,
    ) -> LivenessVerdict {
        let rest = self.limit - self.ask_after;
        // A reader that comes back after a pause gives the peer its whole time again: no question was sent.
        let silent = activity.reading_since.map(|since| since.max(activity.last_byte) + self.limit);
        let silent = silent.zip(asked).map(|(at, asked)| at.max(asked.at + rest));
        // A question that was put early buys the server no less time.
        let unanswered = asked.map(|asked| (asked.counts_from + rest).max(asked.last_answer + self.limit));
        // A reader that waits, too, sees the peer's life; without one, only a stalled write can tell.
        let writing_only = activity.reading_since.is_none();
        let stalled = activity.stalled_since.filter(|_| writing_only).map(|since| since + self.limit);
        let due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        if due(silent) {
            LivenessVerdict::Silent
        } else if due(unanswered) {
            LivenessVerdict::Unanswered
        } else if due(stalled) {
            LivenessVerdict::Stalled
        } else {
            let check_again = [silent, unanswered, stalled].into_iter().flatten().min();
            LivenessVerdict::Alive { check_again: check_again.unwrap_or(now + self.interval) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn alive_limit() -> AliveLimit {
        AliveLimit::new(15 * SECOND, 3, Role::Tunnel).expect("on")
    }

    /// Asked an interval after its last byte, and its bytes, if any, are no answer.
    fn judge(activity: &LinkActivity, now: Instant) -> LivenessVerdict {
        let at = activity.last_byte + 15 * SECOND;
        let counts_from = if activity.reading_since.is_some() { at } else { now };
        alive_limit().judge(activity, Some(UnansweredProbe { at, counts_from, last_answer: activity.last_byte }), now)
    }

    fn reading(start: Instant) -> LinkActivity {
        LinkActivity { last_byte: start, reading_since: Some(start), stalled_since: None }
    }

    #[test]
    fn an_interval_of_zero_turns_it_off() {
        assert_eq!(AliveLimit::new(Duration::ZERO, 3, Role::Tunnel), None);
    }

    #[test]
    fn silent_peer_is_dead_after_count_max_intervals() {
        let start = clock::now();
        let activity = reading(start);
        let end = start + 60 * SECOND;
        assert_eq!(judge(&activity, end - SECOND), LivenessVerdict::Alive { check_again: end });
        assert_eq!(judge(&activity, end), LivenessVerdict::Silent);
    }

    #[test]
    fn a_count_max_of_zero_ends_the_first_silent_interval() {
        let start = clock::now();
        let strict = AliveLimit::new(2 * SECOND, 0, Role::Tunnel).expect("on");
        assert!(strict.ask_at(start) <= start + SECOND);
        let at = start + SECOND;
        let asked = Some(UnansweredProbe { at, counts_from: at, last_answer: start });
        assert!(matches!(strict.judge(&reading(start), asked, start + SECOND), LivenessVerdict::Alive { .. }));
        assert_eq!(strict.judge(&reading(start), asked, start + 2 * SECOND), LivenessVerdict::Silent);
    }

    #[test]
    fn servers_are_asked_together_and_never_late() {
        let start = clock::now();
        let asked = (0..60).map(|second| alive_limit().ask_at(start + second * SECOND / 4));
        for (second, at) in (0..60).zip(asked.clone()) {
            let early = start + second * SECOND / 4 + 15 * SECOND - at;
            assert!(early < 3 * SECOND, "{early:?}");
        }
        let together: std::collections::BTreeSet<_> = asked.collect();
        assert!(together.len() <= 6, "{together:?}");
    }

    #[test]
    fn a_jump_host_is_asked_after_the_session_inside_it() {
        let start = clock::now();
        let outer = AliveLimit::new(15 * SECOND, 3, Role::JumpHost).expect("on");
        let answered = alive_limit().ask_at(start) + SECOND / 10;
        assert!(outer.ask_at(answered) > alive_limit().ask_at(answered));
        assert_eq!(outer.limit(), alive_limit().limit(), "and is dead as soon");
    }

    #[test]
    fn any_byte_starts_the_time_anew() {
        let start = clock::now();
        let activity = LinkActivity { last_byte: start + 59 * SECOND, ..reading(start) };
        assert!(matches!(judge(&activity, start + 100 * SECOND), LivenessVerdict::Alive { .. }));
    }

    #[test]
    fn a_peer_is_not_dead_because_we_do_not_read() {
        let start = clock::now();
        let activity = LinkActivity { reading_since: None, ..reading(start) };
        let much_later = start + 3600 * SECOND;
        assert!(matches!(judge(&activity, much_later), LivenessVerdict::Alive { .. }));
        let back = LinkActivity { reading_since: Some(much_later), ..activity };
        let asked = Some(UnansweredProbe { at: start, counts_from: much_later + 15 * SECOND, last_answer: start });
        let judge = |now| alive_limit().judge(&back, asked, now);
        assert!(matches!(judge(much_later + 59 * SECOND), LivenessVerdict::Alive { .. }));
        assert_eq!(judge(much_later + 60 * SECOND), LivenessVerdict::Silent);
    }

    #[test]
    fn a_peer_that_takes_nothing_is_dead_too() {
        let start = clock::now();
        let activity = LinkActivity { last_byte: start, reading_since: None, stalled_since: Some(start) };
        assert!(matches!(judge(&activity, start + 59 * SECOND), LivenessVerdict::Alive { .. }));
        assert_eq!(judge(&activity, start + 60 * SECOND), LivenessVerdict::Stalled);
    }

    #[test]
    fn bytes_from_the_peer_outweigh_a_stalled_write() {
        let start = clock::now();
        let late = start + 100 * SECOND;
        let activity = LinkActivity { last_byte: late, reading_since: Some(late), stalled_since: Some(start) };
        assert!(matches!(judge(&activity, late + SECOND), LivenessVerdict::Alive { .. }));
    }

    #[test]
    fn a_peer_that_was_not_asked_is_not_dead() {
        let start = clock::now();
        let late = start + 3600 * SECOND;
        assert!(matches!(alive_limit().judge(&reading(start), None, late), LivenessVerdict::Alive { .. }));
        let asked = Some(UnansweredProbe { at: late, counts_from: late, last_answer: start });
        assert!(matches!(
            alive_limit().judge(&reading(start), asked, late + 44 * SECOND),
            LivenessVerdict::Alive { .. }
        ));
        assert_eq!(alive_limit().judge(&reading(start), asked, late + 45 * SECOND), LivenessVerdict::Silent);
    }

    #[test]
    fn bytes_without_an_answer_are_no_life() {
        let start = clock::now();
        let last_answer = start - 15 * SECOND;
        let asked = Some(UnansweredProbe { at: start, counts_from: start, last_answer });
        let now = start + 45 * SECOND;
        assert_eq!(alive_limit().judge(&reading(now), asked, now), LivenessVerdict::Unanswered);
        let early = Some(UnansweredProbe { at: start, counts_from: start, last_answer: start });
        assert_eq!(
            alive_limit().judge(&reading(now), early, now),
            LivenessVerdict::Alive { check_again: start + 60 * SECOND }
        );
        let queued = Some(UnansweredProbe { at: start, counts_from: start + SECOND, last_answer });
        assert_eq!(
            alive_limit().judge(&reading(now), queued, now),
            LivenessVerdict::Alive { check_again: now + SECOND }
        );
    }
}
