//! Forwards through real sessions to the in-process server: real sockets on this side, so no assertion on time.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tunnel_engine::clock;
use tunnel_engine::demo_server::Server;
use tunnel_engine::forward::{
    BindOptions, Bound, ForwardStats, ListenAddress, ListenOptions, LocalForward, OutagePolicy, RemoteForwards,
    RemoteTarget,
};
use tunnel_engine::session::{IncomingChannels, RemoteListen, Session};
use tunnel_engine::spec::{AddressFamily, Bind, Connect, Destination, Listen, SessionSpec, StrictHostKeyChecking};

const HOUR: Duration = Duration::from_secs(3600);

const HOLD: ListenOptions =
    ListenOptions { max_connections: 4096, outage: OutagePolicy::Hold { timeout: HOUR, max: 128 } };

#[tokio::test]
async fn a_request_that_is_ended_is_answered_through_a_real_session() {
    let fixture = Fixture::new("sink").await;
    let mut peer = fixture.connect().await;
    peer.write_all(&vec![7; 300_000]).await.unwrap();
    peer.shutdown().await.unwrap();
    let mut answer = Vec::new();
    peer.read_to_end(&mut answer).await.unwrap();
    assert_eq!(answer, 300_000_u64.to_be_bytes());
}

#[tokio::test]
async fn a_download_arrives_whole() {
    const MIB: usize = 16;
    let fixture = Fixture::to(Connect::Tcp { host: "source".to_owned(), port: MIB as u16 }).await;
    let mut peer = fixture.connect().await;
    let mut all = Vec::new();
    peer.read_to_end(&mut all).await.unwrap();
    assert_eq!(all.len(), MIB << 20);
    assert!(
        all.iter().enumerate().all(|(at, byte)| *byte == tunnel_engine::demo_server::Target::source_byte(at as u64))
    );
}

#[tokio::test]
async fn a_target_that_refuses_resets_the_peer_and_is_counted() {
    let fixture = Fixture::new("refuse").await;
    let mut peer = fixture.connect().await;
    let error = peer.read_to_end(&mut Vec::new()).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    fixture.until(|stats| stats.counts().failed == 1).await;
    assert_eq!(fixture.stats.counts().opened, 0);
}

#[tokio::test]
async fn five_hundred_connections_at_once_are_all_served() {
    const MANY: usize = 500;
    let fixture = Fixture::new("echo").await;
    let mut peers = Vec::new();
    for _ in 0..MANY {
        peers.push(fixture.connect().await);
    }
    for (number, peer) in peers.iter_mut().enumerate() {
        peer.write_all(&(number as u32).to_be_bytes()).await.unwrap();
    }
    for (number, peer) in peers.iter_mut().enumerate() {
        assert_eq!(peer.read_u32().await.unwrap(), number as u32);
    }
    assert_eq!(fixture.stats.counts().active, MANY as u64);
    drop(peers);
    fixture.until(|stats| stats.counts().active == 0).await;
    assert_eq!(fixture.stats.counts().failed, 0);
}

#[tokio::test]
async fn a_killed_session_resets_its_connections_and_the_listener_serves_what_it_held_on_the_next() {
    let fixture = Fixture::new("echo").await;
    let mut cut = fixture.connect().await;
    cut.write_all(b"x").await.unwrap();
    assert_eq!(cut.read_u8().await.unwrap(), b'x');
    fixture.server.cut();
    let error = cut.read_to_end(&mut Vec::new()).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);

    // The source still names the session that ended: the listener finds out by itself.
    let mut held = fixture.connect().await;
    held.write_all(b"held").await.unwrap();
    fixture.until(|stats| stats.counts().held == 1).await;
    let (next, _incoming) = open(&fixture.server).await;
    fixture.source.send_replace(Some(next));
    let mut echoed = [0; 4];
    held.read_exact(&mut echoed).await.unwrap();
    assert_eq!(&echoed, b"held");
    assert_eq!(fixture.stats.counts().failed, 0);
}

#[tokio::test]
async fn a_remote_forward_carries_a_connection_of_the_server_to_a_target_here() {
    let server = server();
    let (session, incoming) = open(&server).await;
    let forwards = RemoteForwards::spawn(incoming);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = RemoteTarget {
        forward: "2222:target".into(),
        connect: Connect::Tcp { host: "127.0.0.1".to_owned(), port: listener.local_addr().unwrap().port() },
        family: AddressFamily::Any,
        permit: Arc::default(),
        max_connections: 8,
        stats: Arc::default(),
        cut: Default::default(),
    };
    let routes = forwards.routes();
    let stats = target.stats.clone();
    let wanted = Listen::Tcp { bind: Bind::Default, port: 0 };
    let granted = move |port: Option<u16>| {
        let listen = RemoteListen::Tcp { address: "localhost".to_owned(), port: port.unwrap_or_default() };
        routes.add(listen, target);
    };
    let port = session.request_forward_then(&wanted, granted).await.unwrap().unwrap();
    let mut visitor = server.connect_forward(port).unwrap();
    let (mut accepted, _) = listener.accept().await.unwrap();
    visitor.write_all(b"request").await.unwrap();
    visitor.shutdown().await.unwrap();
    let mut request = Vec::new();
    accepted.read_to_end(&mut request).await.unwrap();
    assert_eq!(request, b"request");
    accepted.write_all(b"answer").await.unwrap();
    drop(accepted);
    let mut answer = Vec::new();
    visitor.read_to_end(&mut answer).await.unwrap();
    assert_eq!(answer, b"answer");
    forwards.drain(clock::now() + HOUR).await;
    assert_eq!((stats.counts().bytes_in, stats.counts().bytes_out), (6, 7));
}

/// A listener on loopback, and a session to a server in memory.
struct Fixture {
    server: Server,
    source: watch::Sender<Option<Session>>,
    _incoming: IncomingChannels,
    stats: Arc<ForwardStats>,
    address: SocketAddr,
    _forward: LocalForward,
}

impl Fixture {
    async fn new(target: &str) -> Self {
        Self::to(Connect::Tcp { host: target.to_owned(), port: 1 }).await
    }

    async fn to(target: Connect) -> Self {
        let server = server();
        let (session, incoming) = open(&server).await;
        let (source, sessions) = watch::channel(Some(session));
        let listen = Listen::Tcp { bind: Bind::Address("127.0.0.1".to_owned()), port: 0 };
        let bound = Bound::bind(&listen, BindOptions::default()).await.unwrap();
        let stats = Arc::<ForwardStats>::default();
        let forward = LocalForward::spawn(bound, target, sessions, HOLD, stats.clone());
        let address = match forward.addresses().first() {
            Some(ListenAddress::Tcp(address)) => *address,
            other => panic!("no TCP address: {other:?}"),
        };
        Self { server, source, _incoming: incoming, stats, address, _forward: forward }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    async fn until(&self, wanted: impl Fn(&ForwardStats) -> bool) {
        while !wanted(&self.stats) {
            tokio::task::yield_now().await;
        }
    }
}

fn server() -> Server {
    Server::builder().accept_none("tester").start_memory().unwrap()
}

async fn open(server: &Server) -> (Session, IncomingChannels) {
    Session::open(&spec(), &server.dialer()).await.unwrap()
}

fn spec() -> SessionSpec {
    let mut spec = SessionSpec::to(Destination { user: "tester".to_owned(), host: "server".to_owned(), port: 22 });
    spec.host_key.strict = StrictHostKeyChecking::No;
    spec.timing.connect_timeout = HOUR;
    spec.timing.server_alive_interval = Duration::ZERO;
    spec
}
