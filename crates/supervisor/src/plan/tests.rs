//! The two laws over random configs, and a sentence a rule.

mod worlds;

use std::sync::Arc;

use proptest::prelude::*;
use tunnel_engine::spec::{Connect, Destination, ForwardKey, Route, SessionSpec};

use super::{AllTunnels, Plan, RunState, ServingSession, Step, TunnelChange, apply, plan};
use crate::config::{Desired, LogFormat, LogSpec};
use crate::protocol::PlanAction::{self, Add, Cancel, Keep, Replace, Retune, Start, Stop};
use crate::protocol::PlanStep;
use worlds::{config, configs, forward, tunnel};

proptest! {
    #![proptest_config(ProptestConfig { cases: 1024, ..ProptestConfig::default() })]

    #[test]
    fn a_plan_leads_to_what_is_desired(a in configs(), b in configs()) {
        prop_assert_eq!(apply(&plan(&a, &b), a), b);
    }

    #[test]
    fn nothing_changes_where_nothing_differs(a in configs()) {
        let plan = plan(&a, &a);
        prop_assert!(plan.is_empty(), "{:?}", plan);
        prop_assert_eq!(plan.kept.len(), a.tunnels.len());
    }

    #[test]
    fn only_a_different_tunnel_has_a_step(a in configs(), b in configs()) {
        let plan = plan(&a, &b);
        for new in &b.tunnels {
            let same = a.tunnels.contains(new);
            let reordered_only = plan.steps.iter().all(|step| matches!(step, Step::Reorder(_)));
            let touched = plan.steps.iter().any(|step| step.tunnel() == Some(new.name.as_str()));
            prop_assert_eq!(same, !touched, "{} {:?}", new.name, plan);
            prop_assert_eq!(same, plan.kept.contains(&new.name));
            prop_assert!(same || !reordered_only);
        }
    }

    #[test]
    fn a_listen_address_is_given_up_before_it_is_taken(a in configs(), b in configs()) {
        let mut taking = false;
        for step in plan(&a, &b).steps {
            taking |= matches!(
                step,
                Step::Start { .. } | Step::Change(_, TunnelChange::AddForward { .. } | TunnelChange::Enable)
            );
            let releasing = matches!(
                step,
                Step::Stop(_) | Step::Change(_, TunnelChange::RemoveForward(_) | TunnelChange::Disable)
            );
            prop_assert!(!(releasing && taking), "{step:?}");
        }
    }

    #[test]
    fn no_connection_is_counted_twice(a in configs(), b in configs()) {
        let carried = |report: Vec<PlanStep>| report.iter().map(|step| step.connections).sum::<u64>();
        let all = |config: &Desired| -> u64 { config.tunnels.iter().map(|spec| {
            let keys: std::collections::HashSet<ForwardKey> = spec.forwards.iter().map(|f| f.key()).collect();
            7 * keys.len() as u64
        }).sum() };
        prop_assert!(carried(steps(&plan(&a, &b), &a, 7)) <= all(&a));
        let emptied = Desired { tunnels: Vec::new(), ..a.clone() };
        prop_assert_eq!(carried(steps(&plan(&a, &emptied), &a, 7)), all(&a));
    }
}

fn steps(plan: &Plan, actual: &Desired, live: u64) -> Vec<PlanStep> {
    let running = AllTunnels { carried: live, ..running(actual, RunState::Up) };
    plan.report(actual, &running, false, 1).steps
}

fn running(config: &Desired, state: RunState) -> AllTunnels {
    AllTunnels { started_with: config.global.clone(), state, serving: None, carried: 5, held: 0 }
}

/// Action, what it is about, connections, reason.
fn told(plan: &Plan, actual: &Desired, live: u64) -> Vec<(PlanAction, String, u64, String)> {
    told_with(plan, actual, &AllTunnels { carried: live, ..running(actual, RunState::Up) })
}

fn told_with(plan: &Plan, actual: &Desired, running: &AllTunnels) -> Vec<(PlanAction, String, u64, String)> {
    let steps = plan.report(actual, running, false, 1).steps;
    steps
        .into_iter()
        .map(|step| {
            let forward = step.forward.map(|forward| format!(" {forward}")).unwrap_or_default();
            (step.action, format!("{}{forward}", step.tunnel), step.connections, step.reason)
        })
        .collect()
}

