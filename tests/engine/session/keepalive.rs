//! Dead peers, and peers that are not dead.

use std::time::Duration;

use bytes::Bytes;
use tunnel_engine::demo_server::{LinkFaults, Server};
use tunnel_engine::failure::{Failure, FailureKind};
use tunnel_engine::session::{ChannelRead, ChannelWrite, Inbound, Session};
use tunnel_engine::task;

use super::{PATIENCE, channel, open_with, pause, server, spec, timed};

/// Interval 1 s, count max 3: dead 4 s after the last byte.
const DEAD_AFTER: Duration = Duration::from_secs(4);
const TOLERANCE: Duration = Duration::from_millis(100);

async fn watched(server: &Server) -> Session {
    let mut spec = spec();
    spec.timing.server_alive_interval = Duration::from_secs(1);
    open_with(server, &spec).await.0
}

async fn end_of(session: &Session) -> Failure {
    let mut ended = session.ended();
    let reason = tokio::time::timeout(2 * PATIENCE, ended.wait_for(Option::is_some)).await.expect("an end");
    reason.expect("sender").clone().expect("reason")
}

#[tokio::test(start_paused = true)]
async fn a_silent_peer_is_dead_interval_times_count_max_plus_one_after_its_last_byte() {
    let server = server();
    let session = watched(&server).await;
    server.set_faults(|faults| faults.link = LinkFaults::BLACKHOLE);
    let (reason, took) = timed(end_of(&session)).await;
    assert_eq!(reason.kind(), FailureKind::KeepaliveTimeout, "{reason}");
    assert!(took > DEAD_AFTER - Duration::from_secs(1) && took <= DEAD_AFTER + TOLERANCE, "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_dies_while_we_upload_is_found_dead_as_soon() {
    let server = server();
    let session = watched(&server).await;
    let mut uploads = Vec::new();
    for _ in 0..64 {
        let sink = channel(&session, "sink", 1).await.expect("channel");
        uploads.push(task::owned(async move {
            while sink.writer.write(Bytes::from(vec![0; 32 * 1024])).await.is_ok() {
                pause(Duration::from_millis(10)).await;
            }
        }));
    }
    pause(Duration::from_millis(500)).await;
    server.set_faults(|faults| faults.link = LinkFaults::FROZEN);
    let (reason, took) = timed(end_of(&session)).await;
    assert_eq!(reason.kind(), FailureKind::KeepaliveTimeout, "{reason}");
    assert!(took <= DEAD_AFTER + TOLERANCE, "{took:?}");
    for upload in uploads {
        tokio::time::timeout(Duration::from_secs(1), upload).await.expect("every upload is told").expect("task");
    }
}

#[tokio::test(start_paused = true)]
async fn an_idle_peer_that_answers_lives_and_its_round_trip_is_known() {
    let server = server();
    server.set_faults(|faults| faults.link = LinkFaults::delayed(Duration::from_millis(25)));
    let session = watched(&server).await;
    let lived = tokio::time::timeout(PATIENCE, end_of(&session)).await;
    assert!(lived.is_err(), "{lived:?}");
    let rtt = session.rtt().expect("measured");
    assert!(rtt >= Duration::from_millis(50) && rtt < Duration::from_millis(60), "{rtt:?}");
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_of_ours_is_not_the_peers_death() {
    let server = server();
    let session = watched(&server).await;
    let mut source = channel(&session, "source", 24).await.expect("channel");
    let lived = tokio::time::timeout(Duration::from_secs(60), end_of(&session)).await;
    assert!(lived.is_err(), "{lived:?}");
    let mut got = 0;
    while let Inbound::Data(bytes) = source.reader.read().await {
        got += bytes.len();
    }
    assert_eq!(got, 24 << 20);
    assert!(session.ended().borrow().is_none());
}

#[tokio::test(start_paused = true)]
async fn without_an_interval_silence_means_nothing() {
    let server = server();
    let (session, _incoming) = open_with(&server, &spec()).await;
    server.set_faults(|faults| faults.link = LinkFaults::BLACKHOLE);
    assert!(tokio::time::timeout(PATIENCE, end_of(&session)).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_ping_ends_with_its_timeout_and_leaves_the_session_alone() {
    let server = server();
    let (session, _incoming) = open_with(&server, &spec()).await;
    assert!(session.ping(Duration::from_secs(1)).await.is_ok());
    server.set_faults(|faults| faults.link = LinkFaults::BLACKHOLE);
    let (failure, took) = timed(session.ping(Duration::from_secs(3))).await;
    assert_eq!(failure.expect_err("no answer").kind(), FailureKind::KeepaliveTimeout);
    assert_eq!(took.as_secs(), 3);
    assert!(session.ended().borrow().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_session_shows_that_its_loop_turns_whether_or_not_the_server_answers() {
    let server = server();
    let (session, _incoming) = open_with(&server, &spec()).await;
    let turns = || tokio::time::timeout(Duration::from_secs(1), session.check_loop());
    let before = session.wire_bytes().1;
    assert!(turns().await.is_ok());
    assert!(session.wire_bytes().1 > before, "shown by a write, not by a promise");
    server.set_faults(|faults| faults.link = LinkFaults::BLACKHOLE);
    assert!(turns().await.is_ok(), "a server that is away is not a loop that is stuck");
    session.close().await;
    assert!(turns().await.is_ok(), "nor is one that has ended");
}
