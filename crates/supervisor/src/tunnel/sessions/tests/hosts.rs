//! `hosts`: failover, and the return.

use tunnel_engine::backoff::BETTER_HOST;
use tunnel_engine::clock;
use tunnel_engine::demo_server::{AuthFault, ConnectFault, Faults, MemoryNet, Server};
use tunnel_engine::failure::FailureKind;

use super::SECOND;
use crate::config::TunnelSpec;
use crate::lifecycle::Phase;
use crate::plan::TunnelChange;
use crate::tunnel::Order;
use crate::tunnel::test_support::{TestTunnel, echoes, server, session_spec, tunnel_spec};

const RETURN_EVERY: std::time::Duration = BETTER_HOST.first;

/// Two servers, `a` and `b`, in this order of preference.
fn two_hosts(forwards: &[&str]) -> (Server, Server, MemoryNet, TunnelSpec) {
    let (a, b) = (server(), server());
    let net = MemoryNet::default().with("a:22", &a).with("b:22", &b);
    let mut spec = tunnel_spec("t", forwards);
    spec.session = session_spec("a", 22);
    spec.fallbacks = vec![session_spec("b", 22)];
    (a, b, net, spec)
}

#[tokio::test(start_paused = true)]
async fn the_next_host_is_tried_at_once_when_one_fails() {
    let (a, b, net, spec) = two_hosts(&["L0:echo:1"]);
    a.set_faults(|faults| faults.connect = ConnectFault::Refuse);
    let began = clock::now();
    let mut rig = TestTunnel::over(net, b, spec);
    let view = rig.until("ready", |view| view.ready).await;
    assert_eq!((view.server.as_str(), view.starts), ("me@b:22", 2));
    assert!(clock::now() - began < SECOND / 10);
    assert!(echoes(&mut rig.connect(0).await).await);
}

#[tokio::test(start_paused = true)]
async fn blocked_host_is_reported_and_others_are_tried() {
    let (a, b, net, spec) = two_hosts(&["L0:echo:1"]);
    a.set_faults(|faults| faults.auth = AuthFault::Reject);
    let mut rig = TestTunnel::over(net, b, spec);
    let view = rig.until("ready", |view| view.ready).await;
    let told = view.last_failure.clone().unwrap().failure;
    assert_eq!(told.kind(), FailureKind::AuthRejected);
    assert_eq!(view.server, "me@b:22");
}

#[tokio::test(start_paused = true)]
async fn tunnel_is_blocked_only_when_all_hosts_are() {
    let (a, b, net, spec) = two_hosts(&["L0:echo:1"]);
    a.set_faults(|faults| faults.connect = ConnectFault::Refuse);
    b.set_faults(|faults| faults.auth = AuthFault::Reject);
    let mut rig = TestTunnel::over(net, b, spec);
    rig.until("waiting", |view| view.phase == Phase::Backoff).await;
    a.set_faults(|faults| *faults = Faults { auth: AuthFault::Reject, ..Default::default() });
    rig.until("blocked", |view| view.phase == Phase::Blocked).await;
}

#[tokio::test(start_paused = true)]
async fn return_to_a_better_host_keeps_old_connections() {
    let (a, b, net, spec) = two_hosts(&["L0:echo:1", "R7000:localhost:1"]);
    a.set_faults(|faults| faults.connect = ConnectFault::Refuse);
    let mut rig = TestTunnel::over(net, b, spec);
    rig.until("ready", |view| view.ready).await;
    let mut flowing = rig.connect(0).await;
    assert!(echoes(&mut flowing).await);
    a.set_faults(|faults| faults.connect = ConnectFault::None);
    let up = clock::now();
    let view = rig.until("back", |view| view.server == "me@a:22" && view.ready).await;
    let took = clock::now() - up;
    assert!(took <= RETURN_EVERY + SECOND, "{took:?}");
    assert_eq!(view.phase, Phase::Up);
    assert!(echoes(&mut flowing).await);
    assert!(echoes(&mut rig.connect(0).await).await);
    assert!(a.connect_forward(7000).is_some());
    drop(flowing);
    let mut counts = rig.server.watch_counts();
    counts.wait_for(|counts| counts.sessions_now == 0).await.unwrap();
    assert_eq!(rig.server.counts().forwards_now, 0);
}

#[tokio::test(start_paused = true)]
async fn returns_that_do_not_last_become_rare() {
    let (a, b, net, spec) = two_hosts(&["L0:echo:1"]);
    let mut rig = TestTunnel::over(net, b, spec);
    rig.until("ready", |view| view.ready).await;
    let began = clock::now();
    for _ in 0..6 {
        a.set_faults(|faults| faults.connect = ConnectFault::Refuse);
        a.cut();
        rig.until("on the lesser one", |view| view.server == "me@b:22" && view.ready).await;
        a.set_faults(|faults| faults.connect = ConnectFault::None);
        rig.until("back", |view| view.server == "me@a:22" && view.ready).await;
    }
    let took = clock::now() - began;
    assert!(took > 32 * RETURN_EVERY, "six returns in {took:?}");
}

#[tokio::test(start_paused = true)]
async fn leaving_a_removed_host_keeps_its_connections() {
    let (a, b, net, spec) = two_hosts(&["L0:echo:1"]);
    let mut rig = TestTunnel::over(net, b, spec);
    rig.until("ready", |view| view.ready && view.server == "me@a:22").await;
    rig.ordered(Order::Apply(vec![TunnelChange::Hosts(Vec::new())])).await;
    assert_eq!(rig.server.counts().sessions, 0, "the host in use is still named");
    let mut flowing = rig.connect(0).await;
    assert!(echoes(&mut flowing).await);
    let mut session = session_spec("b", 22);
    session.timing.server_alive_count_max = 7;
    let step = TunnelChange::ReplaceSession(Box::new(session));
    rig.ordered(Order::Apply(vec![step])).await;
    rig.until("moved", |view| view.server == "me@b:22" && view.ready).await;
    assert!(echoes(&mut flowing).await);
    assert_eq!(a.counts().sessions, 1);
}

#[tokio::test(start_paused = true)]
async fn whichever_host_is_back_first_is_found_at_once() {
    for lost in [ConnectFault::Refuse, ConnectFault::Lost] {
        let (a, b, net, spec) = two_hosts(&["L0:echo:1"]);
        a.set_faults(|faults| faults.connect = lost.clone());
        b.set_faults(|faults| faults.connect = lost.clone());
        let mut rig = TestTunnel::over(net, b, spec);
        // Far into the schedule of the starts.
        rig.until("waiting for long", |view| view.phase == Phase::Backoff && view.starts > 16).await;
        let back = clock::now();
        rig.server.set_faults(|faults| faults.connect = ConnectFault::None);
        let view = rig.until("ready", |view| view.ready).await;
        assert_eq!(view.server, "me@b:22");
        assert!(clock::now() - back <= SECOND, "{lost:?}: {:?}", clock::now() - back);
    }
}
