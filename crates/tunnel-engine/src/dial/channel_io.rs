//! A channel as a byte stream, for the session that runs inside it.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::watch;

use super::{LinkIo, TcpStatus, jump};
use crate::failure::{Failure, FailureKind};
use crate::link::error_with;
use crate::session::{
    Channel, ChannelGone, ChannelRead, ChannelReader, ChannelWrite, ChannelWriter, Inbound, JumpHostInfo, Session,
    WeakLink,
};

/// What one write takes: eight packets, so that the inner session's batches go out in few steps.
const WRITE_BYTES: usize = 256 * 1024;

type ReadFuture<R> = Pin<Box<dyn Future<Output = (Inbound, R)> + Send>>;
type WriteFuture = Pin<Box<dyn Future<Output = Result<(), ChannelGone>> + Send>>;

/// A channel through `hop`. Its errors carry the failure of the hop's session where that has ended.
pub(super) struct ChannelIo<R = ChannelReader, W = ChannelWriter> {
    reading: Option<ReadFuture<R>>,
    unread: Bytes,
    /// The far side has said all, or is gone.
    end: Option<Inbound>,
    writer: Arc<W>,
    writing: Option<WriteFuture>,
    shut: bool,
    hop: String,
    session: watch::Receiver<Option<Failure>>,
    /// The link of the hop's session: what it does not carry, this does not.
    below: Option<WeakLink>,
    /// Those before it, and the hop itself.
    jump_hosts: Vec<JumpHostInfo>,
}

impl ChannelIo {
    pub(super) fn new(channel: Channel, hop: String, session: &Session) -> Self {
        let (below, info) = (Some(session.below()), session.info());
        let mut jump_hosts = info.jump_hosts.clone();
        let (server, software, kex) = (hop.clone(), info.software.clone(), info.kex.clone());
        jump_hosts.push(JumpHostInfo { server, software, kex });
        Self { below, jump_hosts, ..Self::over(channel.reader, channel.writer, hop, session.ended()) }
    }
}

impl LinkIo for ChannelIo {
    fn tcp_status(&self) -> Option<TcpStatus> {
        self.below.as_ref()?.tcp_status()
    }

    fn answered(&self) {
        if let Some(below) = &self.below {
            below.answered();
        }
    }

    fn jump_hosts(&self) -> Vec<JumpHostInfo> {
        self.jump_hosts.clone()
    }
}

impl<R: ChannelRead + 'static, W: ChannelWrite + 'static> ChannelIo<R, W> {
    fn over(reader: R, writer: W, hop: String, session: watch::Receiver<Option<Failure>>) -> Self {
        let (unread, writer) = (Bytes::new(), Arc::new(writer));
        let reading = Some(read(reader));
        let (below, jump_hosts) = (None, Vec::new());
        Self { reading, unread, end: None, writer, writing: None, shut: false, hop, session, below, jump_hosts }
    }

    fn gone(&self) -> io::Error {
        let ended = self.session.borrow().clone();
        error_with(match ended {
            Some(failure) => jump::at_hop(&self.hop, failure),
            None => {
                let message = format!("jump host `{}`: the connection from there ended", self.hop);
                Failure::new(FailureKind::JumpFailed, message)
            }
        })
    }

    /// Waits for the write under way.
    fn poll_written(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(writing) = self.writing.as_mut() else { return Poll::Ready(Ok(())) };
        let written = ready!(writing.as_mut().poll(cx));
        self.writing = None;
        Poll::Ready(written.map_err(|ChannelGone| self.gone()))
    }

    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.unread.is_empty() && self.end.is_none() {
            let Some(reading) = self.reading.as_mut() else { return Poll::Ready(()) };
            let (inbound, reader) = ready!(reading.as_mut().poll(cx));
            match inbound {
                Inbound::Data(bytes) => self.unread = bytes,
                end @ (Inbound::Eof | Inbound::Closed | Inbound::Lost) => self.end = Some(end),
            }
            self.reading = Some(read(reader));
        }
        Poll::Ready(())
    }
}

fn read<R: ChannelRead + 'static>(mut reader: R) -> ReadFuture<R> {
    Box::pin(async move { (reader.read().await, reader) })
}

impl<R: ChannelRead + 'static, W: ChannelWrite + 'static> AsyncRead for ChannelIo<R, W> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_fill(cx));
        let length = self.unread.len().min(buf.remaining());
        buf.put_slice(&self.unread[..length]);
        self.unread.advance(length);
        match &self.end {
            Some(Inbound::Closed | Inbound::Lost) if length == 0 => Poll::Ready(Err(self.gone())),
            _ => Poll::Ready(Ok(())),
        }
    }
}

