//! Against a server that does what no honest server does.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use russh::server::{Auth, Config, Handle, Handler, Msg};
use russh::{Channel as RusshChannel, ChannelOpenFailure, Error};
use tokio::io::DuplexStream;

use super::*;
use crate::link::{Dialing, Link};
use crate::spec::*;
use crate::task;

/// Accepts every login, and answers each request to listen with what the test says.
struct Lenient {
    grant: watch::Receiver<bool>,
}

impl Handler for Lenient {
    type Error = Error;

    async fn auth_none(&mut self, _: &str) -> Result<Auth, Error> {
        Ok(Auth::Accept)
    }

    async fn tcpip_forward(&mut self, _: &str, port: &mut u32, _: &mut russh::server::Session) -> Result<bool, Error> {
        *port = 4000;
        Ok(self.grant.wait_for(|grant| *grant).await.is_ok())
    }
}

struct OneLink(Mutex<Option<DuplexStream>>);

impl Dialer for OneLink {
    fn dial<'a>(&'a self, _: &'a SessionSpec, _: Instant) -> Dialing<'a> {
        let io = Box::new(self.0.lock().expect("lock").take().expect("one dial"));
        Box::pin(async { Ok(Link { io, peer: None, local: None, keep: None }) })
    }
}

struct ScriptedServer {
    handle: Handle,
    grant: watch::Sender<bool>,
}

async fn connected() -> (ScriptedServer, Session, IncomingChannels) {
    let (near, far) = tokio::io::duplex(1 << 20);
    let (grant, granted) = watch::channel(false);
    let key = crate::demo_server::DemoKey::ed25519().and_then(|key| key.private_openssh()).expect("key");
    let key = russh::keys::decode_secret_key(&key, None).expect("key");
    let config = Config { keys: vec![key], auth_rejection_time: Duration::ZERO, ..Config::default() };
    let running = task::owned(async move {
        let running = russh::server::run_stream(Arc::new(config), far, Lenient { grant: granted }).await;
        let running = running.expect("server");
        let handle = running.handle();
        task::detached(running);
        handle
    });
    let dialer = OneLink(Mutex::new(Some(near)));
    let (session, incoming) = Session::open(&spec(), &dialer).await.expect("session");
    (ScriptedServer { handle: running.await.expect("server"), grant }, session, incoming)
}

fn spec() -> SessionSpec {
    let mut spec = SessionSpec::to(Destination { user: "u".to_owned(), host: "h".to_owned(), port: 22 });
    spec.host_key.strict = StrictHostKeyChecking::No;
    spec.timing.server_alive_interval = Duration::ZERO;
    spec
}

fn prohibited(opened: Result<RusshChannel<Msg>, Error>) -> bool {
    matches!(opened, Err(Error::ChannelOpenFailure(ChannelOpenFailure::AdministrativelyProhibited)))
}

#[tokio::test(start_paused = true)]
async fn server_gets_no_channel_unasked() {
    let (server, _session, _incoming) = connected().await;
    let handle = &server.handle;
    assert!(prohibited(handle.channel_open_session().await));
    assert!(prohibited(handle.channel_open_agent().await));
    assert!(prohibited(handle.channel_open_x11("x", 1).await));
    assert!(prohibited(handle.channel_open_direct_tcpip("127.0.0.1", 22, "x", 1).await));
    assert!(prohibited(handle.channel_open_direct_streamlocal("/s").await));
    assert!(prohibited(handle.channel_open_forwarded_tcpip("localhost", 22, "x", 1).await));
    assert!(prohibited(handle.channel_open_forwarded_streamlocal("/s").await));
}

#[tokio::test(start_paused = true)]
async fn connection_on_unnamed_port_waits_for_the_name() {
    let (server, session, mut incoming) = connected().await;
    let listen = Listen::Tcp { bind: Bind::Default, port: 0 };
    let asker = session.clone();
    let asked = task::owned(async move { asker.request_forward(&listen).await });
    // The request must be known before the connection comes; on the wire it is the same.
    tokio::time::timeout(Duration::from_secs(1), std::future::pending::<()>()).await.expect_err("a pause");
    let handle = server.handle.clone();
    let early =
        task::owned(async move { handle.channel_open_forwarded_tcpip("localhost", 4000, "x", 1).await.is_ok() });
    assert!(tokio::time::timeout(Duration::from_secs(1), incoming.recv()).await.is_err(), "held");
    server.grant.send_replace(true);
    assert_eq!(asked.await.expect("task"), Ok(Some(4000)));
    let channel = incoming.recv().await.expect("the early connection");
    assert_eq!(channel.listen, RemoteListen::Tcp { address: "localhost".to_owned(), port: 4000 });
    let _open = channel.accept().expect("session");
    assert!(early.await.expect("task"));
}

#[tokio::test(start_paused = true)]
async fn more_connections_than_may_wait_are_refused_at_once() {
    let (server, session, _incoming) = connected().await;
    server.grant.send_replace(true);
    session.request_forward(&Listen::Tcp { bind: Bind::Default, port: 4000 }).await.expect("listening");
    let mut waiting = Vec::new();
    for _ in 0..incoming::MAX_WAITING {
        let handle = server.handle.clone();
        waiting.push(task::owned(async move {
            let _ = handle.channel_open_forwarded_tcpip("localhost", 4000, "x", 1).await;
        }));
    }
    tokio::time::timeout(Duration::from_secs(1), std::future::pending::<()>()).await.expect_err("a pause");
    let refused = server.handle.channel_open_forwarded_tcpip("localhost", 4000, "x", 1).await;
    assert!(matches!(refused, Err(Error::ChannelOpenFailure(ChannelOpenFailure::ResourceShortage))), "{refused:?}");
}
