//! TCP listening sockets.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use nix::errno::Errno;
use socket2::{Domain, Protocol, Socket, Type};

use super::{BACKLOG, ListenAddress, Listener, SocketStore};

/// With port 0 the kernel chooses for the first address, and another program may hold that port on the second.
const ALLOCATE_ATTEMPTS: usize = 8;

/// What came of binding several addresses.
pub(super) struct BindAttempt {
    pub(super) listeners: Vec<Listener>,
    /// The addresses that are missed, with the kernel's reason.
    pub(super) refused: Vec<(SocketAddr, io::Error)>,
}

/// Binds as many of the addresses as it can. Not missed beside one that was bound: the addresses of a family that this
/// machine does not have, and an IPv4 address that an IPv6 socket serves too.
pub(super) fn attempt(wanted: &[SocketAddr], store: &dyn SocketStore) -> BindAttempt {
    let mut outcome = each(wanted, store);
    let allocates = wanted.iter().any(|address| address.port() == 0);
    for _ in 1..ALLOCATE_ATTEMPTS {
        if !(allocates && outcome.refused.iter().any(|(_, error)| error.kind() == io::ErrorKind::AddrInUse)) {
            break;
        }
        outcome = each(wanted, store);
    }
    if outcome.listeners.iter().any(Listener::covers_ipv4) {
        outcome.refused.retain(|(address, _)| !address.is_ipv4());
    }
    if !outcome.listeners.is_empty() {
        outcome.refused.retain(|(address, error)| !is_missing_family(*address, error));
    }
    outcome
}

fn each(wanted: &[SocketAddr], store: &dyn SocketStore) -> BindAttempt {
    let mut attempt = BindAttempt { listeners: Vec::new(), refused: Vec::new() };
    let mut allocated = None;
    for address in wanted {
        let mut address = *address;
        if let (0, Some(port)) = (address.port(), allocated) {
            address.set_port(port);
        }
        match listening(address, store) {
            Ok(listener) => {
                if let Listener::Tcp(_, real) = &listener {
                    allocated = Some(real.port());
                }
                attempt.listeners.push(listener);
            }
            Err(error) => attempt.refused.push((address, error)),
        }
    }
    attempt
}

/// A machine without IPv6 has no `::1`, and no address of that family is missed there. An address of a family that the
/// machine has may come up later.
fn is_missing_family(address: SocketAddr, error: &io::Error) -> bool {
    let loopback: IpAddr = if address.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() };
    error.raw_os_error() == Some(Errno::EAFNOSUPPORT as i32)
        || (error.kind() == io::ErrorKind::AddrNotAvailable && !is_local(SocketAddr::new(loopback, 0)))
}

/// Whether the address is one of this machine's now. A socket stays bound when its address leaves the interface, and
/// is of use again when it comes back.
pub(super) fn is_local(address: SocketAddr) -> bool {
    let bound =
        Socket::new(Domain::for_address(address), Type::STREAM.cloexec(), Some(Protocol::TCP)).and_then(|probe| {
            let mut any_port = address;
            any_port.set_port(0);
            probe.bind(&any_port.into())
        });
    // Anything else says nothing about the address.
    !bound.is_err_and(|error| {
        error.kind() == io::ErrorKind::AddrNotAvailable || error.raw_os_error() == Some(Errno::EAFNOSUPPORT as i32)
    })
}

fn listening(address: SocketAddr, store: &dyn SocketStore) -> io::Result<Listener> {
    if let Some(listener) = Listener::take(store, &ListenAddress::Tcp(address)) {
        return Ok(listener);
    }
    let socket = socket(address)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(Listener::tcp(socket)?.keep(store))
}

/// To be bound to `address` and listened on.
pub(super) fn socket(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM.nonblocking().cloexec(), Some(Protocol::TCP))?;
    // Connections of an earlier run that are still in TIME_WAIT must not keep us from the port.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    Ok(socket)
}

/// The kernel's words, without the number that std adds.
pub(super) fn text(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(number) => Errno::from_raw(number).desc().to_lowercase(),
        None => error.to_string(),
    }
}
