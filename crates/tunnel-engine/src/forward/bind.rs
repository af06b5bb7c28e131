//! Binding the listening sockets of a local forward, by the rules of ssh(1). Serving them is `local`'s part, so that
//! sockets bound by others (a service manager, an earlier run) can be served too.

mod addresses;
mod again;
mod can_bind;
mod holder;
mod missing;
mod store;
mod tcp;
#[cfg(test)]
mod tests;
mod unix;
mod watch;

use std::fmt;
use std::io;
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use socket2::{SockRef, Socket, Type};
use tokio::net::{TcpListener, UnixListener};

pub(super) use self::again::next_try;
pub use self::can_bind::can_bind;
pub(super) use self::missing::HOLDER_KNOWN;
use self::missing::Missing;
pub use self::store::{CloseMode, NoStore, SocketStore};
pub use self::watch::PathWatcher;
use crate::clock;
use crate::failure::{Failure, FailureKind};
use crate::spec::{AddressFamily, Listen};

/// Connections that may wait for `accept`. ssh's 128 refuses bursts that a proxy's start or a reload of its peers
/// produces; the kernel's own cap (net.core.somaxconn, 4096) stays above this.
const BACKLOG: i32 = 1024;

/// How the addresses of a listener are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BindOptions {
    /// A listener with no address named binds all interfaces instead of loopback (`ssh -g`, GatewayPorts).
    pub gateway_ports: bool,
    /// Which families are bound (`ssh -4`, `ssh -6`, AddressFamily).
    pub family: AddressFamily,
    /// Permissions that a unix socket does not give (StreamLocalBindMask).
    pub socket_mask: u32,
    /// A unix socket is replaced also where a program listens on it (StreamLocalBindUnlink).
    pub socket_unlink: bool,
}

impl BindOptions {
    /// ssh's StreamLocalBindMask: sockets are their owner's only.
    pub const SOCKET_MASK: u32 = 0o177;
}

impl Default for BindOptions {
    /// As ssh without options.
    fn default() -> Self {
        Self {
            gateway_ports: false,
            family: AddressFamily::default(),
            socket_mask: Self::SOCKET_MASK,
            socket_unlink: false,
        }
    }
}

/// A bound listening socket's address.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ListenAddress {
    /// The real port, where the kernel chose it.
    Tcp(SocketAddr),
    /// A path.
    Unix(PathBuf),
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "{address}"),
            Self::Unix(path) => write!(f, "{}", path.display()),
        }
    }
}

/// The listening sockets of one local or dynamic forward. Connections queue in the kernel from here on. Dropping it
/// closes the sockets for all holders of a duplicate, and removes a unix socket's file if it is still this one's;
/// but where the store says [`CloseMode::ForNow`], only our duplicate is closed.
pub struct Bound {
    pub(super) listen: Listen,
    pub(super) options: BindOptions,
    pub(super) store: Arc<dyn SocketStore>,
    pub(super) sockets: Vec<Listener>,
    missing: Option<Missing>,
    pub(super) watcher: Option<PathWatcher>,
}

impl Bound {
    /// Binds every address that ssh(1) would for `listen`. As with ssh, one of several is enough; what is missing then
    /// is in [`Bound::missing`].
    ///
    /// # Errors
    /// `listen_in_use` where the address is taken, with its holder when that can be found out; `listen_denied` where
    /// the kernel forbids it or the address is not this machine's; `dns` where the name has no address;
    /// `resource_shortage` where this process has no descriptor left.
    pub async fn bind(listen: &Listen, options: BindOptions) -> Result<Self, Failure> {
        Self::take_or_bind(listen, options, Arc::new(NoStore), None).await
    }

