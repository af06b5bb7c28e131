//! Channels: opening, half-closing, closing, losing.

use std::time::Duration;

use bytes::Bytes;
use tunnel_engine::session::{ChannelRead, ChannelWrite, Inbound, OpenError};
use tunnel_engine::task;

use super::{channel, counted, open, read_all, server};

#[tokio::test(start_paused = true)]
async fn an_echo_survives_a_half_close_and_leaves_no_channel() {
    let server = server();
    let (session, _incoming) = open(&server).await;
    let mut echo = channel(&session, "echo", 7).await.expect("channel");
    echo.writer.write(Bytes::from_static(b"there and back")).await.expect("room");
    echo.writer.eof().await.expect("open");
    assert_eq!(read_all(&mut echo.reader).await, (b"there and back".to_vec(), Inbound::Eof));
    drop(echo);
    counted(&server, "the channel is gone", |counts| counts.channels_now == 0).await;
}

#[tokio::test(start_paused = true)]
async fn a_refused_channel_tells_why_in_the_servers_words() {
    let server = server();
    let (session, _incoming) = open(&server).await;
    let refused = channel(&session, "refuse", 1).await.err().expect("refused");
    assert_eq!(refused, OpenError::ConnectFailed("Connection refused".to_owned()));
    let unknown = channel(&session, "nowhere.example", 1).await.err().expect("refused");
    assert_eq!(unknown, OpenError::ConnectFailed("Name or service not known".to_owned()));
    server.set_faults(|faults| faults.deny_channels = true);
    assert!(matches!(channel(&session, "echo", 1).await, Err(OpenError::Prohibited(_))));
}

#[tokio::test(start_paused = true)]
async fn refusals_without_end_leave_the_session_as_it_was() {
    let server = server();
    let (session, _incoming) = open(&server).await;
    for _ in 0..500 {
        assert!(channel(&session, "refuse", 1).await.is_err());
    }
    assert!(channel(&session, "echo", 1).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn an_open_that_is_given_up_leaves_no_channel_on_the_server() {
    let server = server();
    let (session, _incoming) = open(&server).await;
    server.set_faults(|faults| faults.hold_channels = true);
    for _ in 0..40 {
        let open = channel(&session, "echo", 1);
        assert!(tokio::time::timeout(Duration::from_millis(100), open).await.is_err());
    }
    counted(&server, "all opens arrived", |counts| counts.opens == 40).await;
    server.set_faults(|faults| faults.hold_channels = false);
    counted(&server, "all were confirmed and closed", |counts| counts.channels == 40 && counts.channels_now == 0).await;
    assert!(channel(&session, "echo", 1).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn an_open_without_an_answer_is_not_waited_for_for_ever() {
    let server = server();
    let (session, _incoming) = open(&server).await;
    server.set_faults(|faults| faults.hold_channels = true);
    assert_eq!(channel(&session, "echo", 1).await.err(), Some(OpenError::Timeout));
}

#[tokio::test(start_paused = true)]
async fn a_target_that_resets_stops_the_writer() {
    let server = server();
    let (session, _incoming) = open(&server).await;
    let mut reset = channel(&session, "reset", 1).await.expect("channel");
    reset.writer.write(Bytes::from_static(b"x")).await.expect("room");
    let writer = reset.writer;
    let writing = task::owned(async move {
        // More than any window: without the news of the end this waits for ever.
        while writer.write(Bytes::from(vec![0; 1 << 20])).await.is_ok() {}
    });
    let end = loop {
        match reset.reader.read().await {
            Inbound::Data(_) | Inbound::Eof => {}
            end @ (Inbound::Closed | Inbound::Lost) => break end,
        }
    };
    assert_eq!(end, Inbound::Closed);
    tokio::time::timeout(Duration::from_secs(1), writing).await.expect("the writer was told").expect("task");
    assert_eq!(reset.reader.read().await, Inbound::Closed, "the end is said again");
}

#[tokio::test(start_paused = true)]
async fn a_lost_session_is_not_an_end_of_data() {
    let server = server();
    let (session, _incoming) = open(&server).await;
    let mut hang = channel(&session, "hang", 1).await.expect("channel");
    let writer = hang.writer;
    let writing = task::owned(async move { while writer.write(Bytes::from(vec![0; 1 << 20])).await.is_ok() {} });
    tokio::task::yield_now().await;
    server.cut();
    assert_eq!(read_all(&mut hang.reader).await, (Vec::new(), Inbound::Lost));
    tokio::time::timeout(Duration::from_secs(1), writing).await.expect("the writer was told").expect("task");
}

#[tokio::test(start_paused = true)]
async fn a_channel_closed_here_ends_its_own_reader_and_the_servers_side() {
    let server = server();
    let (session, _incoming) = open(&server).await;
    let mut hang = channel(&session, "hang", 1).await.expect("channel");
    hang.writer.close().await;
    hang.writer.close().await;
    assert_eq!(hang.reader.read().await, Inbound::Closed);
    assert!(hang.writer.write(Bytes::from_static(b"x")).await.is_err());
    counted(&server, "the channel is gone", |counts| counts.channels_now == 0).await;
}

#[tokio::test(start_paused = true)]
async fn dropping_both_halves_closes_the_channel() {
    let server = server();
    let (session, _incoming) = open(&server).await;
    let hang = channel(&session, "hang", 1).await.expect("channel");
    let (reader, writer) = (hang.reader, hang.writer);
    drop(reader);
    writer.write(Bytes::from_static(b"still open")).await.expect("open");
    assert_eq!(server.counts().channels_now, 1);
    drop(writer);
    counted(&server, "the channel is gone", |counts| counts.channels_now == 0).await;
}
