//! Many bytes: windows on long paths, new keys in the middle.

use std::time::Duration;

use tunnel_engine::demo_server::{LinkFaults, Server, Target};
use tunnel_engine::session::{Channel, ChannelRead, Inbound, Session};
use tunnel_engine::task;

use super::{channel, open_with, pause, server, spec, timed};

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
async fn window_grows_to_the_specs_on_a_long_path() {
    let server = server();
    server.set_faults(|faults| faults.link = LONG_PATH);
    let small = time_over_a_long_path(&server, 2 << 20).await;
    let large = time_over_a_long_path(&server, 16 << 20).await;
    assert!(small > large * 3, "2 MiB: {small:?}, 16 MiB: {large:?}");
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

#[tokio::test(start_paused = true)]
async fn keys_are_renewed_by_both_sides_under_eight_downloads_over_a_long_path() {
    let server = server();
    server.set_faults(|faults| {
        faults.link = LONG_PATH;
        faults.rekey_after = Some(5 << 20);
    });
    let mut spec = spec();
    spec.rekey_limit.bytes = std::num::NonZeroU64::new(1 << 20);
    let (session, _incoming) = open_with(&server, &spec).await;
    assert_eq!(session.key_exchanges(), 1);
    download_many(&session, 8, 24).await;
    pause(Duration::from_secs(5)).await;
    let renewed = session.key_exchanges();
    assert!(renewed > 10, "{renewed}");
    pause(Duration::from_secs(3600)).await;
    assert_eq!(session.key_exchanges(), renewed, "an idle session needs no new keys");
    download_many(&session, 1, 16).await;
    assert!(session.key_exchanges() > renewed + 2);
}

#[tokio::test(start_paused = true)]
async fn a_limit_of_time_renews_the_keys_of_an_idle_session() {
    let (server, mut spec) = (server(), spec());
    spec.rekey_limit.time = Some(Duration::from_secs(3600));
    let (session, _incoming) = open_with(&server, &spec).await;
    pause(Duration::from_secs(3 * 3600 + 60)).await;
    assert_eq!(session.key_exchanges(), 4);
    download_many(&session, 2, 1).await;
}
