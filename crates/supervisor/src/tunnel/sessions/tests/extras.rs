//! `sessions = N`.

use tokio::net::TcpStream;
use tunnel_engine::clock;
use tunnel_engine::demo_server::{ConnectFault, Flow, LinkFaults, Server};

use super::SECOND;
use crate::config::TunnelSpec;
use crate::lifecycle::Phase;
use crate::plan::{Tuning, TunnelChange};
use crate::tunnel::Order;
use crate::tunnel::test_support::{InTurn, TestTunnel, echoes, server, session_spec, tunnel_spec};

fn three(forwards: &[&str]) -> TunnelSpec {
    TunnelSpec { sessions: 3, ..tunnel_spec("t", forwards) }
}

/// Each of the three sessions has a server of its own; the last is the rig's, and takes all later logins.
async fn spread(forwards: &[&str]) -> (Server, Server, TestTunnel) {
    let (a, b, c) = (server(), server(), server());
    let net = InTurn::new(&[&a, &b, &c]);
    let mut rig = TestTunnel::over(net, c, three(forwards));
    rig.until("ready", |view| view.ready && view.forwards[0].message.is_none()).await;
    (a, b, rig)
}

/// Either may have taken the main session's place: their logins ended in one order or the other.
async fn listens_for_us(b: &Server, c: &Server) {
    let (mut b, mut c) = (b.watch_counts(), c.watch_counts());
    tokio::select! {
        counts = b.wait_for(|counts| counts.forwards_now == 1) => drop(counts.unwrap()),
        counts = c.wait_for(|counts| counts.forwards_now == 1) => drop(counts.unwrap()),
    }
}

async fn connected(rig: &TestTunnel, count: usize) -> Vec<TcpStream> {
    let mut streams = Vec::new();
    for _ in 0..count {
        let mut stream = rig.connect(0).await;
        assert!(echoes(&mut stream).await);
        streams.push(stream);
    }
    streams
}

#[tokio::test(start_paused = true)]
async fn new_connections_are_spread_over_all_sessions() {
    let (a, b, rig) = spread(&["L0:echo:1", "R7000:localhost:1"]).await;
    let _streams = connected(&rig, 9).await;
    let counts = [&a, &b, &rig.server].map(|server| (server.counts().channels_now, server.counts().forwards_now));
    assert_eq!(counts, [(3, 1), (3, 0), (3, 0)]);
    assert_eq!(rig.view.borrow().starts, 1, "the extra ones are no starts of the tunnel");
}

#[tokio::test(start_paused = true)]
async fn standby_replaces_a_lost_main_session_without_a_login() {
    let (a, b, mut rig) = spread(&["L0:echo:1", "R7000:localhost:1"]).await;
    rig.server.set_faults(|faults| faults.connect = ConnectFault::Refuse);
    let mut streams = connected(&rig, 3).await;
    let lost = clock::now();
    a.cut();
    let mut phases = Vec::new();
    rig.until("told", |view| {
        phases.push(view.phase);
        view.last_failure.is_some()
    })
    .await;
    listens_for_us(&b, &rig.server).await;
    assert!(clock::now() - lost < SECOND);
    assert!(echoes(&mut rig.connect(0).await).await);
    let mut alive = 0;
    for stream in &mut streams {
        alive += usize::from(echoes(stream).await);
    }
    assert_eq!(alive, 2, "only the lost session's connection is gone");
    let view = rig.until("fewer", |view| view.forwards[0].message.is_some()).await;
    assert_eq!(view.forwards[0].message.as_deref(), Some("2 of 3 sessions are up"));
    assert!(phases.iter().all(|phase| *phase == Phase::Up), "{phases:?}");
    rig.server.set_faults(|faults| faults.connect = ConnectFault::None);
    let view = rig.until("all again", |view| view.ready && view.forwards[0].message.is_none()).await;
    assert_eq!((view.starts, rig.server.counts().sessions_now), (1, 2));
}

#[tokio::test(start_paused = true)]
async fn lost_extra_session_leaves_the_tunnel_ready() {
    let (_a, b, mut rig) = spread(&["L0:echo:1"]).await;
    let mut counts = rig.server.watch_counts();
    b.cut();
    let view = rig.until("told", |view| view.last_failure.is_some()).await;
    assert!(view.ready);
    counts.wait_for(|counts| counts.sessions == 2).await.unwrap();
    rig.until("all again", |view| view.ready && view.forwards[0].message.is_none()).await;
}

