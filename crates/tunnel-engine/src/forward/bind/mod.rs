//! Binding the listening sockets of a local forward, by the rules of ssh(1). Serving them is `local`'s part, so that
//! sockets that somebody else bound (a service manager, an earlier run) can be served too.

mod addresses;
mod holder;
mod store;
mod tcp;
#[cfg(test)]
mod tests;
mod unix;

use std::fmt;
use std::io;
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;

use socket2::{SockRef, Socket, Type};
use tokio::net::{TcpListener, UnixListener};

pub use self::store::{Closing, NoStore, SocketStore};
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
    /// A unix socket is replaced also where somebody listens on it (StreamLocalBindUnlink).
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
/// closes the sockets for everybody who has a duplicate, and removes a unix socket's file if it is still this one's;
/// but where the store says [`Closing::ForNow`], only our duplicate is closed.
pub struct Bound {
    pub(super) listen: Listen,
    pub(super) options: BindOptions,
    pub(super) store: Arc<dyn SocketStore>,
    pub(super) sockets: Vec<Listener>,
    message: Option<String>,
}

impl Bound {
    /// Binds every address that ssh(1) would for `listen`. As with ssh, one of several is enough; what failed then is
    /// in [`Bound::message`].
    ///
    /// # Errors
    /// `listen_in_use` where the address is taken, with its holder when that can be found out; `listen_denied` where
    /// the kernel forbids it or the address is not this machine's; `dns` where the name has no address.
    pub async fn bind(listen: &Listen, options: BindOptions) -> Result<Self, Failure> {
        Self::take_or_bind(listen, options, Arc::new(NoStore)).await
    }

    /// As [`Bound::bind`], but takes from the store what an earlier process left there, and has it keep what is bound.
    ///
    /// # Errors
    /// Those of [`Bound::bind`].
    pub async fn take_or_bind(
        listen: &Listen,
        options: BindOptions,
        store: Arc<dyn SocketStore>,
    ) -> Result<Self, Failure> {
        let (sockets, message) = match listen {
            Listen::Tcp { bind, port } => {
                let wanted = addresses::of(bind, *port, options).await?;
                tcp::bind(listen, &wanted, &*store).await?
            }
            Listen::Unix(path) => (vec![unix::bind(path, options, &*store)?], None),
        };
        Ok(Self { listen: listen.clone(), options, store, sockets, message })
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
        Ok(Self { listen: listen.clone(), options, store: Arc::new(NoStore), sockets, message: None })
    }

    /// The addresses that are bound.
    pub fn addresses(&self) -> Vec<ListenAddress> {
        self.sockets.iter().map(Listener::address).collect()
    }

    /// The sockets, to be handed on to a service manager.
    pub fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.sockets.iter().map(Listener::fd)
    }

    /// What is not as it was asked for: a family that could not be bound, and why.
    pub fn message(&self) -> Option<&str> {
        self.message.as_deref()
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        for socket in &mut self.sockets {
            match self.store.close(&socket.address()) {
                Closing::ForGood => socket.shut_down(),
                Closing::ForNow => socket.leave_file(),
            }
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
        let reachable = match address {
            ListenAddress::Tcp(_) => true,
            ListenAddress::Unix(path) => unix::is_socket(path),
        };
        match Self::adopt(fd) {
            Ok(listener) if reachable => return Some(listener),
            Ok(_) => tracing::debug!(listen = %address, "the socket that was kept has lost its file"),
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

    /// Ends the listening for whoever else has a duplicate, too, so that peers are refused from now on and the address
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

    /// A wildcard IPv6 socket that takes IPv4 connections too, as systemd's socket units bind it.
    fn covers_ipv4(&self) -> bool {
        let Self::Tcp(_, address) = self else { return false };
        address.is_ipv6()
            && address.ip().is_unspecified()
            && SockRef::from(&self.fd()).only_v6().is_ok_and(|only| !only)
    }

    fn fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(listener, _) => listener.as_fd(),
            Self::Unix(listener, _) => listener.as_fd(),
        }
    }
}
