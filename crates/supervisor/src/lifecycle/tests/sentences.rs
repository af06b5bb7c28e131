//! One test for each rule of the machine.

use std::time::Duration;

use tunnel_engine::backoff::{BLOCKED, QUICK_REDIALS, QUICK_WITHIN};
use tunnel_engine::failure::{FailureKind, Unreached};

use super::bench::{Bench, POLICY, secs};
use crate::lifecycle::{Effect, Input, Phase, Policy, SessionId, Want};
use crate::spec::BackoffSpec;

#[test]
fn unproven_session_is_redialled_at_once_only_once() {
    let mut bench = Bench::up(POLICY);
    assert_eq!(bench.ends(FailureKind::ConnectionLost), [Effect::Open { session: SessionId::from(2) }]);
    bench.comes_up();
    bench.ends(FailureKind::ConnectionLost);
    assert_eq!((bench.phase(), bench.wait()), (Phase::Backoff, Some(Duration::from_millis(250))));
    assert_eq!(bench.reaches_deadline().1, "backoff");
    bench.comes_up();
    bench.ends(FailureKind::ConnectionLost);
    assert_eq!(bench.wait(), Some(Duration::from_millis(500)));
    assert_eq!(bench.machine.attempts(), 3);
}

#[test]
fn a_first_start_that_fails_waits_the_shortest_delay() {
    let mut bench = Bench::started(POLICY);
    assert_eq!(bench.ends(FailureKind::ConnectRefused), []);
    assert_eq!(bench.wait(), Some(POLICY.backoff.min));
}

#[test]
fn only_a_session_of_reset_after_clears_the_count() {
    let mut bench = Bench::started(POLICY);
    for _ in 0..5 {
        bench.ends(FailureKind::ConnectRefused);
        bench.reaches_deadline();
    }
    bench.comes_up();
    bench.passes(secs(29));
    bench.ends(FailureKind::ConnectionLost);
    assert_eq!((bench.phase(), bench.machine.attempts()), (Phase::Connecting, 6));
    bench.comes_up();
    bench.passes(secs(30));
    assert_eq!(bench.ends(FailureKind::ConnectionLost).len(), 1, "redialled at once");
    assert_eq!(bench.machine.attempts(), 1);
    bench.ends(FailureKind::ConnectRefused);
    assert_eq!(bench.wait(), Some(POLICY.backoff.min));
}

#[test]
fn permanent_failure_is_rechecked_after_five_minutes_or_on_request() {
    for (input, at_once) in [
        (Input::RetryNow, true),
        (Input::Restart, true),
        (Input::FilesChanged, true),
        (Input::ResetFailed, true),
        (Input::Start, true),
        (Input::SessionUp { session: SessionId::from(1) }, false),
    ] {
        let mut bench = Bench::started(POLICY);
        bench.ends(FailureKind::AuthRejected);
        assert_eq!(bench.deadline().map(|(_, reason)| reason), Some("recheck"));
        assert_eq!(bench.wait(), Some(BLOCKED.first));
        assert_eq!(bench.give(input) == [Effect::Open { session: SessionId::from(2) }], at_once, "{input:?}");
    }
    let mut bench = Bench::started(POLICY);
    bench.ends(FailureKind::AuthRejected);
    assert_eq!(bench.passes(BLOCKED.first), [Effect::Open { session: SessionId::from(2) }]);
}

#[test]
fn attempt_older_than_a_key_file_is_made_again() {
    let mut bench = Bench::started(POLICY);
    bench.give(Input::FilesChanged);
    assert_eq!(bench.ends(FailureKind::AuthRejected), [Effect::Open { session: SessionId::from(2) }]);
    assert_eq!(bench.ends(FailureKind::AuthRejected), [], "once");
    assert_eq!(bench.phase(), Phase::Blocked);
}

#[test]
fn attempt_older_than_the_link_is_made_again() {
    let mut bench = Bench::started(POLICY);
    bench.give(Input::RetryNow);
    assert_eq!(bench.ends(FailureKind::ConnectTimeout), [Effect::Open { session: SessionId::from(2) }]);
    assert_eq!(bench.ends(FailureKind::ConnectTimeout), [], "once");
    bench.give(Input::RetryNow);
    bench.give(Input::RetryNow);
    assert_eq!(bench.ends(FailureKind::Penalized), [], "but not against the server's will");
}

