//! Readers of ours that are slow or have stopped: who else feels it, and how much memory it takes.

use std::time::Duration;

use bytes::Bytes;
use tunnel_engine::session::{Channel, ChannelRead, ChannelWrite, Inbound, Session};

use super::{channel, open_with, server, spec};

/// What may wait for readers of one session, and a little for what is on the way to where it is counted.
const BOUND: u64 = (64 << 20) + (2 << 20);
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
async fn a_reader_that_has_stopped_holds_nobody_else_up_while_little_waits() {
    let server = server();
    let (session, _incoming) = open_with(&server, &spec()).await;
    let mut stopped = channel(&session, "source", 12).await.expect("channel");
    let lived = tokio::time::timeout(Duration::from_secs(60), std::future::pending::<()>()).await;
    assert!(lived.is_err());
    assert!(session.wire_bytes().0 > 12 << 20, "all of it has come");
    assert!(echoes(&session).await);
    assert!(session.ping(SOON).await.is_ok());
    assert_eq!(read_to_end(&mut stopped).await, 12 << 20);
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_has_stopped_costs_bounded_memory_and_then_holds_the_session_up_until_it_reads() {
    let server = server();
    let mut spec = spec();
    spec.timing.server_alive_interval = Duration::from_secs(1);
    let (session, _incoming) = open_with(&server, &spec).await;
    let mut stopped = channel(&session, "source", 200).await.expect("channel");
    let mut ended = session.ended();
    let lived = tokio::time::timeout(Duration::from_secs(600), ended.wait_for(Option::is_some)).await;
    assert!(lived.is_err(), "our own slowness is not the server's death");
    let came = session.wire_bytes().0;
    assert!(came > 32 << 20 && came < BOUND, "{came} bytes were read for a reader that takes none");
    let held = session.held_back().borrow().clone().expect("told");
    assert!(held.waiting > 32 << 20 && held.to_string().starts_with("held back by a slow reader: "), "{held}");
    assert!(!echoes(&session).await, "past the bound, everybody behind it waits");
    assert_eq!(read_to_end(&mut stopped).await, 200 << 20, "nothing is lost");
    assert!(echoes(&session).await);
    assert_eq!(*session.held_back().borrow(), None);
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_goes_away_sets_the_session_free() {
    let server = server();
    let (session, _incoming) = open_with(&server, &spec()).await;
    let stopped = channel(&session, "source", 200).await.expect("channel");
    let lived = tokio::time::timeout(Duration::from_secs(600), std::future::pending::<()>()).await;
    assert!(lived.is_err());
    drop(stopped);
    let free = tokio::time::timeout(Duration::from_secs(60), async { while !echoes(&session).await {} });
    assert!(free.await.is_ok());
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
