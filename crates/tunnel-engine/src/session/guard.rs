//! The stream that russh is given: a [`Wire`] read ahead in large pieces while data flows, in small ones while not.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use super::backlog::{Backlog, Pace, SLOW_READER_LIMIT};
use super::unknown::UnknownRequests;
use super::wire::Wire;
use crate::clock;

/// Enough for a keepalive and small packets: what an idle tunnel pays.
const SMALL: usize = 4 * 1024;
/// Eight packets of 32 KiB at a time: fewer system calls than russh's two a packet.
const LARGE: usize = 256 * 1024;
/// A read that fills the buffer makes the next one this many times as large.
const GROWTH: usize = 8;
/// After this long without a byte the large buffer is given back.
const IDLE: Duration = Duration::from_secs(1);

/// A [`Wire`] as russh wants it.
pub(super) struct Guard {
    wire: Arc<Wire>,
    ahead: ReadAhead,
    idle: Option<Pin<Box<Sleep>>>,
    /// Slow readers of ours slow down the reading, unless `None`.
    paced_by: Option<Arc<Backlog>>,
    /// Until when a paced read waits.
    pause: Option<Pin<Box<Sleep>>>,
    /// Bytes of our identification string that were sent before russh sends them again.
    already_sent: usize,
    /// Told whose bytes are decoded next.
    unknown: Arc<UnknownRequests>,
}

impl Guard {
    /// `early`: what was read from the wire already. `already_sent`: how much of russh's first words the peer has.
    pub(super) fn new(
        wire: Arc<Wire>,
        early: Vec<u8>,
        already_sent: usize,
        paced_by: Option<Arc<Backlog>>,
        unknown: Arc<UnknownRequests>,
    ) -> Self {
        let ahead = ReadAhead::starting_with(early);
        Self { wire, ahead, idle: None, paced_by, pause: None, already_sent, unknown }
    }

    /// Ready when the readers' backlog allows another read. While it does not, nobody asks the peer for anything, so
    /// its silence means nothing.
    fn poll_pace(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(backlog) = &self.paced_by else { return Poll::Ready(()) };
        let pause = match backlog.pace(cx.waker()) {
            Pace::Free => {
                self.pause = None;
                return Poll::Ready(());
            }
            Pace::Stop(until) => {
                let (now, until) = (clock::now(), Instant::from_std(until));
                let timer = self.pause.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(until)));
                // Readers of ours could take nothing either while this process did not run.
                let until = if clock::is_late(timer.deadline().into_std(), now) {
                    backlog.resumed(now);
                    Instant::from_std(now + SLOW_READER_LIMIT)
                } else {
                    until
                };
                timer.as_mut().reset(until);
                if timer.as_mut().poll(cx).is_ready() {
                    // Its end wakes us.
                    self.pause = None;
                    backlog.cut_slowest(now);
                }
                self.wire.stop_waiting();
                return Poll::Pending;
            }
            Pace::After(pause) => pause,
        };
        let until = || Instant::from_std(clock::now() + pause);
        let timer = self.pause.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(until())));
        if timer.as_mut().poll(cx).is_ready() {
            self.pause = None;
            return Poll::Ready(());
        }
        self.wire.stop_waiting();
        Poll::Pending
    }

    /// Reads ahead once. `Ready(Ok(0))` is the end of the stream.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut space = ReadBuf::new(self.ahead.space());
        let polled = self.wire.poll_read(cx, &mut space);
        let read = space.filled().len();
        match polled {
            Poll::Ready(Ok(())) => {
                self.ahead.filled(read);
                Poll::Ready(Ok(read))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => Poll::Pending,
        }
    }

    /// Gives the large buffer back when nothing came for a while.
    fn poll_idle(&mut self, cx: &mut Context<'_>) {
        if self.ahead.capacity() <= SMALL {
            self.idle = None;
            return;
        }
        let quiet_until = Instant::from_std(self.wire.signs().last_byte) + IDLE;
        let timer = self.idle.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(quiet_until)));
        while timer.as_mut().poll(cx).is_ready() {
            if timer.deadline() >= quiet_until {
                self.ahead.shrink();
                self.idle = None;
                return;
            }
            timer.as_mut().reset(quiet_until);
        }
    }

    /// While the peer takes nothing, its bytes are still taken: they are signs of life, and it may be waiting for us
    /// to read before it reads.
    fn read_while_writing(&mut self, cx: &mut Context<'_>) {
        while self.ahead.has_room() {
            match self.poll_fill(cx) {
                Poll::Ready(Ok(0)) => return,
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(_)) | Poll::Pending => return,
            }
        }
        self.wire.stop_waiting();
    }
}

impl AsyncRead for Guard {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.ahead.is_empty() {
            if this.poll_pace(cx).is_pending() {
                return Poll::Pending;
            }
            match this.poll_fill(cx) {
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    this.poll_idle(cx);
                    return Poll::Pending;
                }
            }
        }
        this.ahead.take(buf);
        this.unknown.reading();
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Guard {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        if this.already_sent > 0 {
            let skipped = this.already_sent.min(data.len());
            this.already_sent -= skipped;
            return Poll::Ready(Ok(skipped));
        }
        let polled = this.wire.poll_write(cx, data);
        if polled.is_pending() {
            this.read_while_writing(cx);
        }
        polled
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.wire.poll_flush(cx)
    }

    /// Never fails and never waits: russh tells its handler why the session ended only after this.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.wire.shut(cx);
        Poll::Ready(Ok(()))
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.wire.cut();
    }
}

/// Bytes read but not yet asked for.
struct ReadAhead {
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

impl ReadAhead {
    fn starting_with(early: Vec<u8>) -> Self {
        Self { start: 0, end: early.len(), buffer: early }
    }

    fn is_empty(&self) -> bool {
        self.start == self.end
    }

    fn capacity(&self) -> usize {
        self.buffer.len()
    }

    fn has_room(&self) -> bool {
        self.end < self.buffer.len() || self.start > 0 || self.buffer.len() < LARGE
    }

    /// Room to read into, never empty while [`Self::has_room`].
    fn space(&mut self) -> &mut [u8] {
        if self.is_empty() {
            (self.start, self.end) = (0, 0);
        }
        if self.buffer.len() < SMALL {
            self.buffer.resize(SMALL, 0);
        }
        if self.end == self.buffer.len() {
            self.buffer.copy_within(self.start.., 0);
            (self.start, self.end) = (0, self.end - self.start);
            if self.end == self.buffer.len() && self.end < LARGE {
                self.buffer.resize((self.end * GROWTH).min(LARGE), 0);
            }
        }
        &mut self.buffer[self.end..]
    }

    fn filled(&mut self, read: usize) {
        self.end += read;
        let full = self.start == 0 && self.end == self.buffer.len();
        if full && self.end < LARGE {
            self.buffer.resize((self.end * GROWTH).min(LARGE), 0);
        }
    }

    fn take(&mut self, buf: &mut ReadBuf<'_>) {
        let taken = buf.remaining().min(self.end - self.start);
        buf.put_slice(&self.buffer[self.start..self.start + taken]);
        self.start += taken;
    }

    fn shrink(&mut self) {
        if self.is_empty() {
            *self = Self { buffer: vec![0; SMALL], start: 0, end: 0 };
        }
    }
}

#[cfg(test)]
mod tests;