#[test]
fn only_a_start_by_the_clock_is_scheduled() {
    let mut bench = Bench::started(POLICY);
    assert!(!bench.machine.is_scheduled(), "an operator's");
    bench.ends(FailureKind::ConnectRefused);
    bench.reaches_deadline();
    assert!(bench.machine.is_scheduled());
    let session = bench.machine.session();
    bench.give(Input::NextHost { session, kind: FailureKind::ConnectRefused });
    assert!(bench.machine.is_scheduled(), "the next host is a part of the same start");
    for input in [Input::PathBack, Input::RetryNow, Input::Restart] {
        bench.ends(FailureKind::ConnectRefused);
        bench.give(input);
        assert_eq!((bench.phase(), bench.machine.is_scheduled()), (Phase::Connecting, false), "{input:?}");
    }
}

#[test]
fn reload_does_not_shorten_a_penalty() {
    let mut bench = Bench::started(POLICY);
    bench.ends(FailureKind::Penalized);
    let wait = bench.wait().expect("a wait");
    assert!(wait >= secs(20) && wait <= secs(25), "{wait:?}");
    bench.machine.retune(Policy { backoff: BackoffSpec { max: secs(1), ..POLICY.backoff }, ..POLICY }, bench.now);
    assert_eq!(bench.wait(), Some(wait));
}

#[test]
fn a_shorter_longest_delay_shortens_a_running_wait() {
    let mut bench = Bench::started(POLICY);
    for _ in 0..9 {
        bench.ends(FailureKind::ConnectRefused);
        bench.reaches_deadline();
    }
    bench.ends(FailureKind::ConnectRefused);
    assert_eq!(bench.wait(), Some(secs(60)));
    bench.passes(secs(4));
    bench.machine.retune(Policy { backoff: BackoffSpec { max: secs(10), ..POLICY.backoff }, ..POLICY }, bench.now);
    assert_eq!(bench.wait(), Some(secs(6)));
}

#[test]
fn first_start_has_to_stay_up_for_gate_time() {
    let policy = Policy { gate_time: secs(30), ..POLICY };
    let mut never_up = Bench::started(policy);
    never_up.passes(secs(120));
    never_up.ends(FailureKind::ConnectTimeout);
    assert_eq!((never_up.phase(), never_up.machine.gave_up()), (Phase::Failed, Some(FailureKind::GateTime)));
    assert_eq!(never_up.machine.last_kind(), Some(FailureKind::ConnectTimeout));

    let mut too_short = Bench::up(policy);
    too_short.passes(secs(29));
    too_short.ends(FailureKind::ClosedByServer);
    assert_eq!(too_short.machine.gave_up(), Some(FailureKind::GateTime));

    let mut passed = Bench::up(policy);
    passed.passes(secs(30));
    passed.ends(FailureKind::ClosedByServer);
    assert_eq!(passed.phase(), Phase::Connecting);
    passed.ends(FailureKind::ConnectRefused);
    assert_eq!(passed.phase(), Phase::Backoff, "only the first start passes the gate");
}

#[test]
fn pause_of_the_process_passes_no_gate() {
    for (pause, phase) in [(secs(0), Phase::Connecting), (secs(20), Phase::Failed)] {
        let mut bench = Bench::up(Policy { gate_time: secs(30), ..POLICY });
        bench.passes(secs(40));
        bench.machine.did_not_run(pause);
        bench.ends(FailureKind::ConnectionLost);
        assert_eq!(bench.phase(), phase, "{pause:?}");
    }
}

#[test]
fn only_a_new_start_arms_gate_time_again() {
    let policy = Policy { gate_time: secs(30), ..POLICY };
    let mut bench = Bench::up(policy);
    bench.give(Input::Restart);
    bench.ends(FailureKind::ConnectRefused);
    assert_eq!(bench.phase(), Phase::Backoff);
    bench.give(Input::Stop);
    bench.give(Input::Start);
    bench.ends(FailureKind::ConnectRefused);
    assert_eq!(bench.phase(), Phase::Failed);
}

#[test]
fn max_start_gives_up_at_the_last_end_without_waiting() {
    let policy = Policy { max_start: Some(2), ..POLICY };
    let mut bench = Bench::started(policy);
    bench.ends(FailureKind::ConnectRefused);
    bench.reaches_deadline();
    bench.ends(FailureKind::ConnectRefused);
    assert_eq!((bench.phase(), bench.machine.gave_up()), (Phase::Failed, Some(FailureKind::MaxStart)));
    assert_eq!(bench.deadline(), None);
    assert_eq!(bench.give(Input::RetryNow), []);
    assert_eq!(bench.give(Input::ResetFailed), [Effect::Open { session: SessionId::from(3) }]);
    assert_eq!((bench.machine.starts(), bench.machine.last_kind()), (1, None));

    let mut none = Bench::new(Policy { max_start: Some(0), ..POLICY });
    assert_eq!(none.give(Input::Start), []);
    assert_eq!(none.machine.gave_up(), Some(FailureKind::MaxStart));
}

