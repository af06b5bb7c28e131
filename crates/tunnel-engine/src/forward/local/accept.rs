//! Accepting from several listening sockets in turn.

use std::future::poll_fn;
use std::io;
use std::task::Poll;

use nix::errno::Errno;

use crate::forward::bind::Listener;
use crate::forward::stream::Stream;

/// Accepts from whichever socket has a connection. `turn` remembers who was served last, so that no socket starves
/// the others. Cancel-safe.
pub(super) async fn any(listeners: &[Listener], turn: &mut usize) -> io::Result<Stream> {
    poll_fn(|context| {
        for offset in 1..=listeners.len() {
            let index = (*turn + offset) % listeners.len();
            let accepted = match &listeners[index] {
                Listener::Tcp(listener, _) => listener.poll_accept(context).map_ok(|(stream, _)| Stream::Tcp(stream)),
                Listener::Unix(listener, _) => listener.poll_accept(context).map_ok(|(stream, _)| Stream::Unix(stream)),
            };
            if let Poll::Ready(accepted) = accepted {
                *turn = index;
                return Poll::Ready(accepted);
            }
        }
        Poll::Pending
    })
    .await
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