fn expected(steps: &[(PlanAction, &str, u64, &str)]) -> Vec<(PlanAction, String, u64, String)> {
    steps.iter().map(|(action, about, ends, why)| (*action, (*about).into(), *ends, (*why).into())).collect()
}

fn actions(plan: &Plan, actual: &Desired) -> Vec<PlanAction> {
    steps(plan, actual, 0).iter().map(|step| step.action).filter(|action| *action != Keep).collect()
}

fn difference(change: impl FnOnce(&mut Desired)) -> (Plan, Desired) {
    let actual = config(vec![tunnel("a", &["3307:db:3306", "8080:web:80"]), tunnel("b", &["9000:x:1"])]);
    let mut desired = actual.clone();
    change(&mut desired);
    (plan(&actual, &desired), actual)
}

#[test]
fn an_added_removed_and_changed_forward_leaves_the_session_alone() {
    let (plan, actual) = difference(|new| {
        new.tunnels[0].forwards = vec![forward("3307:other:3306"), forward("7000:new:1")];
    });
    assert_eq!(
        told(&plan, &actual, 3),
        expected(&[
            (Cancel, "a -L 8080:web:80", 3, ""),
            (Retune, "a -L 3307:db:3306", 0, "new connections go to `other:3306`"),
            (Add, "a -L 7000:new:1", 0, ""),
            (Keep, "b", 0, ""),
        ])
    );
}

#[test]
fn changed_server_ends_only_its_own_connections() {
    let (plan, actual) = difference(|new| {
        new.tunnels[0].session.destination.host = "elsewhere".to_owned();
        new.tunnels[0].forwards.pop();
    });
    assert_eq!(
        told(&plan, &actual, 2),
        expected(&[
            (Cancel, "a -L 8080:web:80", 2, ""),
            (Replace, "a", 2, "host; the new session first"),
            (Keep, "b", 0, ""),
        ])
    );
}

#[test]
fn disabled_tunnel_that_was_started_by_hand_is_treated_as_it_runs() {
    let mut old = config(vec![tunnel("a", &["3307:db:3306"])]);
    old.tunnels[0].enabled = false;
    let mut new = old.clone();
    new.tunnels[0].session.destination.port = 2222;
    let moved = plan(&old, &new);
    let replaced = (Replace, "a", 5, "port; the new session first");
    assert_eq!(told_with(&moved, &old, &running(&old, RunState::Up)), expected(&[replaced]));
    new.tunnels[0].enabled = true;
    let moved = plan(&old, &new);
    assert_eq!(told_with(&moved, &old, &running(&old, RunState::Up)), expected(&[replaced]));
    let notes = moved.report(&old, &running(&old, RunState::Up), true, 2).notes;
    assert_eq!(notes, ["tunnel `a` is enabled, and runs already"]);
}

#[test]
fn tunnel_that_does_not_run_has_no_session_to_replace() {
    let (plan, actual) = difference(|new| new.tunnels[0].session.destination.port = 2222);
    let of = |state| told_with(&plan, &actual, &running(&actual, state)).remove(0);
    assert_eq!(of(RunState::AtRest), (Retune, "a".into(), 0, "port; from the next start on".into()));
    assert_eq!(of(RunState::Starting), (Replace, "a".into(), 10, "port; a start follows at once".into()));
}

#[test]
fn a_change_that_never_took_effect_is_taken_back_for_nothing() {
    let (plan, actual) = difference(|new| new.tunnels[0].session.destination.port = 2222);
    let desired = apply(&plan, actual.clone());
    let made_for = desired.tunnels[0].session.clone();
    let serving = |server: Destination| {
        let serving = Some(Arc::new(ServingSession { made_for: made_for.clone(), server }));
        told_with(&plan, &actual, &AllTunnels { serving, ..running(&actual, RunState::Up) })
    };
    assert_eq!(
        serving(made_for.destination.clone()),
        expected(&[
            (Retune, "a", 0, "port; the session that serves was made so, and stays"),
            (Keep, "a -L 3307:db:3306", 0, ""),
            (Keep, "a -L 8080:web:80", 0, ""),
            (Keep, "b", 0, ""),
        ])
    );
    // It goes to a host to fall back on, which is not named any more.
    let elsewhere = Destination { host: "other".to_owned(), ..made_for.destination.clone() };
    assert_eq!(serving(elsewhere)[0], expected(&[(Replace, "a", 10, "port; the new session first")])[0]);
}

