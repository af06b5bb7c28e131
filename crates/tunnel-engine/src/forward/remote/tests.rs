//! Remote forwards over channels in memory: routes, limits, targets.

use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;

use super::*;
use crate::forward::tests::{FakeIncoming, FarEvent, incoming, read_all};
use crate::session::Inbound;

fn port(port: u16) -> RemoteListen {
    RemoteListen::Tcp { address: "localhost".to_owned(), port }
}

fn target(connect: Connect) -> RemoteTarget {
    RemoteTarget {
        forward: "2222:target".into(),
        connect,
        family: AddressFamily::Any,
        permit: Arc::default(),
        max_connections: 8,
        stats: Arc::default(),
        cut: CancellationToken::new(),
    }
}

async fn local_target() -> (TcpListener, Connect) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, Connect::Tcp { host: "127.0.0.1".to_owned(), port })
}

fn forwards() -> (mpsc::Sender<FakeIncoming>, RemoteForwards) {
    let (hand_over, incoming) = mpsc::channel(16);
    (hand_over, RemoteForwards::spawn(incoming))
}

#[tokio::test]
async fn connection_is_accepted_once_its_target_is_connected() {
    let (listener, connect) = local_target().await;
    let (hand_over, forwards) = forwards();
    let target = target(connect);
    forwards.routes().add(port(2222), target.clone());
    let (connection, mut far, answer) = incoming(port(2222));
    hand_over.send(connection).await.ok().unwrap();
    let (mut accepted, _) = listener.accept().await.unwrap();
    assert_eq!(answer.await.unwrap(), Ok(()));
    far.send(b"request").await;
    far.end(Inbound::Eof).await;
    assert_eq!(read_all(&mut accepted).await.unwrap(), b"request");
    accepted.write_all(b"answer").await.unwrap();
    drop(accepted);
    assert_eq!(far.hear_all().await, (b"answer".to_vec(), Some(FarEvent::Eof)));
    forwards.drain(clock::now() + Duration::from_secs(3600)).await;
    let counts = target.stats.counts();
    assert_eq!((counts.opened, counts.active, counts.failed), (1, 0, 0));
    assert_eq!((counts.bytes_in, counts.bytes_out), (6, 7));
}

#[tokio::test]
async fn refusing_target_is_told_as_connect_failed() {
    let (listener, connect) = local_target().await;
    drop(listener);
    let (hand_over, forwards) = forwards();
    let target = target(connect);
    forwards.routes().add(port(2222), target.clone());
    let (connection, _far, answer) = incoming(port(2222));
    hand_over.send(connection).await.ok().unwrap();
    assert_eq!(answer.await.unwrap(), Err(RejectReason::ConnectFailed));
    forwards.drain(clock::now() + Duration::from_secs(3600)).await;
    assert_eq!(target.stats.counts().failed, 1);
}

#[tokio::test]
async fn only_connections_on_routes_of_ours_are_taken() {
    let (_listener, connect) = local_target().await;
    let (hand_over, forwards) = forwards();
    let (stray, _far, answer) = incoming(port(22));
    hand_over.send(stray).await.ok().unwrap();
    assert_eq!(answer.await.unwrap(), Err(RejectReason::Prohibited));
    let routes = forwards.routes();
    routes.add(port(22), target(connect));
    routes.remove(&port(22));
    let (removed, _far, answer) = incoming(port(22));
    hand_over.send(removed).await.ok().unwrap();
    assert_eq!(answer.await.unwrap(), Err(RejectReason::Prohibited));
}

#[tokio::test]
async fn server_is_told_of_the_connection_limit() {
    let (listener, connect) = local_target().await;
    let (hand_over, forwards) = forwards();
    forwards.routes().add(port(2222), RemoteTarget { max_connections: 1, ..target(connect) });
    let (first, mut far, answer) = incoming(port(2222));
    hand_over.send(first).await.ok().unwrap();
    assert_eq!(answer.await.unwrap(), Ok(()));
    let (second, _far, answer) = incoming(port(2222));
    hand_over.send(second).await.ok().unwrap();
    assert_eq!(answer.await.unwrap(), Err(RejectReason::ResourceShortage));
    drop(listener.accept().await.unwrap());
    far.end(Inbound::Eof).await;
    while far.hear.recv().await.is_some() {}
    let answer = loop {
        let (third, _far, answer) = incoming(port(2222));
        hand_over.send(third).await.ok().unwrap();
        match answer.await.unwrap() {
            // The connection that ended is counted off a moment after its channel closed.
            Err(RejectReason::ResourceShortage) => tokio::task::yield_now().await,
            answer => break answer,
        }
    };
    assert_eq!(answer, Ok(()));
}