#[test]
fn ordered_restart_is_made_beyond_max_start() {
    let mut bench = Bench::up(Policy { max_start: Some(1), ..POLICY });
    assert_eq!(
        bench.give(Input::Restart),
        [Effect::Close { session: SessionId::from(1) }, Effect::Open { session: SessionId::from(2) }]
    );
}

#[test]
fn max_lifetime_closes_the_session_and_fails() {
    let policy = Policy { max_lifetime: Some(secs(100)), ..POLICY };
    let mut bench = Bench::up(policy);
    bench.passes(secs(40));
    bench.ends(FailureKind::ConnectionLost);
    bench.comes_up();
    assert_eq!(bench.deadline(), Some((bench.now + secs(60), "max lifetime")));
    assert_eq!(bench.passes(secs(60)), [Effect::Close { session: SessionId::from(2) }]);
    assert_eq!((bench.phase(), bench.deadline()), (Phase::Stopping, None));
    bench.ends(FailureKind::ClosedByServer);
    assert_eq!(bench.machine.gave_up(), Some(FailureKind::MaxLifetime));
    bench.passes(secs(10));
    assert_eq!(bench.give(Input::Start), [Effect::Open { session: SessionId::from(3) }], "a start begins anew");
}

#[test]
fn max_lifetime_ends_a_wait_too() {
    let mut bench = Bench::started(Policy { max_lifetime: Some(secs(100)), ..POLICY });
    bench.ends(FailureKind::AuthRejected);
    assert_eq!(bench.reaches_deadline(), (secs(100), "max lifetime"));
    assert_eq!(bench.machine.gave_up(), Some(FailureKind::MaxLifetime));
}

#[test]
fn the_end_of_a_sessions_lifetime_is_no_failure() {
    let mut bench = Bench::up(Policy { gate_time: secs(30), ..POLICY });
    assert_eq!(bench.ends(FailureKind::SessionLifetime), [Effect::Open { session: SessionId::from(2) }]);
    assert_eq!(bench.machine.attempts(), 0);
    bench.comes_up();
    assert_eq!(
        bench.ends(FailureKind::ConnectionLost),
        [Effect::Open { session: SessionId::from(3) }],
        "still the first loss"
    );
}

#[test]
fn restart_opens_the_next_session_beside_the_old_one() {
    let mut bench = Bench::up(POLICY);
    assert_eq!(
        bench.give(Input::Restart),
        [Effect::Close { session: SessionId::from(1) }, Effect::Open { session: SessionId::from(2) }]
    );
    assert_eq!(bench.phase(), Phase::Connecting);
    assert_eq!(
        bench.give(Input::Restart),
        [Effect::Close { session: SessionId::from(2) }, Effect::Open { session: SessionId::from(3) }],
        "an attempt, too"
    );
    let kind = FailureKind::ClosedByServer;
    assert_eq!(bench.give(Input::SessionEnded { session: SessionId::from(1), kind, unreached: None, asked: None }), []);
    assert_eq!((bench.phase(), bench.machine.last_kind()), (Phase::Connecting, None), "no failure");
}

#[test]
fn a_start_during_a_stop_begins_beside_the_drain() {
    let mut bench = Bench::up(POLICY);
    assert_eq!(bench.give(Input::Stop), [Effect::Close { session: SessionId::from(1) }]);
    assert_eq!(bench.give(Input::Start), [Effect::Open { session: SessionId::from(2) }]);
    assert_eq!(bench.give(Input::Start), [], "once is enough");
    bench.comes_up();
    assert_eq!(bench.give(Input::Stop), [Effect::Close { session: SessionId::from(2) }]);
    assert_eq!(bench.give(Input::Start), [Effect::Open { session: SessionId::from(3) }], "again");
    let kind = FailureKind::ClosedByServer;
    for session in [1, 2].map(SessionId::from) {
        assert_eq!(bench.give(Input::SessionEnded { session, kind, unreached: None, asked: None }), []);
    }
    assert_eq!((bench.phase(), bench.machine.want()), (Phase::Connecting, Want::Up));
    bench.give(Input::Stop);
    assert_eq!(bench.ends(kind), []);
    assert_eq!((bench.phase(), bench.machine.want()), (Phase::Stopped, Want::Down));
}