#[tokio::test(start_paused = true)]
async fn answering_standby_replaces_a_silent_main_session() {
    let (a, b, mut rig) = spread(&["L0:echo:1", "R7000:localhost:1"]).await;
    let stopped = LinkFaults { to_server: Flow::Stop, to_client: Flow::Stop, ..LinkFaults::default() };
    a.set_faults(|faults| faults.link = stopped);
    let asked = clock::now();
    rig.order(Order::RetryNow);
    listens_for_us(&b, &rig.server).await;
    assert!(clock::now() - asked <= 2 * SECOND);
    assert!(echoes(&mut rig.connect(0).await).await);
    rig.until("all again", |view| view.ready && view.forwards[0].message.is_none()).await;
}

#[tokio::test(start_paused = true)]
async fn reload_changes_the_number_of_sessions_without_cutting_connections() {
    let mut spec = three(&["L0:echo:1"]);
    spec.sessions = 1;
    let mut rig = TestTunnel::ready(spec.clone()).await;
    let mut counts = rig.server.watch_counts();
    let retune = |sessions| {
        let tuning = Tuning::of(&TunnelSpec { sessions, on_change: None, ..spec.clone() });
        Order::Apply(vec![TunnelChange::Retune(tuning)])
    };
    rig.ordered(retune(3)).await;
    counts.wait_for(|counts| counts.sessions_now == 3).await.unwrap();
    rig.until("all", |view| view.ready && view.forwards[0].message.is_none()).await;
    let mut streams = connected(&rig, 3).await;
    rig.ordered(retune(1)).await;
    for stream in &mut streams {
        assert!(echoes(stream).await);
    }
    drop(streams);
    counts.wait_for(|counts| counts.sessions_now == 1).await.unwrap();
    assert!(echoes(&mut rig.connect(0).await).await);
}

#[tokio::test(start_paused = true)]
async fn changed_session_replaces_all_of_them_after_the_main_one() {
    let mut rig = TestTunnel::ready(three(&["L0:echo:1"])).await;
    rig.until("all", |view| view.forwards[0].message.is_none()).await;
    let mut counts = rig.server.watch_counts();
    rig.server.set_faults(|faults| faults.connect = ConnectFault::Refuse);
    let mut session = session_spec("server", 22);
    session.timing.server_alive_count_max = 7;
    rig.ordered(Order::Apply(vec![TunnelChange::ReplaceSession(Box::new(session))])).await;
    rig.until("told", |view| view.last_failure.is_some()).await;
    assert_eq!(rig.server.counts().sessions_now, 3, "those of before serve on");
    rig.server.set_faults(|faults| faults.connect = ConnectFault::None);
    counts.wait_for(|counts| counts.sessions == 6 && counts.sessions_now == 3).await.unwrap();
    tokio::time::advance(600 * SECOND).await;
    assert!(echoes(&mut rig.connect(0).await).await);
    assert_eq!(rig.server.counts().sessions, 6, "once each");
}

#[tokio::test(start_paused = true)]
async fn change_that_is_taken_back_leaves_all_of_them() {
    let mut rig = TestTunnel::ready(three(&["L0:echo:1"])).await;
    rig.until("all", |view| view.forwards[0].message.is_none()).await;
    rig.server.set_faults(|faults| faults.connect = ConnectFault::Refuse);
    let mut session = session_spec("server", 22);
    session.timing.server_alive_count_max = 7;
    for session in [session, session_spec("server", 22)] {
        rig.ordered(Order::Apply(vec![TunnelChange::ReplaceSession(Box::new(session))])).await;
    }
    rig.server.set_faults(|faults| faults.connect = ConnectFault::None);
    tokio::time::advance(600 * SECOND).await;
    assert!(echoes(&mut rig.connect(0).await).await);
    assert_eq!(rig.server.counts().sessions, 3);
}

#[tokio::test(start_paused = true)]
async fn a_stop_ends_all_of_them() {
    let (a, b, rig) = spread(&["L0:echo:1"]).await;
    rig.order(Order::End);
    rig.handle.ended().await;
    for server in [&a, &b, &rig.server] {
        server.watch_counts().wait_for(|counts| counts.sessions_now == 0).await.unwrap();
    }
}