impl<R: ChannelRead + 'static, W: ChannelWrite + 'static> AsyncWrite for ChannelIo<R, W> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_written(cx))?;
        let taken = &bytes[..bytes.len().min(WRITE_BYTES)];
        let (writer, piece) = (self.writer.clone(), Bytes::copy_from_slice(taken));
        self.writing = Some(Box::pin(async move { writer.write(piece).await }));
        // Its first step; whatever it is waiting for then, the next write or flush waits for too.
        match self.poll_written(cx) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Ready(Ok(())) | Poll::Pending => Poll::Ready(Ok(taken.len())),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_written(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_written(cx))?;
        if self.shut {
            return Poll::Ready(Ok(()));
        }
        self.shut = true;
        let writer = self.writer.clone();
        self.writing = Some(Box::pin(async move { writer.eof().await }));
        self.poll_written(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::sync::Mutex;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::sync::{Semaphore, mpsc};

    struct Script(std::vec::IntoIter<Inbound>);

    impl ChannelRead for Script {
        async fn read(&mut self) -> Inbound {
            match self.0.next() {
                Some(inbound) => inbound,
                None => std::future::pending().await,
            }
        }
    }

    /// Takes a write for each permit.
    struct WritePermits(Semaphore, mpsc::Sender<String>, Mutex<u32>);

    impl ChannelWrite for Arc<WritePermits> {
        async fn write(&self, bytes: Bytes) -> Result<(), ChannelGone> {
            self.0.acquire().await.map_err(|_| ChannelGone)?.forget();
            self.1.send(String::from_utf8_lossy(&bytes).into_owned()).await.map_err(|_| ChannelGone)
        }

        async fn eof(&self) -> Result<(), ChannelGone> {
            *self.2.lock().unwrap() += 1;
            Ok(())
        }

        async fn close(&self) {}
    }

    type Scripted = (
        ChannelIo<Script, Arc<WritePermits>>,
        Arc<WritePermits>,
        mpsc::Receiver<String>,
        watch::Sender<Option<Failure>>,
    );

    fn channel(script: Vec<Inbound>) -> Scripted {
        let (put, written) = mpsc::channel(8);
        let window = Arc::new(WritePermits(Semaphore::new(0), put, Mutex::new(0)));
        let session = watch::Sender::new(None);
        let io = ChannelIo::over(Script(script.into_iter()), window.clone(), "b:22".into(), session.subscribe());
        (io, window, written, session)
    }

    fn data(text: &'static str) -> Inbound {
        Inbound::Data(Bytes::from_static(text.as_bytes()))
    }

    #[tokio::test]
    async fn pieces_are_read_in_order_up_to_the_end() {
        let (mut io, ..) = channel(vec![data("one "), data("two"), Inbound::Eof]);
        let mut text = String::new();
        io.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "one two");
    }

    #[tokio::test]
    async fn end_without_eof_tells_the_hops_failure() {
        let (mut io, _window, _written, session) = channel(vec![data("x"), Inbound::Lost]);
        session.send_replace(Some(Failure::new(FailureKind::KeepaliveTimeout, "`b:22` stopped answering")));
        assert_eq!(io.read_u8().await.unwrap(), b'x');
        let error = io.read_u8().await.unwrap_err();
        let failure = crate::dial::failure_in(&error).unwrap();
        assert_eq!(failure.kind(), FailureKind::JumpFailed);
        assert_eq!(failure.message(), "jump host `b:22`: `b:22` stopped answering");
    }

    #[tokio::test(start_paused = true)]
    async fn full_window_holds_write_and_flush_back() {
        let (mut io, window, mut written, _session) = channel(vec![]);
        let patience = std::time::Duration::from_secs(1);
        io.write_all(b"first").await.unwrap();
        tokio::time::timeout(patience, io.flush()).await.unwrap_err();
        tokio::time::timeout(patience, io.write_all(b"second")).await.unwrap_err();
        window.0.add_permits(2);
        io.write_all(b"second").await.unwrap();
        io.shutdown().await.unwrap();
        io.shutdown().await.unwrap();
        assert_eq!((written.recv().await.unwrap(), written.recv().await.unwrap()), ("first".into(), "second".into()));
        assert_eq!(*window.2.lock().unwrap(), 1, "one end is said once");
    }
}
