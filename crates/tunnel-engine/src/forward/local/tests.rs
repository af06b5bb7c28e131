//! Local forwards over channels in memory: holding, limits, retuning, ends.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use super::*;
use crate::clock;
use crate::forward::bind::{BindOptions, PathWatcher};
use crate::forward::tests::{FakeOpening, FakeSession, FarChannel, FarEvent, ask, read_all, session, was_reset};
use crate::session::{Inbound, OpenError};
use crate::spec::{Bind, Listen};

const HOLD: ListenOptions = ListenOptions {
    max_connections: 4096,
    outage: OutagePolicy::Hold { timeout: Duration::from_secs(3600), max: 128 },
};

const REFUSE: ListenOptions = ListenOptions { max_connections: 4096, outage: OutagePolicy::Refuse };

struct Fixture {
    forward: LocalForward,
    source: watch::Sender<Option<FakeSession>>,
}

fn loopback() -> Listen {
    Listen::Tcp { bind: Bind::Address("127.0.0.1".to_owned()), port: 0 }
}

fn database() -> Connect {
    Connect::Tcp { host: "db".to_owned(), port: 3306 }
}

async fn listening(connect: Connect, options: ListenOptions) -> Fixture {
    let bound = Bound::bind(&loopback(), BindOptions::default()).await.unwrap();
    let (source, sessions) = watch::channel(None);
    let forward = LocalForward::spawn(bound, connect, sessions, options, Arc::default());
    Fixture { forward, source }
}

impl Fixture {
    fn address(&self) -> SocketAddr {
        match self.forward.addresses().first() {
            Some(ListenAddress::Tcp(address)) => *address,
            other => panic!("no TCP address: {other:?}"),
        }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address()).await.unwrap()
    }

    fn new_session(&self) -> mpsc::Receiver<FakeOpening> {
        let (fake, opens) = session();
        self.source.send_replace(Some(fake));
        opens
    }

    fn no_session(&self) {
        self.source.send_replace(None);
    }

    async fn counts_where(&self, wanted: impl Fn(crate::forward::ForwardCounts) -> bool) {
        while !wanted(self.forward.stats().counts()) {
            tokio::task::yield_now().await;
        }
    }

    async fn held(&self, wanted: u64) {
        self.counts_where(|counts| counts.held == wanted).await;
    }

    async fn state_where(&self, wanted: impl FnMut(&ListenState) -> bool) {
        self.forward.state.clone().wait_for(wanted).await.unwrap();
    }
}

/// Answers the request of a connection with itself.
async fn echo(mut far: FarChannel) {
    let (request, _) = far.hear_all().await;
    far.send(&request).await;
    far.end(Inbound::Eof).await;
}

#[tokio::test]
async fn a_connection_is_taken_to_the_target_with_its_origin() {
    let fixture = listening(database(), HOLD).await;
    let mut opens = fixture.new_session();
    let mut peer = fixture.connect().await;
    let opening = opens.recv().await.unwrap();
    assert_eq!(opening.target, database());
    assert_eq!(
        (opening.origin.address.as_str(), opening.origin.port),
        ("127.0.0.1", peer.local_addr().unwrap().port())
    );
    let (answer, ()) = tokio::join!(ask(&mut peer, b"hello"), echo(opening.confirm()));
    assert_eq!(answer.unwrap(), b"hello");
    fixture.counts_where(|counts| counts.opened == 1 && counts.active == 0 && counts.failed == 0).await;
}

#[tokio::test]
async fn held_connections_are_served_in_order() {
    let fixture = listening(database(), HOLD).await;
    let mut peers = Vec::new();
    for _ in 0..20 {
        peers.push(fixture.connect().await);
        fixture.held(peers.len() as u64).await;
    }
    let mut opens = fixture.new_session();
    for peer in &mut peers {
        let opening = opens.recv().await.unwrap();
        assert_eq!(opening.origin.port, peer.local_addr().unwrap().port());
        let (answer, ()) = tokio::join!(ask(peer, b"held"), echo(opening.confirm()));
        assert_eq!(answer.unwrap(), b"held");
    }
    assert_eq!(fixture.forward.stats().counts().held, 0);
}

