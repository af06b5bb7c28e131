//! The running server: its address, its knobs, its counts.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::DuplexStream;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{broadcast, watch};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::builder::{Builder, MAX_UNREAD_MESSAGES, User};
use super::connection;
use super::counts::{Counter, Counts};
use super::faults::{ConnectFault, Faults};
use super::keys::{DemoKey, KeyError};
use super::listeners::{HeldPort, MemoryPorts};
use super::memory::MemoryDialer;
use super::targets::{Target, Targets};
use crate::task;

/// Connections that the kernel may hold for us: as sshd's.
const BACKLOG: u32 = 128;

/// Orders to all sessions that one session may be behind.
const ORDERS: usize = 4;

/// A running server. Dropping it cuts every connection and closes every listener.
pub struct Server {
    shared: Arc<DemoShared>,
    address: Option<SocketAddr>,
    _end: DropGuard,
}

/// What every connection of a server has in common.
pub(super) struct DemoShared {
    pub(super) users: HashMap<String, User>,
    pub(super) targets: Targets,
    pub(super) ports: MemoryPorts,
    pub(super) banner: Option<String>,
    pub(super) faults: watch::Sender<Faults>,
    pub(super) counts: Counter,
    pub(super) orders: broadcast::Sender<SessionOrder>,
    pub(super) end: CancellationToken,
    sessions: Mutex<CancellationToken>,
    host_keys: Mutex<Vec<DemoKey>>,
    config: ConfigParts,
}

/// To be carried out by every session.
#[derive(Debug, Clone)]
pub(super) enum SessionOrder {
    /// SSH_MSG_DISCONNECT.
    Goodbye { code: u32, text: String },
    /// Requests and channels that the client did not ask for.
    Flood { times: u32 },
}

struct ConfigParts {
    software: String,
    window: u32,
    certificates: Vec<russh::keys::Certificate>,
    methods: russh::MethodSet,
    preferred: russh::Preferred,
}

impl Server {
    /// A server that is yet to be described.
    pub fn builder() -> Builder {
        Builder::default()
    }

