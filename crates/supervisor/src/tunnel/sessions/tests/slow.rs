//! A reader that has stopped: new connections get another session, and in the end it is cut off.

use tokio::io::AsyncReadExt;
use tunnel_engine::clock;
use tunnel_engine::session::SLOW_READER_LIMIT;

use super::SECOND;
use crate::lifecycle::Phase;
use crate::tunnel::testing::{Rig, echoes, tunnel_spec};

#[tokio::test(start_paused = true)]
async fn new_connections_leave_a_session_that_a_slow_reader_holds_back_and_the_old_ones_go_on_after_it_was_cut() {
    let mut rig = Rig::ready(tunnel_spec("t", &["L0:source:200", "L0:echo:1"])).await;
    let mut innocent = rig.connect(1).await;
    assert!(echoes(&mut innocent).await);
    let mut stopped = rig.connect(0).await;
    let held = |view: &crate::tunnel::View| {
        view.forwards[1].message.as_deref().is_some_and(|text| text.contains("held back by a slow reader: "))
    };
    let view = rig.until("held back", held).await;
    assert_eq!((view.phase, view.ready), (Phase::Up, true));
    let began = clock::now();
    let mut counts = rig.server.watch_counts();
    counts.wait_for(|counts| counts.sessions == 2).await.unwrap();
    let view = rig.until("moved", |view| view.forwards[1].message.is_none()).await;
    assert_eq!((view.phase, view.ready, view.starts), (Phase::Up, true, 1));
    assert!(clock::now() - began < 5 * SECOND);
    assert!(echoes(&mut rig.connect(1).await).await, "a new connection does not wait");
    assert!(echoes(&mut innocent).await, "it waited until the slow one was cut off");
    let took = clock::now() - began;
    assert!(took >= SLOW_READER_LIMIT && took < SLOW_READER_LIMIT + 5 * SECOND, "{took:?}");
    let mut sink = vec![0; 1 << 20];
    let end = loop {
        match stopped.read(&mut sink).await {
            Ok(0) => break None,
            Ok(_) => {}
            Err(error) => break Some(error.kind()),
        }
    };
    assert_eq!(end, Some(std::io::ErrorKind::ConnectionReset), "it learns that bytes are missing");
    drop(innocent);
    counts.wait_for(|counts| counts.sessions_now == 1).await.unwrap();
}
