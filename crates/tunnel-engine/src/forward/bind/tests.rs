//! Binding: loopback families, addresses that are taken or denied, unix sockets.

mod kept;

use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;

use super::*;
use crate::spec::Bind;

fn tcp(bind: Bind, port: u16) -> Listen {
    Listen::Tcp { bind, port }
}

async fn bind(listen: &Listen) -> Result<Bound, Failure> {
    Bound::bind(listen, BindOptions::default()).await
}

fn ports(bound: &Bound) -> Vec<SocketAddr> {
    bound
        .addresses()
        .into_iter()
        .map(|address| match address {
            ListenAddress::Tcp(address) => address,
            ListenAddress::Unix(path) => panic!("a unix socket: {}", path.display()),
        })
        .collect()
}

#[tokio::test]
async fn address_not_up_yet_is_missing() {
    let wanted = ["127.0.0.1:0", "192.0.2.1:0"].map(|address| address.parse().unwrap());
    let attempt = tcp::attempt(&wanted, &NoStore);
    assert_eq!((attempt.listeners.len(), attempt.refused.len()), (1, 1));
    let listen = tcp(Bind::Default, 7);
    let missing = Missing::of(&listen, attempt.refused, Vec::new(), clock::now()).await.unwrap();
    assert_eq!(missing.failure().kind(), FailureKind::ListenDenied);
    assert!(
        missing.failure().message().starts_with("cannot listen on all of `7`: `192.0.2.1:"),
        "{}",
        missing.failure()
    );
}

#[tokio::test]
async fn only_address_is_named_once() {
    let failure = bind(&tcp(Bind::Address("192.0.2.1".to_owned()), 7)).await.err().unwrap();
    assert_eq!(failure.message(), "cannot listen on `192.0.2.1:7`: cannot assign requested address");
}

#[tokio::test]
async fn bare_port_listens_on_both_loopbacks() {
    let bound = bind(&tcp(Bind::Default, 0)).await.unwrap();
    let ports = ports(&bound);
    assert_eq!(ports.iter().map(|address| address.ip().to_string()).collect::<Vec<_>>(), ["127.0.0.1", "::1"]);
    assert_eq!(ports[0].port(), ports[1].port());
    assert_eq!(bound.missing(), None);
}

#[tokio::test]
async fn half_a_bind_serves_and_is_completed_later() {
    let holder = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = holder.local_addr().unwrap();
    let mut bound = bind(&tcp(Bind::Default, taken.port())).await.unwrap();
    assert_eq!(ports(&bound), [format!("[::1]:{}", taken.port()).parse().unwrap()]);
    let missing = bound.missing().unwrap().clone();
    assert_eq!(missing.kind(), FailureKind::ListenInUse);
    let words = format!("`{taken}` is held by pid {}", std::process::id());
    assert!(missing.message().contains(&words), "{missing}");
    bound.complete(clock::now()).await;
    assert_eq!(bound.missing(), Some(&missing));
    drop(holder);
    bound.complete(clock::now()).await;
    assert_eq!((ports(&bound).len(), bound.missing()), (2, None));
}

#[tokio::test]
async fn shut_down_socket_is_missing_until_bound_again() {
    let mut bound = bind(&tcp(Bind::Address("127.0.0.1".into()), 0)).await.unwrap();
    let address = ports(&bound)[0];
    assert!(bound.give_up(0, io::Error::from_raw_os_error(nix::libc::EINVAL), clock::now()).await);
    assert!(bound.missing().unwrap().message().contains(&address.to_string()));
    bound.complete(clock::now()).await;
    assert_eq!((ports(&bound), bound.missing()), (vec![address], None));
}

#[tokio::test]
async fn second_try_does_not_search_holder_again() {
    let holder = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = tcp(Bind::Address("127.0.0.1".into()), holder.local_addr().unwrap().port());
    let known = Failure::new(FailureKind::ListenInUse, "as it was said");
    let again = Bound::take_or_bind(&listen, BindOptions::default(), Arc::new(NoStore), Some(&known)).await;
    assert_eq!(again.err(), Some(known.clone()));
    drop(holder);
    Bound::take_or_bind(&listen, BindOptions::default(), Arc::new(NoStore), Some(&known)).await.unwrap();
}

#[tokio::test]
async fn taken_address_names_its_holder() {
    let holder = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = holder.local_addr().unwrap();
    let failure = bind(&tcp(Bind::Address("127.0.0.1".into()), taken.port())).await.err().unwrap();
    assert_eq!(failure.kind(), FailureKind::ListenInUse);
    assert!(failure.message().contains(&format!("held by pid {}", std::process::id())), "{failure}");
}

