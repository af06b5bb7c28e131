//! What clients ask the server to listen on: real loopback sockets, or ports in memory.

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use russh::server::Handle;
use tokio::io::DuplexStream;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::relay::{self, TargetStream};
use super::server::{DemoShared, lock};
use super::targets::TARGET_PIPE_BYTES;
use crate::task;

/// Connections that wait for one listener in memory: as sshd's backlog.
const BACKLOG: usize = 128;

/// Ports that a server in memory gives out where port 0 is asked for.
const FIRST_ALLOCATED_PORT: u16 = 40_000;

/// Listeners of one session; more are refused.
const MAX_LISTENERS: usize = 1024;

/// The listeners of one session. They end with it.
pub(super) struct Listeners {
    shared: Arc<DemoShared>,
    gone: CancellationToken,
    live: HashMap<ListenPlace, DemoListener>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum ListenPlace {
    Tcp { address: String, port: u16 },
    Unix(String),
}

struct DemoListener {
    _tasks: Vec<AbortOnDropHandle<()>>,
    _claim: Option<PortClaim>,
    _socket_file: Option<DemoSocketFile>,
    _now: super::counts::CountGuard,
}

impl Listeners {
    pub(super) fn new(shared: Arc<DemoShared>, gone: CancellationToken) -> Self {
        Self { shared, gone, live: HashMap::new() }
    }

    /// Listens for `address`, `port` (0: any), as the request says; gives the real port.
    pub(super) fn listen_tcp(&mut self, handle: &Handle, address: &str, port: u16) -> Option<u16> {
        let port = if self.shared.in_memory() {
            self.listen_memory_tcp(handle, address, port)?
        } else {
            self.listen_real_tcp(handle, address, port).ok()?
        };
        Some(port)
    }

    /// Listens on a unix socket.
    pub(super) fn listen_unix(&mut self, handle: &Handle, path: &str) -> Option<()> {
        let place = ListenPlace::Unix(path.to_owned());
        let origin = ListenerOrigin { handle: handle.clone(), place: place.clone() };
        if self.shared.in_memory() {
            let (claim, incoming) = self.shared.ports.claim(path)?;
            let task = self.start(origin, IncomingSource::Memory(incoming));
            return self.keep(place, vec![task], Some(claim), None);
        }
        let listener = UnixListener::bind(path).ok()?;
        let task = self.start(origin, IncomingSource::Unix(listener));
        self.keep(place, vec![task], None, Some(DemoSocketFile(path.into())))
    }

    /// Ends a listener; false: there is none.
    pub(super) fn cancel_tcp(&mut self, address: &str, port: u16) -> bool {
        self.live.remove(&ListenPlace::Tcp { address: address.to_owned(), port }).is_some()
    }

    /// The same for a unix socket.
    pub(super) fn cancel_unix(&mut self, path: &str) -> bool {
        self.live.remove(&ListenPlace::Unix(path.to_owned())).is_some()
    }

    fn listen_memory_tcp(&mut self, handle: &Handle, address: &str, port: u16) -> Option<u16> {
        let (port, claim, incoming) = match port {
            0 => (FIRST_ALLOCATED_PORT..).find_map(|port| {
                self.shared.ports.claim(&port.to_string()).map(|(claim, incoming)| (port, claim, incoming))
            })?,
            port => {
                let (claim, incoming) = self.shared.ports.claim(&port.to_string())?;
                (port, claim, incoming)
            }
        };
        let place = ListenPlace::Tcp { address: address.to_owned(), port };
        let task = self
            .start(ListenerOrigin { handle: handle.clone(), place: place.clone() }, IncomingSource::Memory(incoming));
        self.keep(place, vec![task], Some(claim), None)?;
        Some(port)
    }

    fn listen_real_tcp(&mut self, handle: &Handle, address: &str, port: u16) -> io::Result<u16> {
        let listeners = bind_loopback(address, port)?;
        let port = listeners[0].local_addr()?.port();
        let place = ListenPlace::Tcp { address: address.to_owned(), port };
        let tasks = listeners
            .into_iter()
            .map(|listener| {
                self.start(
                    ListenerOrigin { handle: handle.clone(), place: place.clone() },
                    IncomingSource::Tcp(listener),
                )
            })
            .collect();
        self.keep(place, tasks, None, None).ok_or(io::ErrorKind::QuotaExceeded)?;
        Ok(port)
    }

    fn start(&self, origin: ListenerOrigin, incoming: IncomingSource) -> AbortOnDropHandle<()> {
        task::owned(accept(self.shared.clone(), self.gone.clone(), origin, incoming))
    }

