//! A link in memory with what a kernel would know of it: which bytes of ours the far machine has acknowledged.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Instant;

use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::sync::watch;

use super::faults::{Faults, Flow};
use crate::clock;
use crate::dial::{LinkIo, TcpStatus};

/// The client's end and the server's.
pub(super) fn pair(bytes: usize, faults: watch::Receiver<Faults>) -> (ClientEnd, ServerEnd) {
    let (near, far) = tokio::io::duplex(bytes);
    let count = Count { written: 0, taken: 0, acknowledged: 0, lost: false, last_ack: clock::now() };
    let sent = Arc::new(SentBytes { faults, count: Mutex::new(count) });
    (ClientEnd { pipe: near, sent: sent.clone() }, ServerEnd { pipe: far, sent })
}

pub(super) struct ClientEnd {
    pipe: DuplexStream,
    sent: Arc<SentBytes>,
}

pub(super) struct ServerEnd {
    pipe: DuplexStream,
    sent: Arc<SentBytes>,
}

struct SentBytes {
    faults: watch::Receiver<Faults>,
    count: Mutex<Count>,
}

/// Bytes from the client.
struct Count {
    written: u64,
    taken: u64,
    acknowledged: u64,
    /// Some were discarded on the way: what comes after them is never acknowledged.
    lost: bool,
    last_ack: Instant,
}

impl SentBytes {
    fn count(&self) -> MutexGuard<'_, Count> {
        self.count.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, bytes: usize) {
        let discarded = self.faults.borrow().link.to_server == Flow::Discard;
        let mut count = self.count();
        count.lost |= discarded && bytes > 0;
        count.taken += if count.lost { 0 } else { bytes as u64 };
    }

    /// An acknowledgement comes back as every other packet does.
    fn tcp_status(&self) -> TcpStatus {
        let back = self.faults.borrow().link.to_client == Flow::Pass;
        let mut count = self.count();
        if back && count.taken > count.acknowledged {
            count.acknowledged = count.taken;
            count.last_ack = clock::now();
        }
        TcpStatus { outstanding: count.written > count.acknowledged, last_ack: count.last_ack }
    }
}

impl LinkIo for ClientEnd {
    fn tcp_status(&self) -> Option<TcpStatus> {
        Some(self.sent.tcp_status())
    }
}

impl AsyncRead for ClientEnd {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.pipe).poll_read(cx, buf)
    }
}

impl AsyncWrite for ClientEnd {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.pipe).poll_write(cx, data);
        if let Poll::Ready(Ok(written)) = &polled {
            self.sent.count().written += *written as u64;
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.pipe).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.pipe).poll_shutdown(cx)
    }
}

impl AsyncRead for ServerEnd {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.pipe).poll_read(cx, buf);
        self.sent.take(buf.filled().len() - before);
        polled
    }
}

impl AsyncWrite for ServerEnd {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.pipe).poll_write(cx, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.pipe).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.pipe).poll_shutdown(cx)
    }
}
