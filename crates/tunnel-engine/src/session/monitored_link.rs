//! The link under a session, shared between the transport's task (which reads and writes it) and those who watch or cut it.

use std::any::Any;
use std::io;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::sync::Notify;

use super::liveness::LinkActivity;
use crate::clock;
use crate::link::{Link, LinkIo, TcpStatus};
use crate::task;

/// How long a silent peer is told that its session is over: longer than most outages, and it costs a socket.
const END_SENT_FOR: Duration = Duration::from_secs(600);

/// A link with a switch. Cutting it drops the socket at once, whatever its task is waiting for, and makes every
/// later read and write fail: a handshake that is given up leaves nothing behind.
pub(super) struct MonitoredLink {
    state: Mutex<MonitoredState>,
    /// A write was tried.
    tried: Notify,
}

struct MonitoredState {
    io: Option<Box<dyn LinkIo>>,
    /// The jump host's session or the proxy command's process: goes with the link.
    keep: Option<Box<dyn Any + Send + Sync>>,
    activity: LinkActivity,
    bytes_in: u64,
    bytes_out: u64,
    /// As many of them as were written when the last byte came from the peer.
    answered_out: u64,
    /// When we first wrote after the last byte from the peer.
    unanswered_since: Option<Instant>,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl MonitoredLink {
    pub(super) fn new(link: Link) -> Self {
        let activity = LinkActivity { last_byte: clock::now(), reading_since: None, stalled_since: None };
        let state = MonitoredState {
            io: Some(link.io),
            keep: link.keep,
            activity,
            bytes_in: 0,
            bytes_out: 0,
            answered_out: 0,
            unanswered_since: None,
            reader: None,
            writer: None,
        };
        Self { state: Mutex::new(state), tried: Notify::new() }
    }

    /// Drops the link and wakes its waiting tasks. Idempotent.
    pub(super) fn cut(&self) {
        let (io, keep, wakers) = {
            let mut state = self.lock();
            (state.io.take(), state.keep.take(), [state.reader.take(), state.writer.take()])
        };
        // Outside the lock: what is dropped here may be a whole session of a jump host.
        drop((io, keep));
        wakers.into_iter().flatten().for_each(Waker::wake);
    }

    /// As [`MonitoredLink::cut`], for a peer that is silent: it may still be there, holding our remote ports, with a
    /// path that is down. What was written, and the end after it, goes on being sent, so that it learns of the end as
    /// soon as the path heals. A link inside another one ends with that one.
    pub(super) fn close_lingering(&self) {
        let direct = {
            let mut state = self.lock();
            if state.keep.is_none() { state.io.take() } else { None }
        };
        if let Some(io) = direct {
            task::detached(send_the_end(io));
        }
        self.cut();
    }

    /// For the judge of [`super::liveness`].
    pub(super) fn activity(&self) -> LinkActivity {
        self.lock().activity
    }

    /// Since when our words have no answer.
    pub(super) fn unanswered_since(&self) -> Option<Instant> {
        self.lock().unanswered_since
    }

    /// How many bytes our words without an answer have.
    pub(super) fn unanswered_bytes(&self) -> u64 {
        let state = self.lock();
        state.bytes_out - state.answered_out
    }

    /// The link below the bytes, where it can be seen.
    pub(super) fn tcp_status(&self) -> Option<TcpStatus> {
        self.lock().io.as_ref()?.tcp_status()
    }

    /// The peer answered a question that went over this link.
    pub(super) fn answered(&self) {
        if let Some(io) = &self.lock().io {
            io.answered();
        }
    }

    /// Bytes from and to the peer, of the SSH protocol itself.
    pub(super) fn bytes(&self) -> (u64, u64) {
        let state = self.lock();
        (state.bytes_in, state.bytes_out)
    }

    pub(super) fn poll_read(&self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut state = self.lock();
        let Some(io) = state.io.as_mut() else { return Poll::Ready(Err(gone())) };
        let before = buf.filled().len();
        let polled = Pin::new(io).poll_read(cx, buf);
        let read = buf.filled().len() - before;
        match &polled {
            Poll::Pending => {
                state.activity.reading_since.get_or_insert_with(clock::now);
                remember(&mut state.reader, cx);
            }
            Poll::Ready(_) => state.activity.reading_since = None,
        }
        if read > 0 {
            state.activity.last_byte = clock::now();
            state.bytes_in += read as u64;
            state.unanswered_since = None;
            state.answered_out = state.bytes_out;
        }
        polled
    }

    pub(super) fn poll_write(&self, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let mut state = self.lock();
        let Some(io) = state.io.as_mut() else { return Poll::Ready(Err(gone())) };
        let polled = Pin::new(io).poll_write(cx, data);
        match &polled {
            Poll::Pending => {
                state.activity.stalled_since.get_or_insert_with(clock::now);
                remember(&mut state.writer, cx);
            }
            Poll::Ready(written) => {
                state.activity.stalled_since = None;
                state.bytes_out += written.as_ref().map_or(0, |n| *n as u64);
                state.unanswered_since.get_or_insert_with(clock::now);
            }
        }
        drop(state);
        self.tried.notify_waiters();
        polled
    }

    pub(super) fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.lock();
        let Some(io) = state.io.as_mut() else { return Poll::Ready(Err(gone())) };
        let polled = Pin::new(io).poll_flush(cx);
        // A jump host's channel takes a write at once and waits for its window here.
        if polled.is_pending() {
            state.activity.stalled_since.get_or_insert_with(clock::now);
            remember(&mut state.writer, cx);
        } else {
            state.activity.stalled_since = None;
        }
        polled
    }

