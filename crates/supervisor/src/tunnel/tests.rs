//! The driver against a server in memory, on virtual time.

mod busy_port;
mod fault_soak;
mod long_outage;
mod pending;
mod probes;
mod refused;
pub(crate) mod support;

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tunnel_engine::clock;
use tunnel_engine::demo_server::{ConnectFault, LinkFaults};
use tunnel_engine::failure::FailureKind;
use tunnel_engine::spec::StrictHostKeyChecking;

use super::*;
use crate::lifecycle::{Phase, Want};
use crate::plan::TunnelChange;
use support::{TestTunnel, echoes, forward, session_spec, tunnel_spec};

fn last_kind(view: &TunnelView) -> Option<FailureKind> {
    view.last_failure.as_ref().map(|last| last.failure.kind())
}

#[tokio::test(start_paused = true)]
async fn a_tunnel_comes_up_and_carries_bytes() {
    let mut rig = TestTunnel::ready(tunnel_spec("t", &["L0:echo:1", "R7000:localhost:1"])).await;
    assert!(echoes(&mut rig.connect(0).await).await);
    let view = rig.until("ready", |view| view.ready).await;
    let status = view.status(clock::now());
    assert_eq!((status.phase.as_str(), status.want.as_str(), status.starts), ("up", "up", 1));
    assert_eq!(status.session.unwrap().software, "tunneld-demo");
    assert_eq!(status.forwards[0].opened, 1);
    assert_eq!(status.forwards[1].listen, "localhost:7000");
    assert!(status.forwards.iter().all(|forward| forward.is_in_place()));
}

#[tokio::test(start_paused = true)]
async fn lost_session_is_redialled_at_once_listener_stays() {
    let mut rig = TestTunnel::ready(tunnel_spec("t", &["L0:echo:1"])).await;
    let listen = rig.view.borrow().forwards[0].listen.clone();
    let lost = clock::now();
    rig.server.cut();
    let view = rig.until("ready again", |view| view.ready && view.starts == 2).await;
    assert!(clock::now() - lost < Duration::from_millis(100));
    assert_eq!(view.forwards[0].listen, listen);
    assert!(echoes(&mut rig.connect(0).await).await);
}

#[tokio::test(start_paused = true)]
async fn connection_of_an_outage_is_carried_after_it() {
    let mut rig = TestTunnel::ready(tunnel_spec("t", &["L0:echo:1"])).await;
    rig.server.set_faults(|faults| faults.connect = ConnectFault::Refuse);
    rig.server.cut();
    rig.until("waiting", |view| view.phase == Phase::Backoff).await;
    let mut early = rig.connect(0).await;
    rig.server.set_faults(|faults| faults.connect = ConnectFault::None);
    rig.until("ready again", |view| view.ready).await;
    assert!(echoes(&mut early).await);
}

/// Long enough for a session in memory to answer its first question.
async fn a_moment() {
    tokio::time::sleep_until((clock::now() + Duration::from_millis(100)).into()).await;
}

#[tokio::test(start_paused = true)]
async fn short_sessions_are_redialled_five_times_then_backed_off() {
    let mut rig = TestTunnel::ready(tunnel_spec("t", &[])).await;
    for starts in 2..=6 {
        a_moment().await;
        let lost = clock::now();
        rig.server.cut();
        rig.until("ready again", |view| view.ready && view.starts == starts).await;
        assert!(clock::now() - lost < Duration::from_millis(100), "start {starts}");
    }
    a_moment().await;
    let lost = clock::now();
    rig.server.cut();
    let view = rig.until("waiting", |view| view.phase == Phase::Backoff).await;
    assert!(view.next_start.is_some() && last_kind(&view).is_some_and(|kind| !kind.is_permanent()));
    rig.until("ready again", |view| view.ready && view.starts == 7).await;
    assert!(clock::now() - lost >= Duration::from_millis(250));
}

