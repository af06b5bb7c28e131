//! Sockets that a store keeps: taken again with what queued meanwhile, or ended for all holders.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex};

use tokio::net::TcpStream;

use super::*;
use crate::forward::bind::store::{CloseMode, SocketStore};

/// Keeps everything, as a service manager would.
struct TestStore {
    sockets: Mutex<HashMap<ListenAddress, OwnedFd>>,
    closing: Mutex<CloseMode>,
}

impl SocketStore for TestStore {
    fn take(&self, address: &ListenAddress) -> Option<OwnedFd> {
        self.sockets.lock().unwrap().get(address)?.try_clone().ok()
    }

    fn keep(&self, address: &ListenAddress, socket: BorrowedFd<'_>) {
        self.sockets.lock().unwrap().insert(address.clone(), socket.try_clone_to_owned().unwrap());
    }

    fn close(&self, _: &ListenAddress) -> CloseMode {
        *self.closing.lock().unwrap()
    }
}

fn shelf() -> Arc<TestStore> {
    Arc::new(TestStore { sockets: Mutex::default(), closing: Mutex::new(CloseMode::ForNow) })
}

async fn bind_with(listen: &Listen, shelf: &Arc<TestStore>) -> Bound {
    Bound::take_or_bind(listen, BindOptions::default(), shelf.clone(), None).await.unwrap()
}

#[tokio::test]
async fn both_families_are_kept_with_queued_connections() {
    let shelf = shelf();
    let first = bind_with(&tcp(Bind::Default, 0), &shelf).await;
    let addresses = ports(&first);
    drop(first);
    let mut waiting = Vec::new();
    for address in &addresses {
        waiting.push(TcpStream::connect(address).await.unwrap());
    }
    let again = bind_with(&tcp(Bind::Default, addresses[0].port()), &shelf).await;
    assert_eq!((ports(&again), again.missing()), (addresses, None));
    for socket in &again.sockets {
        let Listener::Tcp(listener, _) = socket else { panic!("not TCP") };
        let (_, peer) = listener.accept().await.unwrap();
        assert!(waiting.iter().any(|stream| stream.local_addr().unwrap() == peer));
    }
}

#[tokio::test]
async fn family_not_kept_is_bound_beside() {
    let shelf = shelf();
    let first = bind_with(&tcp(Bind::Address("127.0.0.1".into()), 0), &shelf).await;
    let port = ports(&first)[0].port();
    drop(first);
    let both = bind_with(&tcp(Bind::Default, port), &shelf).await;
    assert_eq!(ports(&both).len(), 2);
    assert_eq!(shelf.sockets.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn closing_frees_the_address_despite_a_duplicate() {
    let shelf = shelf();
    let listen = tcp(Bind::Address("127.0.0.1".into()), 0);
    let bound = bind_with(&listen, &shelf).await;
    let address = ports(&bound)[0];
    *shelf.closing.lock().unwrap() = CloseMode::ForGood;
    drop(bound);
    let refused = TcpStream::connect(address).await.unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    let listen = tcp(Bind::Address("127.0.0.1".into()), address.port());
    assert_eq!(ports(&bind(&listen).await.unwrap()), [address]);
}

#[tokio::test]
async fn kept_unix_socket_keeps_or_remakes_its_file() {
    let (shelf, folder) = (shelf(), tempfile::tempdir().unwrap());
    let path = folder.path().join("s");
    let listen = Listen::Unix(path.clone());
    drop(bind_with(&listen, &shelf).await);
    let _waits = UnixStream::connect(&path).unwrap();
    drop(bind_with(&listen, &shelf).await);
    std::fs::remove_file(&path).unwrap();
    let bound = bind_with(&listen, &shelf).await;
    UnixStream::connect(&path).unwrap();
    *shelf.closing.lock().unwrap() = CloseMode::ForGood;
    drop(bound);
    assert!(!path.exists());
}

#[tokio::test]
async fn a_socket_for_both_families_leaves_nothing_to_be_missed() {
    let shelf = shelf();
    let both = Socket::new(socket2::Domain::IPV6, Type::STREAM, None).unwrap();
    both.set_only_v6(false).unwrap();
    both.bind(&"[::]:0".parse::<SocketAddr>().unwrap().into()).unwrap();
    both.listen(1).unwrap();
    let address = both.local_addr().unwrap().as_socket().unwrap();
    shelf.sockets.lock().unwrap().insert(ListenAddress::Tcp(address), both.into());
    let bound = bind_with(&tcp(Bind::Any, address.port()), &shelf).await;
    assert_eq!((ports(&bound), bound.missing()), (vec![address], None));
}

#[tokio::test]
async fn kept_socket_with_foreign_path_is_not_taken() {
    let (shelf, folder) = (shelf(), tempfile::tempdir().unwrap());
    let path = folder.path().join("s");
    let listen = Listen::Unix(path.clone());
    let take = || Bound::take_or_bind(&listen, BindOptions::default(), shelf.clone(), None);
    drop(take().await.unwrap());
    std::fs::remove_file(&path).unwrap();
    let another = std::os::unix::net::UnixListener::bind(&path).unwrap();
    assert_eq!(take().await.err().unwrap().kind(), FailureKind::ListenInUse);
    UnixStream::connect(&path).unwrap();
    drop(another);

    *shelf.closing.lock().unwrap() = CloseMode::ForNow;
    drop(take().await.unwrap());
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, "precious").unwrap();
    assert!(take().await.is_err());
    assert_eq!(std::fs::read(&path).unwrap(), b"precious");
}

#[tokio::test]
async fn a_kept_socket_that_was_shut_down_is_bound_anew() {
    let shelf = shelf();
    let listen = tcp(Bind::Address("127.0.0.1".into()), 0);
    let first = bind_with(&listen, &shelf).await;
    let address = ports(&first)[0];
    first.sockets[0].shut_down();
    drop(first);
    let again = bind_with(&tcp(Bind::Address("127.0.0.1".into()), address.port()), &shelf).await;
    TcpStream::connect(ports(&again)[0]).await.unwrap();
}
