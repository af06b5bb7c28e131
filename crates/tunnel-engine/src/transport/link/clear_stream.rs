//! The stream that russh speaks on.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{ConnectionEnd, TransportLink, wake};

/// The stream that russh speaks on, without encryption. It leads to a [`TransportLink`] and nowhere else, and only the
/// transport can make one.
pub(crate) struct ClearStream(Arc<TransportLink>);

impl ClearStream {
    /// Of this link; there is one.
    pub(in crate::transport) const fn new(link: Arc<TransportLink>) -> Self {
        Self(link)
    }
}

impl AsyncRead for ClearStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut state = self.0.lock();
        if state.to_russh.is_empty() {
            if state.is_over {
                return Poll::Ready(Ok(()));
            }
            state.russh_reads = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let was_full = !state.may_read();
        let taken = buf.remaining().min(state.to_russh.len());
        buf.put_slice(state.to_russh.get(..taken).unwrap_or_default());
        state.to_russh.advance(taken);
        if state.to_russh.is_empty() {
            // What an idle session does not need.
            state.to_russh = BytesMut::new();
        }
        if was_full && state.may_read() {
            wake(&mut state.driver);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for ClearStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let mut state = self.0.lock();
        if state.is_over {
            return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
        }
        if !state.connection.can_send() {
            state.russh_writes = Some(cx.waker().clone());
            // The server may be read now although russh hears nothing.
            wake(&mut state.driver);
            return Poll::Pending;
        }
        match state.receive(data) {
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
        let mut state = self.0.lock();
        state.is_shut = true;
        wake(&mut state.driver);
        Poll::Ready(Ok(()))
    }
}

impl Drop for ClearStream {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.is_shut = true;
        wake(&mut state.driver);
    }
}
