//! Ends of sessions and new forwards that the config asks for, and what is told of them.

use tunnel_engine::spec::ForwardKind;

use super::*;
use crate::config::{ProbeSpec, ShellCommand};
use crate::tunnel::on_change::ReadinessChange;

/// Events of the tunnel: which, in which phase, and of which kind.
fn told(effects: &[TunnelEffect]) -> Vec<String> {
    let event = |effect: &TunnelEffect| {
        let TunnelEffect::Tell(event) = effect else { return None };
        let phase = event.phase.as_ref().map(ToString::to_string).unwrap_or_default();
        let kind = event.kind.as_ref().map(ToString::to_string).unwrap_or_default();
        Some(format!("{} {phase} {kind}", event.event))
    };
    effects.iter().filter_map(event).collect()
}

fn on_change(effects: &[TunnelEffect]) -> Vec<ReadinessChange> {
    let run = |effect: &TunnelEffect| {
        if let TunnelEffect::RunOnChange(run) = effect { Some(run.0.clone()) } else { None }
    };
    effects.iter().filter_map(run).collect()
}

#[test]
fn the_end_by_max_lifetime_is_told_with_its_kind() {
    let mut spec = tunnel_spec("t", &[]);
    spec.policy.max_lifetime = Some(100 * SECOND);
    spec.on_change = Some(ShellCommand::line("true"));
    let mut bench = Bench::up(spec);
    let session = bench.main();
    let effects = bench.passes(100 * SECOND);
    assert_eq!(told(&effects), ["phase stopping max_lifetime", "not_ready stopping max_lifetime"]);
    let runs = on_change(&effects);
    let kinds: Vec<_> = runs.iter().map(|run| run.kind.as_ref().map(ToString::to_string)).collect();
    assert_eq!(kinds, [Some("max_lifetime".to_owned())]);
    assert_eq!(
        (runs[0].message.as_str(), runs[0].hint.as_str()),
        ("reached max_lifetime", FailureKind::MaxLifetime.hint())
    );
    let effects = bench.tell(TunnelEvent::Closed(session));
    assert_eq!(told(&effects), ["phase failed max_lifetime"]);
    assert_eq!(on_change(&effects), [], "it was told already");
    let snapshot = bench.core.snapshot();
    assert_eq!(snapshot.failures.by_kind().into_values().collect::<Vec<_>>(), [1], "one end");
}

#[test]
fn a_session_that_was_replaced_for_its_age_is_counted_and_told() {
    let mut spec = tunnel_spec("t", &[]);
    spec.session_lifetime = Some(60 * SECOND);
    let mut bench = Bench::up(spec);
    assert_eq!(logins(&bench.passes(60 * SECOND - Duration::from_millis(1))), [], "it lives that long");
    let new = logins(&bench.passes(6 * SECOND))[0];
    let effects = bench.logged_in(new);
    assert_eq!(told(&effects), ["failure up session_lifetime"]);
    let snapshot = bench.core.snapshot();
    assert_eq!(snapshot.failures.by_kind().into_values().collect::<Vec<_>>(), [1]);
    assert!(snapshot.ready && snapshot.last_failure.is_none(), "it was wanted");
    assert_eq!(snapshot.starts, 1);
}

#[test]
fn forward_that_a_reload_adds_is_told_only_if_it_fails() {
    let mut spec = tunnel_spec("t", &["R7000:localhost:1"]);
    spec.probe = ProbeSpec::Off;
    spec.on_change = Some(ShellCommand::line("true"));
    let mut bench = Bench::up(spec);
    assert!(bench.core.snapshot().ready);
    let add = |port: u16| {
        let forward = Forward::parse(ForwardKind::Remote, &format!("{port}:localhost:1")).expect("a forward");
        TunnelEvent::Order(Order::Apply(vec![TunnelChange::AddForward { forward, at: 1 }]))
    };
    let answer = |request: &ListenRequest, result| {
        let (session, forward, listen) = (request.session, request.target.forward, request.target.listen.clone());
        TunnelEvent::Requested(Requested { session, forward, listen, report: None, result })
    };
    let mut effects = bench.tell(add(7001));
    assert!(!bench.core.snapshot().ready, "as configured it is not");
    let request = requests(&effects).remove(0);
    effects.extend(bench.tell(answer(&request, Ok(None))));
    assert!(bench.core.snapshot().ready);
    assert_eq!((told(&effects), on_change(&effects)), (vec![], vec![]));

    let request = requests(&bench.tell(add(7002))).remove(0);
    let refused = ForwardError::Refused { listen: "localhost:7002".to_owned(), reason: None };
    let effects = bench.tell(answer(&request, Err(refused)));
    assert_eq!(told(&effects), ["not_ready up remote_port_busy"]);
    assert_eq!(on_change(&effects).len(), 1);
}
