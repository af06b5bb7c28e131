//! Sockets that the service manager hands over (sd_listen_fds(3)): from its store, or from a socket unit.

use std::io;
use std::os::fd::OwnedFd;

use socket2::{Socket, Type};
use tunnel_engine::forward::ListenAddress;

/// One that can be listened on.
#[derive(Debug)]
pub struct Inherited {
    /// Its listen address.
    pub address: ListenAddress,
    /// Its name in the service manager (FDNAME).
    pub name: String,
    /// The socket, closed on exec.
    pub socket: OwnedFd,
}

/// Takes all of LISTEN_FDS that are meant for this process. To be called once, and before there are threads: it takes
/// the variables out of the environment, so that no child believes that they are meant for it.
pub fn take() -> Vec<Inherited> {
    // Sets close-on-exec on all, and knows the names; listenfd makes owned sockets of the numbers, without `unsafe`
    // here.
    let names = match sd_notify::listen_fds_with_names() {
        Ok(fds) => fds.map(|(_, name)| name).collect(),
        Err(error) => {
            // Logging has not begun.
            eprintln!("tunneld: the sockets of LISTEN_FDS are not taken: {error}");
            Vec::new()
        }
    };
    if names.is_empty() {
        return Vec::new();
    }
    let mut fds = listenfd::ListenFd::from_env();
    let mut taken = Vec::new();
    for (at, name) in names.into_iter().enumerate() {
        match listener(&mut fds, at) {
            Ok((address, socket)) => taken.push(Inherited { address, name, socket }),
            Err(error) => eprintln!("tunneld: the socket `{name}` of LISTEN_FDS is not taken: {error}"),
        }
    }
    taken
}

fn listener(fds: &mut listenfd::ListenFd, at: usize) -> io::Result<(ListenAddress, OwnedFd)> {
    let gone = || io::Error::new(io::ErrorKind::InvalidInput, "it is not handed over");
    let socket: Socket = match fds.take_tcp_listener(at) {
        Ok(tcp) => tcp.ok_or_else(gone)?.into(),
        Err(_) => fds.take_unix_listener(at)?.ok_or_else(gone)?.into(),
    };
    if socket.r#type()? != Type::STREAM || !socket.is_listener()? {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it does not listen"));
    }
    let address = socket.local_addr()?;
    let address = match (address.as_socket(), address.as_pathname()) {
        (Some(address), _) => ListenAddress::Tcp(address),
        (None, Some(path)) => ListenAddress::Unix(path.to_owned()),
        (None, None) => return Err(io::Error::new(io::ErrorKind::InvalidInput, "no forward can have its address")),
    };
    Ok((address, socket.into()))
}