#[test]
fn held_connections_end_with_their_forward_and_not_with_their_session() {
    let (plan, actual) = difference(|new| {
        new.tunnels[0].forwards.pop();
        new.tunnels[0].session.destination.port = 2222;
        new.tunnels.pop();
    });
    let running = AllTunnels { carried: 0, held: 3, ..running(&actual, RunState::Up) };
    let ends: Vec<_> = told_with(&plan, &actual, &running).into_iter().map(|step| (step.0, step.2)).collect();
    assert_eq!(ends, [(Stop, 3), (Cancel, 3), (Replace, 0)]);
}

#[test]
fn policy_limits_and_the_next_connect_timeout_cost_nothing() {
    let (plan, actual) = difference(|new| {
        new.tunnels[0].policy.max_start = Some(3);
        new.tunnels[0].max_connections = 1;
        new.tunnels[0].session.timing.connect_timeout *= 2;
    });
    assert_eq!(
        told(&plan, &actual, 9),
        expected(&[
            (Retune, "a", 0, "max_start, max_connections"),
            (Retune, "a", 0, "connect_timeout, from the next session on"),
            (Keep, "a -L 3307:db:3306", 0, ""),
            (Keep, "a -L 8080:web:80", 0, ""),
            (Keep, "b", 0, ""),
        ])
    );
}

/// As resolving makes it: a jump host without a table has the tunnel's values, and is what is dialled directly.
fn jumping(change: fn(&mut SessionSpec), change_gate: fn(&mut SessionSpec)) -> Desired {
    let mut spec = tunnel("a", &["3307:db:3306"]);
    change(&mut spec.session);
    let mut gate = spec.session.clone();
    gate.destination.host = "gate".to_owned();
    change_gate(&mut gate);
    spec.session.dial.bind_address = None;
    spec.session.dial.via = Route::Jump(Box::new(gate));
    config(vec![spec])
}

#[test]
fn key_that_a_jump_host_takes_over_is_named_once_and_costs_what_it_does_without_one() {
    const NEXT: &str = "from the next session on";
    let actual = jumping(|_| {}, |_| {});
    let first = |desired: &Desired| told(&plan(&actual, desired), &actual, 2).remove(0);
    let changes: [(fn(&mut SessionSpec), _, _, _); 4] = [
        (|session| session.timing.connect_timeout *= 2, Retune, 0, format!("connect_timeout, {NEXT}")),
        (|session| session.dial.connection_attempts = 3, Retune, 0, format!("connection_attempts, {NEXT}")),
        (|session| session.dial.tcp_keep_alive = false, Replace, 2, "tcp_keep_alive; the new session first".to_owned()),
        (
            |session| session.dial.bind_address = Some("127.0.0.1".to_owned()),
            Replace,
            2,
            "bind_address; the new session first".to_owned(),
        ),
    ];
    for (change, action, ends, reason) in changes {
        assert_eq!(first(&jumping(change, |_| {})), (action, "a".to_owned(), ends, reason));
    }
    // In a table of its own.
    let own = first(&jumping(|_| {}, |gate| gate.timing.connect_timeout *= 2));
    assert_eq!(own, (Retune, "a".to_owned(), 0, format!("proxy_jump, {NEXT}")));
    let moved = first(&jumping(|_| {}, |gate| gate.destination.port = 2222));
    assert_eq!(moved, (Replace, "a".to_owned(), 2, "proxy_jump; the new session first".to_owned()));
    let gone = first(&config(vec![tunnel("a", &["3307:db:3306"])]));
    assert_eq!(gone.3, "proxy_jump; the new session first");
}

#[test]
fn stopped_tunnel_has_no_session_to_replace() {
    let (plan, actual) = difference(|new| {
        new.tunnels[0].enabled = false;
        new.tunnels[0].session.destination.port = 2222;
    });
    assert_eq!(actions(&plan, &actual), [Stop, Retune]);
    assert_eq!(steps(&plan, &actual, 1).iter().map(|step| step.connections).sum::<u64>(), 2);
}

