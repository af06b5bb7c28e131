//! Doubt about the way to the server: early, without an end, and over when a byte comes.

use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;
use tunnel_engine::demo_server::{Flow, LinkFaults, Server};
use tunnel_engine::session::{Channel, ChannelWrite, Doubt, OpenError, Path, Session};

use super::{PATIENCE, channel, open_with, pause, server, spec, timed};

/// With the default keepalive, 15 s x 3.
async fn session(server: &Server) -> Session {
    let mut spec = spec();
    spec.timing.server_alive_interval = Duration::from_secs(15);
    spec.timing.server_alive_count_max = 3;
    open_with(server, &spec).await.0
}

async fn doubt(path: &mut watch::Receiver<Path>) -> Doubt {
    let doubtful = tokio::time::timeout(2 * PATIENCE, path.wait_for(|path| *path != Path::Clear)).await;
    match *doubtful.expect("doubt").expect("session") {
        Path::Doubtful { why, .. } => why,
        Path::Clear => unreachable!("waited for"),
    }
}

/// Bytes of one question to an idle session.
async fn bytes_of_a_question(session: &Session) -> u64 {
    pause(Duration::from_secs(5)).await;
    let before = session.wire_bytes().1;
    session.ping(Duration::from_secs(5)).await.expect("alive");
    session.wire_bytes().1 - before
}

async fn echo(session: &Session) -> Channel {
    channel(session, "echo", 1).await.expect("channel")
}

async fn say(channel: &Channel) {
    channel.writer.write(Bytes::from_static(b"word")).await.expect("session");
}

#[tokio::test(start_paused = true)]
async fn a_dead_path_with_traffic_is_doubtful_within_four_seconds_and_the_session_lives_on() {
    let server = server();
    for fault in [
        LinkFaults::BLACKHOLE,
        LinkFaults { to_server: Flow::Pass, ..LinkFaults::BLACKHOLE },
        LinkFaults { to_client: Flow::Pass, ..LinkFaults::BLACKHOLE },
    ] {
        server.set_faults(|faults| faults.link = LinkFaults::default());
        let session = session(&server).await;
        let channel = echo(&session).await;
        server.set_faults(|faults| faults.link = fault);
        say(&channel).await;
        let (why, took) = timed(doubt(&mut session.path())).await;
        assert_eq!(why, Doubt::Unacknowledged);
        assert!(took <= Duration::from_secs(4), "{took:?}");
        assert!(session.ended().borrow().is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn a_path_that_heals_is_clear_again_with_its_first_byte() {
    let server = server();
    let session = session(&server).await;
    let channel = echo(&session).await;
    server.set_faults(|faults| faults.link = LinkFaults::FROZEN);
    say(&channel).await;
    let mut path = session.path();
    doubt(&mut path).await;
    pause(Duration::from_secs(10)).await;
    server.set_faults(|faults| faults.link = LinkFaults::default());
    let (_, took) = timed(path.wait_for(|path| *path == Path::Clear)).await;
    assert!(took <= Duration::from_secs(1), "{took:?}");
    assert!(session.ended().borrow().is_none());
}

#[tokio::test(start_paused = true)]
async fn an_idle_session_is_examined_on_demand() {
    let server = server();
    let session = session(&server).await;
    session.probe_path();
    pause(Duration::from_secs(10)).await;
    assert_eq!(*session.path().borrow(), Path::Clear, "it has answered");
    server.set_faults(|faults| faults.link = LinkFaults::BLACKHOLE);
    session.probe_path();
    let (why, took) = timed(doubt(&mut session.path())).await;
    assert_eq!(why, Doubt::Unanswered);
    assert!(took >= Duration::from_millis(900) && took <= Duration::from_millis(1100), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn an_idle_session_is_asked_as_often_as_its_keepalive_says_and_no_more() {
    let server = server();
    let session = session(&server).await;
    let one = bytes_of_a_question(&session).await;
    let before = session.wire_bytes().1;
    pause(Duration::from_secs(150)).await;
    let asked = (session.wire_bytes().1 - before) / one;
    assert!((9..=10).contains(&asked), "{asked} questions in 150 s");
}

#[tokio::test(start_paused = true)]
async fn an_open_that_is_never_answered_costs_questions_only_as_long_as_it_is_waited_for() {
    let server = server();
    let session = session(&server).await;
    let one = bytes_of_a_question(&session).await;
    server.set_faults(|faults| faults.hold_channels = true);
    assert!(matches!(channel(&session, "echo", 1).await, Err(OpenError::Timeout)));
    pause(Duration::from_secs(60)).await;
    let before = session.wire_bytes().1;
    pause(Duration::from_secs(3600)).await;
    let asked = (session.wire_bytes().1 - before) / one;
    assert!((235..=241).contains(&asked), "{asked} questions in an hour: one each 15 s is the keepalive's");
    assert_eq!(*session.path().borrow(), Path::Clear);
}

#[tokio::test(start_paused = true)]
async fn traffic_in_both_directions_is_no_doubt_however_slow() {
    let server = server();
    let session = session(&server).await;
    server.set_faults(|faults| faults.link = LinkFaults::delayed(Duration::from_millis(400)));
    let channel = echo(&session).await;
    let mut path = session.path();
    for _ in 0..200 {
        say(&channel).await;
        pause(Duration::from_millis(100)).await;
    }
    assert!(!path.has_changed().expect("session"), "{:?}", *path.borrow_and_update());
}
