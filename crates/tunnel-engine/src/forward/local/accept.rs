//! Accepting from several listening sockets in turn.

use std::future::poll_fn;
use std::io;
use std::task::Poll;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tokio::net::TcpStream;

use crate::forward::bind::Listener;
use crate::forward::stream::Stream;
use crate::shortage;

/// Accepts from whichever socket has a connection. `turn` remembers who was served last, so that no socket starves
/// the others. Where so few descriptors are left that logins need them, connections wait in the kernel. Cancel-safe.
pub(super) async fn any(listeners: &[Listener], turn: &mut usize) -> io::Result<Stream> {
    poll_fn(|context| {
        let wait = shortage::users_wait();
        for offset in 1..=listeners.len() {
            let index = (*turn + offset) % listeners.len();
            if wait && has_connection(&listeners[index]) {
                return Poll::Ready(Err(io::Error::other("the last open files are left to logins")));
            }
            let accepted = match &listeners[index] {
                Listener::Tcp(listener, _) => listener.poll_accept(context).map_ok(|(stream, _)| prompt(stream)),
                Listener::Unix(listener, _) => listener.poll_accept(context).map_ok(|(stream, _)| Stream::Unix(stream)),
            };
            if let Poll::Ready(accepted) = accepted {
                *turn = index;
                if let Ok(stream) = &accepted {
                    shortage::taken_by_user(stream.descriptor());
                }
                return Poll::Ready(accepted);
            }
        }
        Poll::Pending
    })
    .await
}

fn has_connection(listener: &Listener) -> bool {
    let mut asked = [PollFd::new(listener.fd(), PollFlags::POLLIN)];
    poll(&mut asked, PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
}

/// TCP_NODELAY, as ssh sets it: what is small is most often waited for.
fn prompt(stream: TcpStream) -> Stream {
    // Fails only on a socket that is already dead, which the next read says better.
    let _ = stream.set_nodelay(true);
    Stream::Tcp(stream)
}

/// True when only this one connection failed, so that the next can be accepted at once (accept(2), Error handling).
/// The others, a lack of file descriptors or memory above all, would fail again at once.
pub(super) fn concerns_one_connection(error: &io::Error) -> bool {
    matches!(
        Errno::from_raw(error.raw_os_error().unwrap_or_default()),
        Errno::ECONNABORTED
            | Errno::ECONNRESET
            | Errno::EINTR
            | Errno::ENETDOWN
            | Errno::EPROTO
            | Errno::ENOPROTOOPT
            | Errno::EHOSTDOWN
            | Errno::ENONET
            | Errno::EHOSTUNREACH
            | Errno::EOPNOTSUPP
            | Errno::ENETUNREACH
            | Errno::EPERM
    )
}

/// True when the socket itself accepts no more: another program that has a duplicate shut it down (accept(2), EINVAL).
pub(super) fn is_shut_down(error: &io::Error) -> bool {
    error.raw_os_error() == Some(Errno::EINVAL as i32)
}

#[cfg(test)]
mod tests {
    use tokio::net::UnixStream;

    use super::*;
    use crate::forward::bind::{BindOptions, Bound, ListenAddress};
    use crate::spec::{Bind, Listen};

    #[tokio::test]
    async fn every_socket_is_served_without_nagle_delay() {
        let bound = Bound::bind(&Listen::Tcp { bind: Bind::Default, port: 0 }, BindOptions::default()).await.unwrap();
        let mut turn = 0;
        for address in bound.addresses() {
            let ListenAddress::Tcp(address) = address else { panic!("not TCP") };
            let peer = TcpStream::connect(address).await.unwrap();
            let Stream::Tcp(accepted) = any(&bound.sockets, &mut turn).await.unwrap() else { panic!("not TCP") };
            assert_eq!(accepted.peer_addr().unwrap(), peer.local_addr().unwrap());
            assert!(accepted.nodelay().unwrap());
        }
    }

    #[tokio::test]
    async fn a_unix_socket_is_served() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let bound = Bound::bind(&Listen::Unix(path.clone()), BindOptions::default()).await.unwrap();
        let _peer = UnixStream::connect(&path).await.unwrap();
        assert!(matches!(any(&bound.sockets, &mut 0).await, Ok(Stream::Unix(_))));
    }

    #[test]
    fn lack_of_descriptors_is_no_connections_fault() {
        let concerns = |errno: Errno| concerns_one_connection(&io::Error::from_raw_os_error(errno as i32));
        assert!(concerns(Errno::ECONNABORTED));
        assert!(!concerns(Errno::EMFILE));
        assert!(!concerns(Errno::ENFILE));
        assert!(!concerns(Errno::EINVAL));
    }
}
