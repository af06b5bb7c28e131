//! What a tunnel makes of probes, against a server in memory, on virtual time.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tunnel_engine::clock;
use tunnel_engine::demo_server::Target;
use tunnel_engine::failure::FailureKind;

use crate::config::{ProbeSpec, TunnelSpec};
use crate::lifecycle::Phase;
use crate::tunnel::test_support::{TestTunnel, echoes, tunnel_spec};
use crate::tunnel::*;

/// Lets virtual time pass.
async fn pass(time: Duration) {
    tokio::time::sleep_until((clock::now() + time).into()).await;
}

fn polled(forwards: &[&str], poll: Duration) -> TunnelSpec {
    let mut spec = tunnel_spec("t", forwards);
    (spec.first_poll, spec.policy.poll) = (poll, poll);
    spec
}

fn state(view: &TunnelView, place: usize) -> &'static str {
    view.forwards[place].state.as_str()
}

/// A tunnel whose local targets are connected to, because its config asks for it.
fn asking(forwards: &[&str], poll: Duration) -> TunnelSpec {
    TunnelSpec { probe: ProbeSpec::Tcp, ..polled(forwards, poll) }
}

#[tokio::test(start_paused = true)]
async fn tunnel_with_a_refusing_target_is_not_ready() {
    let mut rig = TestTunnel::started(asking(&["L0:refuse:1"], Duration::from_secs(600)));
    let view = rig.until("down", |view| state(view, 0) == "down").await;
    assert!(!view.ready);
    let message = view.forwards[0].message.clone().unwrap();
    assert!(message.contains("refuse:1") && message.contains("Connection refused"), "{message}");
    assert_eq!(view.last_failure.clone().unwrap().failure.kind(), FailureKind::ProbeFailed);
    rig.server.set_target("refuse", Target::Echo);
    let asked = clock::now();
    rig.until("ready", |view| view.ready).await;
    assert!(clock::now() - asked < Duration::from_secs(11));
    assert_eq!(rig.server.counts().sessions, 1);
    let counts = rig.view.borrow().counts(0);
    assert_eq!((counts.opened, counts.failed), (0, 0), "probes are not counted as connections");
}

#[tokio::test(start_paused = true)]
async fn users_refused_connection_shows_at_once() {
    let mut rig = TestTunnel::ready(tunnel_spec("t", &["L0:echo:1"])).await;
    rig.server.set_target("echo", Target::Refuse);
    let before = clock::now();
    let mut refused = rig.connect(0).await;
    assert!(!echoes(&mut refused).await);
    rig.until("down", |view| state(view, 0) == "down" && !view.ready).await;
    assert!(clock::now() - before < Duration::from_secs(1));
    rig.server.clear_target("echo");
    assert!(echoes(&mut rig.connect(0).await).await);
    rig.until("ready", |view| view.ready).await;
    assert!(clock::now() - before < Duration::from_secs(5), "no probe was waited for");
}

#[tokio::test(start_paused = true)]
async fn port_held_by_another_session_is_stale() {
    let mut rig = TestTunnel::started(tunnel_spec("t", &["R7000:localhost:1"]));
    rig.server.set_target("127.0.0.1", Target::Hang);
    let view = rig.until("stale", |view| state(view, 0) == "stale").await;
    assert!(!view.ready);
    assert!(view.forwards[0].message.as_ref().unwrap().contains("127.0.0.1:7000"));
    let touched = rig.server.counts().opens;
    pass(Duration::from_secs(300)).await;
    let touches = rig.server.counts().opens - touched;
    assert!((1..=4).contains(&touches), "{touches} touches in five minutes");
    rig.server.clear_target("127.0.0.1");
    rig.until("ready", |view| view.ready && state(view, 0) == "up").await;
    assert_eq!(rig.server.counts().sessions, 1);
}

