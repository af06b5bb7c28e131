//! A copy of the first bytes that a server sends: its key exchange offer is not encrypted.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::link::{LinkIo, TcpStatus};
use crate::login_record::AlgorithmOffer;

/// The words before an identification, and the longest packet that every implementation takes (RFC 4253 section 6.1).
const MAX_BYTES: usize = 16 * 1024 + 35_000;

/// What was received so far. A cheap handle.
#[derive(Clone, Default)]
pub(super) struct Recording(Arc<Mutex<Vec<u8>>>);

impl Recording {
    /// `io`, whose bytes are kept here.
    pub(super) fn of(&self, io: Box<dyn LinkIo>) -> Box<dyn LinkIo> {
        Box::new(RecordedLink { io, recording: self.clone() })
    }

    /// The server's offer, once it was sent.
    pub(super) fn offer(&self) -> Option<AlgorithmOffer> {
        AlgorithmOffer::read(&self.received())
    }

    fn received(&self) -> std::sync::MutexGuard<'_, Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct RecordedLink {
    io: Box<dyn LinkIo>,
    recording: Recording,
}

impl LinkIo for RecordedLink {
    fn tcp_status(&self) -> Option<TcpStatus> {
        self.io.tcp_status()
    }

    fn set_user_timeout(&self, duration: Duration) {
        self.io.set_user_timeout(duration);
    }

    fn acknowledge(&self) {
        self.io.acknowledge();
    }

    fn answered(&self) {
        self.io.answered();
    }
}

impl AsyncRead for RecordedLink {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut *self.io).poll_read(cx, buf);
        let mut received = self.recording.received();
        let room = MAX_BYTES - received.len().min(MAX_BYTES);
        received.extend(buf.filled()[before..].iter().take(room));
        drop(received);
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
