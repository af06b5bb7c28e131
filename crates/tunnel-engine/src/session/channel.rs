//! One SSH channel as two halves of bytes. EOF, CLOSE and the loss of the session are three different things here.

use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use tokio_util::sync::CancellationToken;

use super::connections::CountedConnection;
use crate::transport::{ChannelHandle, Ended, StreamEvent, TransportLink};

/// What the read half of a channel says next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Inbound {
    /// CHANNEL_DATA.
    Data(Bytes),
    /// The far side sends no more (CHANNEL_EOF); it may still read.
    Eof,
    /// The far side is gone (CHANNEL_CLOSE), with or without an `Eof` before.
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

/// The read half.
pub struct ChannelReader {
    shared: Arc<ChannelShared>,
    last: Option<Inbound>,
}

/// The write half.
pub struct ChannelWriter {
    shared: Arc<ChannelShared>,
}

/// The channel or its session has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the channel has ended")]
pub struct ChannelGone;

/// What both halves hold; the last one to go closes the channel.
struct ChannelShared {
    /// Cancelled when the channel is over, by either side or with the session.
    over: CancellationToken,
    session: CancellationToken,
    /// Of the session's connections.
    _counted: CountedConnection,
    /// Our number of it.
    number: u32,
    /// Where the bytes from the server are.
    link: Arc<TransportLink>,
    /// CHANNEL_CLOSE was sent, or came.
    closed: AtomicBool,
}

impl Channel {
    /// Of an open channel of a session whose end cancels `session`.
    pub(super) fn new(
        channel: ChannelHandle,
        session: &CancellationToken,
        counted: CountedConnection,
        link: Arc<TransportLink>,
    ) -> Self {
        let shared = Arc::new(ChannelShared {
            over: session.child_token(),
            session: session.clone(),
            _counted: counted,
            number: channel.into_stream(),
            link,
            closed: AtomicBool::new(false),
        });
        Self { reader: ChannelReader { shared: shared.clone(), last: None }, writer: ChannelWriter { shared } }
    }
}

impl ChannelRead for ChannelReader {
    async fn read(&mut self) -> Inbound {
        if let Some(last) = &self.last {
            return last.clone();
        }
        let inbound = self.shared.next().await;
        match inbound {
            Inbound::Data(_) | Inbound::Eof => return inbound,
            Inbound::Closed => self.shared.closed.store(true, Ordering::Relaxed),
            Inbound::Lost => {}
        }
        // The writer may be waiting for a window that no longer grows.
        self.shared.over.cancel();
        self.last = Some(inbound.clone());
        inbound
    }
}

impl ChannelWrite for ChannelWriter {
    async fn write(&self, bytes: Bytes) -> Result<(), ChannelGone> {
        let (link, number) = (&self.shared.link, self.shared.number);
        let mut bytes = bytes;
        tokio::select! {
            biased;
            () = self.shared.over.cancelled() => Err(ChannelGone),
            sent = poll_fn(|cx| link.poll_send(number, &mut bytes, cx)) => sent.map_err(|Ended| ChannelGone),
        }
    }

    async fn eof(&self) -> Result<(), ChannelGone> {
        if self.shared.over.is_cancelled() {
            return Err(ChannelGone);
        }
        self.shared.link.end(self.shared.number);
        Ok(())
    }

    async fn close(&self) {
        if !self.shared.closed.swap(true, Ordering::Relaxed) {
            self.shared.link.close(self.shared.number);
            self.shared.over.cancel();
        }
    }
}

impl ChannelShared {
    /// Why there is nothing more to read when no CLOSE came.
    fn end(&self) -> Inbound {
        if self.closed.load(Ordering::Relaxed) && !self.session.is_cancelled() {
            Inbound::Closed
        } else {
            Inbound::Lost
        }
    }

    /// What comes next.
    async fn next(&self) -> Inbound {
        tokio::select! {
            biased;
            event = poll_fn(|cx| self.link.poll_stream(self.number, cx)) => match event {
                StreamEvent::Bytes(bytes) => Inbound::Data(bytes),
                StreamEvent::Eof => Inbound::Eof,
                StreamEvent::Closed => Inbound::Closed,
                StreamEvent::Lost => self.end(),
            },
            () = self.over.cancelled() => self.end(),
        }
    }
}

impl Drop for ChannelReader {
    fn drop(&mut self) {
        self.shared.link.abandon(self.shared.number);
    }
}

impl Drop for ChannelShared {
    fn drop(&mut self) {
        if !*self.closed.get_mut() {
            self.link.close(self.number);
        }
    }
}

/// Why the server did not open a channel (RFC 4254 section 5.1).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The server's policy forbids it (reason 1).
    #[error("the server forbids it{}", words_of(.0))]
    Prohibited(String),
    /// The target refused, or could not be found or reached (reason 2); the server's text says which.
    #[error("the server could not connect{}", words_of(.0))]
    ConnectFailed(String),
    /// The server does not know this kind of channel (reason 3).
    #[error("the server does not know this kind of channel{}", words_of(.0))]
    UnknownType(String),
    /// Too many channels, processes or open files (reason 4).
    #[error("the server is short of resources{}", words_of(.0))]
    ResourceShortage(String),
    /// A reason that RFC 4254 does not name, by its number: from 0xFE000000 on they are for local use.
    #[error("the server refused it for a reason of its own (code {code}){}", words_of(.words))]
    Other {
        /// Reason code of RFC 4254 section 5.1.
        code: u32,
        /// The server's words.
        words: String,
    },
    /// No answer in time.
    #[error("the server did not answer")]
    Timeout,
    /// The session ended before the answer.
    #[error("the session ended")]
    SessionEnded,
}

impl OpenError {
    /// The number that the server gave as its reason; `None` where it did not answer.
    pub const fn code(&self) -> Option<u32> {
        match self {
            Self::Prohibited(_) => Some(1),
            Self::ConnectFailed(_) => Some(2),
            Self::UnknownType(_) => Some(3),
            Self::ResourceShortage(_) => Some(4),
            Self::Other { code, .. } => Some(*code),
            Self::Timeout | Self::SessionEnded => None,
        }
    }
}

/// What a server said, at the end of a message of ours, which has no full stop.
pub(super) fn words_of(said: &str) -> String {
    let said = said.trim_end_matches('.');
    if said.is_empty() { String::new() } else { format!(": {said}") }
}
