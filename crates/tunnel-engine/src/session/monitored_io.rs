//! A link with a switch as the stream that the transport reads and writes.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::monitored_link::MonitoredLink;
use crate::transport::ServerIo;

/// A [`MonitoredLink`] as a stream.
pub(super) struct MonitoredIo(pub(super) Arc<MonitoredLink>);

impl ServerIo for MonitoredIo {
    fn stop_waiting(&self) {
        self.0.stop_waiting();
    }

    fn set_low_water(&self, bytes: u32) -> bool {
        self.0.set_low_water(bytes)
    }

    fn acknowledge(&self) {
        self.0.acknowledge();
    }
}

impl AsyncRead for MonitoredIo {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.0.poll_read(cx, buf)
    }
}

impl AsyncWrite for MonitoredIo {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.0.poll_write(cx, data)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_flush(cx)
    }

    /// Never waits: a last word goes out if there is room for it.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.shut(cx);
        Poll::Ready(Ok(()))
    }
}
