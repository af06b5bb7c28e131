//! When a forward is probed, and what is believed of it.

use super::*;

const SECOND: Duration = Duration::from_secs(1);
const SOON: Duration = PROBE.first;
const SELDOM: Duration = PROBE_STALE.first;
const RHYTHM: Rhythm = Rhythm { first: Duration::from_secs(60), every: Duration::from_secs(600), random: 0.0 };

fn reason(cause: ProbeFailureKind) -> ProbeResult {
    ProbeResult::Down(ProbeFailure { cause, words: "no".to_owned() })
}

/// One that has just been found so.
fn found(result: ProbeResult, now: Instant) -> Probing {
    let mut probing = Probing::new();
    probing.begin(now);
    probe(&mut probing, result, now);
    probing
}

fn probe(probing: &mut Probing, result: ProbeResult, now: Instant) -> Option<AfterProbe> {
    let turn = probing.start_if_due(now, 0, RHYTHM).expect("it is due");
    probing.finish(turn, (result, true), now, RHYTHM)
}

#[test]
fn forward_is_pending_until_its_first_probe() {
    let now = tunnel_engine::clock::now();
    let mut probing = Probing::new();
    assert_eq!((probing.state(), probing.due()), (ForwardState::Pending, None));
    probing.begin(now);
    assert_eq!(probing.due(), Some(now));
    assert_eq!(probe(&mut probing, ProbeResult::Up(None), now), Some(AfterProbe::Wait));
    assert_eq!((probing.state(), probing.due()), (ForwardState::Up, Some(now + RHYTHM.first)));
    probe(&mut probing, ProbeResult::Up(None), now + RHYTHM.first);
    assert_eq!(probing.due(), Some(now + RHYTHM.first + RHYTHM.every));
}

#[test]
fn waits_are_longer_by_chance_and_never_shorter() {
    let random = Rhythm { random: 1.0, ..RHYTHM };
    assert_eq!(random.after(2), Duration::from_secs(660));
}

#[test]
fn a_users_connection_spares_the_next_probe() {
    let now = tunnel_engine::clock::now();
    let mut probing = found(ProbeResult::Up(None), now);
    let then = now + RHYTHM.first;
    assert_eq!(probing.start_if_due(then, 1, RHYTHM), None);
    assert_eq!(probing.due(), Some(then + RHYTHM.every));
    assert!(probing.start_if_due(then + RHYTHM.every, 1, RHYTHM).is_some(), "no connection came since");
}

fn refusal() -> ProbeFailure {
    ProbeFailure { cause: ProbeFailureKind::Refused, words: "refused".to_owned() }
}

#[test]
fn users_connections_change_the_state_at_once() {
    let now = tunnel_engine::clock::now();
    let mut probing = found(ProbeResult::Up(None), now);
    probing.traffic_observed(Some(&refusal()), 1, ProbeMethod::Target, now, RHYTHM);
    assert!(matches!(probing.state(), ForwardState::Down(failure) if failure.kind() == FailureKind::ProbeFailed));
    assert_eq!(probing.due(), Some(now + SOON));
    probing.traffic_observed(None, 1, ProbeMethod::Target, now, RHYTHM);
    assert_eq!(probing.state(), ForwardState::Up);
}

#[test]
fn forward_without_probe_is_up_with_nothing_due() {
    let now = tunnel_engine::clock::now();
    let mut probing = Probing::new();
    probing.presume();
    assert_eq!((probing.state(), probing.due()), (ForwardState::Up, None));
    probing.traffic_observed(Some(&refusal()), 1, ProbeMethod::Nothing, now, RHYTHM);
    assert_eq!(probing.state().as_str(), "down");
    assert_eq!(probing.start_if_due(now + RHYTHM.every * 2, 0, RHYTHM), None, "never probed");
    assert_eq!(probing.due(), Some(now + RHYTHM.every), "only doubted");
}

#[test]
fn refusal_outlives_the_session_until_a_user_is_taken() {
    let now = tunnel_engine::clock::now();
    let mut probing = Probing::new();
    probing.presume();
    probing.traffic_observed(Some(&refusal()), 1, ProbeMethod::Nothing, now, RHYTHM);
    probing.forget();
    assert_eq!(probing.state(), ForwardState::Pending);
    probing.presume();
    assert_eq!(probing.state().as_str(), "down");
    probing.traffic_observed(None, 1, ProbeMethod::Nothing, now, RHYTHM);
    assert_eq!(probing.state(), ForwardState::Up);
}

#[test]
fn old_refusal_is_doubted_after_poll_unless_repeated() {
    let now = tunnel_engine::clock::now();
    let mut probing = Probing::new();
    probing.presume();
    probing.traffic_observed(Some(&refusal()), 1, ProbeMethod::Nothing, now, RHYTHM);
    let then = now + RHYTHM.every;
    assert!(!probing.is_lapsed(then - SECOND) && probing.is_lapsed(then));
    assert!(!probing.lapse(5, then, RHYTHM), "four more were refused");
    assert_eq!(probing.state().as_str(), "down");
    assert!(probing.lapse(5, then + RHYTHM.every, RHYTHM));
    assert_eq!((probing.state(), probing.due()), (ForwardState::Up, None));
}

#[test]
fn proven_listener_says_nothing_of_a_refusing_target() {
    let now = tunnel_engine::clock::now();
    let mut probing = found(ProbeResult::Up(None), now);
    probing.traffic_observed(Some(&refusal()), 1, ProbeMethod::Listener, now, RHYTHM);
    let then = probing.due().expect("the next look");
    let turn = probing.start_if_due(then, 0, RHYTHM).expect("due");
    probing.finish(turn, (ProbeResult::Up(None), false), then, RHYTHM);
    assert_eq!(probing.state().as_str(), "down");
}

