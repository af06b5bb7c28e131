//! One SSH channel as two halves of bytes. EOF, CLOSE and the loss of the session are three different things here.

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use russh::client::Msg;
use russh::{ChannelMsg, ChannelReadHalf, ChannelWriteHalf};
use tokio_util::sync::CancellationToken;

use super::backlog::Backlog;
use super::held_back::Owner;
use crate::task;

/// How long a channel that both sides have ended waits for the server's CLOSE before it sends its own. OpenSSH and
/// dropbear close by themselves then; and russh 0.65 keeps a few KiB of every channel that we close first until the
/// session ends.
const LINGER: Duration = Duration::from_secs(5);

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
    /// Says whose connection this is, for those who ask why a session is slow.
    fn belongs_to(&self, _owner: Owner) {}
}

/// The write half, as the relay needs it.
pub trait ChannelWrite: Send + Sync {
    /// Sends bytes; waits for the far side's window.
    fn write(&self, bytes: Bytes) -> impl Future<Output = Result<(), ChannelGone>> + Send;
    /// Says that no more bytes follow.
    fn eof(&self) -> impl Future<Output = Result<(), ChannelGone>> + Send;
    /// Ends the channel in both directions. Idempotent.
    fn close(&self) -> impl Future<Output = ()> + Send;
    /// Returns when the connection is to be cut, because its reader has held up its session for too long.
    fn cut_off(&self) -> impl Future<Output = ()> + Send {
        std::future::pending()
    }
}

/// Both halves of an open channel. Dropping them closes it.
pub struct Channel {
    /// From the far side.
    pub reader: ChannelReader,
    /// To the far side.
    pub writer: ChannelWriter,
}

/// The read half over russh.
pub struct ChannelReader {
    /// `None` only while it is dropped.
    half: Option<ChannelReadHalf>,
    shared: Arc<Shared>,
    last: Option<Inbound>,
}

/// The write half over russh.
pub struct ChannelWriter {
    shared: Arc<Shared>,
}

/// The channel or its session has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the channel has ended")]
pub struct ChannelGone;

/// What both halves hold; the last one to go closes the channel.
struct Shared {
    /// `None` only while it is dropped.
    writer: Option<ChannelWriteHalf<Msg>>,
    /// Left by the reader for the time after it.
    reader: Mutex<Option<ChannelReadHalf>>,
    /// Cancelled when the channel is over, by either side or with the session.
    over: CancellationToken,
    session: CancellationToken,
    /// Where bytes that wait for the reader are counted, and the channel's number there.
    backlog: Arc<Backlog>,
    number: u32,
    /// Cancelled when the reader has held up the session for too long.
    cut: CancellationToken,
    sent_eof: AtomicBool,
    seen_eof: AtomicBool,
    /// CHANNEL_CLOSE was sent, or came.
    closed: AtomicBool,
}

impl Channel {
    /// Wraps an open channel of a session whose end cancels `session`.
    pub(super) fn new(channel: russh::Channel<Msg>, session: &CancellationToken, backlog: Arc<Backlog>) -> Self {
        let number = channel.id().number();
        let cut = CancellationToken::new();
        backlog.opened(number, cut.clone());
        let (reader, writer) = channel.split();
        let shared = Arc::new(Shared {
            writer: Some(writer),
            reader: Mutex::new(None),
            over: session.child_token(),
            session: session.clone(),
            backlog,
            number,
            cut,
            sent_eof: AtomicBool::new(false),
            seen_eof: AtomicBool::new(false),
            closed: AtomicBool::new(false),
        });
        Self {
            reader: ChannelReader { half: Some(reader), shared: shared.clone(), last: None },
            writer: ChannelWriter { shared },
        }
    }
}