#[tokio::test]
async fn a_held_connection_whose_peer_left_opens_no_channel() {
    let fixture = listening(database(), HOLD).await;
    let left = fixture.connect().await;
    fixture.held(1).await;
    let stayed = fixture.connect().await;
    fixture.held(2).await;
    drop(left);
    // The kernel tells the other end in its own time, on loopback before this call returns.
    tokio::task::yield_now().await;
    let mut opens = fixture.new_session();
    let opening = opens.recv().await.unwrap();
    assert_eq!(opening.origin.port, stayed.local_addr().unwrap().port());
    fixture.counts_where(|counts| counts.failed == 1 && counts.held == 0).await;
}

#[tokio::test]
async fn a_peer_that_resets_is_let_go_while_its_channel_is_opened() {
    let fixture = listening(database(), HOLD).await;
    let mut opens = fixture.new_session();
    let mut half_closed = fixture.connect().await;
    half_closed.shutdown().await.unwrap();
    let waiting = opens.recv().await.unwrap();
    let left = fixture.connect().await;
    let _unanswered = opens.recv().await.unwrap();
    fixture.counts_where(|counts| counts.active == 2 && counts.opened == 0).await;
    socket2::SockRef::from(&left).set_linger(Some(Duration::ZERO)).unwrap();
    drop(left);
    fixture.counts_where(|counts| counts.active == 1).await;
    let far = waiting.confirm();
    far.send(b"answer").await;
    far.end(Inbound::Eof).await;
    assert_eq!(read_all(&mut half_closed).await.unwrap(), b"answer", "one that sends no more is served");
    fixture.counts_where(|counts| counts.opened == 1 && counts.failed == 0).await;
}

#[tokio::test]
async fn connections_over_the_hold_limit_are_served_too() {
    let options = ListenOptions { outage: OutagePolicy::Hold { timeout: Duration::from_secs(3600), max: 2 }, ..HOLD };
    let fixture = listening(database(), options).await;
    let mut peers = Vec::new();
    for _ in 0..5 {
        peers.push(fixture.connect().await);
    }
    fixture.held(2).await;
    for _ in 0..100 {
        tokio::task::yield_now().await;
        assert_eq!(fixture.forward.stats().counts().held, 2);
    }
    let mut opens = fixture.new_session();
    for _ in &peers {
        drop(opens.recv().await.unwrap().confirm());
    }
}

#[tokio::test]
async fn a_connection_that_waited_long_enough_is_reset_and_counted() {
    let options = ListenOptions { outage: OutagePolicy::Hold { timeout: Duration::ZERO, max: 2 }, ..HOLD };
    let fixture = listening(database(), options).await;
    let mut peer = fixture.connect().await;
    assert!(was_reset(&read_all(&mut peer).await));
    fixture.counts_where(|counts| counts.failed == 1 && counts.held == 0).await;
}

#[tokio::test]
async fn connection_lost_during_open_is_served_next() {
    let fixture = listening(database(), HOLD).await;
    let mut opens = fixture.new_session();
    let mut peer = fixture.connect().await;
    opens.recv().await.unwrap().refuse(OpenError::SessionEnded);
    fixture.held(1).await;
    assert!(opens.try_recv().is_err(), "the session that ended is not asked again");
    let mut opens = fixture.new_session();
    let far = opens.recv().await.unwrap().confirm();
    let (answer, ()) = tokio::join!(ask(&mut peer, b"once"), echo(far));
    assert_eq!(answer.unwrap(), b"once");
    fixture.counts_where(|counts| counts.opened == 1 && counts.failed == 0).await;
}

