//! The relay: half-close, resets, order, counters.

use std::sync::Arc;

use proptest::prelude::*;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_util::task::AbortOnDropHandle;

use super::*;
use crate::forward::stream::Stream;
use crate::forward::tests::{FarChannel, FarEvent, channel, read_all, tcp_pair, was_reset};
use crate::session::Inbound;
use crate::task;

struct Carried {
    peer: TcpStream,
    far: FarChannel,
    stats: Arc<ForwardStats>,
    relay: AbortOnDropHandle<RelayOutcome>,
}

/// A connection that is being relayed: `peer` at one end, `far` at the other.
async fn carried_with(depth: usize) -> Carried {
    let (peer, near) = tcp_pair().await;
    let (channel, far) = channel(depth);
    let stats = Arc::new(ForwardStats::default());
    let tally = ByteCounters { stats: stats.clone(), listener: Side::Here };
    let relay = task::owned(async move { Stream::Tcp(near).relay(channel, Prelude::default(), &tally).await });
    Carried { peer, far, stats, relay }
}

async fn carried() -> Carried {
    carried_with(64).await
}

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at % 251) as u8).collect()
}

#[tokio::test]
async fn an_answer_still_comes_after_the_peer_ended_its_request() {
    let Carried { mut peer, mut far, stats, relay } = carried().await;
    peer.write_all(b"request").await.unwrap();
    peer.shutdown().await.unwrap();
    assert_eq!(far.hear_all().await, (b"request".to_vec(), Some(FarEvent::Eof)));
    far.send(b"answer").await;
    far.end(Inbound::Eof).await;
    assert_eq!(read_all(&mut peer).await.unwrap(), b"answer");
    assert_eq!(relay.await.unwrap(), RelayOutcome::Complete);
    assert_eq!(far.hear.recv().await, Some(FarEvent::Close));
    let counts = stats.counts();
    assert_eq!((counts.bytes_out, counts.bytes_in), (7, 6));
}

#[tokio::test]
async fn a_peer_can_still_send_after_the_far_side_ended() {
    let Carried { mut peer, mut far, relay, .. } = carried().await;
    far.send(b"banner").await;
    far.end(Inbound::Eof).await;
    assert_eq!(read_all(&mut peer).await.unwrap(), b"banner");
    peer.write_all(b"late").await.unwrap();
    peer.shutdown().await.unwrap();
    assert_eq!(far.hear_all().await, (b"late".to_vec(), Some(FarEvent::Eof)));
    assert_eq!(relay.await.unwrap(), RelayOutcome::Complete);
}

#[tokio::test]
async fn lost_session_resets_the_peer() {
    let Carried { mut peer, far, relay, .. } = carried().await;
    far.send(b"half of an ans").await;
    let mut start = [0; 14];
    peer.read_exact(&mut start).await.unwrap();
    far.end(Inbound::Lost).await;
    assert_eq!(relay.await.unwrap(), RelayOutcome::Lost);
    assert!(was_reset(&read_all(&mut peer).await));
}

#[tokio::test]
async fn a_reset_peer_closes_the_channel_without_an_end() {
    let Carried { peer, mut far, relay, .. } = carried().await;
    socket2::SockRef::from(&peer).set_linger(Some(std::time::Duration::ZERO)).unwrap();
    drop(peer);
    assert_eq!(relay.await.unwrap(), RelayOutcome::SocketBroke);
    assert_eq!(far.hear_all().await, (Vec::new(), Some(FarEvent::Close)));
}

#[tokio::test]
async fn bytes_before_close_reach_a_slow_peer() {
    for ends in [&[Inbound::Eof, Inbound::Closed][..], &[Inbound::Closed]] {
        let Carried { mut peer, far, relay, .. } = carried().await;
        let answer = pattern(8 << 20);
        let said = task::owned({
            let (answer, ends) = (answer.clone(), ends.to_vec());
            async move {
                for piece in answer.chunks(32 * 1024) {
                    far.send(piece).await;
                }
                for end in ends {
                    far.end(end).await;
                }
                far
            }
        });
        // The relay has taken all it can before the peer reads a byte: everything else waits in the channel.
        let mut first = [0; 1];
        peer.read_exact(&mut first).await.unwrap();
        // What the kernel has is not taken back either: the connection is over before the peer reads on.
        let mut some = vec![0; answer.len() - 1 - 256 * 1024];
        peer.read_exact(&mut some).await.unwrap();
        assert_eq!(relay.await.unwrap(), RelayOutcome::Complete);
        let rest = read_all(&mut peer).await.unwrap();
        assert!([&first[..], &some, &rest].concat() == answer, "{ends:?}");
        drop(said.await.unwrap());
    }
}

#[tokio::test]
async fn close_ends_an_upload_not_taken() {
    let Carried { mut peer, far, relay, .. } = carried_with(1).await;
    let upload = task::owned(async move {
        let piece = pattern(64 * 1024);
        while peer.write_all(&piece).await.is_ok() {}
    });
    far.end(Inbound::Closed).await;
    assert_eq!(relay.await.unwrap(), RelayOutcome::Complete);
    upload.await.unwrap();
    drop(far);
}

