//! The near end of a connection: an accepted or dialled socket, TCP or unix, behind one type.

use std::future::Future;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, RawFd};
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, Interest};
use tokio::net::{TcpStream, UnixStream, tcp, unix};

use super::relay::{self, ByteCounters, Prelude, RelayOutcome};
use super::socks::HandshakeIo;
use crate::session::{ChannelRead, ChannelWrite, Originator};

/// An accepted or dialled socket.
pub(super) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Stream {
    pub(super) fn descriptor(&self) -> RawFd {
        match self {
            Self::Tcp(stream) => stream.as_raw_fd(),
            Self::Unix(stream) => stream.as_raw_fd(),
        }
    }

    /// Carries bytes between this socket and a channel until both directions ended, then closes both.
    /// When the session ended under them, the peer is reset.
    pub(super) async fn relay<R: ChannelRead, W: ChannelWrite>(
        mut self,
        channel: (R, W),
        prelude: Prelude,
        tally: &ByteCounters,
    ) -> RelayOutcome {
        // Whatever ends this task before its time (an abort, the end of the process) must not look like a whole
        // answer to the peer.
        self.close_by(TcpClose::Reset);
        let ending = match &mut self {
            Self::Tcp(stream) => {
                let (read, write) = stream.split();
                relay::relay(read, write, channel, prelude, tally).await
            }
            Self::Unix(stream) => {
                let (read, write) = stream.split();
                relay::relay(read, write, channel, prelude, tally).await
            }
        };
        if !ending.is_cut() {
            self.close_by(TcpClose::End);
        }
        ending
    }

    /// Closes so that the peer sees a reset and knows that something is missing. A unix socket knows no reset:
    /// its peer sees the end.
    pub(super) fn reset(self) {
        self.close_by(TcpClose::Reset);
    }

    fn close_by(&self, closing: TcpClose) {
        let linger = match closing {
            TcpClose::Reset => Some(Duration::ZERO),
            TcpClose::End => None,
        };
        if let Self::Tcp(stream) = self {
            // Fails only on a socket that is already dead, where the error has no reader.
            let _ = SockRef::from(stream).set_linger(linger);
        }
    }

    /// True when the peer closed or reset without having sent a byte that still waits to be read.
    /// A peer that only shut down its sending side looks the same, so a silent one counts as gone.
    pub(super) fn is_abandoned(&self) -> bool {
        let mut byte = [MaybeUninit::uninit(); 1];
        let peeked = match self {
            Self::Tcp(stream) => SockRef::from(stream).peek(&mut byte),
            Self::Unix(stream) => SockRef::from(stream).peek(&mut byte),
        };
        match peeked {
            Ok(waiting) => waiting == 0,
            Err(error) => !matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted),
        }
    }

    /// Returns when the peer has reset a TCP connection. One that has closed looks as one that only sends no more and
    /// waits for its answer (`nc -N`), so it is waited for; a unix socket knows no reset.
    pub(super) async fn reset_by_peer(&self) {
        let reset = match self {
            Self::Tcp(stream) => stream.ready(Interest::ERROR).await.is_ok(),
            Self::Unix(_) => false,
        };
        if !reset {
            std::future::pending().await
        }
    }

    /// Who connected, as the server is told: ssh says `127.0.0.1` port 65535 for a unix socket.
    pub(super) fn origin(&self) -> Originator {
        let peer = match self {
            Self::Tcp(stream) => stream.peer_addr().ok(),
            Self::Unix(_) => None,
        };
        match peer {
            Some(peer) => Originator { address: peer.ip().to_canonical().to_string(), port: peer.port() },
            None => Originator { address: "127.0.0.1".to_owned(), port: 65535 },
        }
    }

    /// Says the last words and lets the peer read them: closing with unread input would reset the connection and
    /// take them back. Ends when the peer closes; the caller bounds it.
    pub(super) async fn farewell(mut self, words: Bytes) {
        self.part(words).await;
    }

    async fn read_buf(&mut self, buffer: &mut (impl BufMut + Send)) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read_buf(buffer).await,
            Self::Unix(stream) => stream.read_buf(buffer).await,
        }
    }

    async fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.write_all(bytes).await,
            Self::Unix(stream) => stream.write_all(bytes).await,
        }
    }

    async fn shutdown(&mut self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.shutdown().await,
            Self::Unix(stream) => stream.shutdown().await,
        }
    }
}

impl HandshakeIo for Stream {
    async fn more(&mut self, input: &mut BytesMut, most: usize) -> bool {
        let room = most.saturating_sub(input.len());
        matches!(self.read_buf(&mut input.limit(room)).await, Ok(1..))
    }

    async fn send(&mut self, words: Bytes) -> bool {
        self.write_all(&words).await.is_ok()
    }

    async fn part(&mut self, words: Bytes) {
        if self.write_all(&words).await.is_err() || self.shutdown().await.is_err() {
            return;
        }
        let mut unread = [0; 1024];
        while matches!(self.read_buf(&mut unread.as_mut_slice()).await, Ok(1..)) {}
    }
}

/// What a TCP peer sees when the socket is closed.
enum TcpClose {
    /// SO_LINGER 0.
    Reset,
    /// The rest of the bytes, then FIN.
    End,
}

/// A reader that can wait without holding a buffer.
pub(super) trait Readable: AsyncRead + Send + Unpin {
    /// Returns when a read would likely not wait.
    fn readable(&self) -> impl Future<Output = io::Result<()>> + Send;
}

impl Readable for tcp::ReadHalf<'_> {
    async fn readable(&self) -> io::Result<()> {
        tcp::ReadHalf::readable(self).await
    }
}

impl Readable for unix::ReadHalf<'_> {
    async fn readable(&self) -> io::Result<()> {
        unix::ReadHalf::readable(self).await
    }
}

/// A writer that may be wrapped in tests.
pub(super) trait Writable: AsyncWrite + Send + Unpin {}

impl<T: AsyncWrite + Send + Unpin> Writable for T {}