#[tokio::test]
async fn refused_target_resets_only_its_peer() {
    let fixture = listening(database(), HOLD).await;
    let mut opens = fixture.new_session();
    let mut unlucky = fixture.connect().await;
    let refused = opens.recv().await.unwrap();
    let mut lucky = fixture.connect().await;
    let confirmed = opens.recv().await.unwrap();
    refused.refuse(OpenError::ConnectFailed("Connection refused".to_owned()));
    assert!(was_reset(&read_all(&mut unlucky).await));
    let (answer, ()) = tokio::join!(ask(&mut lucky, b"fine"), echo(confirmed.confirm()));
    assert_eq!(answer.unwrap(), b"fine");
    fixture.counts_where(|counts| counts.opened == 1 && counts.failed == 1).await;
}

#[tokio::test]
async fn new_connections_go_to_the_newest_session() {
    let fixture = listening(database(), HOLD).await;
    let mut first = fixture.new_session();
    let mut old = fixture.connect().await;
    let old_far = first.recv().await.unwrap().confirm();
    let mut second = fixture.new_session();
    let mut new = fixture.connect().await;
    let new_far = second.recv().await.unwrap().confirm();
    let answers = tokio::join!(ask(&mut old, b"old"), ask(&mut new, b"new"), echo(old_far), echo(new_far));
    assert_eq!((answers.0.unwrap(), answers.1.unwrap()), (b"old".to_vec(), b"new".to_vec()));
}

#[tokio::test]
async fn connection_limit_holds_until_raised_or_one_ends() {
    let fixture = listening(database(), ListenOptions { max_connections: 1, ..HOLD }).await;
    let mut opens = fixture.new_session();
    let peers = [fixture.connect().await, fixture.connect().await, fixture.connect().await];
    let first = opens.recv().await.unwrap().confirm();
    for _ in 0..100 {
        tokio::task::yield_now().await;
        assert!(opens.try_recv().is_err());
    }
    assert_eq!(fixture.forward.stats.full(), Some(1));
    fixture.forward.retune(ListenOptions { max_connections: 2, ..HOLD });
    let _second = opens.recv().await.unwrap().confirm();
    assert!(opens.try_recv().is_err());
    first.end(Inbound::Closed).await;
    let _third = opens.recv().await.unwrap().confirm();
    assert_eq!(fixture.forward.stats.full(), Some(2));
    drop(peers);
}

#[tokio::test]
async fn refuse_closes_the_listener_while_down() {
    let bound = Bound::bind(&loopback(), BindOptions::default()).await.unwrap();
    let ListenAddress::Tcp(address) = bound.addresses()[0].clone() else { panic!("no TCP address") };
    drop(bound);
    let listen = Listen::Tcp { bind: Bind::Address("127.0.0.1".to_owned()), port: address.port() };
    let bound = Bound::bind(&listen, BindOptions::default()).await.unwrap();
    let (source, sessions) = watch::channel(None);
    let fixture = Fixture { forward: LocalForward::spawn(bound, database(), sessions, REFUSE, Arc::default()), source };
    fixture.state_where(|state| *state == ListenState::Refusing).await;
    let refused = TcpStream::connect(address).await.unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    let mut opens = fixture.new_session();
    fixture.state_where(|state| matches!(state, ListenState::Listening { .. })).await;
    let _peer = TcpStream::connect(address).await.unwrap();
    drop(opens.recv().await.unwrap().confirm());
    fixture.no_session();
    fixture.state_where(|state| *state == ListenState::Refusing).await;
}

