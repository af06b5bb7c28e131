//! What the tests of tunnels share.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{oneshot, watch};
use tracing::Dispatch;
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::layer::SubscriberExt;
use tunnel_engine::clock;
use tunnel_engine::demo_server::{MemoryDialer, Server};
use tunnel_engine::dial::{Dialer, Dialing};
use tunnel_engine::forward::{NoStore, PathWatcher};
use tunnel_engine::spec::{
    Bind, Connect, Destination, Forward, ForwardKind, Listen, SessionSpec, StrictHostKeyChecking,
};

use super::super::{CommandSlots, Context, Handle, Order, TunnelView, spawn};
use crate::config::TunnelSpec;
use crate::history::Recorder;
use crate::os::RecentLines;
use crate::servers::governor::{Governor, QueueEntry};
use crate::servers::reachability::Reachability;
use crate::tunnel::OpenedLink;

/// A session for the user `me`, who proves nothing, to a server that proves nothing.
pub(crate) fn session_spec(host: &str, port: u16) -> SessionSpec {
    let mut spec = SessionSpec::to(Destination { user: "me".to_owned(), host: host.to_owned(), port });
    spec.host_key.strict = StrictHostKeyChecking::No;
    spec
}

/// `me` may log in to it, without any proof.
pub(crate) fn server() -> Server {
    Server::builder().accept_none("me").start_memory().unwrap()
}

/// A tunnel to a server in memory, without jitter. Forwards as ssh's options take them: `L0:echo:1`, `R7000:localhost:80`.
pub(crate) fn tunnel_spec(name: &str, forwards: &[&str]) -> TunnelSpec {
    let mut spec = TunnelSpec::new(name.to_owned(), session_spec("server", 22));
    spec.forwards = forwards.iter().map(|text| forward(text)).collect();
    spec.policy.backoff.jitter = 0.0;
    spec
}

/// `L`, `R` or `D`, listen port (0: chosen; local ones on IPv4 loopback only), connect host and port.
pub(crate) fn forward(text: &str) -> Forward {
    let (kind, rest) = text.split_at(1);
    let mut parts = rest.split(':');
    let port = parts.next().unwrap().parse().unwrap();
    let connect = match (parts.next(), parts.next()) {
        (Some(host), Some(port)) => Connect::Tcp { host: host.to_owned(), port: port.parse().unwrap() },
        _ => Connect::Socks,
    };
    let (kind, bind) = match kind {
        "L" => (ForwardKind::Local, Bind::Address("127.0.0.1".to_owned())),
        "D" => (ForwardKind::Dynamic, Bind::Address("127.0.0.1".to_owned())),
        _ => (ForwardKind::Remote, Bind::Default),
    };
    Forward { kind, listen: Listen::Tcp { bind, port }, connect, max_connections: None }
}

/// While there is one subscriber only, tracing asks that of the thread that comes to a call site first. That may be another
/// test's, which has none, and the call site would be silent for all.
static SECOND: LazyLock<Dispatch> = LazyLock::new(|| Dispatch::new(tracing_subscriber::registry()));

/// The lines that this thread logs, as long as the guard lives.
pub(crate) fn listen() -> (RecentLines, DefaultGuard) {
    LazyLock::force(&SECOND);
    let lines = RecentLines::default();
    let subscriber = tracing_subscriber::registry().with(lines.layer());
    (lines, tracing::subscriber::set_default(subscriber))
}

/// One tunnel at work, with a server of its own.
pub(crate) struct TestTunnel {
    pub(crate) server: Server,
    pub(crate) handle: Handle,
    pub(crate) view: watch::Receiver<TunnelView>,
}

impl TestTunnel {
    /// The same with another way to servers; `server` is the one of them that the rig speaks of.
    pub(crate) fn over(net: impl Dialer, server: Server, spec: TunnelSpec) -> Self {
        let handle = spawn(spec, context(Arc::new(net)));
        let view = handle.watch();
        let rig = Self { server, handle, view };
        rig.order(Order::Start);
        rig
    }

    /// A tunnel that has been told to start.
    pub(crate) fn started(spec: TunnelSpec) -> Self {
        let server = server();
        Self::over(server.dialer(), server, spec)
    }

    pub(crate) async fn ready(spec: TunnelSpec) -> Self {
        let mut rig = Self::started(spec);
        rig.until("ready", |view| view.ready).await;
        rig
    }

    pub(crate) fn order(&self, order: Order) {
        self.handle.order(order).unwrap();
    }

    /// Orders, and waits until that order has been taken.
    pub(crate) async fn ordered(&self, order: Order) {
        self.order(order);
        let (answer, answered) = oneshot::channel();
        self.handle.taken(answer);
        answered.await.unwrap();
    }

    pub(crate) async fn until(&mut self, what: &str, is: impl FnMut(&TunnelView) -> bool) -> TunnelView {
        let seen = tokio::time::timeout(PATIENCE, self.view.wait_for(is)).await.map(|view| view.unwrap().clone());
        seen.unwrap_or_else(|_| panic!("not {what}, but {:#?}", self.handle.view().status(clock::now())))
    }

    /// Connects to the listener of the forward at this place.
    pub(crate) async fn connect(&self, place: usize) -> TcpStream {
        let listen = self.view.borrow().forwards[place].listen.clone();
        TcpStream::connect(listen).await.unwrap()
    }
}

/// Each login goes to the next of some servers, and all further ones to the last: one host whose paths fail one by one.
pub(crate) struct InTurn {
    servers: Vec<MemoryDialer>,
    next: AtomicUsize,
}

impl InTurn {
    pub(crate) fn new(servers: &[&Server]) -> Self {
        Self { servers: servers.iter().map(|server| server.dialer()).collect(), next: AtomicUsize::new(0) }
    }
}

impl Dialer for InTurn {
    fn dial<'a>(&'a self, spec: &'a SessionSpec, deadline: Instant) -> Dialing<'a> {
        let turn = self.next.fetch_add(1, Ordering::Relaxed).min(self.servers.len() - 1);
        self.servers[turn].dial(spec, deadline)
    }
}

/// Virtual: a test that waits in vain ends at once.
const PATIENCE: Duration = Duration::from_secs(3600);

pub(crate) fn context(dialer: Arc<dyn Dialer>) -> Context {
    let governor = Governor::default();
    Context {
        reachability: Reachability::new(dialer.clone(), governor.clone()),
        ready_link: OpenedLink::default(),
        dialer,
        listeners: Arc::new(NoStore),
        paths: PathWatcher::default(),
        governor,
        place: QueueEntry::default(),
        network: watch::channel(0).1,
        stop_timeout: Duration::from_secs(10),
        changed: Arc::default(),
        commands: CommandSlots::default(),
        history: Recorder::default(),
        seed: 7,
        observer: None,
    }
}

/// There and back again.
pub(crate) async fn echoes(stream: &mut TcpStream) -> bool {
    let mut back = [0; 4];
    stream.write_all(b"ping").await.is_ok() && stream.read_exact(&mut back).await.is_ok() && back == *b"ping"
}