#[tokio::test(start_paused = true)]
async fn chosen_port_is_changed_a_few_times_only() {
    let mut rig = TestTunnel::started(tunnel_spec("t", &["R0:localhost:1"]));
    rig.server.set_target("127.0.0.1", Target::Hang);
    rig.until("stale", |view| state(view, 0) == "stale").await;
    pass(Duration::from_secs(600)).await;
    let asked = rig.server.counts().forward_requests;
    assert!((4..=8).contains(&asked), "{asked} requests in ten minutes");
    rig.server.clear_target("127.0.0.1");
    rig.until("ready", |view| view.ready && state(view, 0) == "up").await;
}

#[tokio::test(start_paused = true)]
async fn a_busy_port_is_asked_for_and_never_connected_to() {
    let mut rig = TestTunnel::started(tunnel_spec("t", &["R7000:localhost:1"]));
    let held = rig.server.hold_port(7000).unwrap();
    rig.until("down", |view| state(view, 0) == "down").await;
    pass(Duration::from_secs(60)).await;
    assert_eq!(rig.server.counts().opens, 0);
    drop(held);
    rig.until("ready", |view| view.ready).await;
}

#[tokio::test(start_paused = true)]
async fn vanished_listener_is_asked_for_again() {
    let mut rig = TestTunnel::ready(polled(&["R7000:localhost:1"], Duration::from_secs(60))).await;
    let asked = rig.server.counts().forward_requests;
    rig.server.set_target("127.0.0.1", Target::Refuse);
    rig.until("down", |view| state(view, 0) == "down").await;
    rig.server.clear_target("127.0.0.1");
    rig.until("ready", |view| view.ready).await;
    assert!(rig.server.counts().forward_requests > asked);
}

#[tokio::test(start_paused = true)]
async fn forbidden_probe_leaves_the_forward_unverified_and_ready() {
    let mut rig = TestTunnel::started(tunnel_spec("t", &["R7000:localhost:1"]));
    rig.server.set_faults(|faults| faults.deny_channels = true);
    let view = rig.until("ready", |view| view.ready).await;
    assert_eq!(state(&view, 0), "unverified");
    assert!(view.forwards[0].message.as_ref().unwrap().contains("forbids"));
}

#[tokio::test(start_paused = true)]
async fn idle_forward_is_probed_every_poll() {
    let poll = Duration::from_secs(100);
    let rig = TestTunnel::ready(asking(&["L0:echo:1"], poll)).await;
    assert_eq!(rig.server.counts().opens, 1, "at once");
    pass(poll * 9).await;
    let idle = rig.server.counts().opens - 1;
    assert!((8..=9).contains(&idle), "{idle} probes");
    let before = rig.server.counts().opens;
    for _ in 0..20 {
        assert!(echoes(&mut rig.connect(0).await).await);
        pass(poll / 2).await;
    }
    assert_eq!(rig.server.counts().opens - before, 20, "the users' own");
}

#[tokio::test(start_paused = true)]
async fn local_target_is_never_connected_to_by_itself() {
    let mut rig = TestTunnel::ready(polled(&["L0:echo:1", "D0"], Duration::from_secs(60))).await;
    for lost in 0..3 {
        pass(Duration::from_secs(600)).await;
        rig.server.cut();
        rig.until("reconnected", |view| view.ready && view.starts > lost + 1).await;
    }
    rig.ordered(Order::Restart).await;
    rig.until("restarted", |view| view.ready && view.starts > 4).await;
    rig.ordered(Order::RetryNow).await;
    rig.ordered(Order::NetworkChanged).await;
    pass(Duration::from_secs(7200)).await;
    assert_eq!(rig.server.counts().opens, 0);
    assert!(rig.view.borrow().ready);
}

#[tokio::test(start_paused = true)]
async fn refused_target_is_up_again_after_poll_without_a_connection() {
    let poll = Duration::from_secs(100);
    let mut rig = TestTunnel::ready(polled(&["L0:refuse:1"], poll)).await;
    let before = clock::now();
    assert!(!echoes(&mut rig.connect(0).await).await);
    let view = rig.until("down", |view| state(view, 0) == "down" && !view.ready).await;
    let message = view.forwards[0].message.clone().unwrap();
    assert!(message.contains("refuse:1") && message.contains("Connection refused"), "{message}");
    // The refusal is the target's, not the session's.
    rig.server.cut();
    rig.until("down again", |view| view.starts > 1 && view.phase == Phase::Up && state(view, 0) == "down").await;
    rig.until("ready", |view| view.ready).await;
    assert!(clock::now() - before >= poll);
    assert_eq!(rig.server.counts().opens, 1, "the user's own");
}