    /// Returns when a write has been tried since `written` bytes were, or is stuck: either way a task writes.
    pub(super) async fn writing(&self, written: u64) {
        loop {
            let mut tried = std::pin::pin!(self.tried.notified());
            tried.as_mut().enable();
            if self.bytes().1 != written || self.activity().stalled_since.is_some() {
                return;
            }
            tried.await;
        }
    }

    /// Returns when more than `written` bytes have been.
    pub(super) async fn wrote(&self, written: u64) {
        loop {
            let mut tried = std::pin::pin!(self.tried.notified());
            tried.as_mut().enable();
            if self.bytes().1 != written {
                return;
            }
            tried.await;
        }
    }

    /// The reader has stopped: its last report of waiting says nothing about the peer.
    pub(super) fn stop_waiting(&self) {
        self.lock().activity.reading_since = None;
    }

    /// See [`LinkIo::set_low_water`].
    pub(super) fn set_low_water(&self, bytes: u32) -> bool {
        self.lock().io.as_ref().is_some_and(|io| io.set_low_water(bytes))
    }

    /// See [`LinkIo::acknowledge`].
    pub(super) fn acknowledge(&self) {
        self.lock().io.iter().for_each(|io| io.acknowledge());
    }

    /// Ends the link politely but without waiting: a last word goes out if there is room for it.
    pub(super) fn shut(&self, cx: &mut Context<'_>) {
        if let Some(io) = self.lock().io.as_mut() {
            let _ = Pin::new(io).poll_shutdown(cx);
        }
        self.cut();
    }

    fn lock(&self) -> MutexGuard<'_, MonitoredState> {
        // A panic inside a poll leaves nothing half done that a later poll could not bear.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Cuts the wire unless told that the handshake is through.
pub(super) struct CutOnDrop(pub Option<std::sync::Arc<MonitoredLink>>);

impl Drop for CutOnDrop {
    fn drop(&mut self) {
        if let Some(link_monitor) = &self.0 {
            link_monitor.cut();
        }
    }
}

fn remember(slot: &mut Option<Waker>, cx: &Context<'_>) {
    match slot {
        Some(waker) => waker.clone_from(cx.waker()),
        None => *slot = Some(cx.waker().clone()),
    }
}

fn gone() -> io::Error {
    io::Error::new(io::ErrorKind::NotConnected, "the link was cut here")
}

/// Ends the link towards a silent peer, and waits until it has acknowledged that.
async fn send_the_end(mut io: Box<dyn LinkIo>) {
    io.set_user_timeout(END_SENT_FOR);
    let acknowledged = async {
        io.shutdown().await?;
        let mut unread = vec![0; 4096];
        while io.read(&mut unread).await? > 0 {}
        io::Result::Ok(())
    };
    // Whatever ends it, an answer, an error or the time: there is nothing left to do for this peer.
    let _ = tokio::time::timeout_at((clock::now() + END_SENT_FOR).into(), acknowledged).await;
}
