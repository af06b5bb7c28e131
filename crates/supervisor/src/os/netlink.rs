//! Changes of this machine's network, as the kernel tells them over rtnetlink(7).

mod parse;

use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixDatagram as StdDatagram;

use nix::libc;
use nix::sys::socket::{AddressFamily, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, socket};
use tokio::net::UnixDatagram;

use parse::KernelState;
pub(super) use parse::RouteEvent;

/// Links, addresses and routes of both families (rtnetlink.h, RTMGRP_*).
const GROUPS: libc::c_int = libc::RTMGRP_LINK
    | libc::RTMGRP_IPV4_IFADDR
    | libc::RTMGRP_IPV6_IFADDR
    | libc::RTMGRP_IPV4_ROUTE
    | libc::RTMGRP_IPV6_ROUTE;

/// What the kernel puts into one datagram at most (netlink(7), NLMSG_GOODSIZE), with room to spare.
const DATAGRAM: usize = 32 * 1024;

/// Receives what changes from now on.
pub(super) struct Netlink {
    /// tokio has no type for netlink; of this one, nothing is used but that it receives datagrams.
    socket: UnixDatagram,
    known: KernelState,
    buffer: Vec<u8>,
}

impl Netlink {
    /// # Errors
    /// Netlink is not permitted here, as in some sandboxes.
    pub(super) fn open() -> io::Result<Self> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let socket = socket(AddressFamily::Netlink, SockType::Raw, flags, SockProtocol::NetlinkRoute)?;
        bind(socket.as_raw_fd(), &NetlinkAddr::new(0, GROUPS.cast_unsigned()))?;
        let socket = UnixDatagram::from_std(StdDatagram::from(socket))?;
        Ok(Self { socket, known: KernelState::default(), buffer: vec![0; DATAGRAM] })
    }

    /// The next change that may matter.
    ///
    /// # Errors
    /// The socket broke.
    pub(super) async fn next(&mut self) -> io::Result<RouteEvent> {
        loop {
            match self.socket.recv(&mut self.buffer).await {
                Ok(read) => {
                    if let Some(event) = self.known.parse(&self.buffer[..read]) {
                        return Ok(event);
                    }
                }
                // More changed than the kernel could keep for us.
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => return Ok(RouteEvent::Unknown),
                Err(error) => return Err(error),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_kernel_lets_us_listen_or_says_why_not() {
        match Netlink::open() {
            Ok(mut netlink) => {
                // Nothing may happen, and nothing breaks.
                let soon = tunnel_engine::clock::now() + std::time::Duration::from_millis(10);
                if let Ok(received) = tokio::time::timeout_at(soon.into(), netlink.next()).await {
                    received.unwrap();
                }
            }
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
}
