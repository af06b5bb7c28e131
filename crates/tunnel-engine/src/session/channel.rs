//! One SSH channel as two halves of bytes. EOF, CLOSE and the loss of the session are three different things here.

use std::future::Future;

use bytes::Bytes;

/// What the read half of a channel says next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Inbound {
    /// Bytes.
    Data(Bytes),
    /// The far side sends no more (CHANNEL_EOF); it may still read.
    Eof,
    /// The far side is gone (CHANNEL_CLOSE). Without an `Eof` before it, the far side was reset.
    Closed,
    /// The session ended under the channel.
    Lost,
}

/// The read half, as the relay needs it. A trait so that relays can be tested without SSH.
pub trait ChannelRead: Send {
    /// The next piece. After `Closed` or `Lost` it says the same for ever. Cancel-safe.
    fn read(&mut self) -> impl Future<Output = Inbound> + Send;
}

/// The write half, as the relay needs it.
pub trait ChannelWrite: Send + Sync {
    /// Sends bytes; waits for the far side's window.
    fn write(&self, bytes: Bytes) -> impl Future<Output = Result<(), ChannelGone>> + Send;
    /// Says that no more bytes follow.
    fn eof(&self) -> impl Future<Output = Result<(), ChannelGone>> + Send;
    /// Ends the channel in both directions. Idempotent.
    fn close(&self) -> impl Future<Output = ()> + Send;
}

/// Both halves of an open channel. Dropping them closes it.
pub struct Channel {
    /// From the far side.
    pub reader: ChannelReader,
    /// To the far side.
    pub writer: ChannelWriter,
}

/// The read half over russh.
pub struct ChannelReader {}

/// The write half over russh.
pub struct ChannelWriter {}

/// The channel or its session has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the channel has ended")]
pub struct ChannelGone;

/// Why the server did not open a channel (RFC 4254 section 5.1).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The server's policy forbids it (reason 1).
    #[error("the server forbids it{}", text(.0))]
    Prohibited(String),
    /// The target refused, or could not be found or reached (reason 2); the server's text says which.
    #[error("the server could not connect{}", text(.0))]
    ConnectFailed(String),
    /// The server does not know this kind of channel (reason 3).
    #[error("the server does not know this kind of channel{}", text(.0))]
    UnknownType(String),
    /// Too many channels (reason 4).
    #[error("the server is short of resources{}", text(.0))]
    ResourceShortage(String),
    /// No answer in time.
    #[error("the server did not answer")]
    Timeout,
    /// The session ended before the answer.
    #[error("the session ended")]
    SessionEnded,
}

fn text(said: &str) -> String {
    if said.is_empty() { String::new() } else { format!(": {said}") }
}
