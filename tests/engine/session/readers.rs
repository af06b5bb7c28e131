//! Readers of ours that are slow or have stopped: nothing else feels it, and how much memory it takes.

use std::time::Duration;

use bytes::Bytes;
use tunnel_engine::session::{Channel, ChannelRead, ChannelWrite, Inbound, Session};

use super::{channel, open_with, pause, server, spec};

/// What may wait for four readers that take nothing, and a MiB for what is on the way to where it is counted: each
/// window is as it began.
const BOUND: u64 = 9 << 20;
const SOON: Duration = Duration::from_secs(1);

async fn echoes(session: &Session) -> bool {
    let said = async {
        let mut echo = channel(session, "echo", 7).await.ok()?;
        echo.writer.write(Bytes::from_static(b"hello")).await.ok()?;
        (echo.reader.read().await == Inbound::Data(Bytes::from_static(b"hello"))).then_some(())
    };
    tokio::time::timeout(SOON, said).await.is_ok_and(|said| said.is_some())
}

async fn read_to_end(source: &mut Channel) -> usize {
    let mut got = 0;
    while let Inbound::Data(bytes) = source.reader.read().await {
        got += bytes.len();
    }
    got
}

#[tokio::test(start_paused = true)]
async fn readers_that_have_stopped_hold_up_themselves_only() {
    let server = server();
    let mut spec = spec();
    spec.timing.server_alive_interval = Duration::from_secs(1);
    let (session, _incoming) = open_with(&server, &spec).await;
    let mut stopped = Vec::new();
    for _ in 0..4 {
        stopped.push(channel(&session, "source", 100).await.expect("channel"));
    }
    for _ in 0..20 {
        pause(SOON).await;
        assert!(echoes(&session).await);
    }
    let mut free = channel(&session, "source", 64).await.expect("channel");
    assert_eq!(read_to_end(&mut free).await, 64 << 20);
    // An hour later, too.
    pause(Duration::from_secs(3600)).await;
    let came = session.wire_bytes().0 - (64 << 20);
    assert!(came < BOUND + (1 << 20), "{came} bytes were taken for readers that take none");
    assert!(echoes(&session).await && session.ended().borrow().is_none());
    for stopped in &mut stopped {
        assert_eq!(read_to_end(stopped).await, 100 << 20, "nothing is lost");
    }
}

#[tokio::test(start_paused = true)]
async fn reader_that_goes_away_leaves_its_session_free() {
    let server = server();
    let (session, _incoming) = open_with(&server, &spec()).await;
    let stopped = channel(&session, "source", 200).await.expect("channel");
    pause(Duration::from_secs(600)).await;
    drop(stopped);
    assert!(echoes(&session).await);
}

#[tokio::test(start_paused = true)]
async fn peers_that_answer_what_they_read_never_wait_for_each_other() {
    let server = server();
    let (session, _incoming) = open_with(&server, &spec()).await;
    // As a slow target behind a forward: it reads the next piece when its answer to the last one was taken.
    let mut source = channel(&session, "source", 48).await.expect("channel");
    let sink = channel(&session, "sink", 1).await.expect("channel");
    let mut others: Vec<Channel> = Vec::new();
    for _ in 0..4 {
        others.push(channel(&session, "source", 4).await.expect("channel"));
    }
    let answered = async {
        let mut got = 0;
        while let Inbound::Data(bytes) = source.reader.read().await {
            got += bytes.len();
            sink.writer.write(bytes).await.expect("the far side takes answers");
        }
        got
    };
    let got = tokio::time::timeout(Duration::from_secs(600), answered).await.expect("no dead lock");
    assert_eq!(got, 48 << 20);
    for other in &mut others {
        assert_eq!(read_to_end(other).await, 4 << 20);
    }
}