#[tokio::test]
async fn closing_finishes_live_and_resets_held_connections() {
    let fixture = listening(database(), HOLD).await;
    let address = fixture.address();
    let mut opens = fixture.new_session();
    let mut live = fixture.connect().await;
    let far = opens.recv().await.unwrap().confirm();
    fixture.no_session();
    let mut held = fixture.connect().await;
    fixture.held(1).await;
    fixture.forward.close();
    fixture.state_where(|state| *state == ListenState::Closed).await;
    assert!(was_reset(&read_all(&mut held).await));
    assert!(TcpStream::connect(address).await.is_err());
    let drained = fixture.forward.drain(clock::now() + Duration::from_secs(3600));
    let (answer, (), ()) = tokio::join!(ask(&mut live, b"last"), echo(far), drained);
    assert_eq!(answer.unwrap(), b"last");
}

#[tokio::test]
async fn a_drain_cuts_what_has_not_finished_at_its_deadline() {
    let fixture = listening(database(), HOLD).await;
    let mut opens = fixture.new_session();
    let mut live = fixture.connect().await;
    let far = opens.recv().await.unwrap().confirm();
    far.send(b"half").await;
    live.read_exact(&mut [0; 4]).await.unwrap();
    fixture.forward.drain(clock::now()).await;
    assert!(was_reset(&read_all(&mut live).await));
}