    /// As [`Bound::bind`], but takes from the store what an earlier process left there, and has it keep what is bound.
    /// `known`: how a recent try failed; given back as it is when the address is in use as then, instead of a new
    /// search for the holder.
    ///
    /// # Errors
    /// Those of [`Bound::bind`].
    pub async fn take_or_bind(
        listen: &Listen,
        options: BindOptions,
        store: Arc<dyn SocketStore>,
        known: Option<&Failure>,
    ) -> Result<Self, Failure> {
        let (sockets, missing) = match listen {
            Listen::Tcp { bind, port } => {
                let wanted = addresses::of(bind, *port, options).await?;
                let tcp::BindAttempt { listeners, refused } = tcp::attempt(&wanted, &*store);
                if listeners.is_empty() {
                    return Err(match known.filter(|known| is_in_use(known, &refused)) {
                        Some(known) => known.clone(),
                        None => missing::all(listen, &refused).await,
                    });
                }
                (listeners, Missing::of(listen, refused, Vec::new(), clock::now()).await)
            }
            Listen::Unix(path) => (vec![unix::bind(path, options, &*store, known).await?], None),
            Listen::Device { .. } => {
                return Err(Failure::new(FailureKind::ListenDenied, "a network device is no listening socket"));
            }
        };
        Ok(Self { listen: listen.clone(), options, store, sockets, missing, watcher: None })
    }

    /// Takes over listening sockets that are already bound to `listen`.
    ///
    /// # Errors
    /// `listen_denied` when one of them is not a listening TCP or unix stream socket.
    pub fn adopt(listen: &Listen, options: BindOptions, sockets: Vec<OwnedFd>) -> Result<Self, Failure> {
        let sockets = sockets.into_iter().map(Listener::adopt).collect::<io::Result<_>>().map_err(|error| {
            let message = format!("a socket that was handed over for `{listen}` cannot be listened on: {error}");
            Failure::new(FailureKind::ListenDenied, message)
        })?;
        Ok(Self { listen: listen.clone(), options, store: Arc::new(NoStore), sockets, missing: None, watcher: None })
    }

    /// Has the path of a unix socket watched while it is served.
    #[must_use]
    pub fn watched_by(mut self, watcher: PathWatcher) -> Self {
        self.watcher = Some(watcher);
        self
    }

    /// The addresses that are bound.
    pub fn addresses(&self) -> Vec<ListenAddress> {
        self.sockets.iter().map(Listener::address).collect()
    }

    /// The sockets, to be handed on to a service manager.
    pub fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.sockets.iter().map(Listener::fd)
    }

    /// The addresses that are named and not bound, or no longer this machine's: why, and who holds them.
    pub fn missing(&self) -> Option<&Failure> {
        self.missing.as_ref().map(Missing::failure)
    }

    /// Binds what has become free of the missing addresses. To be called while there are any.
    pub(super) async fn complete(&mut self, now: Instant) {
        if let Some(missing) = self.missing.take() {
            let (listeners, missing) = missing.retry(&self.listen, &*self.store, now).await;
            self.sockets.extend(listeners);
            self.missing = missing;
        }
    }

    /// The addresses of this machine have changed.
    pub(super) async fn look_at_addresses(&mut self, now: Instant) {
        let missing = self.missing.take();
        self.missing = Missing::look_at_addresses(missing, &self.listen, &self.sockets, now).await;
    }

    /// This socket can no longer be accepted from, for another program that has a duplicate shut it down. It is closed,
    /// and its address counts as missing. False for a unix socket, whose path has to be bound from the beginning.
    pub(super) async fn give_up(&mut self, index: usize, error: io::Error, now: Instant) -> bool {
        let mut socket = self.sockets.remove(index);
        let address = socket.address();
        socket.close(&*self.store);
        if let ListenAddress::Tcp(address) = address {
            self.missing = Missing::and(self.missing.take(), &self.listen, address, error, now).await;
        }
        self.missing.is_some()
    }

    /// The path of a unix socket no longer leads to it: why no peer can connect.
    pub fn lost_file(&self) -> Option<Failure> {
        self.sockets.iter().find_map(|socket| match socket {
            Listener::Unix(_, file) => file.lost(),
            Listener::Tcp(..) => None,
        })
    }
}

/// Whether the address is in use, as it was when `known` was said.
fn is_in_use(known: &Failure, refused: &[(SocketAddr, io::Error)]) -> bool {
    known.kind() == FailureKind::ListenInUse
        && refused.iter().all(|(_, error)| error.kind() == io::ErrorKind::AddrInUse)
}