#[test]
fn new_session_probes_no_target_before_its_poll() {
    let now = tunnel_engine::clock::now();
    let mut probing = found(ProbeResult::Up(None), now);
    probing.forget();
    probing.begin_rested(now + SECOND);
    assert_eq!((probing.state(), probing.due()), (ForwardState::Up, Some(now + RHYTHM.first)));
    assert!(probing.target_rests(now + SECOND));
    let mut late = found(ProbeResult::Up(None), now);
    late.forget();
    late.begin_rested(now + RHYTHM.first);
    assert_eq!((late.state(), late.due()), (ForwardState::Pending, Some(now + RHYTHM.first)));
}

#[test]
fn what_is_down_is_probed_soon_and_then_less_soon() {
    let now = tunnel_engine::clock::now();
    let mut probing = found(reason(ProbeFailureKind::Refused), now);
    let mut waits = Vec::new();
    let mut at = now;
    for _ in 0..6 {
        let due = probing.due().expect("due");
        waits.push((due - at).as_secs());
        at = due;
        assert_eq!(probe(&mut probing, reason(ProbeFailureKind::Refused), at), Some(AfterProbe::Wait));
    }
    assert_eq!(waits, [5, 10, 20, 40, 60, 60]);
}

#[test]
fn refusing_target_is_asked_again_after_poll_at_the_latest() {
    let now = tunnel_engine::clock::now();
    for seconds in [2, 5, 30] {
        let rhythm = Rhythm { first: 600 * SECOND, every: seconds * SECOND, random: 0.9 };
        let mut probing = Probing::new();
        probing.begin(now);
        let mut at = now;
        for _ in 0..6 {
            let turn = probing.start_if_due(at, 0, rhythm).expect("due");
            probing.finish(turn, (reason(ProbeFailureKind::Refused), false), at, rhythm);
            let due = probing.due().expect("due");
            assert!(due > at && due - at <= rhythm.every, "{:?} with a poll of {seconds} s", due - at);
            at = due;
        }
    }
}

#[test]
fn unexpected_banner_is_probed_only_every_poll() {
    let now = tunnel_engine::clock::now();
    assert_eq!(found(reason(ProbeFailureKind::WrongBanner), now).due(), Some(now + RHYTHM.every));
}

#[test]
fn stale_port_is_touched_less_and_less() {
    let now = tunnel_engine::clock::now();
    let mut probing = Probing::new();
    probing.begin(now);
    assert_eq!(probe(&mut probing, ProbeResult::Stale("held".into()), now), Some(AfterProbe::AskAgain));
    assert_eq!(probing.state().as_str(), "stale");
    // The server says yes again at once: half of the addresses are free.
    probing.begin(now + SECOND);
    assert_eq!(probing.due(), Some(now + SELDOM));
    assert_eq!(probing.state().as_str(), "stale", "a yes is no proof");
    probing.expedite(now + SECOND);
    assert_eq!(probing.due(), Some(now + SELDOM), "at the slow interval in any case");
    assert_eq!(probing.next_look(), Some(now + SELDOM));
    let then = now + SELDOM;
    probe(&mut probing, ProbeResult::Stale("held".into()), then);
    assert_eq!(probing.due(), Some(then + SELDOM * 2));
    probe(&mut probing, ProbeResult::Up(None), then + SELDOM * 2);
    assert_eq!((probing.state(), probing.next_look()), (ForwardState::Up, None));
}

#[test]
fn remote_port_without_a_listener_is_requested_again() {
    let now = tunnel_engine::clock::now();
    let mut probing = Probing::new();
    probing.begin(now);
    assert_eq!(probe(&mut probing, reason(ProbeFailureKind::NotListening), now), Some(AfterProbe::AskAgain));
}

#[test]
fn forbidden_probe_leaves_the_forward_in_place() {
    let now = tunnel_engine::clock::now();
    let probing = found(ProbeResult::Unverified("forbidden".into()), now);
    assert_eq!(probing.state(), ForwardState::Unverified("forbidden".into()));
    assert_eq!(probing.due(), Some(now + RHYTHM.first));
}

#[test]
fn a_silent_session_changes_nothing() {
    let now = tunnel_engine::clock::now();
    let mut probing = found(ProbeResult::Up(None), now);
    let then = now + RHYTHM.first;
    assert_eq!(probe(&mut probing, ProbeResult::Nothing, then), Some(AfterProbe::Wait));
    assert_eq!((probing.state(), probing.due()), (ForwardState::Up, Some(then + SOON)));
}

#[test]
fn an_answer_from_before_a_change_is_not_believed() {
    let now = tunnel_engine::clock::now();
    let mut probing = Probing::new();
    probing.begin(now);
    let turn = probing.start_if_due(now, 0, RHYTHM).expect("due");
    probing.begin(now);
    assert_eq!(probing.finish(turn, (ProbeResult::Up(None), true), now, RHYTHM), None);
    probing.forget();
    assert_eq!((probing.state(), probing.due()), (ForwardState::Pending, None));
}

#[test]
fn chosen_ports_of_others_are_changed_at_once() {
    let now = tunnel_engine::clock::now();
    let stale = || ProbeResult::Stale("another's".to_owned());
    let mut probing = found(stale(), now);
    for _ in 0..MAX_PORTS_AT_ONCE {
        probing.change_port();
        probing.begin(now);
        assert_eq!(probing.due(), Some(now));
        assert!(probing.is_stale(), "not known to be ours");
        assert_eq!(probe(&mut probing, stale(), now), Some(AfterProbe::AskAgain));
    }
    probing.change_port();
    probing.begin(now);
    assert!(probing.due() > Some(now + SELDOM), "{:?}", probing.due());
}