    pub(super) async fn start_tcp(builder: Builder, address: SocketAddr) -> io::Result<Self> {
        if !address.ip().is_loopback() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("`{address}` is not loopback")));
        }
        let reservation = bind(address)?;
        let address = reservation.local_addr()?;
        let server = Self::start(builder, Some(address))?;
        let listener = bind(address)?.listen(BACKLOG)?;
        let shared = server.shared.clone();
        task::detached(async move {
            shared.end.clone().run_until_cancelled(accept(shared, reservation, address, listener)).await
        });
        Ok(server)
    }

    pub(super) fn start_memory(builder: Builder) -> io::Result<Self> {
        Self::start(builder, None)
    }

    fn start(builder: Builder, address: Option<SocketAddr>) -> io::Result<Self> {
        let mut host_keys = builder.host_keys;
        if host_keys.is_empty() {
            host_keys.push(DemoKey::ed25519().map_err(io::Error::other)?);
        }
        let end = CancellationToken::new();
        let shared = DemoShared {
            config: ConfigParts {
                software: builder.software.unwrap_or_else(|| "tunneld-demo".to_owned()),
                window: builder.window.unwrap_or(super::builder::DEFAULT_WINDOW),
                certificates: builder.host_certificates,
                methods: methods(builder.users.values()),
                preferred: if builder.every_algorithm { every_algorithm() } else { russh::Preferred::DEFAULT },
            },
            users: builder.users,
            targets: Targets::new(builder.targets, address.is_some()),
            ports: MemoryPorts::default(),
            banner: builder.banner,
            faults: watch::Sender::new(Faults::default()),
            counts: Counter::new(),
            orders: broadcast::Sender::new(ORDERS),
            sessions: Mutex::new(end.child_token()),
            end: end.clone(),
            host_keys: Mutex::new(host_keys),
        };
        Ok(Self { shared: Arc::new(shared), address, _end: end.drop_guard() })
    }

    /// Where it listens; `None` for a server in memory.
    pub const fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// A dialer that reaches this server through memory, whatever host a spec names. It does not keep the server
    /// alive: once the server is gone, connections are refused.
    pub fn dialer(&self) -> MemoryDialer {
        MemoryDialer::new(&self.shared)
    }

    /// The faults ordered now.
    pub fn faults(&self) -> Faults {
        self.shared.faults.borrow().clone()
    }

    /// Changes the faults, at once.
    pub fn set_faults(&self, change: impl FnOnce(&mut Faults)) {
        self.shared.faults.send_modify(change);
    }

    /// Counts since the start.
    pub fn counts(&self) -> Counts {
        self.shared.counts.read()
    }

    /// The same, to wait for: `server.watch_counts().wait_for(|counts| counts.sessions_now == 1)`.
    pub fn watch_counts(&self) -> watch::Receiver<Counts> {
        self.shared.counts.watch()
    }

    /// The public host keys, each as `ssh-ed25519 AAAA…`.
    ///
    /// # Errors
    /// A key that has no text form; none of those made here.
    pub fn host_keys(&self) -> Result<Vec<String>, KeyError> {
        lock(&self.shared.host_keys).iter().map(DemoKey::public_openssh).collect()
    }

    /// The text of a known_hosts file that knows this server as `host`, `port`.
    ///
    /// # Errors
    /// As [`Server::host_keys`].
    pub fn known_hosts(&self, host: &str, port: u16) -> Result<String, KeyError> {
        let name = if port == 22 { host.to_owned() } else { format!("[{host}]:{port}") };
        Ok(self.host_keys()?.iter().map(|key| format!("{name} {key}\n")).collect())
    }

    /// Replaces the host keys for connections to come.
    pub fn set_host_keys(&self, keys: Vec<DemoKey>) {
        *lock(&self.shared.host_keys) = keys;
    }

    /// Cuts every connection, without a word.
    pub fn cut(&self) {
        let fresh = self.shared.end.child_token();
        std::mem::replace(&mut *lock(&self.shared.sessions), fresh).cancel();
    }

    /// Says goodbye to every session (RFC 4253 section 11.1) and closes it.
    pub fn disconnect(&self, code: u32, text: &str) {
        // Without sessions there is no receiver, and nothing to send.
        let _ = self.shared.orders.send(SessionOrder::Goodbye { code, text: text.to_owned() });
    }

    /// Every session asks for what no client serves, each kind so many times.
    pub fn flood(&self, times: u32) {
        // As above.
        let _ = self.shared.orders.send(SessionOrder::Flood { times });
    }

    /// Connects to a TCP listener that a client asked a server in memory for. `None`: no listener there.
    pub fn connect_forward(&self, port: u16) -> Option<DuplexStream> {
        self.shared.ports.connect(&port.to_string())
    }

    /// The same for a unix socket.
    pub fn connect_forward_unix(&self, path: &str) -> Option<DuplexStream> {
        self.shared.ports.connect(path)
    }

    pub(super) fn weak(&self) -> std::sync::Weak<DemoShared> {
        Arc::downgrade(&self.shared)
    }

    /// Takes a port of a server in memory away, as another program there does: it takes connections and says nothing.
    /// `None`: it is taken.
    pub fn hold_port(&self, port: u16) -> Option<HeldPort> {
        self.shared.ports.hold(&port.to_string())
    }

    /// Takes back what [`Server::set_target`] said of `name`.
    pub fn clear_target(&self, name: &str) {
        self.shared.targets.remove(name);
    }

    /// Channels to the host `name` go to `target` from now on.
    pub fn set_target(&self, name: &str, target: Target) {
        self.shared.targets.set(name, target);
    }
}

impl DemoShared {
    /// Ends when connections are cut, or the server has gone.
    pub(super) fn session_token(&self) -> CancellationToken {
        lock(&self.sessions).child_token()
    }

