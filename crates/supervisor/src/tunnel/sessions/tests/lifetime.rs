//! `session_lifetime`.

use tokio::io::AsyncReadExt;
use tunnel_engine::clock;
use tunnel_engine::demo_server::ConnectFault;

use super::SECOND;
use crate::lifecycle::Phase;
use crate::tunnel::test_support::{TestTunnel, echoes, tunnel_spec};
use crate::tunnel::{ForwardState, Order};

#[tokio::test(start_paused = true)]
async fn replacement_after_session_lifetime_keeps_old_connections() {
    let mut spec = tunnel_spec("t", &["L0:echo:1", "R7000:localhost:1"]);
    spec.session_lifetime = Some(600 * SECOND);
    let mut rig = TestTunnel::ready(spec).await;
    let mut flowing = rig.connect(0).await;
    assert!(echoes(&mut flowing).await);
    let came_up = clock::now();
    let mut counts = rig.server.watch_counts();
    let mut phases = Vec::new();
    counts.wait_for(|counts| counts.sessions == 2).await.unwrap();
    let age = clock::now() - came_up;
    assert!(age >= 600 * SECOND && age <= 661 * SECOND, "{age:?}");
    rig.until("ready again", |view| {
        phases.push(view.phase);
        view.ready && view.forwards[1].state == ForwardState::Up
    })
    .await;
    assert!(phases.iter().all(|phase| *phase == Phase::Up), "{phases:?}");
    assert!(echoes(&mut flowing).await, "the old session goes on with it");
    assert!(echoes(&mut rig.connect(0).await).await);
    assert!(rig.server.connect_forward(7000).is_some());
    assert_eq!(rig.view.borrow().starts, 1);
    drop(flowing);
    counts.wait_for(|counts| counts.sessions_now == 1).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn endless_connection_outlives_its_session_by_a_lifetime() {
    let mut spec = tunnel_spec("t", &["L0:echo:1"]);
    spec.session_lifetime = Some(600 * SECOND);
    let rig = TestTunnel::ready(spec).await;
    let mut flowing = rig.connect(0).await;
    assert!(echoes(&mut flowing).await);
    let began = clock::now();
    assert_eq!(flowing.read(&mut [0; 1]).await.unwrap_or(0), 0);
    let lived = clock::now() - began;
    assert!(lived >= 1200 * SECOND && lived <= 1262 * SECOND, "{lived:?}");
}

#[tokio::test(start_paused = true)]
async fn unreachable_server_at_lifetime_end_keeps_the_session() {
    let mut spec = tunnel_spec("t", &["L0:echo:1"]);
    spec.session_lifetime = Some(600 * SECOND);
    let mut rig = TestTunnel::ready(spec).await;
    rig.server.set_faults(|faults| faults.connect = ConnectFault::Refuse);
    let view = rig.until("told", |view| view.last_failure.is_some()).await;
    assert_eq!((view.phase, view.ready), (Phase::Up, true), "what is up is as configured");
    assert!(echoes(&mut rig.connect(0).await).await);
    rig.server.set_faults(|faults| faults.connect = ConnectFault::None);
    let mut counts = rig.server.watch_counts();
    counts.wait_for(|counts| counts.sessions == 2).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn stop_bounds_the_wait_for_replaced_sessions() {
    let mut spec = tunnel_spec("t", &["L0:echo:1"]);
    spec.session_lifetime = Some(600 * SECOND);
    let rig = TestTunnel::ready(spec).await;
    let mut flowing = rig.connect(0).await;
    assert!(echoes(&mut flowing).await);
    let mut counts = rig.server.watch_counts();
    counts.wait_for(|counts| counts.sessions == 2).await.unwrap();
    let asked = clock::now();
    rig.order(Order::End);
    rig.handle.ended().await;
    let took = clock::now() - asked;
    assert!(took >= 10 * SECOND && took <= 12 * SECOND, "{took:?}");
}
