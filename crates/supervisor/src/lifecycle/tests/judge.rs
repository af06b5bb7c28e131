//! Sentences about the judge alone.

use std::time::Duration;

use tunnel_engine::failure::FailureKind;

use super::bench::{POLICY, secs};
use crate::lifecycle::Policy;
use crate::lifecycle::judge::{SessionEnd, Streak, Verdict, judge};

fn end(kind: FailureKind, lived: Option<Duration>) -> SessionEnd {
    let at = tunnel_engine::clock::now();
    let age = lived.unwrap_or(secs(1));
    SessionEnd {
        kind,
        unreached: None,
        asked: None,
        at,
        age,
        lived,
        proven: false,
        first: false,
        starts_used_up: false,
    }
}

fn waits(policy: &Policy, ends: &[SessionEnd]) -> Vec<Option<Duration>> {
    let mut streak = Streak::default();
    let mut waits = Vec::new();
    for end in ends {
        let (verdict, next) = judge(policy, &streak, end, 0.0);
        streak = next;
        waits.push(match verdict {
            Verdict::Retry { wait, .. } => Some(wait),
            Verdict::Block | Verdict::GiveUp(_) => None,
        });
    }
    waits
}

#[test]
fn a_kind_blocks_exactly_when_it_is_permanent() {
    for kind in FailureKind::ALL {
        for lived in [None, Some(secs(1)), Some(secs(3600))] {
            let (verdict, _) = judge(&POLICY, &Streak::default(), &end(*kind, lived), 0.5);
            assert_eq!(verdict == Verdict::Block, kind.is_permanent(), "{kind}");
        }
    }
}

#[test]
fn refusing_server_is_left_alone_as_it_asks() {
    let busy = end(FailureKind::ServerBusy, None);
    let policy = Policy { backoff: crate::spec::BackoffSpec { max: secs(1), ..POLICY.backoff }, ..POLICY };
    let asked = |seconds| SessionEnd { asked: Some(secs(seconds)), ..busy };
    let waits = waits(&policy, &[busy, asked(5), asked(40), asked(7)]);
    let whole: Vec<u64> = waits.iter().map(|wait| wait.expect("a retry").as_secs()).collect();
    assert_eq!(whole, [5, 5, 40, 7]);
}

#[test]
fn a_refusal_never_shortens_the_ordinary_wait() {
    let refused = end(FailureKind::ConnectRefused, None);
    let mut ends = vec![refused; 12];
    ends.push(end(FailureKind::ServerBusy, None));
    assert_eq!(waits(&POLICY, &ends).last(), Some(&Some(secs(60))));
}

#[test]
fn taken_forward_is_waited_for_after_the_first_session() {
    for kind in [FailureKind::RemotePortBusy, FailureKind::ListenInUse] {
        assert_eq!(waits(&POLICY, &[end(kind, Some(secs(1)))]), [Some(POLICY.backoff.min)], "{kind}");
    }
}

#[test]
fn age_of_a_start_clears_autosshs_tries() {
    let policy = Policy {
        backoff: crate::spec::BackoffSpec { kind: crate::spec::BackoffKind::Autossh, ..POLICY.backoff },
        ..POLICY
    };
    let short = end(FailureKind::ConnectRefused, None);
    let old = SessionEnd { age: secs(60), ..end(FailureKind::ConnectTimeout, None) };
    let mut ends = vec![short; 8];
    ends.extend([old, short]);
    let whole: Vec<u64> = waits(&policy, &ends).iter().map(|wait| wait.expect("a retry").as_secs()).collect();
    assert_eq!(whole, [0, 0, 0, 0, 0, 2, 8, 18, 0, 0]);
}