    fn keep(
        &mut self,
        place: ListenPlace,
        tasks: Vec<AbortOnDropHandle<()>>,
        claim: Option<PortClaim>,
        socket_file: Option<DemoSocketFile>,
    ) -> Option<()> {
        if self.live.len() >= MAX_LISTENERS {
            return None;
        }
        let now = self.shared.counts.hold(|counts| &mut counts.forwards_now);
        let listener = DemoListener { _tasks: tasks, _claim: claim, _socket_file: socket_file, _now: now };
        self.live.insert(place, listener);
        Some(())
    }
}

/// As sshd with `GatewayPorts no`: loopback, whatever was asked for; one family where its address was named.
fn bind_loopback(address: &str, port: u16) -> io::Result<Vec<TcpListener>> {
    let (v4, v6) = match address {
        "127.0.0.1" => (true, false),
        "::1" => (false, true),
        _ => (true, true),
    };
    let mut listeners = Vec::new();
    if v4 {
        listeners.push(bind((Ipv4Addr::LOCALHOST, port).into())?);
    }
    if v6 {
        let port = listeners.first().map_or(Ok(port), |v4: &TcpListener| v4.local_addr().map(|own| own.port()))?;
        match bind((Ipv6Addr::LOCALHOST, port).into()) {
            Ok(listener) => listeners.push(listener),
            // A machine without IPv6 still has the other family.
            Err(_) if v4 => {}
            Err(error) => return Err(error),
        }
    }
    Ok(listeners)
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = std::net::TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}

struct ListenerOrigin {
    handle: Handle,
    place: ListenPlace,
}

enum IncomingSource {
    Tcp(TcpListener),
    Unix(UnixListener),
    Memory(mpsc::Receiver<DuplexStream>),
}

async fn accept(
    shared: Arc<DemoShared>,
    gone: CancellationToken,
    origin: ListenerOrigin,
    mut incoming: IncomingSource,
) {
    let origin = Arc::new(origin);
    while let Some((stream, peer)) = incoming.next().await {
        // Ends with the connection or the session; a cancelled listener leaves its connections alone.
        task::detached(open(shared.clone(), gone.clone(), origin.clone(), stream, peer));
    }
}

impl IncomingSource {
    async fn next(&mut self) -> Option<(Box<dyn TargetStream>, SocketAddr)> {
        let nowhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        match self {
            Self::Tcp(listener) => {
                let (stream, peer) = listener.accept().await.ok()?;
                stream.set_nodelay(true).ok()?;
                Some((Box::new(stream), peer))
            }
            Self::Unix(listener) => {
                let (stream, _) = listener.accept().await.ok()?;
                Some((Box::new(stream), nowhere))
            }
            Self::Memory(streams) => Some((Box::new(streams.recv().await?), nowhere)),
        }
    }
}

async fn open(
    shared: Arc<DemoShared>,
    gone: CancellationToken,
    origin: Arc<ListenerOrigin>,
    stream: Box<dyn TargetStream>,
    peer: SocketAddr,
) {
    let opened = match &origin.place {
        ListenPlace::Tcp { address, port } => {
            let opening = origin.handle.channel_open_forwarded_tcpip(
                address.clone(),
                u32::from(*port),
                peer.ip().to_string(),
                u32::from(peer.port()),
            );
            gone.run_until_cancelled(opening).await
        }
        ListenPlace::Unix(path) => {
            gone.run_until_cancelled(origin.handle.channel_open_forwarded_streamlocal(path.clone())).await
        }
    };
    match opened {
        Some(Ok(channel)) => relay::relay(shared, channel, stream, gone).await,
        Some(Err(_)) | None => stream.reset(),
    }
}

/// The ports of a server in memory.
#[derive(Clone, Default)]
pub(super) struct MemoryPorts(Arc<Mutex<HashMap<String, mpsc::Sender<DuplexStream>>>>);

/// A port of a server in memory that no client can have until this is dropped.
pub struct HeldPort {
    _claim: PortClaim,
    _connections: mpsc::Receiver<DuplexStream>,
}

/// A port that is taken until this is dropped.
struct PortClaim {
    ports: MemoryPorts,
    name: String,
}

impl MemoryPorts {
    /// Connects to a listener.
    pub(super) fn connect(&self, name: &str) -> Option<DuplexStream> {
        let (ours, theirs) = tokio::io::duplex(TARGET_PIPE_BYTES);
        lock(&self.0).get(name)?.try_send(theirs).ok()?;
        Some(ours)
    }

    pub(super) fn hold(&self, name: &str) -> Option<HeldPort> {
        self.claim(name).map(|(claim, connections)| HeldPort { _claim: claim, _connections: connections })
    }

    fn claim(&self, name: &str) -> Option<(PortClaim, mpsc::Receiver<DuplexStream>)> {
        let mut ports = lock(&self.0);
        if ports.contains_key(name) {
            return None;
        }
        let (put, take) = mpsc::channel(BACKLOG);
        ports.insert(name.to_owned(), put);
        Some((PortClaim { ports: self.clone(), name: name.to_owned() }, take))
    }
}

impl Drop for PortClaim {
    fn drop(&mut self) {
        lock(&self.ports.0).remove(&self.name);
    }
}

/// A socket file that we made.
struct DemoSocketFile(PathBuf);

impl Drop for DemoSocketFile {
    fn drop(&mut self) {
        let is_socket = |path: &Path| path.symlink_metadata().is_ok_and(|data| data.file_type().is_socket());
        if is_socket(&self.0) {
            // It may have been removed already.
            let _ = std::fs::remove_file(&self.0);
        }
    }
}