#[tokio::test]
async fn connection_is_cut_when_its_forward_is_gone() {
    let (listener, connect) = local_target().await;
    let (hand_over, forwards) = forwards();
    let target = target(connect);
    let (cut, stats) = (target.cut.clone(), target.stats.clone());
    forwards.routes().add(port(2222), target);
    let (connection, mut far, answer) = incoming(port(2222));
    hand_over.send(connection).await.ok().unwrap();
    assert_eq!(answer.await.unwrap(), Ok(()));
    let (mut near, _) = listener.accept().await.unwrap();
    cut.cancel();
    while far.hear.recv().await.is_some() {}
    let ended = tokio::io::AsyncReadExt::read(&mut near, &mut [0]).await;
    assert!(ended.is_err(), "reset: {ended:?}");
    assert_eq!(stats.counts().active, 0);
}

#[tokio::test]
async fn reverse_socks_peer_is_connected_from_here() {
    let (listener, connect) = local_target().await;
    let Connect::Tcp { port: target_port, .. } = connect else { panic!("not TCP") };
    let (hand_over, forwards) = forwards();
    forwards.routes().add(port(1080), target(Connect::Socks));
    let (connection, mut far, answer) = incoming(port(1080));
    hand_over.send(connection).await.ok().unwrap();
    assert_eq!(answer.await.unwrap(), Ok(()), "before the target is known");
    let [high, low] = target_port.to_be_bytes();
    far.send(&[5, 1, 0]).await;
    assert_eq!(far.hear.recv().await, Some(FarEvent::Data(vec![5, 0].into())));
    far.send(&[&[5, 1, 0, 1, 127, 0, 0, 1, high, low][..], b"early"].concat()).await;
    far.end(Inbound::Eof).await;
    let (mut accepted, _) = listener.accept().await.unwrap();
    assert_eq!(read_all(&mut accepted).await.unwrap(), b"early");
    drop(accepted);
    let (heard, end) = far.hear_all().await;
    assert_eq!((heard, end), (vec![5, 0, 0, 1, 0, 0, 0, 0, 0, 0], Some(FarEvent::Eof)));
    drop(forwards);
}

#[tokio::test]
async fn a_reverse_socks_peer_is_told_that_its_target_refused() {
    let (listener, connect) = local_target().await;
    let Connect::Tcp { port: target_port, .. } = connect else { panic!("not TCP") };
    drop(listener);
    let (hand_over, forwards) = forwards();
    forwards.routes().add(port(1080), target(Connect::Socks));
    let (connection, mut far, _answer) = incoming(port(1080));
    hand_over.send(connection).await.ok().unwrap();
    let [high, low] = target_port.to_be_bytes();
    far.send(&[4, 1, high, low, 127, 0, 0, 1, 0]).await;
    assert_eq!(far.hear_all().await, (vec![0, 0x5b, 0, 0, 0, 0, 0, 0], Some(FarEvent::Eof)));
    drop(forwards);
}

#[tokio::test]
async fn reverse_socks_peer_that_left_is_no_failure() {
    for (said, end, failed) in [
        (&b""[..], Inbound::Eof, 0),
        (&[5, 1, 0], Inbound::Closed, 0),
        (b"GET /", Inbound::Eof, 1),
        (b"", Inbound::Lost, 1),
    ] {
        let (hand_over, forwards) = forwards();
        let target = target(Connect::Socks);
        forwards.routes().add(port(1080), target.clone());
        let (connection, mut far, _answer) = incoming(port(1080));
        hand_over.send(connection).await.ok().unwrap();
        far.send(said).await;
        far.end(end.clone()).await;
        far.hear_all().await;
        forwards.drain(clock::now() + Duration::from_secs(3600)).await;
        let counts = target.stats.counts();
        assert_eq!((counts.opened, counts.failed), (0, failed), "{said:?} {end:?}");
    }
}

#[tokio::test]
async fn router_ends_with_session_and_connections() {
    let (hand_over, mut forwards) = forwards();
    drop(hand_over);
    (&mut forwards.task).await.unwrap();
}
