//! TCP listening sockets.

use std::io;
use std::net::SocketAddr;

use nix::errno::Errno;
use socket2::{Domain, Protocol, Socket, Type};

use super::{BACKLOG, ListenAddress, Listener, SocketStore, holder};
use crate::failure::{Failure, FailureKind};
use crate::spec::Listen;

/// With port 0 the kernel chooses for the first address, and another program may hold that port on the second.
const ALLOCATE_ATTEMPTS: usize = 8;

/// Binds as many of the addresses as it can: one is enough. Says what failed when some did.
pub(super) async fn bind(
    listen: &Listen,
    wanted: &[SocketAddr],
    store: &dyn SocketStore,
) -> Result<(Vec<Listener>, Option<String>), Failure> {
    let mut outcome = attempt(wanted, store);
    let allocates = wanted.iter().any(|address| address.port() == 0);
    for _ in 1..ALLOCATE_ATTEMPTS {
        if !(allocates && outcome.1.iter().any(|(_, error)| error.kind() == io::ErrorKind::AddrInUse)) {
            break;
        }
        outcome = attempt(wanted, store);
    }
    let (listeners, mut errors) = outcome;
    if listeners.iter().any(Listener::covers_ipv4) {
        errors.retain(|(address, _)| !address.is_ipv4());
    }
    if !listeners.is_empty() {
        errors.retain(|(_, error)| !is_missing_family(error));
    }
    let mut reasons = Vec::new();
    for (address, error) in &errors {
        reasons.push(reason(*address, error).await);
    }
    match errors.first() {
        Some((_, error)) if listeners.is_empty() => Err(failure(listen, error, &reasons.join("; "))),
        Some(_) => Ok((listeners, Some(reasons.join("; ")))),
        None => Ok((listeners, None)),
    }
}

/// A machine without IPv6 has no `::1`, and nobody misses it there.
fn is_missing_family(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::AddrNotAvailable || error.raw_os_error() == Some(Errno::EAFNOSUPPORT as i32)
}

fn attempt(wanted: &[SocketAddr], store: &dyn SocketStore) -> (Vec<Listener>, Vec<(SocketAddr, io::Error)>) {
    let mut listeners = Vec::new();
    let mut errors = Vec::new();
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
                listeners.push(listener);
            }
            Err(error) => errors.push((address, error)),
        }
    }
    (listeners, errors)
}

fn listening(address: SocketAddr, store: &dyn SocketStore) -> io::Result<Listener> {
    if let Some(listener) = Listener::take(store, &ListenAddress::Tcp(address)) {
        return Ok(listener);
    }
    let socket = Socket::new(Domain::for_address(address), Type::STREAM.nonblocking().cloexec(), Some(Protocol::TCP))?;
    // Connections of an earlier run that are still in TIME_WAIT must not keep us from the port.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(Listener::tcp(socket)?.keep(store))
}

async fn reason(address: SocketAddr, error: &io::Error) -> String {
    let in_use = error.kind() == io::ErrorKind::AddrInUse;
    let held = if in_use { holder::of_port(address).await } else { None };
    match held {
        Some(holder) => format!("`{address}` is held by {holder}"),
        None => format!("`{address}`: {}", text(error)),
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the kernel has many errors, and these have a cause that can be named"
)]
fn failure(listen: &Listen, error: &io::Error, reasons: &str) -> Failure {
    let message = format!("cannot listen on `{listen}`: {reasons}");
    match Errno::from_raw(error.raw_os_error().unwrap_or_default()) {
        Errno::EADDRINUSE => Failure::new(FailureKind::ListenInUse, message),
        Errno::EADDRNOTAVAIL => Failure::new(FailureKind::ListenDenied, message)
            .with_hint("the address is not this machine's: check it with `ip address`, or listen on `*`"),
        Errno::EACCES => Failure::new(FailureKind::ListenDenied, message)
            .with_hint("use a port above 1023, or grant CAP_NET_BIND_SERVICE"),
        Errno::EINVAL => Failure::new(FailureKind::ListenDenied, message)
            .with_hint("a link-local address needs its interface: write it as in `fe80::1%eth0`"),
        _ => Failure::new(FailureKind::ListenDenied, message),
    }
}

/// The kernel's words, without the number that std adds.
pub(super) fn text(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(number) => Errno::from_raw(number).desc().to_lowercase(),
        None => error.to_string(),
    }
}