#[tokio::test(start_paused = true)]
async fn a_session_cut_after_an_outage_is_redialled_at_once() {
    let mut rig = TestTunnel::ready(tunnel_spec("t", &[])).await;
    rig.server.set_faults(|faults| faults.connect = ConnectFault::Refuse);
    rig.server.cut();
    rig.until("after many starts", |view| view.starts > 9).await;
    rig.server.set_faults(|faults| faults.connect = ConnectFault::None);
    let starts = rig.until("ready again", |view| view.ready).await.starts;
    a_moment().await;
    let lost = clock::now();
    rig.server.cut();
    rig.until("ready at once", |view| view.ready && view.starts > starts).await;
    assert!(clock::now() - lost < Duration::from_millis(100));
}

#[tokio::test(start_paused = true)]
async fn change_of_known_hosts_starts_a_blocked_tunnel() {
    let dir = tempfile::tempdir().unwrap();
    let known_hosts = dir.path().join("known_hosts");
    std::fs::write(&known_hosts, "").unwrap();
    let mut spec = tunnel_spec("t", &["L0:echo:1"]);
    spec.session.host_key.strict = StrictHostKeyChecking::Yes;
    spec.session.host_key.user_known_hosts = vec![known_hosts.clone()];
    let mut rig = TestTunnel::started(spec);
    let view = rig.until("blocked", |view| view.phase == Phase::Blocked).await;
    assert_eq!(last_kind(&view), Some(FailureKind::HostKeyUnknown));
    let blocked = clock::now();
    std::fs::write(&known_hosts, rig.server.known_hosts("server", 22).unwrap()).unwrap();
    rig.until("ready", |view| view.ready).await;
    assert!(clock::now() - blocked < Duration::from_secs(5));
}

#[tokio::test(start_paused = true)]
async fn changed_ssh_config_of_a_blocked_tunnel_hints_at_reload() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("config");
    let mut spec = tunnel_spec("t", &["L0:echo:1"]);
    spec.session.host_key.strict = StrictHostKeyChecking::Yes;
    spec.ssh_config_files = vec![config.clone()];
    let mut rig = TestTunnel::started(spec);
    let view = rig.until("blocked", |view| view.phase == Phase::Blocked).await;
    let starts = view.starts;
    std::fs::write(&config, "Host server\n StrictHostKeyChecking no\n").unwrap();
    let told = |view: &TunnelView| view.last_failure.as_ref().is_some_and(|last| last.outdated.is_some());
    let view = rig.until("told", told).await;
    assert_eq!((view.phase, view.starts), (Phase::Blocked, starts));
    let hint = view.status(clock::now()).last_failure.unwrap().hint;
    assert!(hint.contains("`tunneld reload` reads it again"), "{hint}");
}

