//! When we ask for new keys: at the first quiet moment after a limit of the user's (ssh_config RekeyLimit).
//!
//! russh 0.65 gives the session up when, between our question and the server's, more than two receive windows come in.
//! So it never asks by itself, and we ask only when that cannot happen: when for a second there has been one connection,
//! whose window bounds what is under way, or when little came in for a second. The server asks at limits of its own all the while, which always works.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;

use super::requests::Line;
use crate::alarm::Alarm;
use crate::clock;
use crate::spec::RekeyLimit;

/// How often a session that is in use is looked at, and how long a moment has to be quiet: many round trips, so that
/// what came in meanwhile says what may come in during one. A sender that was idle for a second begins with a few
/// packets again (RFC 5681 section 4.1), however much it sent before.
const LOOK: Duration = Duration::from_secs(1);

/// A second is quiet when less than this part of a receive window came in: the 128th part of what russh bears within
/// the one round trip that the question takes.
const QUIET_PART: u64 = 64;

/// What there is to see.
#[derive(Debug, Clone, Copy)]
struct Seen {
    /// From and to the server.
    bytes: (u64, u64),
    /// How often keys were exchanged, and the bytes before the last time.
    exchanges: u32,
    before: (u64, u64),
    /// Connections that could send.
    channels: usize,
    /// One came or went since it was seen the last time: what it had under way may still come.
    moved: bool,
}

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// Ask for new keys now.
    Ask,
    /// Look again then.
    Look(Instant),
    /// Look again when something was written, or then.
    Rest(Option<Instant>),
}

/// The decision.
struct Renewal {
    limit: RekeyLimit,
    /// Bytes that may come in within a quiet second.
    quiet: u64,
    exchanges: u32,
    since: Instant,
    asked: bool,
    /// Connections came or went since the last look.
    moved: bool,
    looked: Option<(Instant, (u64, u64))>,
}

impl Renewal {
    fn new(limit: RekeyLimit, window: u32, seen: &Seen, now: Instant) -> Self {
        let quiet = u64::from(window) / QUIET_PART;
        Self { limit, quiet, exchanges: seen.exchanges, since: now, asked: false, moved: true, looked: None }
    }

    fn judge(&mut self, seen: &Seen, now: Instant) -> Next {
        if seen.exchanges != self.exchanges {
            // Whoever asked.
            *self = Self { since: now, exchanges: seen.exchanges, asked: false, ..*self };
        }
        if self.asked {
            return Next::Look(now + LOOK);
        }
        let last = self.looked;
        let a_whole_look = last.is_some_and(|(at, _)| now.saturating_duration_since(at) >= LOOK);
        self.moved |= seen.moved;
        let one = a_whole_look && !self.moved && seen.channels <= 1;
        if a_whole_look || last.is_none() {
            self.looked = Some((now, seen.bytes));
            self.moved = false;
        }
        let next_look = self.looked.map_or(now, |(at, _)| at) + LOOK;
        if !self.is_due(seen, now) {
            let time_is_up = self.limit.time.map(|time| self.since + time);
            let idle = self.limit.bytes.is_none() || last.is_some_and(|(_, bytes)| bytes == seen.bytes);
            return match time_is_up {
                _ if idle => Next::Rest(time_is_up),
                Some(time_is_up) => Next::Look(next_look.min(time_is_up)),
                None => Next::Look(next_look),
            };
        }
        let little_came = a_whole_look && last.is_some_and(|(_, (bytes_in, _))| seen.bytes.0 - bytes_in <= self.quiet);
        if one || little_came {
            self.asked = true;
            return Next::Ask;
        }
        Next::Look(next_look)
    }

    /// The question could not be put.
    fn not_asked(&mut self) {
        self.asked = false;
    }

    fn is_due(&self, seen: &Seen, now: Instant) -> bool {
        let since = |now: u64, before: u64| now.saturating_sub(before);
        let most = since(seen.bytes.0, seen.before.0).max(since(seen.bytes.1, seen.before.1));
        self.limit.bytes.is_some_and(|limit| most >= limit.get())
            || self.limit.time.is_some_and(|time| now.saturating_duration_since(self.since) >= time)
    }
}