impl ChannelRead for ChannelReader {
    async fn read(&mut self) -> Inbound {
        if let Some(last) = &self.last {
            return last.clone();
        }
        let Some(half) = self.half.as_mut() else { return Inbound::Closed };
        let inbound = loop {
            // What came before the end is told before the end.
            let message = tokio::select! {
                biased;
                message = half.wait() => message,
                () = self.shared.over.cancelled() => break self.shared.end(),
            };
            match message {
                Some(ChannelMsg::Data { data }) => {
                    self.shared.backlog.taken(self.shared.number, data.len());
                    return Inbound::Data(data);
                }
                Some(ChannelMsg::Eof) => {
                    self.shared.seen_eof.store(true, Ordering::Relaxed);
                    return Inbound::Eof;
                }
                // A command that the server does not run.
                Some(ChannelMsg::Failure) => break Inbound::Closed,
                Some(ChannelMsg::Close) => {
                    self.shared.closed.store(true, Ordering::Relaxed);
                    break Inbound::Closed;
                }
                // Window adjustments, and answers to requests that nobody made.
                Some(_) => {}
                None => break self.shared.end(),
            }
        };
        // The writer may be waiting for a window that no longer grows.
        self.shared.over.cancel();
        self.last = Some(inbound.clone());
        inbound
    }

    fn belongs_to(&self, owner: Owner) {
        self.shared.backlog.belongs_to(self.shared.number, owner);
    }
}

impl ChannelWrite for ChannelWriter {
    async fn write(&self, bytes: Bytes) -> Result<(), ChannelGone> {
        self.unless_over(|half| half.data_bytes(bytes)).await
    }

    async fn eof(&self) -> Result<(), ChannelGone> {
        if self.shared.sent_eof.swap(true, Ordering::Relaxed) {
            return Ok(());
        }
        self.unless_over(ChannelWriteHalf::eof).await
    }

    async fn close(&self) {
        if self.shared.both_ended() || self.shared.closed.swap(true, Ordering::Relaxed) {
            // Both sides have said all: the rest happens when the halves are dropped.
            return;
        }
        if let Some(half) = &self.shared.writer {
            // An error means that the session is over, and the channel with it.
            let _ = half.close().await;
        }
        self.shared.over.cancel();
    }

    async fn cut_off(&self) {
        self.shared.cut.cancelled().await;
    }
}

impl ChannelWriter {
    async fn unless_over<'a, F>(&'a self, act: impl FnOnce(&'a ChannelWriteHalf<Msg>) -> F) -> Result<(), ChannelGone>
    where
        F: Future<Output = Result<(), russh::Error>> + 'a,
    {
        let half = self.shared.writer.as_ref().ok_or(ChannelGone)?;
        tokio::select! {
            biased;
            () = self.shared.over.cancelled() => Err(ChannelGone),
            done = act(half) => done.map_err(|_| ChannelGone),
        }
    }
}

impl Shared {
    /// Why there is nothing more to read when nobody said CLOSE.
    fn end(&self) -> Inbound {
        if self.closed.load(Ordering::Relaxed) && !self.session.is_cancelled() {
            Inbound::Closed
        } else {
            Inbound::Lost
        }
    }

    fn both_ended(&self) -> bool {
        self.sent_eof.load(Ordering::Relaxed) && self.seen_eof.load(Ordering::Relaxed)
    }
}

impl Drop for ChannelReader {
    fn drop(&mut self) {
        *self.shared.reader.lock().unwrap_or_else(PoisonError::into_inner) = self.half.take();
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.backlog.abandoned(self.number);
        let reader = self.reader.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        let Some(writer) = self.writer.take() else { return };
        if self.session.is_cancelled() || *self.closed.get_mut() || tokio::runtime::Handle::try_current().is_err() {
            return;
        }
        let reader = reader.filter(|_| self.both_ended());
        task::detached(finish(reader, writer));
    }
}

/// Closes a channel that nobody holds any more. Ends with the session at the latest.
async fn finish(reader: Option<ChannelReadHalf>, writer: ChannelWriteHalf<Msg>) {
    if let Some(mut reader) = reader {
        let closed = async {
            while let Some(message) = reader.wait().await {
                if matches!(message, ChannelMsg::Close) {
                    return;
                }
            }
        };
        if tokio::time::timeout(LINGER, closed).await.is_ok() {
            return;
        }
    }
    let _ = writer.close().await;
}

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
    /// Too many channels, processes or open files (reason 4).
    #[error("the server is short of resources{}", text(.0))]
    ResourceShortage(String),
    /// A reason that RFC 4254 does not name, by its number: from 0xFE000000 on they are for local use.
    #[error("the server refused it for a reason of its own (code {code}){}", text(.words))]
    Other {
        /// The number.
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

fn text(said: &str) -> String {
    if said.is_empty() { String::new() } else { format!(": {said}") }
}