impl Drop for Bound {
    fn drop(&mut self) {
        for socket in &mut self.sockets {
            socket.close(&*self.store);
        }
    }
}

/// One listening socket.
pub(super) enum Listener {
    Tcp(TcpListener, SocketAddr),
    Unix(UnixListener, unix::SocketFile),
}

impl Listener {
    fn adopt(fd: OwnedFd) -> io::Result<Self> {
        let socket = Socket::from(fd);
        if socket.r#type()? != Type::STREAM || !socket.is_listener()? {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        socket.set_nonblocking(true)?;
        if socket.local_addr()?.is_unix() {
            let listener = UnixListener::from_std(socket.into())?;
            let file = unix::SocketFile::of(&listener)?;
            return Ok(Self::Unix(listener, file));
        }
        Self::tcp(socket)
    }

    fn tcp(socket: Socket) -> io::Result<Self> {
        let listener = TcpListener::from_std(socket.into())?;
        let address = listener.local_addr()?;
        Ok(Self::Tcp(listener, address))
    }

    pub(super) fn address(&self) -> ListenAddress {
        match self {
            Self::Tcp(_, address) => ListenAddress::Tcp(*address),
            Self::Unix(_, file) => ListenAddress::Unix(file.path().to_owned()),
        }
    }

    /// What the store has for this address, if it can be listened on and be reached.
    fn take(store: &dyn SocketStore, address: &ListenAddress) -> Option<Self> {
        let fd = store.take(address)?;
        match Self::adopt(fd) {
            Ok(listener) if listener.is_reachable() => return Some(listener),
            Ok(mut listener) => {
                // What is there instead is not ours to remove.
                listener.leave_file();
                tracing::info!(listen = %address, "the socket that was kept has lost its file, or was shut down: another one is bound")
            }
            Err(error) => tracing::warn!(listen = %address, %error, "the socket that was kept is of no use"),
        }
        // Before another one is kept under the same address.
        store.close(address);
        None
    }

    fn keep(self, store: &dyn SocketStore) -> Self {
        store.keep(&self.address(), self.fd());
        self
    }

    fn close(&mut self, store: &dyn SocketStore) {
        match store.close(&self.address()) {
            CloseMode::ForGood => self.shut_down(),
            CloseMode::ForNow => self.leave_file(),
        }
    }

    /// The address, where it is one of an interface that can lose it.
    fn own_address(&self) -> Option<SocketAddr> {
        let Self::Tcp(_, address) = self else { return None };
        (!address.ip().is_loopback() && !address.ip().is_unspecified()).then_some(*address)
    }

    /// Ends the listening for other holders of a duplicate, too, so that peers are refused from now on and the address
    /// is free (on TCP for sockets with SO_REUSEADDR, as ours are).
    fn shut_down(&self) {
        // Fails where it is shut down already, which is what is wanted.
        let _ = SockRef::from(&self.fd()).shutdown(Shutdown::Both);
    }

    fn leave_file(&mut self) {
        if let Self::Unix(_, file) = self {
            file.leave();
        }
    }

    /// Whether peers that connect to its address come to it.
    fn is_reachable(&self) -> bool {
        let mut fds = [PollFd::new(self.fd(), PollFlags::POLLIN)];
        let shut_down = poll(&mut fds, PollTimeout::ZERO).is_ok()
            && fds[0].revents().is_some_and(|events| events.contains(PollFlags::POLLHUP));
        let leads_here = match self {
            Self::Tcp(..) => true,
            Self::Unix(listener, file) => unix::leads_to(file.path(), listener),
        };
        leads_here && !shut_down
    }

    /// A wildcard IPv6 socket that takes IPv4 connections too, as systemd's socket units bind it.
    fn covers_ipv4(&self) -> bool {
        let Self::Tcp(_, address) = self else { return false };
        address.is_ipv6()
            && address.ip().is_unspecified()
            && SockRef::from(&self.fd()).only_v6().is_ok_and(|only| !only)
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(listener, _) => listener.as_fd(),
            Self::Unix(listener, _) => listener.as_fd(),
        }
    }
}
