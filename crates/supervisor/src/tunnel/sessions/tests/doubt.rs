//! A path that may be dead: another session is opened beside the silent one, whose connections stay.

use tunnel_engine::clock;
use tunnel_engine::demo_server::{ConnectFault, Flow, LinkFaults};

use super::SECOND;
use crate::lifecycle::Phase;
use crate::tunnel::test_support::{InTurn, TestTunnel, echoes, server, tunnel_spec};
use crate::tunnel::{ForwardState, Order};

/// Bytes wait, and pass once the link is repaired.
const STOPPED: LinkFaults =
    LinkFaults { to_server: Flow::Stop, to_client: Flow::Stop, delay: std::time::Duration::ZERO };

#[tokio::test(start_paused = true)]
async fn another_session_takes_over_from_a_silent_one_within_seconds() {
    let (silent, fresh) = (server(), server());
    let net = InTurn::new(&[&silent, &fresh]);
    let mut rig = TestTunnel::over(net, fresh, tunnel_spec("t", &["L0:echo:1", "R7000:localhost:1"]));
    rig.until("ready", |view| view.ready).await;
    let mut flowing = rig.connect(0).await;
    assert!(echoes(&mut flowing).await);
    silent.set_faults(|faults| faults.link = STOPPED);
    // In memory, the other session would be there before the doubt can be seen.
    rig.server.set_faults(|faults| faults.connect = ConnectFault::Refuse);
    let asked = clock::now();
    rig.order(Order::RetryNow);
    let view = rig.until("in doubt", |view| view.forwards[0].message.is_some()).await;
    rig.server.set_faults(|faults| faults.connect = ConnectFault::None);
    assert_eq!((view.phase, view.ready, view.starts), (Phase::Up, false, 1));
    let message = view.forwards[0].message.clone().unwrap();
    assert!(message.contains("the path to server:22 is in doubt") && message.contains("another session"), "{message}");
    assert_eq!(view.forwards[0].state, ForwardState::Pending);
    rig.until("ready again", |view| view.ready).await;
    assert!(clock::now() - asked <= 2 * SECOND, "{:?}", clock::now() - asked);
    assert!(echoes(&mut rig.connect(0).await).await);
    assert!(rig.server.connect_forward(7000).is_some());
    silent.set_faults(|faults| faults.link = LinkFaults::default());
    assert!(echoes(&mut flowing).await, "its path came back, and with it the connection");
    let mut counts = silent.watch_counts();
    counts.wait_for(|counts| counts.forwards_now == 0).await.unwrap();
    drop(flowing);
    counts.wait_for(|counts| counts.sessions_now == 0).await.unwrap();
    assert_eq!(rig.view.borrow().starts, 1);
}

#[tokio::test(start_paused = true)]
async fn path_that_comes_back_in_time_changes_nothing() {
    let mut rig = TestTunnel::ready(tunnel_spec("t", &["L0:echo:1", "R7000:localhost:1"])).await;
    let mut flowing = rig.connect(0).await;
    assert!(echoes(&mut flowing).await);
    rig.server.set_faults(|faults| (faults.link, faults.connect) = (STOPPED, ConnectFault::Refuse));
    rig.order(Order::RetryNow);
    rig.until("in doubt", |view| view.forwards[0].message.is_some()).await;
    let mut held = rig.connect(0).await;
    rig.until("tried", |view| view.last_failure.is_some()).await;
    rig.until("held", |view| view.counts(0).held == 1).await;
    rig.server.set_faults(|faults| faults.link = LinkFaults::default());
    rig.until("ready", |view| view.ready).await;
    rig.server.set_faults(|faults| faults.connect = ConnectFault::None);
    assert!(echoes(&mut flowing).await && echoes(&mut held).await);
    let later = tokio::time::timeout(60 * SECOND, std::future::pending::<()>()).await;
    assert!(later.is_err());
    assert!(echoes(&mut flowing).await);
    assert_eq!((rig.server.counts().sessions, rig.view.borrow().starts), (1, 1));
    assert!(rig.server.connect_forward(7000).is_some());
}

#[tokio::test(start_paused = true)]
async fn login_outlives_the_silent_session_it_replaces() {
    let (silent, fresh) = (server(), server());
    let net = InTurn::new(&[&silent, &fresh]);
    let mut rig = TestTunnel::over(net, fresh, tunnel_spec("t", &["L0:echo:1"]));
    rig.until("ready", |view| view.ready).await;
    rig.server.set_faults(|faults| faults.connect = ConnectFault::StallInKeyExchange);
    silent.set_faults(|faults| faults.link = STOPPED);
    rig.order(Order::RetryNow);
    rig.until("in doubt", |view| view.forwards[0].message.is_some()).await;
    let mut counts = rig.server.watch_counts();
    counts.wait_for(|counts| counts.connections == 1).await.unwrap();
    silent.cut();
    rig.until("connecting", |view| view.phase == Phase::Connecting && view.starts == 2).await;
    assert_eq!(rig.server.counts().connections, 1, "the login under way is the new start");
    rig.server.set_faults(|faults| faults.connect = ConnectFault::None);
    rig.until("ready again", |view| view.ready).await;
}

#[tokio::test(start_paused = true)]
async fn port_held_by_the_silent_session_keeps_the_new_one() {
    let (silent, fresh) = (server(), server());
    fresh.set_faults(|faults| faults.deny_forwards = true);
    let mut spec = tunnel_spec("t", &["L0:echo:1", "R7000:localhost:1"]);
    spec.exit_on_forward_failure = true;
    let mut rig = TestTunnel::over(InTurn::new(&[&silent, &fresh]), fresh, spec);
    rig.until("ready", |view| view.ready).await;
    silent.set_faults(|faults| faults.link = STOPPED);
    rig.order(Order::RetryNow);
    let view = rig.until("busy", |view| matches!(view.forwards[1].state, ForwardState::Down(_))).await;
    assert_eq!((view.phase, view.starts), (Phase::Up, 1));
    assert!(echoes(&mut rig.connect(0).await).await);
    rig.server.set_faults(|faults| faults.deny_forwards = false);
    rig.until("ready again", |view| view.ready && view.starts == 1).await;
}