    pub(super) fn methods(&self) -> russh::MethodSet {
        self.config.methods.clone()
    }

    pub(super) fn in_memory(&self) -> bool {
        !self.targets.real
    }

    pub(super) fn config(&self) -> russh::server::Config {
        let faults = self.faults.borrow();
        let mut limits = russh::Limits::default();
        if let Some(bytes) = faults.rekey_after {
            limits.rekey_read_limit = bytes;
            limits.rekey_write_limit = bytes;
        }
        russh::server::Config {
            server_id: russh::SshId::Standard(format!("SSH-2.0-{}", self.config.software).into()),
            methods: self.methods(),
            auth_rejection_time: std::time::Duration::ZERO,
            keys: lock(&self.host_keys).iter().map(|key| key.inner().clone()).collect(),
            certificates: self.config.certificates.clone(),
            limits,
            preferred: self.config.preferred.clone(),
            window_size: self.config.window,
            channel_buffer_size: MAX_UNREAD_MESSAGES,
            inactivity_timeout: None,
            ..russh::server::Config::default()
        }
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A socket that is bound and does not listen keeps the port ours while connections are refused.
fn bind(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

async fn accept(shared: Arc<DemoShared>, _reservation: TcpSocket, address: SocketAddr, listener: TcpListener) {
    let mut faults = shared.faults.subscribe();
    let mut listener = Some(listener);
    loop {
        let refuse = faults.borrow_and_update().connect == ConnectFault::Refuse;
        if refuse {
            listener = None;
        } else if listener.is_none() {
            listener = bind(address).and_then(|socket| socket.listen(BACKLOG)).ok();
        }
        tokio::select! {
            biased;
            changed = faults.changed() => if changed.is_err() { return },
            stream = next(listener.as_ref()) => if let Some((stream, peer)) = stream {
                task::detached(connection::serve(shared.clone(), stream, Some(peer)));
            },
        }
    }
}

async fn next(listener: Option<&TcpListener>) -> Option<(TcpStream, SocketAddr)> {
    let Some(listener) = listener else { return std::future::pending().await };
    let (stream, peer) = listener.accept().await.ok()?;
    stream.set_nodelay(true).ok()?;
    Some((stream, peer))
}

/// But for those that protect nothing.
fn every_algorithm() -> russh::Preferred {
    let protects = |name: &str| !matches!(name, "none" | "clear");
    let kex = russh::kex::ALL_KEX_ALGORITHMS.iter().map(|name| **name).filter(|name| protects(name.as_ref()));
    let ciphers = russh::cipher::ALL_CIPHERS.iter().map(|name| **name).filter(|name| protects(name.as_ref()));
    let macs = russh::mac::ALL_MAC_ALGORITHMS.iter().map(|name| **name).filter(|name| protects(name.as_ref()));
    // Flags of the exchange stand among its methods.
    let flags = [russh::kex::EXTENSION_SUPPORT_AS_SERVER, russh::kex::EXTENSION_OPENSSH_STRICT_KEX_AS_SERVER];
    russh::Preferred {
        kex: kex.chain(flags).collect(),
        cipher: ciphers.collect(),
        mac: macs.collect(),
        ..russh::Preferred::DEFAULT
    }
}

fn methods<'a>(users: impl Iterator<Item = &'a User>) -> russh::MethodSet {
    use russh::MethodKind;
    let mut methods = russh::MethodSet::empty();
    for user in users {
        let offered = [
            (!user.keys.is_empty() || !user.authorities.is_empty(), MethodKind::PublicKey),
            (user.interactive.is_some(), MethodKind::KeyboardInteractive),
            (user.password.is_some(), MethodKind::Password),
        ];
        for (_, method) in offered.into_iter().filter(|(offered, _)| *offered) {
            if !methods.contains(&method) {
                methods.push(method);
            }
        }
    }
    if methods.is_empty() {
        methods.push(MethodKind::PublicKey);
    }
    methods
}
