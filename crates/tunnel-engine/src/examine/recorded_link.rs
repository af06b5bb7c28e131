//! A copy of the first bytes that a server sends: its key exchange offer is not encrypted, and russh keeps it to itself.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::offer::AlgorithmOffer;
use crate::dial::{LinkIo, TcpStatus};

/// The words before an identification, and the longest packet that every implementation takes (RFC 4253 section 6.1).
const MAX_BYTES: usize = 16 * 1024 + 35_000;

/// What was heard so far. A cheap handle.
#[derive(Clone, Default)]
pub(crate) struct Recording(Arc<Mutex<Vec<u8>>>);

impl Recording {
    /// `io`, heard by this.
    pub(crate) fn on(&self, io: Box<dyn LinkIo>) -> Box<dyn LinkIo> {
        Box::new(RecordedLink { io, tap: self.clone() })
    }

    /// The server's offer, once it was sent.
    pub(crate) fn offer(&self) -> Option<AlgorithmOffer> {
        AlgorithmOffer::read(&self.heard())
    }

    fn heard(&self) -> std::sync::MutexGuard<'_, Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A link that is heard.
pub(crate) struct RecordedLink {
    io: Box<dyn LinkIo>,
    tap: Recording,
}

impl LinkIo for RecordedLink {
    fn look(&self) -> Option<TcpStatus> {
        self.io.look()
    }

    fn set_user_timeout(&self, duration: Duration) {
        self.io.set_user_timeout(duration);
    }

    fn answered(&self) {
        self.io.answered();
    }
}

impl AsyncRead for RecordedLink {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut *self.io).poll_read(cx, buf);
        let mut heard = self.tap.heard();
        let room = MAX_BYTES - heard.len().min(MAX_BYTES);
        heard.extend(buf.filled()[before..].iter().take(room));
        drop(heard);
        read
    }
}

impl AsyncWrite for RecordedLink {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.io).poll_shutdown(cx)
    }
}