#[tokio::test]
async fn a_slow_peer_holds_the_far_side_back() {
    // So many looks in a row at a full queue mean that its reader has stopped.
    const LOOKS: usize = 10_000;
    let Carried { peer, far, relay, .. } = carried_with(4).await;
    let piece = Bytes::from(pattern(256 * 1024));
    let mut taken = 0;
    let mut full = 0;
    while full < LOOKS {
        match far.say.try_send(Inbound::Data(piece.clone())) {
            Ok(()) => (taken, full) = (taken + piece.len(), 0),
            Err(_) => full += 1,
        }
        assert!(taken < 64 << 20, "buffered without bound");
        tokio::task::yield_now().await;
    }
    assert!(!relay.is_finished());
    drop(peer);
}

#[tokio::test]
async fn aborted_relay_resets_the_peer() {
    let Carried { mut peer, far, relay, .. } = carried().await;
    far.send(b"half").await;
    peer.read_exact(&mut [0; 4]).await.unwrap();
    drop(relay);
    assert!(was_reset(&read_all(&mut peer).await));
}

#[tokio::test]
async fn what_follows_a_handshake_comes_first_and_our_answer_is_not_counted() {
    for (listener, counted) in [(Side::Here, (4, 8)), (Side::Server, (2, 12))] {
        let (mut peer, near) = tcp_pair().await;
        let (channel, mut far) = channel(8);
        let stats = Arc::<ForwardStats>::default();
        let tally = ByteCounters { stats: stats.clone(), listener };
        let prelude = Prelude { to_channel: "early ".into(), to_socket: "granted ".into() };
        let relay = task::owned(async move { Stream::Tcp(near).relay(channel, prelude, &tally).await });
        far.send(b"down").await;
        far.end(Inbound::Eof).await;
        peer.write_all(b"up").await.unwrap();
        peer.shutdown().await.unwrap();
        assert_eq!(read_all(&mut peer).await.unwrap(), b"granted down");
        assert_eq!(far.hear_all().await.0, b"early up");
        assert_eq!(relay.await.unwrap(), RelayOutcome::Complete);
        let counts = stats.counts();
        assert_eq!((counts.bytes_in, counts.bytes_out), counted, "{listener:?}");
    }
}

/// Sends `up` and `down` at the same time, in pieces of the given sizes, through a channel of the given depth.
fn both_ways(up: Vec<u8>, down: Vec<u8>, pieces: Vec<usize>, depth: usize) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let Carried { peer, far, relay, .. } = carried_with(depth).await;
        let (mut read, mut write) = peer.into_split();
        let FarChannel { say, mut hear } = far;
        let sizes = || pieces.iter().copied().cycle();
        let send_up = async {
            let mut rest = &up[..];
            for size in sizes() {
                let (piece, after) = rest.split_at(size.min(rest.len()));
                write.write_all(piece).await.unwrap();
                rest = after;
                if rest.is_empty() {
                    break;
                }
            }
            write.shutdown().await.unwrap();
        };
        let send_down = async {
            let mut rest = Bytes::from(down.clone());
            for size in sizes() {
                say.send(Inbound::Data(rest.split_to(size.min(rest.len())))).await.unwrap();
                if rest.is_empty() {
                    break;
                }
            }
            say.send(Inbound::Eof).await.unwrap();
        };
        let hear_up = async {
            let mut heard = Vec::new();
            while let Some(FarEvent::Data(bytes)) = hear.recv().await {
                heard.extend_from_slice(&bytes);
            }
            heard
        };
        let hear_down = async {
            let mut heard = Vec::new();
            read.read_to_end(&mut heard).await.unwrap();
            heard
        };
        let ((), (), heard_up, heard_down) = tokio::join!(send_up, send_down, hear_up, hear_down);
        assert!(heard_up == up, "up");
        assert!(heard_down == down, "down");
        assert_eq!(relay.await.unwrap(), RelayOutcome::Complete);
    });
}

#[test]
fn bytes_pass_unchanged_around_the_sizes_of_buffers_and_packets() {
    const K: usize = 1024;
    for size in [0, 1, 4 * K, 8 * K, 32 * K, 128 * K, 256 * K] {
        for length in [size.saturating_sub(1), size, size + 1] {
            both_ways(pattern(length), pattern(length), vec![32 * K], 4);
        }
    }
    both_ways(pattern(256 * K), pattern(256 * K), vec![1, 63, 64, 65], 200);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn bytes_are_never_reordered_dropped_or_duplicated(
        up in 0_usize..600_000,
        down in 0_usize..600_000,
        pieces in proptest::collection::vec(1_usize..70_000, 1..12),
        depth in 1_usize..130,
    ) {
        both_ways(pattern(up), pattern(down), pieces, depth);
    }
}