#[tokio::test(start_paused = true)]
async fn restart_forgets_what_a_target_refused() {
    let mut rig = TestTunnel::ready(tunnel_spec("t", &["L0:refuse:1"])).await;
    assert!(!echoes(&mut rig.connect(0).await).await);
    rig.until("down", |view| state(view, 0) == "down").await;
    let before = clock::now();
    rig.ordered(Order::Restart).await;
    rig.until("ready", |view| view.ready).await;
    assert!(clock::now() - before < Duration::from_secs(60));
}

#[tokio::test(start_paused = true)]
async fn asked_target_is_not_connected_to_again_at_each_reconnect() {
    let rig_spec = asking(&["L0:echo:1"], Duration::from_secs(600));
    let mut rig = TestTunnel::ready(rig_spec).await;
    for lost in 0..5 {
        rig.server.cut();
        rig.until("reconnected", |view| view.ready && view.starts > lost + 1).await;
    }
    assert_eq!(rig.server.counts().opens, 1, "one each poll");
}

#[tokio::test(start_paused = true)]
async fn with_probe_off_nothing_is_proven_and_nothing_asked() {
    let mut spec = tunnel_spec("t", &["L0:refuse:1", "R7000:localhost:1"]);
    spec.probe = ProbeSpec::Off;
    let rig = TestTunnel::ready(spec).await;
    pass(Duration::from_secs(7200)).await;
    assert_eq!(rig.server.counts().opens, 0);
}

#[tokio::test(start_paused = true)]
async fn socks_proxy_has_no_target_to_probe() {
    let rig = TestTunnel::ready(tunnel_spec("t", &["D0", "R7000"])).await;
    assert_eq!(rig.server.counts().opens, 1, "the loop of the reverse one");
}

#[tokio::test(start_paused = true)]
async fn banner_of_a_target_is_checked_when_configured() {
    let mut spec = tunnel_spec("t", &["L0:source:1"]);
    spec.probe = ProbeSpec::Expect("SSH-".to_owned());
    let mut rig = TestTunnel::started(spec);
    let view = rig.until("down", |view| state(view, 0) == "down").await;
    let message = view.forwards[0].message.clone().unwrap();
    assert!(message.contains("source:1 said `\\x00\\x01") && message.contains("not `SSH-`"), "{message}");
}

#[tokio::test(start_paused = true)]
async fn with_probe_tcp_a_remote_forward_needs_its_target_here() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let remote = format!("R7000:127.0.0.1:{port}");
    let mut spec = polled(&[&remote], Duration::from_secs(60));
    spec.probe = ProbeSpec::Tcp;
    let mut rig = TestTunnel::ready(spec).await;
    drop(listener.accept().await.unwrap());
    drop(listener);
    let view = rig.until("down", |view| state(view, 0) == "down").await;
    assert!(view.forwards[0].message.as_ref().unwrap().contains(&port.to_string()));
}

#[tokio::test(start_paused = true)]
async fn refusing_remote_target_is_left_alone_until_poll() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let remote = format!("R7000:127.0.0.1:{}", address.port());
    let poll = Duration::from_secs(100);
    let mut rig = TestTunnel::ready(polled(&[&remote], poll)).await;
    let before = clock::now();
    let mut visitor = rig.server.connect_forward(7000).unwrap();
    let _ = visitor.write_all(b"hello").await;
    assert_eq!(visitor.read(&mut [0; 1]).await.unwrap_or(0), 0);
    rig.until("down", |view| state(view, 0) == "down").await;
    let listener = TcpListener::bind(address).await.unwrap();
    rig.until("ready", |view| view.ready).await;
    assert!(clock::now() - before >= poll);
    let accepted = tokio::time::timeout(poll * 9, listener.accept()).await;
    assert!(accepted.is_err(), "the target was connected to");
}