#[tokio::test]
async fn an_address_of_another_machine_is_denied_with_a_hint() {
    let failure = bind(&tcp(Bind::Address("192.0.2.1".into()), 0)).await.err().unwrap();
    assert_eq!(failure.kind(), FailureKind::ListenDenied);
    assert!(failure.hint().contains("ip address"), "{}", failure.hint());
}

#[tokio::test]
async fn an_address_is_free_again_when_its_sockets_are_dropped() {
    let bound = bind(&tcp(Bind::Default, 0)).await.unwrap();
    let port = ports(&bound)[0].port();
    drop(bound);
    assert_eq!(ports(&bind(&tcp(Bind::Default, port)).await.unwrap()).len(), 2);
}

#[tokio::test]
async fn matching_sockets_are_adopted_and_others_not() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let listen = tcp(Bind::Default, address.port());
    let bound = Bound::adopt(&listen, BindOptions::default(), vec![listener.into()]).unwrap();
    assert_eq!(ports(&bound), [address]);
    assert_eq!(bound.fds().count(), 1);
    let datagrams = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    assert!(Bound::adopt(&listen, BindOptions::default(), vec![datagrams.into()]).is_err());
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn unix_socket_is_private_and_removed_at_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    let bound = bind(&Listen::Unix(path.clone())).await.unwrap();
    assert_eq!(mode(&path), 0o600);
    assert_eq!(bound.addresses(), [ListenAddress::Unix(path.clone())]);
    drop(bound);
    assert!(!path.exists());
}

#[tokio::test]
async fn a_socket_file_that_nobody_answers_on_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let _bound = bind(&Listen::Unix(path.clone())).await.unwrap();
    UnixStream::connect(&path).unwrap();
}

#[tokio::test]
async fn bind_mask_overrides_our_umask() {
    let folder = tempfile::tempdir().unwrap();
    for (mask, want) in [(0o177, 0o600), (0o117, 0o660), (0, 0o777)] {
        let path = folder.path().join(format!("{mask}"));
        let options = BindOptions { socket_mask: mask, ..BindOptions::default() };
        let _bound = Bound::bind(&Listen::Unix(path.clone()), options).await.unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, want, "mask {mask:o}");
        UnixStream::connect(&path).unwrap();
    }
}

#[tokio::test]
async fn living_socket_gives_way_where_asked() {
    let folder = tempfile::tempdir().unwrap();
    let options = BindOptions { socket_unlink: true, ..BindOptions::default() };
    let living = folder.path().join("living");
    let holder = std::os::unix::net::UnixListener::bind(&living).unwrap();
    holder.set_nonblocking(true).unwrap();
    let _bound = Bound::bind(&Listen::Unix(living.clone()), options).await.unwrap();
    UnixStream::connect(&living).unwrap();
    assert!(holder.accept().is_err(), "it was connected to to find out");

    let file = folder.path().join("file");
    std::fs::write(&file, "precious").unwrap();
    assert!(Bound::bind(&Listen::Unix(file.clone()), options).await.is_err());
    assert_eq!(std::fs::read(&file).unwrap(), b"precious");
}

#[tokio::test]
async fn living_socket_and_other_files_are_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let living = folder.path().join("living");
    let holder = std::os::unix::net::UnixListener::bind(&living).unwrap();
    holder.set_nonblocking(true).unwrap();
    let failure = bind(&Listen::Unix(living.clone())).await.err().unwrap();
    assert_eq!(failure.kind(), FailureKind::ListenInUse);
    assert!(failure.message().contains(&format!("held by pid {}", std::process::id())), "{failure}");
    assert!(holder.accept().is_err(), "it was connected to to find out");
    UnixStream::connect(&living).unwrap();

    let file = folder.path().join("file");
    std::fs::write(&file, "precious").unwrap();
    assert!(bind(&Listen::Unix(file.clone())).await.is_err());
    assert_eq!(std::fs::read(&file).unwrap(), b"precious");
}

#[tokio::test]
async fn foreign_socket_file_is_not_removed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    let bound = bind(&Listen::Unix(path.clone())).await.unwrap();
    std::fs::remove_file(&path).unwrap();
    assert!(bound.lost_file().unwrap().message().contains("removed"));
    std::fs::write(&path, "another's").unwrap();
    assert!(bound.lost_file().unwrap().message().contains("no socket"));
    drop(bound);
    assert!(path.exists());
}

#[tokio::test]
async fn a_missing_directory_and_a_path_too_long_say_so() {
    let missing = bind(&Listen::Unix("/nonexistent/s".into())).await.err().unwrap();
    assert_eq!((missing.kind(), missing.hint()), (FailureKind::ListenDenied, "create the directory"));
    let long = bind(&Listen::Unix(format!("/tmp/{}", "a".repeat(200)).into())).await.err().unwrap();
    assert_eq!(long.kind(), FailureKind::ListenDenied);
    assert!(long.hint().contains("107"), "{}", long.hint());
}
