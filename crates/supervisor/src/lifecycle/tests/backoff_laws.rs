//! Laws of the backoff over random rows of ends: what one kind of trouble does to the waits of another.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use tunnel_engine::backoff::{QUICK_REDIALS, QUICK_WITHIN};
use tunnel_engine::failure::{FailureKind, Unreached};

use super::bench::{POLICY, secs};
use crate::lifecycle::judge::{SessionEnd, Streak, Verdict, judge};

/// How one start went, and how long after the one before it ended.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Went {
    NoServer(Unreached),
    /// The server was reached, and no session came of it.
    Failed,
    /// Logged in, and out again before any answer.
    ThrownOut,
    /// A session that answered, and lived this long.
    Proven(Duration),
}

fn went() -> impl Strategy<Value = (Duration, Went)> {
    let short = (0u64..30_000).prop_map(Duration::from_millis);
    let went = prop_oneof![
        1 => Just(Went::NoServer(Unreached::Directly)),
        1 => Just(Went::NoServer(Unreached::BehindJump)),
        1 => Just(Went::Failed),
        1 => Just(Went::ThrownOut),
        3 => short.prop_map(Went::Proven),
        1 => (30u64..300).prop_map(|seconds| Went::Proven(secs(seconds))),
    ];
    ((0u64..20_000).prop_map(Duration::from_millis), went)
}

fn row() -> impl Strategy<Value = Vec<(Duration, Went)>> {
    proptest::collection::vec(went(), 1..60)
}

/// Each start, when it ended, and the wait that followed.
fn judged(row: &[(Duration, Went)]) -> Vec<(Went, Instant, Duration)> {
    let mut at = tunnel_engine::clock::now();
    timed(row.iter().map(|(pause, went)| {
        at += *pause;
        if let Went::Proven(lived) = went {
            at += *lived;
        }
        (*went, at)
    }))
}

fn timed(ends: impl Iterator<Item = (Went, Instant)>) -> Vec<(Went, Instant, Duration)> {
    let mut streak = Streak::default();
    ends.map(|(went, at)| {
        let end = SessionEnd {
            kind: FailureKind::ConnectionLost,
            unreached: if let Went::NoServer(at) = went { Some(at) } else { None },
            asked: None,
            at,
            age: secs(1),
            lived: match went {
                Went::Proven(lived) => Some(lived),
                Went::ThrownOut => Some(Duration::from_millis(5)),
                Went::NoServer(_) | Went::Failed => None,
            },
            proven: matches!(went, Went::Proven(_)),
            first: false,
            starts_used_up: false,
        };
        let (verdict, next) = judge(&POLICY, &streak, &end, 0.0);
        streak = next;
        let Verdict::Retry { wait, .. } = verdict else { panic!("a transient end is tried again") };
        (went, at, wait)
    })
    .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1024, ..ProptestConfig::default() })]

    #[test]
    fn starts_that_found_no_server_change_no_other_wait(row in row()) {
        let all = judged(&row);
        let reached = |went: &Went| !matches!(went, Went::NoServer(_));
        let with: Vec<_> = all.iter().copied().filter(|(went, ..)| reached(went)).collect();
        let without = timed(with.iter().map(|(went, at, _)| (*went, *at)));
        prop_assert_eq!(with, without);
    }

    #[test]
    fn proven_session_is_redialled_at_once_five_times_a_minute(row in row()) {
        let mut at_once: Vec<Instant> = Vec::new();
        for (went, at, wait) in judged(&row) {
            if !matches!(went, Went::Proven(_)) {
                continue;
            }
            let recent = at_once.iter().filter(|before| at - **before < QUICK_WITHIN).count();
            prop_assert_eq!(wait.is_zero(), recent < QUICK_REDIALS, "{} recent", recent);
            if wait.is_zero() {
                at_once.push(at);
            }
        }
    }

    #[test]
    fn server_that_ends_or_refuses_logins_sees_longer_waits(
        row in row(),
        rude in proptest::collection::vec(any::<bool>(), 12..40),
    ) {
        let ends = rude.iter().map(|logs_in| (secs(1), if *logs_in { Went::ThrownOut } else { Went::Failed }));
        let row: Vec<_> = row.iter().copied().chain(ends).collect();
        let waits: Vec<Duration> = judged(&row).iter().rev().take(rude.len()).rev().map(|(_, _, wait)| *wait).collect();
        prop_assert!(waits.iter().filter(|wait| wait.is_zero()).count() <= 1, "{:?}", waits);
        let waited: Vec<Duration> = waits.iter().copied().filter(|wait| !wait.is_zero()).collect();
        prop_assert!(waited.is_sorted(), "{:?}", waits);
        // The redial at once, which comes after the first login, may be the last of all.
        prop_assert_eq!(waited.last(), Some(&POLICY.backoff.max));
    }

    #[test]
    fn flapping_link_costs_five_logins_a_minute_and_the_backoff(row in row(), lived in 0u64..10_000) {
        let flaps = std::iter::repeat_n((Duration::ZERO, Went::Proven(Duration::from_millis(lived))), 60);
        let row: Vec<_> = row.into_iter().chain(flaps).collect();
        let waits = judged(&row);
        let zero = waits.iter().rev().take(60).filter(|(.., wait)| wait.is_zero()).count() as u64;
        let took = Duration::from_millis(lived) * 60;
        prop_assert!(zero <= 5 * (took.as_secs() / 60 + 1), "{} at once in {:?}", zero, took);
        let last: Vec<Duration> =
            waits.iter().rev().take(60).map(|(.., wait)| *wait).filter(|wait| !wait.is_zero()).collect();
        prop_assert!(last.is_empty() || last.iter().all(|wait| *wait <= POLICY.backoff.max), "{:?}", last);
    }
}
