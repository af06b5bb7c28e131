//! The guard over in-memory links.

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use super::super::wire::CutOnDrop;
use super::*;
use crate::dial::Link;
use crate::session::unknown::UnknownRequests;

fn guard(early: &[u8], already_sent: usize, room: usize) -> (Guard, Arc<Wire>, DuplexStream) {
    let (near, far) = tokio::io::duplex(room);
    let wire = Arc::new(Wire::new(Link { io: Box::new(near), peer: None, local: None, keep: None }));
    (Guard::new(wire.clone(), early.to_vec(), already_sent, None, UnknownRequests::new("h:22")), wire, far)
}

#[tokio::test]
async fn what_was_read_before_comes_first() {
    let (mut guard, _, mut far) = guard(b"SSH-2.0-x\r\n", 0, 64);
    far.write_all(b"next").await.expect("room");
    drop(far);
    let mut all = Vec::new();
    guard.read_to_end(&mut all).await.expect("end");
    assert_eq!(all, b"SSH-2.0-x\r\nnext");
}

#[tokio::test]
async fn words_that_the_server_has_already_are_not_sent_twice() {
    let (mut guard, _, mut far) = guard(b"", 4, 64);
    guard.write_all(b"SSH-rest").await.expect("room");
    let mut sent = [0; 4];
    far.read_exact(&mut sent).await.expect("bytes");
    assert_eq!(&sent, b"rest");
}

#[tokio::test]
async fn cutting_the_wire_ends_a_pending_read_and_drops_the_link() {
    let (mut guard, wire, mut far) = guard(b"", 0, 64);
    let reading = crate::task::owned(async move { guard.read_u8().await.map(drop).map_err(|e| e.kind()) });
    tokio::task::yield_now().await;
    drop(CutOnDrop(Some(wire)));
    assert_eq!(far.read(&mut [0]).await.expect("far end"), 0, "the link is gone");
    assert_eq!(reading.await.expect("task"), Err(io::ErrorKind::NotConnected));
}

#[tokio::test]
async fn large_flows_are_read_in_large_pieces_and_arrive_intact() {
    let (mut guard, wire, mut far) = guard(b"", 0, 1 << 20);
    let sent: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
    let copy = sent.clone();
    let writing = crate::task::owned(async move { far.write_all(&copy).await.map(|()| far) });
    let mut got = vec![0; sent.len()];
    guard.read_exact(&mut got).await.expect("bytes");
    assert!(got == sent);
    assert_eq!(guard.ahead.capacity(), LARGE);
    assert_eq!(wire.bytes().0, sent.len() as u64);
    drop(writing);
}

#[tokio::test(start_paused = true)]
async fn an_idle_guard_gives_its_large_buffer_back() {
    let (mut guard, _, mut far) = guard(b"", 0, 1 << 20);
    far.write_all(&vec![1; 600_000]).await.expect("room");
    let mut got = vec![0; 600_000];
    guard.read_exact(&mut got).await.expect("bytes");
    assert_eq!(guard.ahead.capacity(), LARGE);
    assert!(tokio::time::timeout(IDLE * 2, guard.read_u8()).await.is_err());
    assert_eq!(guard.ahead.capacity(), SMALL);
    far.write_all(b"x").await.expect("room");
    assert_eq!(guard.read_u8().await.expect("byte"), b'x');
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_talks_while_it_takes_nothing_is_heard() {
    let (mut guard, wire, mut far) = guard(b"", 0, 16);
    assert!(tokio::time::timeout(IDLE, guard.write_all(&[0; 64])).await.is_err(), "the peer reads nothing");
    let before = wire.signs();
    assert!(before.stalled_since.is_some());
    let (stuck, said) = tokio::join!(tokio::time::timeout(IDLE, guard.write_all(&[0; 64])), far.write_all(b"alive"));
    assert!(stuck.is_err() && said.is_ok());
    assert!(wire.signs().last_byte > before.last_byte);
    let mut heard = [0; 5];
    guard.read_exact(&mut heard).await.expect("bytes");
    assert_eq!(&heard, b"alive");
}

#[tokio::test]
async fn the_end_is_told_without_waiting_even_when_the_peer_takes_nothing() {
    let (mut guard, _, mut far) = guard(b"", 0, 16);
    guard.write_all(&[7; 16]).await.expect("room");
    guard.shutdown().await.expect("never fails");
    let mut all = Vec::new();
    far.read_to_end(&mut all).await.expect("end");
    assert_eq!(all, [7; 16]);
}

#[tokio::test(start_paused = true)]
async fn a_guard_whose_readers_are_behind_reads_slowly_then_not_at_all_and_blames_nobody() {
    let (mut guard, wire, mut far) = guard(b"", 0, 1 << 20);
    let backlog = Arc::new(Backlog::default());
    guard.paced_by = Some(backlog.clone());
    far.write_all(b"ab").await.expect("room");
    backlog.arrived(1, 40 << 20);
    assert!(tokio::time::timeout(Duration::from_millis(100), guard.read_u8()).await.is_err(), "a pause");
    assert_eq!(guard.read_u8().await.expect("byte"), b'a');
    assert_eq!(guard.read_u8().await.expect("byte"), b'b');
    backlog.arrived(1, 40 << 20);
    assert!(tokio::time::timeout(Duration::from_secs(3600), guard.read_u8()).await.is_err(), "stopped");
    assert_eq!(wire.signs().reading_since, None, "the peer is not asked for anything");
    let reading = crate::task::owned(async move { guard.read_u8().await });
    tokio::task::yield_now().await;
    far.write_all(b"c").await.expect("room");
    backlog.taken(1, 40 << 20);
    backlog.taken(1, 40 << 20);
    assert_eq!(reading.await.expect("task").expect("byte"), b'c');
}
