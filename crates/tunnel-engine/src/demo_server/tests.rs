//! The server against russh's own client, in memory and over TCP.

use std::sync::Arc;
use std::time::Duration;

use russh::client::{self, Handle};
use russh::keys::{PrivateKeyWithHashAlg, PublicKeyOrCertificate};
use russh::{ChannelMsg, ChannelOpenFailure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::*;
use crate::clock;
use crate::dial::Dialer;
use crate::failure::FailureKind;

const PATIENCE: Duration = Duration::from_secs(20);

#[tokio::test(start_paused = true)]
async fn right_credentials_log_in_and_wrong_ones_do_not() {
    let key = DemoKey::ed25519().unwrap();
    let builder = Server::builder().accept_key("key", &key.public_openssh().unwrap()).unwrap();
    let server =
        builder.accept_password("word", "secret").accept_interactive("asked", "answer").start_memory().unwrap();

    let mut client = connect(&server).await.unwrap();
    let private = PrivateKeyWithHashAlg::new(Arc::new(key.inner().clone()), None);
    assert!(client.authenticate_publickey("key", private).await.unwrap().success());

    let mut client = connect(&server).await.unwrap();
    let other = PrivateKeyWithHashAlg::new(Arc::new(DemoKey::ed25519().unwrap().inner().clone()), None);
    assert!(!client.authenticate_publickey("key", other).await.unwrap().success());
    assert!(!client.authenticate_password("word", "wrong").await.unwrap().success());
    assert!(client.authenticate_password("word", "secret").await.unwrap().success());

    let mut client = connect(&server).await.unwrap();
    client.authenticate_keyboard_interactive_start("asked", None).await.unwrap();
    let answer = client.authenticate_keyboard_interactive_respond(vec!["answer".into()]).await.unwrap();
    assert!(matches!(answer, client::KeyboardInteractiveAuthResponse::Success));
    assert_eq!((server.counts().auth_attempts, server.counts().sessions), (5, 3));
}

#[tokio::test(start_paused = true)]
async fn an_echo_in_memory_keeps_half_closed_connections() {
    let (server, client) = session().await;
    let mut stream = client.channel_open_direct_tcpip("echo", 7, "test", 1).await.unwrap().into_stream();
    stream.write_all(b"there and back").await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert_eq!(answer, "there and back");
    drop(stream);
    until(&server, |counts| counts.channels == 1 && counts.channels_now == 0).await;
}

#[tokio::test(start_paused = true)]
async fn source_sends_and_sink_counts() {
    let (_server, client) = session().await;
    let mut source = client.channel_open_direct_tcpip("source", 3, "test", 1).await.unwrap().into_stream();
    let mut bytes = Vec::new();
    source.read_to_end(&mut bytes).await.unwrap();
    assert_eq!(bytes.len(), 3 << 20);
    assert!(bytes.iter().zip(0..).all(|(byte, position)| *byte == Target::source_byte(position)));

    let mut sink = client.channel_open_direct_tcpip("sink", 1, "test", 1).await.unwrap().into_stream();
    sink.write_all(&bytes).await.unwrap();
    sink.shutdown().await.unwrap();
    assert_eq!(sink.read_u64().await.unwrap(), 3 << 20);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_and_a_reset_reach_the_client_as_such() {
    let (server, client) = session().await;
    let refused = client.channel_open_direct_tcpip("refuse", 1, "test", 1).await.unwrap_err();
    assert!(matches!(refused, russh::Error::ChannelOpenFailure(ChannelOpenFailure::ConnectFailed)), "{refused:?}");
    server.set_faults(|faults| faults.deny_channels = true);
    let denied = client.channel_open_direct_tcpip("echo", 1, "test", 1).await.unwrap_err();
    let prohibited = ChannelOpenFailure::AdministrativelyProhibited;
    assert!(matches!(denied, russh::Error::ChannelOpenFailure(why) if why == prohibited));
    server.set_faults(|faults| *faults = Faults::default());

    let mut channel = client.channel_open_direct_tcpip("reset", 1, "test", 1).await.unwrap();
    channel.data_bytes(&b"x"[..]).await.unwrap();
    let closed = async {
        loop {
            match channel.wait().await {
                Some(ChannelMsg::Eof) | None => panic!("a reset is no end of file"),
                Some(ChannelMsg::Close) => return,
                Some(_) => {}
            }
        }
    };
    timeout(PATIENCE, closed).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn memory_listener_serves_until_cancelled() {
    let (server, client) = session().await;
    let port = client.tcpip_forward("localhost", 0).await.unwrap();
    let mut outside = server.connect_forward(u16::try_from(port).unwrap()).unwrap();
    outside.write_all(b"ping").await.unwrap();
    let mut echoed = [0; 4];
    timeout(PATIENCE, outside.read_exact(&mut echoed)).await.unwrap().unwrap();
    assert_eq!(&echoed, b"ping");

    let second = login(&server).await;
    assert!(second.tcpip_forward("localhost", port).await.is_err(), "the port is taken");
    client.cancel_tcpip_forward("localhost", port).await.unwrap();
    assert!(server.connect_forward(u16::try_from(port).unwrap()).is_none());
    second.tcpip_forward("localhost", port).await.unwrap();
    drop(second);
    until(&server, |counts| counts.forwards_now == 0).await;
}

#[tokio::test(start_paused = true)]
async fn connections_can_be_refused_turned_away_and_left_alone() {
    let (server, _client) = session().await;
    server.set_faults(|faults| faults.connect = ConnectFault::Refuse);
    let refused = server.dialer().dial(&spec(), clock::now()).await.err().unwrap();
    assert_eq!(refused.kind(), FailureKind::ConnectRefused);

    server.set_faults(|faults| faults.connect = ConnectFault::Lost);
    let lost = server.dialer().dial(&spec(), clock::now() + PATIENCE).await.err().unwrap();
    assert_eq!(lost.kind(), FailureKind::ConnectTimeout);

    server.set_faults(|faults| faults.connect = ConnectFault::SayAndClose("Not allowed at this time".into()));
    let mut link = server.dialer().dial(&spec(), clock::now()).await.unwrap();
    let mut said = String::new();
    link.io.read_to_string(&mut said).await.unwrap();
    assert_eq!(said, "Not allowed at this time\r\n");

    for (fault, first) in [(ConnectFault::Silent, ""), (ConnectFault::StallInKeyExchange, "SSH-2.0-tunneld-demo\r\n")] {
        server.set_faults(|faults| faults.connect = fault);
        let mut link = server.dialer().dial(&spec(), clock::now()).await.unwrap();
        let mut heard = vec![0; first.len()];
        link.io.read_exact(&mut heard).await.unwrap();
        assert_eq!(heard, first.as_bytes());
        timeout(PATIENCE, link.io.read_u8()).await.unwrap_err();
    }
}

#[tokio::test(start_paused = true)]
async fn a_login_can_stall_be_rejected_or_break() {
    let server = Server::builder().accept_password("me", "secret").start_memory().unwrap();
    server.set_faults(|faults| faults.auth = AuthFault::Reject);
    let mut client = connect(&server).await.unwrap();
    assert!(!client.authenticate_password("me", "secret").await.unwrap().success());

    server.set_faults(|faults| faults.auth = AuthFault::Stall);
    let login = client.authenticate_password("me", "secret");
    tokio::pin!(login);
    timeout(PATIENCE, &mut login).await.unwrap_err();
    server.set_faults(|faults| faults.auth = AuthFault::None);
    assert!(timeout(PATIENCE, login).await.unwrap().unwrap().success());

    server.set_faults(|faults| faults.auth = AuthFault::Drop);
    let mut client = connect(&server).await.unwrap();
    let _ = client.authenticate_password("me", "secret").await;
    timeout(PATIENCE, client).await.unwrap().unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn sessions_can_be_cut_dismissed_and_silenced() {
    let (server, mut client) = session().await;
    server.disconnect(11, "going down");
    let ended = timeout(PATIENCE, &mut client).await.unwrap();
    assert!(ended.is_ok(), "a goodbye is no error: {ended:?}");
    until(&server, |counts| counts.sessions_now == 0 && counts.connections_now == 0).await;

    let client = login(&server).await;
    server.cut();
    timeout(PATIENCE, client).await.unwrap().unwrap_err();
    until(&server, |counts| counts.sessions_now == 0).await;

    let client = login(&server).await;
    client.send_ping().await.unwrap();
    server.set_faults(|faults| faults.link = LinkFaults::BLACKHOLE);
    timeout(PATIENCE, client.send_ping()).await.unwrap_err();
    assert!(!client.is_closed());
}

#[tokio::test(start_paused = true)]
async fn opens_and_listen_requests_can_stay_unanswered() {
    let (server, client) = session().await;
    server.set_faults(|faults| faults.hold_channels = true);
    let open = client.channel_open_direct_tcpip("echo", 7, "test", 1);
    tokio::pin!(open);
    timeout(PATIENCE, &mut open).await.unwrap_err();
    server.set_faults(|faults| *faults = Faults { hold_forwards: true, ..Faults::default() });
    timeout(PATIENCE, open).await.unwrap().unwrap();
    timeout(PATIENCE, client.tcpip_forward("localhost", 0)).await.unwrap_err();
    server.set_faults(|faults| *faults = Faults { deny_forwards: true, ..Faults::default() });
    assert!(client.tcpip_forward("localhost", 0).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn another_host_key_is_shown_once_it_is_set() {
    let (server, _client) = session().await;
    let before = server.known_hosts("h", 2222).unwrap();
    assert!(before.starts_with("[h]:2222 ssh-ed25519 "), "{before}");
    server.set_host_keys(vec![DemoKey::ed25519().unwrap()]);
    assert_ne!(before, server.known_hosts("h", 2222).unwrap());
    let link = server.dialer().dial(&spec(), clock::now()).await.unwrap();
    let keys = Arc::new(std::sync::Mutex::new(Vec::new()));
    let client = client::connect_stream(config(), link.io, Client { keys: keys.clone() }).await.unwrap();
    drop(client);
    assert_eq!(*keys.lock().unwrap(), server.host_keys().unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_server_that_rekeys_often_loses_no_byte() {
    let server = Server::builder().accept_none("me").start_memory().unwrap();
    server.set_faults(|faults| faults.rekey_after = Some(256 * 1024));
    let client = login(&server).await;
    let mut source = client.channel_open_direct_tcpip("source", 4, "test", 1).await.unwrap().into_stream();
    let mut bytes = Vec::new();
    source.read_to_end(&mut bytes).await.unwrap();
    assert!(bytes.len() == 4 << 20 && bytes.iter().zip(0..).all(|(byte, at)| *byte == Target::source_byte(at)));
}

#[tokio::test]
async fn tcp_server_comes_back_on_its_port() {
    let server = Server::builder().accept_none("me").start_tcp().await.unwrap();
    let address = server.address().unwrap();
    let client = login_tcp(&server).await;

    let target = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = target.local_addr().unwrap().port();
    let mut near = client.channel_open_direct_tcpip("localhost", port.into(), "test", 1).await.unwrap().into_stream();
    let (mut far, _) = target.accept().await.unwrap();
    near.write_all(b"in").await.unwrap();
    let mut two = [0; 2];
    far.read_exact(&mut two).await.unwrap();
    assert_eq!(&two, b"in");

    let port = u16::try_from(client.tcpip_forward("localhost", 0).await.unwrap()).unwrap();
    let mut outside = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    outside.write_all(b"hi").await.unwrap();
    timeout(PATIENCE, outside.read_exact(&mut two)).await.unwrap().unwrap();
    assert_eq!(&two, b"hi");
    let second = login_tcp(&server).await;
    assert!(second.tcpip_forward("127.0.0.1", port.into()).await.is_err(), "the port is taken");

    server.set_faults(|faults| faults.connect = ConnectFault::Refuse);
    let refused = |error: &std::io::Error| error.kind() == std::io::ErrorKind::ConnectionRefused;
    eventually(async || tokio::net::TcpStream::connect(address).await.err().filter(refused)).await;
    server.set_faults(|faults| faults.connect = ConnectFault::None);
    eventually(async || tokio::net::TcpStream::connect(address).await.ok()).await;
    drop(server);
    timeout(PATIENCE, client).await.unwrap().unwrap_err();
}

#[tokio::test]
async fn unix_sockets_work_and_leave_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let server = Server::builder().accept_none("me").start_tcp().await.unwrap();
    let client = login_tcp(&server).await;

    let target = tokio::net::UnixListener::bind(path("target")).unwrap();
    let _near = client.channel_open_direct_streamlocal(path("target")).await.unwrap();
    target.accept().await.unwrap();

    client.streamlocal_forward(path("listen")).await.unwrap();
    let mut outside = tokio::net::UnixStream::connect(path("listen")).await.unwrap();
    outside.write_all(b"x").await.unwrap();
    assert_eq!(timeout(PATIENCE, outside.read_u8()).await.unwrap().unwrap(), b'x');
    server.cut();
    until(&server, |counts| counts.forwards_now == 0).await;
    assert!(!std::path::Path::new(&path("listen")).exists());
}

struct Client {
    keys: Arc<std::sync::Mutex<Vec<String>>>,
}

impl Client {
    fn new() -> Self {
        Self { keys: Arc::default() }
    }
}

impl client::Handler for Client {
    type Error = russh::Error;

    async fn check_server_key(&mut self, key: &PublicKeyOrCertificate) -> Result<bool, Self::Error> {
        if let PublicKeyOrCertificate::PublicKey { key, .. } = key {
            self.keys.lock().unwrap().push(key.to_openssh().unwrap());
        }
        Ok(true)
    }

    async fn server_channel_open_forwarded_tcpip(
        &mut self,
        channel: russh::Channel<client::Msg>,
        _: &str,
        _: u32,
        _: &str,
        _: u32,
        reply: client::ChannelOpenHandle,
        _: &mut client::Session,
    ) -> Result<(), Self::Error> {
        echo(channel, reply).await;
        Ok(())
    }

    async fn server_channel_open_forwarded_streamlocal(
        &mut self,
        channel: russh::Channel<client::Msg>,
        _: &str,
        reply: client::ChannelOpenHandle,
        _: &mut client::Session,
    ) -> Result<(), Self::Error> {
        echo(channel, reply).await;
        Ok(())
    }
}

async fn echo(channel: russh::Channel<client::Msg>, reply: client::ChannelOpenHandle) {
    reply.accept().await;
    crate::task::detached(async move {
        let (mut read, mut write) = tokio::io::split(channel.into_stream());
        tokio::io::copy(&mut read, &mut write).await
    });
}

async fn session() -> (Server, Handle<Client>) {
    let server = Server::builder().accept_none("me").start_memory().unwrap();
    let client = login(&server).await;
    (server, client)
}

async fn login(server: &Server) -> Handle<Client> {
    let mut client = connect(server).await.unwrap();
    assert!(client.authenticate_none("me").await.unwrap().success());
    client
}

async fn login_tcp(server: &Server) -> Handle<Client> {
    let mut client = client::connect(config(), server.address().unwrap(), Client::new()).await.unwrap();
    assert!(client.authenticate_none("me").await.unwrap().success());
    client
}

async fn connect(server: &Server) -> Result<Handle<Client>, russh::Error> {
    let link = server.dialer().dial(&spec(), clock::now()).await.unwrap();
    client::connect_stream(config(), link.io, Client::new()).await
}

fn config() -> Arc<client::Config> {
    Arc::new(client::Config::default())
}

async fn until(server: &Server, reached: impl FnMut(&Counts) -> bool) {
    timeout(PATIENCE, server.watch_counts().wait_for(reached)).await.expect("in time").expect("the server is there");
}

async fn eventually<T>(mut attempt: impl AsyncFnMut() -> Option<T>) -> T {
    let attempts = async {
        loop {
            if let Some(value) = attempt().await {
                return value;
            }
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, attempts).await.unwrap()
}

fn spec() -> crate::spec::SessionSpec {
    crate::dial::tests::spec("me@demo")
}