#[test]
fn a_forward_moves_from_one_tunnel_to_another() {
    let (plan, actual) = difference(|new| {
        let moved = new.tunnels[1].forwards.remove(0);
        new.tunnels[0].forwards.push(moved);
    });
    assert_eq!(actions(&plan, &actual), [Cancel, Add]);
    assert_eq!(plan.steps[0].tunnel(), Some("b"));
}

#[test]
fn gateway_ports_binds_bare_ports_anew_and_nothing_else() {
    let actual = config(vec![tunnel("a", &["3307:db:3306", "127.0.0.1:8080:web:80"])]);
    let mut desired = actual.clone();
    desired.tunnels[0].gateway_ports = true;
    let plan = plan(&actual, &desired);
    assert_eq!(actions(&plan, &actual), [Cancel, Retune, Add]);
    assert!(
        matches!(&plan.steps[2], Step::Change(_, TunnelChange::AddForward { forward, at: 0 }) if *forward == actual.tunnels[0].forwards[0])
    );
}

#[test]
fn several_remote_forwards_may_ask_for_port_0() {
    let ask = |targets: &[&str]| {
        let mut spec = tunnel("a", &[]);
        for target in targets {
            let mut asked = forward("1:x:1");
            asked.kind = tunnel_engine::spec::ForwardKind::Remote;
            asked.listen = tunnel_engine::spec::Listen::Tcp { bind: tunnel_engine::spec::Bind::Default, port: 0 };
            asked.connect = Connect::Tcp { host: (*target).to_owned(), port: 1 };
            spec.forwards.push(asked);
        }
        config(vec![spec])
    };
    let (old, new) = (ask(&["a", "b", "c"]), ask(&["b", "c", "d"]));
    let plan = plan(&old, &new);
    assert_eq!(actions(&plan, &old), [Retune, Retune]);
    assert_eq!(apply(&plan, old), new);
}

#[test]
fn settings_that_a_running_daemon_cannot_apply_say_so() {
    let (plan, actual) = difference(|new| {
        new.global.pid_file = Some("/run/other.pid".into());
        new.global.log = LogSpec { level: "debug".into(), format: LogFormat::Json };
        new.global.stop_timeout *= 2;
    });
    let report = plan.report(&actual, &running(&actual, RunState::Up), true, 8);
    assert_eq!(
        report.notes,
        [
            "pid_file becomes `/run/other.pid` when tunneld is restarted",
            "stop_timeout becomes 20s",
            "log.level becomes `debug`",
            "log.format becomes `json` when tunneld is restarted",
        ]
    );
    assert_eq!((report.applied, report.generation), (true, 8));
}

#[test]
fn setting_that_is_as_the_daemon_runs_needs_no_restart() {
    let (plan, mut actual) = difference(|new| new.global.pid_file = Some("/run/first.pid".into()));
    let mut running = running(&actual, RunState::Up);
    running.started_with.pid_file = Some("/run/first.pid".into());
    actual.global.pid_file = Some("/run/second.pid".into());
    let notes = plan.report(&actual, &running, true, 3).notes;
    assert_eq!(notes, ["pid_file becomes `/run/first.pid` again, as it still is in the running tunneld"]);
}

#[test]
fn tunnels_come_go_and_change_places() {
    let (plan, actual) = difference(|new| {
        new.tunnels.remove(0);
        let mut disabled = tunnel("d", &[]);
        disabled.enabled = false;
        new.tunnels.insert(0, tunnel("c", &[]));
        new.tunnels.push(disabled);
    });
    assert_eq!(
        told(&plan, &actual, 1),
        expected(&[(Stop, "a", 2, "no longer in the config"), (Start, "c", 0, "new"), (Keep, "b", 0, "")])
    );
    assert_eq!(
        plan.report(&actual, &running(&actual, RunState::Up), false, 1).notes,
        ["tunnel `d` is new and disabled"]
    );
    let (plan, actual) = difference(|new| new.tunnels.reverse());
    assert_eq!(actions(&plan, &actual), []);
    assert_eq!(
        plan.report(&actual, &running(&actual, RunState::Up), false, 1).notes,
        ["the tunnels are shown in another order"]
    );
}