#[test]
fn proven_session_is_redialled_at_once_five_times() {
    let mut bench = Bench::started(POLICY);
    let dies = |bench: &mut Bench| {
        bench.comes_up();
        bench.is_proven();
        bench.passes(Duration::from_millis(100));
        bench.ends(FailureKind::ConnectionLost);
        bench.wait()
    };
    for _ in 0..QUICK_REDIALS {
        assert_eq!(dies(&mut bench), None, "at once");
    }
    for wait in [250, 500, 1000, 2000, 4000, 8000] {
        assert_eq!(dies(&mut bench), Some(Duration::from_millis(wait)));
        bench.reaches_deadline();
    }
    bench.passes(QUICK_WITHIN);
    for _ in 0..QUICK_REDIALS {
        assert_eq!(dies(&mut bench), None, "a minute later, at once again");
    }
    assert_eq!(dies(&mut bench), Some(Duration::from_millis(500)), "each of them has taken a step back");
    bench.reaches_deadline();
    bench.comes_up();
    bench.is_proven();
    bench.passes(POLICY.backoff.reset_after);
    bench.ends(FailureKind::ConnectionLost);
    assert_eq!(bench.wait(), Some(POLICY.backoff.min), "reset_after clears the waits");
}

/// For an hour, a little more often than it is redialled at once.
#[test]
fn link_that_is_cut_each_nine_seconds_never_waits_long() {
    let mut bench = Bench::started(POLICY);
    for cut in 0..400 {
        bench.comes_up();
        bench.is_proven();
        bench.passes(secs(9));
        bench.ends(FailureKind::ConnectionLost);
        if let Some(wait) = bench.wait() {
            assert!(wait <= Duration::from_millis(500), "{wait:?} after cut {cut}");
            bench.reaches_deadline();
        }
    }
}

#[test]
fn an_outage_does_not_lengthen_the_waits_after_it() {
    for at in [Unreached::Directly, Unreached::BehindJump] {
        let mut bench = Bench::started(POLICY);
        for _ in 0..12 {
            bench.finds_no_server(at);
            bench.reaches_deadline();
        }
        bench.ends(FailureKind::ClosedByServer);
        assert_eq!(bench.wait(), Some(POLICY.backoff.min), "a start that reached the server");
        bench.reaches_deadline();
        bench.finds_no_server(at);
        bench.reaches_deadline();
        bench.comes_up();
        bench.is_proven();
        bench.passes(Duration::from_millis(100));
        assert_eq!(bench.ends(FailureKind::ConnectionLost).len(), 1, "redialled at once");
    }
}

#[test]
fn server_behind_a_jump_host_gets_no_scheduled_logins() {
    let mut bench = Bench::started(POLICY);
    bench.finds_no_server(Unreached::BehindJump);
    assert_eq!(bench.wait(), Some(POLICY.backoff.max));
    assert_eq!(bench.give(Input::PathBack), [Effect::Open { session: SessionId::from(2) }]);
}

#[test]
fn a_late_word_about_an_old_session_changes_nothing() {
    let mut bench = Bench::up(POLICY);
    bench.ends(FailureKind::ConnectionLost);
    let before = bench.deadline();
    for session in [0, 1, 3, u64::MAX].map(SessionId::from) {
        assert_eq!(bench.give(Input::SessionUp { session }), []);
        assert_eq!(
            bench.give(Input::SessionEnded { session, kind: FailureKind::AuthRejected, unreached: None, asked: None }),
            []
        );
    }
    assert_eq!((bench.phase(), bench.deadline()), (Phase::Connecting, before));
    assert_eq!(bench.machine.last_kind(), Some(FailureKind::ConnectionLost));
}

#[test]
fn durations_without_end_are_no_trouble() {
    let forever = Policy {
        gate_time: Duration::MAX,
        max_lifetime: Some(Duration::MAX),
        backoff: BackoffSpec { min: Duration::MAX, max: Duration::MAX, reset_after: Duration::MAX, ..POLICY.backoff },
        poll: Duration::MAX,
        ..POLICY
    };
    let mut bench = Bench::up(forever);
    bench.ends(FailureKind::SessionLifetime);
    bench.ends(FailureKind::ConnectRefused);
    assert_eq!(bench.phase(), Phase::Backoff);
    assert!(bench.wait() > Some(secs(3600 * 24 * 365)));
    assert_eq!(bench.passes(secs(3600)), []);
}

#[test]
fn since_is_when_the_phase_began() {
    let mut bench = Bench::started(POLICY);
    let began = bench.now;
    bench.passes(secs(3));
    assert_eq!(bench.machine.since(), began);
    bench.comes_up();
    assert_eq!(bench.machine.since(), bench.now);
}