/// Watches a session with limits until it is over.
pub(super) async fn watch(line: Arc<Line>, limit: RekeyLimit, window: u32) {
    let shared = line.shared.clone();
    let mut channels = shared.backlog.channels();
    let mut see = || Seen {
        bytes: shared.wire.bytes(),
        exchanges: shared.key_exchanges.load(Ordering::Relaxed),
        before: shared.before_keys(),
        moved: channels.has_changed().unwrap_or(false),
        channels: *channels.borrow_and_update(),
    };
    let mut alarm = Alarm::default();
    let mut renewal = Renewal::new(limit, window, &see(), clock::now());
    loop {
        let seen = see();
        let (at, rest) = match renewal.judge(&seen, clock::now()) {
            Next::Ask => {
                tracing::debug!(server = shared.who, "asking for new keys");
                // At once or not at all: what waits in russh's queue meanwhile could be another connection.
                match line.renew_keys().now_or_never() {
                    Some(Ok(())) => {}
                    Some(Err(_)) => return,
                    None => renewal.not_asked(),
                }
                (Some(clock::now() + LOOK), false)
            }
            Next::Look(at) => (Some(at), false),
            Next::Rest(at) => (at, true),
        };
        tokio::select! {
            () = shared.ending.gone().cancelled() => return,
            () = alarm.wait(at) => {}
            () = shared.wire.wrote(seen.bytes.1), if rest => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::num::NonZeroU64;

    const WINDOW: u32 = 64 << 10;

    struct Watched {
        renewal: Renewal,
        seen: Seen,
        began: Instant,
    }

    impl Watched {
        fn new(bytes: Option<u64>, time: Option<u64>) -> Self {
            let limit = RekeyLimit { bytes: bytes.and_then(NonZeroU64::new), time: time.map(Duration::from_secs) };
            let seen = Seen { bytes: (0, 0), exchanges: 1, before: (0, 0), channels: 8, moved: false };
            let began = clock::now();
            Self { renewal: Renewal::new(limit, WINDOW, &seen, began), seen, began }
        }

        fn renewed(&mut self) {
            self.seen.exchanges += 1;
            self.seen.before = self.seen.bytes;
        }

        /// `received` more bytes have come by then; next look or rest in seconds.
        fn at(&mut self, seconds: u64, received: u64) -> Option<Next> {
            self.seen.bytes.0 += received;
            match self.renewal.judge(&self.seen, self.began + Duration::from_secs(seconds)) {
                Next::Look(at) if at == self.began + Duration::from_secs(seconds + 1) => None,
                next @ (Next::Ask | Next::Look(_) | Next::Rest(_)) => Some(next),
            }
        }
    }

    #[test]
    fn new_keys_are_asked_for_in_the_first_quiet_second_after_the_limit() {
        let mut watched = Watched::new(Some(1 << 20), None);
        assert_eq!(watched.at(0, 0), None);
        assert_eq!(watched.at(1, 1 << 19), None);
        assert_eq!(watched.at(2, 1 << 19), None, "the limit, but not quiet");
        assert_eq!(watched.at(3, 1025), None, "one byte too many");
        assert_eq!(watched.at(4, 1024), Some(Next::Ask));
        assert_eq!(watched.at(5, 0), None, "it was asked");
        watched.renewed();
        assert_eq!(watched.at(6, 1 << 19), None, "counted anew");
        assert_eq!(watched.at(7, 0), Some(Next::Rest(None)), "nothing happens, and nothing is looked at");
        assert_eq!(watched.at(9, 1 << 19), None, "what came right after the new keys counts");
        assert_eq!(watched.at(10, 0), Some(Next::Ask));
    }

    #[test]
    fn one_connection_is_bounded_by_its_window_and_need_not_be_quiet() {
        let mut watched = Watched::new(Some(1 << 20), None);
        watched.seen.channels = 1;
        assert_eq!(watched.at(1, 1 << 30), None, "who was there before is not known");
        assert_eq!(watched.at(2, 1 << 30), Some(Next::Ask));
        watched.renewal.not_asked();
        watched.seen.moved = true;
        assert_eq!(watched.at(3, 1 << 30), None, "another one was there a moment ago");
        watched.seen.moved = false;
        assert_eq!(watched.at(4, 1 << 30), Some(Next::Ask));
    }

    #[test]
    fn what_we_send_counts_and_keys_that_the_server_renewed_count_from_then() {
        let mut watched = Watched::new(Some(1 << 20), None);
        watched.seen.bytes.1 = 1 << 20;
        watched.at(1, 0);
        assert_eq!(watched.at(2, 0), Some(Next::Ask));
        let mut watched = Watched::new(Some(1 << 20), None);
        watched.seen.bytes.1 = 1 << 20;
        watched.at(1, 0);
        watched.renewed();
        assert_eq!(watched.at(2, 0), Some(Next::Rest(None)));
    }

    #[test]
    fn a_limit_of_time_wakes_an_idle_session_then_and_not_before() {
        let mut watched = Watched::new(None, Some(3600));
        let [first, second] = [3600, 3601 + 3600].map(|seconds| watched.began + Duration::from_secs(seconds));
        assert_eq!(watched.at(0, 0), Some(Next::Rest(Some(first))));
        assert_eq!(watched.at(3600, 1 << 30), None, "not quiet");
        assert_eq!(watched.at(3601, 0), Some(Next::Ask));
        watched.renewed();
        assert_eq!(watched.at(3601, 0), Some(Next::Rest(Some(second))));
    }
}