#[tokio::test(start_paused = true)]
async fn stop_lets_flowing_connections_finish() {
    let mut rig = TestTunnel::ready(tunnel_spec("t", &["L0:echo:1", "R7000:localhost:1"])).await;
    let listen = rig.view.borrow().forwards[0].listen.clone();
    let mut flowing = rig.connect(0).await;
    assert!(echoes(&mut flowing).await);
    rig.ordered(Order::Stop).await;
    rig.until("stopping", |view| view.phase == Phase::Stopping).await;
    assert!(echoes(&mut flowing).await);
    assert!(TcpStream::connect(listen).await.is_err());
    let mut counts = rig.server.watch_counts();
    counts.wait_for(|counts| counts.forwards_now == 0).await.unwrap();
    flowing.shutdown().await.unwrap();
    assert_eq!(flowing.read(&mut [0; 1]).await.unwrap(), 0);
    let view = rig.until("stopped", |view| view.phase == Phase::Stopped).await;
    assert_eq!((view.want, view.ready), (Want::Down, false));
    counts.wait_for(|counts| counts.sessions_now == 0).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_never_ends_is_cut_after_stop_timeout() {
    let mut rig = TestTunnel::ready(tunnel_spec("t", &["L0:echo:1"])).await;
    let mut flowing = rig.connect(0).await;
    assert!(echoes(&mut flowing).await);
    let asked = clock::now();
    rig.order(Order::End);
    rig.until("stopped", |view| view.phase == Phase::Stopped).await;
    let took = clock::now() - asked;
    assert!(took >= Duration::from_secs(10) && took < Duration::from_secs(12), "{took:?}");
    assert!(!echoes(&mut flowing).await);
    rig.handle.ended().await;
}

#[tokio::test(start_paused = true)]
async fn a_restart_makes_a_new_session_without_waiting_for_connections() {
    let mut rig = TestTunnel::ready(tunnel_spec("t", &["L0:echo:1"])).await;
    let mut flowing = rig.connect(0).await;
    assert!(echoes(&mut flowing).await);
    let asked = clock::now();
    rig.ordered(Order::Restart).await;
    rig.until("ready again", |view| view.ready && view.starts == 2).await;
    assert!(clock::now() - asked < Duration::from_secs(3));
    assert!(echoes(&mut rig.connect(0).await).await);
}

#[tokio::test(start_paused = true)]
async fn refused_remote_forward_is_retried_without_a_login() {
    let mut rig = TestTunnel::started(tunnel_spec("t", &["L0:echo:1", "R7000:localhost:1"]));
    rig.server.set_faults(|faults| faults.deny_forwards = true);
    let view = rig.until("down", |view| matches!(view.forwards[1].state, ForwardState::Down(_))).await;
    assert_eq!((view.phase, view.ready), (Phase::Up, false));
    assert_eq!(last_kind(&view), Some(FailureKind::RemotePortBusy));
    assert!(echoes(&mut rig.connect(0).await).await);
    rig.server.set_faults(|faults| faults.deny_forwards = false);
    rig.until("ready", |view| view.ready).await;
    assert_eq!(rig.server.counts().sessions, 1);
}

#[tokio::test(start_paused = true)]
async fn exit_on_forward_failure_fails_on_a_refused_forward() {
    let mut spec = tunnel_spec("t", &["R7000:localhost:1"]);
    spec.exit_on_forward_failure = true;
    let mut rig = TestTunnel::started(spec);
    rig.server.set_faults(|faults| faults.deny_forwards = true);
    let mut phases = Vec::new();
    let view = rig
        .until("waiting", |view| {
            phases.push(view.phase);
            view.phase == Phase::Backoff
        })
        .await;
    assert!(!phases.contains(&Phase::Up), "{phases:?}");
    assert_eq!(last_kind(&view), Some(FailureKind::RemotePortBusy));
    rig.server.set_faults(|faults| faults.deny_forwards = false);
    rig.until("ready", |view| view.ready).await;
}

#[tokio::test(start_paused = true)]
async fn exit_on_forward_failure_with_taken_address_makes_no_login() {
    let holder = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = holder.local_addr().unwrap().port();
    let mut spec = tunnel_spec("t", &[&format!("L{port}:echo:1")]);
    spec.exit_on_forward_failure = true;
    let mut rig = TestTunnel::started(spec);
    let view = rig.until("waiting", |view| view.phase == Phase::Backoff).await;
    assert_eq!(last_kind(&view), Some(FailureKind::ListenInUse));
    assert_eq!(rig.server.counts().connections, 0);
    drop(holder);
    rig.until("ready", |view| view.ready).await;
}

#[tokio::test(start_paused = true)]
async fn taken_listen_address_is_retried_beside_the_rest() {
    let holder = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = holder.local_addr().unwrap().port();
    let mut rig = TestTunnel::started(tunnel_spec("t", &[&format!("L{port}:echo:1"), "L0:echo:1"]));
    let view = rig.until("half up", |view| view.phase == Phase::Up && view.listeners_tried).await;
    assert!(matches!(view.forwards[0].state, ForwardState::Down(_)) && !view.ready);
    assert!(echoes(&mut rig.connect(1).await).await);
    drop(holder);
    rig.until("ready", |view| view.ready).await;
    assert!(echoes(&mut rig.connect(0).await).await);
    assert_eq!(rig.server.counts().sessions, 1);
}

#[tokio::test(start_paused = true)]
async fn a_port_that_the_server_chose_is_kept_on_reconnect() {
    let mut rig = TestTunnel::ready(tunnel_spec("t", &["R0:localhost:1"])).await;
    let listen = rig.view.borrow().forwards[0].listen.clone();
    assert_ne!(listen, "localhost:0");
    rig.server.cut();
    let view = rig.until("ready again", |view| view.ready && view.starts == 2).await;
    assert_eq!(view.forwards[0].listen, listen);
}

#[tokio::test(start_paused = true)]
async fn reload_changes_forwards_while_another_carries_traffic() {
    let removed = forward("R7000:localhost:1");
    let changed = forward("L0:sink:1");
    let mut spec = tunnel_spec("t", &["L0:echo:1"]);
    spec.forwards.push(removed.clone());
    spec.forwards.push(changed.clone());
    let mut rig = TestTunnel::ready(spec).await;
    let mut flowing = rig.connect(0).await;
    assert!(echoes(&mut flowing).await);
    let mut to = changed.clone();
    to.connect = forward("L0:echo:1").connect;
    rig.ordered(Order::Apply(vec![
        TunnelChange::RemoveForward(removed),
        TunnelChange::RetuneForward { from: changed, to },
        TunnelChange::AddForward { forward: forward("R7001:localhost:1"), at: 0 },
    ]))
    .await;
    let view = rig.until("ready again", |view| view.ready && view.forwards.len() == 3).await;
    assert_eq!(view.forwards[0].listen, "localhost:7001");
    let mut counts = rig.server.watch_counts();
    counts.wait_for(|counts| counts.forwards_now == 1).await.unwrap();
    assert!(echoes(&mut flowing).await);
    assert!(echoes(&mut rig.connect(2).await).await);
    assert_eq!((rig.server.counts().sessions, view.starts), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn replacement_is_up_before_the_old_session_ends() {
    let mut rig = TestTunnel::ready(tunnel_spec("t", &["L0:echo:1", "R7000:localhost:1"])).await;
    let mut flowing = rig.connect(0).await;
    assert!(echoes(&mut flowing).await);
    let mut session = session_spec("server", 22);
    session.timing.server_alive_count_max = 7;
    let step = TunnelChange::ReplaceSession(Box::new(session));
    rig.ordered(Order::Apply(vec![step])).await;
    let mut counts = rig.server.watch_counts();
    counts.wait_for(|counts| counts.sessions == 2).await.unwrap();
    let view = rig.until("ready again", |view| view.ready).await;
    assert_eq!(view.starts, 1);
    assert!(echoes(&mut flowing).await);
    assert!(echoes(&mut rig.connect(0).await).await);
    drop(flowing);
    counts.wait_for(|counts| counts.sessions_now == 1).await.unwrap();
    assert!(rig.server.connect_forward(7000).is_some());
}

#[tokio::test(start_paused = true)]
async fn failed_replacement_keeps_the_old_session() {
    let mut rig = TestTunnel::ready(tunnel_spec("t", &["L0:echo:1"])).await;
    rig.server.set_faults(|faults| faults.connect = ConnectFault::Refuse);
    let mut session = session_spec("server", 22);
    session.timing.server_alive_count_max = 7;
    let step = TunnelChange::ReplaceSession(Box::new(session));
    rig.ordered(Order::Apply(vec![step])).await;
    let view = rig.until("told", |view| view.last_failure.is_some()).await;
    assert_eq!((view.phase, view.ready), (Phase::Up, false));
    let told = view.status(clock::now());
    let why = told.waits_for.expect("why it is not ready");
    assert!(why.ends_with(view.last_failure.as_ref().unwrap().failure.message().split_once(": ").unwrap().1), "{why}");
    assert!(told.next_start_ms.is_some());
    assert!(echoes(&mut rig.connect(0).await).await);
    rig.server.set_faults(|faults| faults.connect = ConnectFault::None);
    rig.until("ready", |view| view.ready).await;
    assert_eq!(rig.server.counts().sessions, 2);
}

#[tokio::test(start_paused = true)]
async fn silent_session_is_not_ready_before_the_keepalive_fails() {
    let mut rig = TestTunnel::ready(tunnel_spec("t", &[])).await;
    rig.server.set_faults(|faults| faults.link = LinkFaults::BLACKHOLE);
    let asked = clock::now();
    rig.ordered(Order::RetryNow).await;
    let view = rig.until("in doubt", |view| !view.ready).await;
    assert!(clock::now() - asked <= Duration::from_secs(2));
    assert_eq!(view.phase, Phase::Up, "it may come back");
}

#[tokio::test(start_paused = true)]
async fn a_session_that_answers_when_asked_is_kept() {
    let mut rig = TestTunnel::ready(tunnel_spec("t", &["L0:echo:1"])).await;
    rig.ordered(Order::RetryNow).await;
    tokio::time::advance(Duration::from_secs(6)).await;
    rig.until("ready", |view| view.ready && view.starts == 1).await;
    assert_eq!(rig.server.counts().sessions, 1);
}

#[tokio::test(start_paused = true)]
async fn tunnel_without_starts_left_has_failed_and_says_why() {
    let mut spec = tunnel_spec("t", &["L0:echo:1"]);
    spec.policy.max_start = Some(2);
    let mut rig = TestTunnel::started(spec);
    rig.server.set_faults(|faults| faults.connect = ConnectFault::Refuse);
    let view = rig.until("failed", |view| view.phase == Phase::Failed).await;
    let view = match last_kind(&view) {
        Some(FailureKind::MaxStart) => view,
        _ => rig.until("told", |view| last_kind(view) == Some(FailureKind::MaxStart)).await,
    };
    let failure = view.last_failure.clone().unwrap().failure;
    assert!(failure.message().contains("gave up after 2 starts"), "{failure}");
    rig.server.set_faults(|faults| faults.connect = ConnectFault::None);
    rig.order(Order::ResetFailed);
    rig.until("ready", |view| view.ready).await;
}

#[tokio::test(start_paused = true)]
async fn server_is_found_soon_after_any_outage() {
    for (away, within) in [(30, Duration::from_millis(600)), (600, Duration::from_secs(12))] {
        for fault in [ConnectFault::Refuse, ConnectFault::Lost] {
            let mut rig = TestTunnel::ready(tunnel_spec("t", &["L0:echo:1"])).await;
            rig.server.set_faults(|faults| faults.connect = fault.clone());
            rig.server.cut();
            let gone = clock::now();
            tokio::time::sleep_until((gone + Duration::from_secs(away)).into()).await;
            rig.until("waiting", |view| view.phase == Phase::Backoff).await;
            let connections = rig.server.counts().connections;
            rig.server.set_faults(|faults| faults.connect = ConnectFault::None);
            let back = clock::now();
            rig.until("ready again", |view| view.ready).await;
            assert!(clock::now() - back <= within, "{fault:?} for {away} s: {:?}", clock::now() - back);
            assert!(echoes(&mut rig.connect(0).await).await);
            assert_eq!(
                rig.server.counts().connections - connections,
                1,
                "the connection of the probe became the session"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn probes_of_a_watched_server_are_no_starts() {
    let mut rig = TestTunnel::ready(tunnel_spec("t", &[])).await;
    rig.server.set_faults(|faults| faults.connect = ConnectFault::Refuse);
    rig.server.cut();
    let gone = clock::now();
    tokio::time::sleep_until((gone + Duration::from_secs(100)).into()).await;
    let view = rig.until("waiting", |view| view.phase == Phase::Backoff).await;
    let status = view.status(clock::now());
    assert_eq!(status.waits_for.as_deref(), Some("the server is asked every 0.5 s whether it is back"));
    assert!(status.next_start_ms.is_some_and(|ms| ms > 0) && status.starts < 15, "{status:?}");
}

#[tokio::test(start_paused = true)]
async fn login_failure_after_tcp_starts_no_probe() {
    let mut rig = TestTunnel::ready(tunnel_spec("t", &[])).await;
    rig.server.set_faults(|faults| faults.connect = ConnectFault::SayAndClose("not now".into()));
    rig.server.cut();
    let gone = clock::now();
    tokio::time::sleep_until((gone + Duration::from_secs(100)).into()).await;
    let view = rig.until("waiting", |view| view.phase == Phase::Backoff).await;
    assert_eq!(view.status(clock::now()).waits_for, None);
    assert!(rig.server.counts().connections < 20, "{:?}", rig.server.counts());
}
