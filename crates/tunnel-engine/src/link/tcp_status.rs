//! What the kernel knows of a TCP connection that its bytes do not tell: whether the peer acknowledges ours.

use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use nix::libc;
use nix::sys::socket::sockopt::{GetStruct, SetStruct};
use nix::sys::socket::{GetSockOpt, SetSockOpt};
use tokio::net::TcpStream;

use crate::clock;

/// The far end of a link as the network sees it, below the SSH protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TcpStatus {
    /// Bytes of ours are on their way, or wait for the peer to take them, and it has not said that it has them.
    pub outstanding: bool,
    /// When the peer last acknowledged anything.
    pub last_ack: Instant,
}

/// `struct tcp_info` up to `tcpi_total_retrans`, which every Linux fills: its first 104 bytes.
type TcpInfo = [u8; 104];
/// Offsets in it (linux/tcp.h).
const PROBES: usize = 3;
const UNACKED: usize = 24;
const LAST_ACK_RECEIVED_MS: usize = 56;

/// linux/tcp.h, since 6.15; the libc crate does not have it yet.
const TCP_RTO_MAX_MS: libc::c_int = 44;

// nix's macros hold the unsafe call, so that there is none here.
#[derive(Clone, Copy)]
struct Info;
nix::getsockopt_impl!(Info, libc::IPPROTO_TCP, libc::TCP_INFO, TcpInfo, GetStruct<TcpInfo>);

#[derive(Clone, Copy)]
struct LongestRetransmit;
nix::setsockopt_impl!(LongestRetransmit, libc::IPPROTO_TCP, TCP_RTO_MAX_MS, libc::c_int, SetStruct<libc::c_int>);

impl TcpStatus {
    /// `None` when the kernel says nothing.
    pub(crate) fn of(stream: &TcpStream) -> Option<Self> {
        let info = Info.get(stream).ok()?;
        // A peer whose window is closed is asked again and again (probes) though nothing is on its way.
        let outstanding = field(&info, UNACKED) > 0 || info[PROBES] > 0;
        let ago = Duration::from_millis(u64::from(field(&info, LAST_ACK_RECEIVED_MS)));
        let now = clock::now();
        Some(Self { outstanding, last_ack: now.checked_sub(ago).unwrap_or(now) })
    }
}

/// Bytes that are lost are sent again at least this often, however long the path has been dead, so that a session
/// goes on soon after it heals. Does nothing on kernels that do not know it.
pub(crate) fn limit_retransmit_wait(socket: &impl std::os::fd::AsFd, longest: Duration) {
    let ms = libc::c_int::try_from(longest.as_millis()).unwrap_or(libc::c_int::MAX);
    if let Err(error) = LongestRetransmit.set(socket, &ms) {
        tracing::trace!(%error, "this kernel does not bound the wait between retransmissions");
    }
}

/// This machine does not have the address any more: what was connected from it will never hear an answer.
pub(crate) fn is_gone(local: SocketAddr) -> bool {
    let bound = UdpSocket::bind(SocketAddr::new(local.ip(), 0));
    matches!(bound, Err(error) if error.kind() == std::io::ErrorKind::AddrNotAvailable)
}

fn field(info: &TcpInfo, at: usize) -> u32 {
    let mut bytes = [0; 4];
    bytes.copy_from_slice(&info[at..at + 4]);
    u32::from_ne_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn bytes_that_the_peer_has_are_not_outstanding() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut far, _) = listener.accept().await.unwrap();
        limit_retransmit_wait(&near, Duration::from_secs(1));
        near.write_all(b"word").await.unwrap();
        far.read_exact(&mut [0; 4]).await.unwrap();
        far.write_all(b"answer").await.unwrap();
        near.read_exact(&mut [0; 6]).await.unwrap();
        let look = TcpStatus::of(&near).unwrap();
        assert!(!look.outstanding, "{look:?}");
        assert!(clock::now() - look.last_ack < Duration::from_secs(60), "{look:?}");
    }

    #[test]
    fn an_address_is_gone_when_this_machine_has_it_not() {
        assert!(!is_gone("127.0.0.1:22".parse().unwrap()));
        assert!(is_gone("192.0.2.1:22".parse().unwrap()));
    }
}
