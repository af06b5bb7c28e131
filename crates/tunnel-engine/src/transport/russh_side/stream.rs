//! The stream that russh speaks on.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Buf as _;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::transport::link::{ConnectionEnd, TransportLink};
use crate::transport::wake;

/// The stream that russh speaks on during the login, without encryption. It leads to a [`TransportLink`] and nowhere else,
/// and only the transport can make one.
pub(crate) struct ClearStream(Arc<TransportLink>);

impl ClearStream {
    /// Of this link; there is one.
    pub(in crate::transport) const fn new(link: Arc<TransportLink>) -> Self {
        Self(link)
    }
}

impl AsyncRead for ClearStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut guard = self.0.lock();
        let state = &mut *guard;
        // The login is over.
        let Some(side) = &mut state.russh else { return Poll::Ready(Ok(())) };
        if side.unheard.is_empty() {
            if state.is_over {
                return Poll::Ready(Ok(()));
            }
            side.reads = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let was_full = side.is_full();
        let taken = buf.remaining().min(side.unheard.len());
        buf.put_slice(side.unheard.get(..taken).unwrap_or_default());
        side.unheard.advance(taken);
        if was_full && !side.is_full() {
            wake(&mut state.driver);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for ClearStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let mut guard = self.0.lock();
        let state = &mut *guard;
        let Some(side) = state.russh.as_mut().filter(|_| !state.is_over) else {
            return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
        };
        if !state.connection.can_send() {
            side.writes = Some(cx.waker().clone());
            // The server may be read now although russh hears nothing.
            wake(&mut state.driver);
            return Poll::Pending;
        }
        match state.take_from_russh(data) {
            Ok(taken) => Poll::Ready(Ok(taken)),
            Err(error) => {
                state.end(ConnectionEnd::Failed(error.clone()));
                Poll::Ready(Err(io::Error::other(error)))
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// Never waits: russh tells its handler why the session ended only after this.
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.lock().shut_by_russh();
        Poll::Ready(Ok(()))
    }
}

impl Drop for ClearStream {
    fn drop(&mut self) {
        self.0.lock().shut_by_russh();
    }
}
