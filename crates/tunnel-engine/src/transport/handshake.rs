//! A connection from its first packet to its first keys, before there is a session: in the task of who opens it, which
//! is asked whether to believe the host key.

use std::io;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::compute::compute;
use super::connection::{Config, Connection, ConnectionEvent};
use super::error::TransportError;
use crate::clock;

/// Room for the server's part of an exchange.
const ROOM: usize = 4 * 1024;

/// A connection without keys.
pub(crate) struct Handshake<T> {
    pub(crate) connection: Connection,
    pub(crate) io: T,
    /// Read and not handled.
    pub(crate) input: BytesMut,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum HandshakeError {
    /// The link's.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The server ended the stream.
    #[error("the connection was closed")]
    Ended,
    /// The exchange's.
    #[error(transparent)]
    Transport(#[from] TransportError),
}

impl<T: AsyncRead + AsyncWrite + Unpin> Handshake<T> {
    /// `early`: what was read behind the server's identification.
    pub(crate) fn begin(config: Config, io: T, early: &[u8]) -> Result<Self, TransportError> {
        Ok(Self { connection: Connection::new(config)?, io, input: BytesMut::from(early) })
    }

    pub(crate) async fn next(&mut self) -> Result<ConnectionEvent, HandshakeError> {
        loop {
            let handled = self.connection.handle_input(&mut self.input, clock::now());
            let event = self.connection.poll_event();
            let written = self.flush().await;
            handled?;
            if let Some(event) = event {
                return Ok(event);
            }
            if let Some(work) = self.connection.poll_work() {
                let done = compute(work).await?;
                self.connection.handle_work(done, clock::now())?;
                continue;
            }
            self.input.reserve(ROOM.max(self.connection.wanted().saturating_sub(self.input.len())));
            let read = self.io.read_buf(&mut self.input).await;
            // A server that takes no more may have said why.
            if !matches!(read, Ok(1..)) {
                written?;
                read?;
                return Err(HandshakeError::Ended);
            }
        }
    }

    /// Writes what is due to the server.
    pub(crate) async fn flush(&mut self) -> io::Result<()> {
        while let Some(output) = self.connection.poll_transmit() {
            self.io.write_all(&output).await?;
        }
        self.io.flush().await
    }
}