#[tokio::test]
async fn socks_success_waits_for_the_channel() {
    let fixture = listening(Connect::Socks, HOLD).await;
    let mut opens = fixture.new_session();
    let mut peer = fixture.connect().await;
    peer.write_all(b"\x05\x01\x00\x05\x01\x00\x03\x02db\x0c\xeaearly").await.unwrap();
    let mut method = [0; 2];
    peer.read_exact(&mut method).await.unwrap();
    assert_eq!(method, [5, 0]);
    let opening = opens.recv().await.unwrap();
    assert_eq!(opening.target, database());
    assert!(peer.try_read(&mut [0; 1]).is_err(), "nothing before the channel is confirmed");
    let mut far = opening.confirm();
    let mut reply = [0; 10];
    peer.read_exact(&mut reply).await.unwrap();
    assert_eq!(reply, [5, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    assert_eq!(far.hear.recv().await, Some(FarEvent::Data("early".into())));
}

#[tokio::test]
async fn socks_peer_is_told_why_target_failed() {
    let fixture = listening(Connect::Socks, HOLD).await;
    let mut opens = fixture.new_session();
    let mut peer = fixture.connect().await;
    peer.write_all(b"\x05\x01\x00\x05\x01\x00\x03\x02db\x0c\xea").await.unwrap();
    opens.recv().await.unwrap().refuse(OpenError::Prohibited(String::new()));
    assert_eq!(read_all(&mut peer).await.unwrap(), [5, 0, 5, 2, 0, 1, 0, 0, 0, 0, 0, 0]);
    drop(peer);
    fixture.counts_where(|counts| counts.failed == 1).await;
}

#[tokio::test]
async fn socks_peer_that_asks_for_nothing_is_no_failure() {
    for (said, failed) in [(&b""[..], 0), (b"\x05\x01\x00", 0), (b"GET /", 1)] {
        let fixture = listening(Connect::Socks, HOLD).await;
        let _opens = fixture.new_session();
        let mut peer = fixture.connect().await;
        peer.write_all(said).await.unwrap();
        fixture.counts_where(|counts| counts.active == 1).await;
        drop(peer);
        let stats = fixture.forward.stats().clone();
        fixture.forward.drain(clock::now() + Duration::from_secs(3600)).await;
        assert_eq!((stats.counts().opened, stats.counts().failed), (0, failed), "{said:?}");
    }
}

#[tokio::test]
async fn nonsense_on_socks_port_ends_its_connection() {
    let fixture = listening(Connect::Socks, HOLD).await;
    let mut opens = fixture.new_session();
    let mut nonsense = fixture.connect().await;
    let answer = ask(&mut nonsense, b"GET / HTTP/1.1\r\n\r\n").await;
    assert!(answer.is_err() || answer.unwrap().is_empty());
    let mut peer = fixture.connect().await;
    peer.write_all(b"\x04\x01\x00\x50\xc0\x00\x02\x01\x00").await.unwrap();
    let _far = opens.recv().await.unwrap().confirm();
    let mut reply = [0; 8];
    peer.read_exact(&mut reply).await.unwrap();
    assert_eq!(reply[..2], [0, 0x5a]);
}

impl Fixture {
    async fn of(listen: &Listen) -> Self {
        let bound = Bound::bind(listen, BindOptions::default()).await.unwrap().watched_by(PathWatcher::default());
        let (source, sessions) = watch::channel(None);
        let forward = LocalForward::spawn(bound, database(), sessions, HOLD, Arc::default());
        Self { forward, source }
    }

    async fn failed_where(&self, words: &str) {
        self.state_where(|state| state.failure().is_some_and(|failure| failure.message().contains(words))).await;
    }

    async fn listens(&self) {
        self.state_where(|state| matches!(state, ListenState::Listening { missing: None, .. })).await;
    }
}

#[tokio::test]
async fn taken_address_is_bound_when_free() {
    let holder = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = holder.local_addr().unwrap();
    let fixture = Fixture::of(&Listen::Tcp { bind: Bind::Default, port: taken.port() }).await;
    fixture.failed_where(&format!("`{taken}` is held by pid")).await;
    let mut opens = fixture.new_session();
    let _six = TcpStream::connect(("::1", taken.port())).await.unwrap();
    drop(opens.recv().await.unwrap().confirm());
    drop(holder);
    fixture.listens().await;
    let _four = TcpStream::connect(taken).await.unwrap();
    drop(opens.recv().await.unwrap().confirm());
}

#[tokio::test]
async fn a_socket_that_another_program_shut_down_is_bound_again() {
    let bound = Bound::bind(&loopback(), BindOptions::default()).await.unwrap();
    let duplicate = bound.fds().next().unwrap().try_clone_to_owned().unwrap();
    let (source, sessions) = watch::channel(None);
    let fixture = Fixture { forward: LocalForward::spawn(bound, database(), sessions, HOLD, Arc::default()), source };
    let before = fixture.address();
    socket2::SockRef::from(&duplicate).shutdown(std::net::Shutdown::Both).unwrap();
    while TcpStream::connect(before).await.is_err() {
        tokio::task::yield_now().await;
    }
    fixture.listens().await;
}

#[tokio::test]
async fn lost_socket_file_is_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let (inner, away) = (folder.path().join("run"), folder.path().join("away"));
    std::fs::create_dir(&inner).unwrap();
    let path = inner.join("s");
    let fixture = Fixture::of(&Listen::Unix(path.clone())).await;
    let reachable = async || {
        while tokio::net::UnixStream::connect(&path).await.is_err() {
            tokio::task::yield_now().await;
        }
        fixture.listens().await;
    };
    reachable().await;
    std::fs::remove_file(&path).unwrap();
    reachable().await;
    // Its directory is removed.
    std::fs::remove_dir_all(&inner).unwrap();
    fixture.failed_where("no such file").await;
    std::fs::create_dir(&inner).unwrap();
    reachable().await;
    // Its directory is moved.
    std::fs::rename(&inner, &away).unwrap();
    fixture.failed_where("no such file").await;
    std::fs::create_dir(&inner).unwrap();
    reachable().await;
    // A file takes its place.
    let file = folder.path().join("file");
    std::fs::write(&file, "precious").unwrap();
    std::fs::rename(&file, &path).unwrap();
    fixture.failed_where("not a socket").await;
    assert_eq!(std::fs::read(&path).unwrap(), b"precious");
    std::fs::remove_file(&path).unwrap();
    reachable().await;
    // Another program's socket does.
    std::fs::remove_file(&path).unwrap();
    let another = std::os::unix::net::UnixListener::bind(&path);
    if let Ok(another) = another {
        fixture.failed_where("held by").await;
        drop(another);
        reachable().await;
    }
}
