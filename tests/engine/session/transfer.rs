//! Many bytes: windows on long paths, new keys in the middle.

use std::time::Duration;

use tunnel_engine::demo_server::{LinkFaults, Server, Target};
use tunnel_engine::session::{Channel, ChannelRead, Inbound, Session};
use tunnel_engine::task;

use super::{channel, open_with, server, spec, timed};

/// A round trip of 50 ms.
const LONG_PATH: LinkFaults = LinkFaults::delayed(Duration::from_millis(25));

async fn download(mut source: Channel) -> u64 {
    let mut got = 0;
    while let Inbound::Data(bytes) = source.reader.read().await {
        let intact = bytes.iter().zip(got..).all(|(byte, position)| *byte == Target::source_byte(position));
        assert!(intact, "after {got} bytes");
        got += bytes.len() as u64;
    }
    got
}

async fn download_many(session: &Session, downloads: usize, mib: u16) {
    let mut running = Vec::new();
    for _ in 0..downloads {
        let source = channel(session, "source", mib).await.expect("channel");
        running.push(task::owned(download(source)));
    }
    for one in running {
        assert_eq!(one.await.expect("task"), u64::from(mib) << 20, "{:?}", session.ended().borrow());
    }
}

async fn time_over_a_long_path(server: &Server, window: u32) -> Duration {
    let mut spec = spec();
    spec.receive_window = window;
    let (session, _incoming) = open_with(server, &spec).await;
    timed(download_many(&session, 1, 64)).await.1
}

#[tokio::test(start_paused = true)]
async fn the_receive_window_of_the_spec_is_the_one_that_is_given() {
    let server = server();
    server.set_faults(|faults| faults.link = LONG_PATH);
    let small = time_over_a_long_path(&server, 2 << 20).await;
    let large = time_over_a_long_path(&server, 16 << 20).await;
    assert!(small > large * 4, "2 MiB: {small:?}, 16 MiB: {large:?}");
}

#[tokio::test(start_paused = true)]
async fn the_server_may_renew_keys_under_eight_downloads_over_a_long_path() {
    let server = server();
    server.set_faults(|faults| {
        faults.link = LONG_PATH;
        faults.rekey_after = Some(16 << 20);
    });
    let (session, _incoming) = open_with(&server, &spec()).await;
    download_many(&session, 8, 24).await;
}

/// More than 1 GiB: where russh, left to itself, asks for new keys, and gives up when more than two windows are
/// still under way. A small window, so that this is certain.
#[tokio::test(start_paused = true)]
async fn we_do_not_renew_keys_under_eight_downloads_over_a_long_path() {
    let server = server();
    server.set_faults(|faults| {
        faults.link = LONG_PATH;
        faults.rekey_after = Some(1 << 40);
    });
    let mut spec = spec();
    spec.receive_window = 2 << 20;
    let (session, _incoming) = open_with(&server, &spec).await;
    // The downloads come in waves of one round trip: without this, the GiB is full just as a wave has passed.
    download_many(&session, 1, 3).await;
    download_many(&session, 8, 160).await;
}
