//! The ways to a server: TCP, jump hosts, proxy commands.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio::time::timeout;
use tunnel_engine::demo_server::{AuthFault, ConnectFault, Flow, LinkFaults, MemoryNet, Server, Target};
use tunnel_engine::dial::NetDialer;
use tunnel_engine::failure::{Failure, FailureKind};
use tunnel_engine::session::{Channel, ChannelRead, ChannelWrite, Inbound, Originator, Session};
use tunnel_engine::spec::{Connect, Destination, Route, SessionSpec, StrictHostKeyChecking};

const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn over_tcp_a_session_knows_both_addresses() {
    let server = Server::builder().accept_none("me").start_tcp().await.unwrap();
    let address = server.address().unwrap();
    let session =
        open(&spec(&format!("me@localhost:{}", address.port()), Route::Direct), &NetDialer::new()).await.unwrap();
    assert_eq!(session.info().peer, Some(address));
    assert!(session.info().local.unwrap().ip().is_loopback());
    assert_eq!(echo(&session, b"over tcp").await, b"over tcp");
}

#[tokio::test(start_paused = true)]
async fn a_session_goes_through_two_jump_hosts_and_takes_them_down_with_it() {
    let chain = Chain::new();
    let session = open(&chain.spec(), &chain.dialer()).await.unwrap();
    assert_eq!(session.info().peer, None);
    assert_eq!(echo(&session, b"two hops").await, b"two hops");
    assert_eq!(chain.sessions(), [1, 1, 1]);
    drop(session);
    for server in [&chain.outer, &chain.inner, &chain.far] {
        let gone = async { server.watch_counts().wait_for(|counts| counts.sessions_now == 0).await.map(drop) };
        timeout(PATIENCE, gone).await.unwrap().unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_jump_host_that_cannot_be_passed_is_named_with_its_reason() {
    let chain = Chain::new();
    chain.outer.set_faults(|faults| faults.connect = ConnectFault::Refuse);
    let failure = chain.failure().await;
    assert_eq!(failure.kind(), FailureKind::JumpFailed);
    assert_eq!(failure.message(), "jump host `inner:22`: jump host `outer:22`: `outer:22` refused the connection");

    let chain = Chain::new();
    chain.inner.set_faults(|faults| faults.auth = AuthFault::Reject);
    let failure = chain.failure().await;
    assert_eq!(failure.kind(), FailureKind::AuthRejected, "{failure}");
    assert!(failure.message().starts_with("jump host `inner:22`: "), "{failure}");

    let chain = Chain::new();
    chain.inner.set_faults(|faults| faults.deny_channels = true);
    let failure = chain.failure().await;
    assert_eq!(failure.kind(), FailureKind::JumpFailed);
    assert_eq!(
        failure.message(),
        "jump host `inner:22`: no connection from there to `far:22`: the server forbids it: Administratively prohibited"
    );
    assert!(failure.hint().contains("PermitOpen"), "{}", failure.hint());
}

#[tokio::test(start_paused = true)]
async fn refusal_of_a_jump_host_is_told_whatever_its_code() {
    for (code, hint) in [(1, "PermitOpen"), (2, "can reach"), (3, "proxy_command"), (4, "limit"), (77, "log")] {
        let chain = Chain::new();
        chain.inner.set_target("far", Target::RefuseWith(code, "not\u{7} now".to_owned()));
        let failure = chain.failure().await;
        assert_eq!(failure.kind(), FailureKind::JumpFailed, "{code}");
        let message = failure.message();
        assert!(message.contains("no connection from there to `far:22`"), "{code}: {message}");
        assert!(message.ends_with(": not\\u{7} now"), "{code}: {message}");
        assert!(failure.hint().contains(hint), "{code}: {}", failure.hint());
    }
}

#[tokio::test(start_paused = true)]
async fn a_failure_at_the_far_end_is_not_the_jump_hosts() {
    let chain = Chain::new();
    chain.far.set_faults(|faults| faults.auth = AuthFault::Reject);
    let failure = chain.failure().await;
    assert_eq!(failure.kind(), FailureKind::AuthRejected);
    assert!(!failure.message().contains("jump host"), "{failure}");
}

#[tokio::test(start_paused = true)]
async fn a_jump_host_that_never_opens_the_way_is_given_up_in_time() {
    let chain = Chain::new();
    chain.inner.set_faults(|faults| faults.hold_channels = true);
    let failure = chain.failure().await;
    assert_eq!(failure.kind(), FailureKind::ConnectTimeout, "{failure}");
}

#[tokio::test(start_paused = true)]
async fn a_jump_host_that_is_lost_later_is_named_as_the_reason() {
    let chain = Chain::new();
    let session = open(&chain.spec(), &chain.dialer()).await.unwrap();
    chain.outer.cut();
    let failure = ended(&session).await;
    assert_eq!(failure.kind(), FailureKind::JumpFailed, "{failure}");
    assert!(failure.message().contains("jump host `outer:22`"), "{failure}");
}

#[tokio::test(start_paused = true)]
async fn a_far_end_that_dies_behind_a_living_jump_host_is_noticed_while_uploading() {
    let chain = Chain::new();
    let session = open(&chain.spec(), &chain.dialer()).await.unwrap();
    let channel = connect(&session, "sink", 1).await;
    let upload = tunnel_engine::task::owned(async move {
        while channel.writer.write(Bytes::from(vec![0; 64 * 1024])).await.is_ok() {}
    });
    chain.far.watch_counts().wait_for(|counts| counts.channels_now == 1).await.unwrap();
    chain.far.set_faults(|faults| faults.link.to_server = Flow::Stop);
    chain.far.set_faults(|faults| faults.link.to_client = Flow::Stop);
    let failure = ended(&session).await;
    assert_eq!(failure.kind(), FailureKind::KeepaliveTimeout, "{failure}");
    drop(upload);
}

/// russh's loop of the jump host's session may wait for the inner one to read, and the inner one for its write to be
/// taken by the outer: with a small buffer between them both wait for ever, once the path is long enough for writes
/// to wait for the jump host's window while downloads keep coming.
#[tokio::test(start_paused = true)]
async fn sixteen_flows_both_ways_through_a_jump_host_do_not_stop() {
    const FLOWS: usize = 16;
    const MIB_A_FLOW: u16 = 8;
    let bastion = Server::builder().accept_none("me").start_memory().unwrap();
    let far = Server::builder().accept_none("me").start_memory().unwrap();
    bastion.set_target("far", Target::server(&far));
    let dialer = NetDialer::over(Arc::new(MemoryNet::default().with("bastion:22", &bastion)));
    let mut jump = spec("me@bastion", Route::Direct);
    jump.receive_window = 16 * 1024 * 1024;
    let session = open(&spec("me@far", Route::Jump(Box::new(jump))), &dialer).await.unwrap();
    bastion.set_faults(|faults| faults.link = LinkFaults::delayed(Duration::from_millis(25)));
    let mut flows = Vec::new();
    for _ in 0..FLOWS {
        let sink = connect(&session, "sink", MIB_A_FLOW).await;
        // Last: only its task reads it.
        let source = connect(&session, "source", MIB_A_FLOW).await;
        flows.push(tunnel_engine::task::owned(async move { tokio::join!(upload(sink, MIB_A_FLOW), download(source)) }));
    }
    let bytes = u64::from(MIB_A_FLOW) * 1024 * 1024;
    for flow in flows {
        assert_eq!(timeout(PATIENCE, flow).await.expect("the flows stopped").unwrap(), (bytes, bytes));
    }
}

/// Gives what the sink says it got.
async fn upload(mut sink: Channel, mib: u16) -> u64 {
    let piece = Bytes::from(vec![0; 32 * 1024]);
    for _ in 0..u64::from(mib) * 32 {
        sink.writer.write(piece.clone()).await.unwrap();
    }
    sink.writer.eof().await.unwrap();
    let mut count = Vec::new();
    while let Inbound::Data(bytes) = sink.reader.read().await {
        count.extend_from_slice(&bytes);
    }
    u64::from_be_bytes(count.try_into().unwrap())
}

/// Gives how many right bytes came before the end.
async fn download(mut source: Channel) -> u64 {
    let mut position = 0;
    while let Inbound::Data(bytes) = source.reader.read().await {
        for byte in &bytes {
            assert_eq!(*byte, Target::source_byte(position), "at {position}");
            position += 1;
        }
    }
    position
}

#[tokio::test]
async fn a_session_goes_over_a_proxy_command() {
    let server = Server::builder().accept_none("me").start_tcp().await.unwrap();
    let port = server.address().unwrap().port();
    let command = format!("bash -c 'exec 3<>/dev/tcp/127.0.0.1/{port}; cat <&3 & exec cat >&3'");
    let session = open(&spec("me@nowhere", Route::Command(command)), &NetDialer::new()).await.unwrap();
    assert_eq!(echo(&session, b"by pipe").await, b"by pipe");
    drop(session);
    let mut counts = server.watch_counts();
    timeout(PATIENCE, counts.wait_for(|counts| counts.connections_now == 0)).await.expect("it was killed").unwrap();
}

#[tokio::test]
async fn a_proxy_command_that_fails_says_how() {
    let command = "sh -c 'echo cannot reach it >&2; exit 7'".to_owned();
    let failure = open(&spec("me@far", Route::Command(command)), &NetDialer::new()).await.err().unwrap();
    assert_eq!(failure.kind(), FailureKind::ProxyCommandFailed);
    assert_eq!(failure.message(), "the proxy_command for `far:22` ended with status 7: `cannot reach it`");
}

/// outer ─► inner ─► far, in memory.
struct Chain {
    outer: Server,
    inner: Server,
    far: Server,
}

impl Chain {
    fn new() -> Self {
        let start = || Server::builder().accept_none("me").start_memory().unwrap();
        let (outer, inner, far) = (start(), start(), start());
        outer.set_target("inner", Target::server(&inner));
        inner.set_target("far", Target::server(&far));
        Self { outer, inner, far }
    }

    fn dialer(&self) -> NetDialer {
        NetDialer::over(Arc::new(MemoryNet::default().with("outer:22", &self.outer)))
    }

    fn spec(&self) -> SessionSpec {
        let outer = spec("me@outer", Route::Direct);
        let inner = spec("me@inner", Route::Jump(Box::new(outer)));
        spec("me@far", Route::Jump(Box::new(inner)))
    }

    fn sessions(&self) -> [u64; 3] {
        [&self.outer, &self.inner, &self.far].map(|server| server.counts().sessions_now)
    }

    async fn failure(&self) -> Failure {
        open(&self.spec(), &self.dialer()).await.err().expect("a failure")
    }
}

async fn open(spec: &SessionSpec, dialer: &NetDialer) -> Result<Session, Failure> {
    timeout(PATIENCE, Session::open(spec, dialer)).await.expect("in time").map(|(session, _)| session)
}

async fn connect(session: &Session, host: &str, port: u16) -> Channel {
    let origin = Originator { address: "127.0.0.1".into(), port: 1 };
    session.open_direct(&Connect::Tcp { host: host.into(), port }, &origin).await.unwrap()
}

async fn echo(session: &Session, bytes: &'static [u8]) -> Vec<u8> {
    let mut channel = connect(session, "echo", 1).await;
    channel.writer.write(Bytes::from_static(bytes)).await.unwrap();
    channel.writer.eof().await.unwrap();
    let mut echoed = Vec::new();
    while let Inbound::Data(bytes) = timeout(PATIENCE, channel.reader.read()).await.unwrap() {
        echoed.extend_from_slice(&bytes);
    }
    echoed
}

async fn ended(session: &Session) -> Failure {
    let mut ended = session.ended();
    let failure = timeout(PATIENCE * 2, ended.wait_for(Option::is_some)).await.expect("it ends").unwrap().clone();
    failure.unwrap()
}

fn spec(destination: &str, via: Route) -> SessionSpec {
    let mut spec = SessionSpec::to(Destination::parse(destination, "me").unwrap());
    spec.dial.via = via;
    spec.host_key.strict = StrictHostKeyChecking::No;
    spec
}

#[tokio::test]
async fn packet_without_content_is_told_as_a_protocol_failure() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let _server = tunnel_engine::task::owned(async move {
        let (mut client, _) = listener.accept().await.unwrap();
        client.write_all(b"SSH-2.0-odd\r\n\0\0\0\0").await.unwrap();
        // The connection stays open: what ends the session is the packet.
        std::future::pending::<()>().await;
    });
    let failure =
        open(&spec(&format!("me@127.0.0.1:{port}"), Route::Direct), &NetDialer::new()).await.err().expect("no session");
    assert_eq!(failure.kind(), FailureKind::Protocol, "{failure}");
}
