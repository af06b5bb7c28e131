//! The task that owns a session's link to the server: it reads, writes, and keeps the time. What is read and written is
//! decided elsewhere.

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};
use tokio::time::{Instant, Sleep};

use super::compute::compute;
use super::kex::WorkResult;
use super::link::{Arrival, ConnectionEnd, OfferReceiver, OfferedChannel, TransportLink};
use super::read_batching::ReadBatching;
use super::{ClearStream, TransportError};
use crate::clock;

/// Enough for a keepalive and small packets: what an idle session pays.
const SMALL: usize = 4 * 1024;
/// Eight packets of 32 KiB at a time.
const LARGE: usize = 256 * 1024;
/// A read that fills the buffer makes the next one this many times as large.
const GROWTH: usize = 8;
/// After this long without a byte large buffers are given back.
const IDLE: Duration = Duration::from_secs(1);

/// The way to the server.
pub(crate) trait ServerIo: AsyncRead + AsyncWrite + Unpin + Send + 'static {
    /// It is not read for now: that nothing comes says nothing about the server.
    fn stop_waiting(&self);

    /// The reader is woken when so many bytes are there, or the end. `false`: it is woken for any byte.
    fn set_low_water(&self, bytes: u32) -> bool;

    /// What was read is acknowledged now, without waiting for something to be written.
    fn acknowledge(&self);
}

/// The ends of a session's transport: for russh, until the login is over, and the task between the link and the server, which
/// ends with the server's end or when this side has said all.
pub(crate) struct Parts<F> {
    pub(crate) stream: ClearStream,
    pub(crate) driver: F,
}

/// `input`: what was read from `io` and not handled yet; `offers`: who is handed what the server asks for.
pub(crate) fn start<T>(
    link: &Arc<TransportLink>,
    io: T,
    input: BytesMut,
    offers: Box<dyn OfferReceiver>,
) -> Parts<impl Future<Output = ()> + Send + use<T>>
where
    T: ServerIo,
{
    let driver = Driver {
        link: link.clone(),
        io,
        offers,
        input,
        output: BytesMut::new(),
        room: SMALL,
        is_large: false,
        flushed: true,
        owes_acknowledgement: false,
        broken: None,
        is_begun: false,
        timer: None,
        batching: Some(ReadBatching::new()),
        computing: None,
    };
    Parts { stream: ClearStream::new(link.clone()), driver: driver.run() }
}

type Computing = Pin<Box<dyn Future<Output = Result<WorkResult, TransportError>> + Send>>;

struct Driver<T> {
    link: Arc<TransportLink>,
    io: T,
    offers: Box<dyn OfferReceiver>,
    input: BytesMut,
    output: BytesMut,
    room: usize,
    /// Buffers are larger than an idle session needs.
    is_large: bool,
    flushed: bool,
    /// Something was read and nothing written since: a server that holds a little back until the rest is acknowledged (Nagle's
    /// algorithm, RFC 9293 section 3.7.4) would wait for the kernel's timer.
    owes_acknowledgement: bool,
    /// Why nothing can be written any more. What the server has said is still read.
    broken: Option<io::Error>,
    /// What the handshake left is handled.
    is_begun: bool,
    timer: Option<Pin<Box<Sleep>>>,
    /// `None`: the way to the server does not know it.
    batching: Option<ReadBatching>,
    /// A step of a key exchange.
    computing: Option<Computing>,
}

impl<T: ServerIo> Driver<T> {
    async fn run(mut self) {
        let mut last_byte = Instant::from_std(clock::now());
        let ended = poll_fn(|cx| self.poll(cx, &mut last_byte)).await;
        let last_word = {
            let mut state = self.link.lock();
            state.end(ended);
            state.connection.poll_transmit()
        };
        // Goes out if there is room for it.
        self.output.extend_from_slice(&last_word.unwrap_or_default());
        poll_fn(|cx| {
            let _ = self.poll_write(cx);
            let _ = Pin::new(&mut self.io).poll_shutdown(cx);
            Poll::Ready(())
        })
        .await;
    }

    /// Ready when the session is over.
    fn poll(&mut self, cx: &mut Context<'_>, last_byte: &mut Instant) -> Poll<ConnectionEnd> {
        self.link.lock().driver = Some(cx.waker().clone());
        if !std::mem::replace(&mut self.is_begun, true) {
            let link = self.link.clone();
            let handled = link.lock().handle_input(&mut self.input);
            if let Err(error) = handled {
                return Poll::Ready(ConnectionEnd::Failed(error));
            }
        }
        if let Err(error) = self.poll_compute(cx) {
            return Poll::Ready(ConnectionEnd::Failed(error));
        }
        let read = self.poll_read(cx);
        let bytes = if let Poll::Ready(Ok(bytes)) = read { bytes } else { 0 };
        match (read, &mut self.broken) {
            (Poll::Ready(Err(error)), _) => return Poll::Ready(ConnectionEnd::Lost(error)),
            (Poll::Ready(Ok(0)), broken) => {
                return Poll::Ready(broken.take().map_or(ConnectionEnd::Closed, ConnectionEnd::Lost));
            }
            _ => {}
        }
        if bytes > 0 {
            let now = clock::now();
            *last_byte = Instant::from_std(now);
            self.owes_acknowledgement = true;
            self.batch_reads(|batching| batching.on_read(bytes, now));
            let link = self.link.clone();
            let handled = link.lock().handle_input(&mut self.input);
            if let Err(error) = handled {
                return Poll::Ready(ConnectionEnd::Failed(error));
            }
            // Readers take what came before more is read: it is still in the cache then.
            cx.waker().wake_by_ref();
        }
        if self.broken.is_none() {
            self.broken = self.poll_write(cx).err();
            // By now the readers have had their turn, and have said nothing.
            if bytes == 0 && std::mem::take(&mut self.owes_acknowledgement) {
                self.io.acknowledge();
            }
        }
        let (is_shut, is_sent, arrivals) = {
            let mut state = self.link.lock();
            state.send_what_is_due();
            state.wake_writers();
            (state.is_shut, self.output.is_empty() && state.connection.unsent() == 0, state.take_arrivals())
        };
        self.hand_on(arrivals);
        if is_shut && (is_sent || self.broken.is_some()) {
            return Poll::Ready(ConnectionEnd::Shut);
        }
        self.poll_time(cx, *last_byte)
    }

    fn hand_on(&mut self, arrivals: Vec<Arrival>) {
        for arrival in arrivals {
            match arrival {
                Arrival::Offered(offer) => self.offers.offered(OfferedChannel::new(self.link.clone(), offer)),
                Arrival::Refused(what) => self.offers.refused(what),
            }
        }
    }

    /// While it computes, nothing is read: what comes cannot be taken yet.
    fn poll_compute(&mut self, cx: &mut Context<'_>) -> Result<(), TransportError> {
        loop {
            if self.computing.is_none() {
                let Some(work) = self.link.lock().connection.poll_work() else { return Ok(()) };
                self.computing = Some(Box::pin(compute(work)));
            }
            let Some(computing) = &mut self.computing else { return Ok(()) };
            let Poll::Ready(done) = computing.as_mut().poll(cx) else { return Ok(()) };
            self.computing = None;
            self.link.lock().handle_work(done?, &mut self.input)?;
        }
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let wanted = {
            let state = self.link.lock();
            if !state.may_read() {
                self.io.stop_waiting();
                return Poll::Pending;
            }
            state.connection.wanted()
        };
        let missing = wanted.saturating_sub(self.input.len()).max(1);
        let spare = self.input.capacity() - self.input.len();
        if spare < missing || spare < self.room / 2 {
            self.input.reserve(self.room.max(missing));
        }
        let room = self.input.capacity() - self.input.len();
        let read = pin!(self.io.read_buf(&mut self.input)).poll(cx);
        if let Poll::Ready(Ok(read)) = read
            && read == room
        {
            self.room = (self.room * GROWTH).min(LARGE);
            self.is_large = true;
        }
        read
    }

    fn batch_reads(&mut self, decide: impl FnOnce(&mut ReadBatching) -> Option<u32>) {
        if let Some(bytes) = self.batching.as_mut().and_then(decide)
            && !self.io.set_low_water(bytes)
        {
            self.batching = None;
        }
    }

    /// Writes all that there is, or until the link takes no more.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        loop {
            if self.output.is_empty() {
                let Some(output) = self.link.lock().connection.poll_transmit() else { break };
                self.is_large |= output.len() > SMALL;
                self.output = output;
            }
            match Pin::new(&mut self.io).poll_write(cx, &self.output) {
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(written)) => {
                    self.owes_acknowledgement = false;
                    self.output.advance(written);
                }
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Pending => return Ok(()),
            }
            self.flushed = false;
        }
        if !self.flushed {
            match Pin::new(&mut self.io).poll_flush(cx) {
                Poll::Ready(flushed) => {
                    self.flushed = true;
                    return flushed;
                }
                Poll::Pending => {}
            }
        }
        Ok(())
    }

    /// New keys by time, the end of a stream, and the memory of a session without traffic.
    fn poll_time(&mut self, cx: &mut Context<'_>, last_byte: Instant) -> Poll<ConnectionEnd> {
        loop {
            let keys_due = self.link.lock().connection.poll_timeout().map(Instant::from_std);
            let idle_at = self.is_large.then(|| last_byte + IDLE);
            let batched_until = self.batching.as_ref().and_then(ReadBatching::poll_timeout).map(Instant::from_std);
            let Some(due) = [keys_due, idle_at, batched_until].into_iter().flatten().min() else {
                self.timer = None;
                return Poll::Pending;
            };
            let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(due)));
            // A timer that is early finds out when it fires: moving it with each packet would cost more.
            if timer.deadline() > due {
                timer.as_mut().reset(due);
            }
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            self.timer = None;
            let now = clock::now();
            self.batch_reads(|batching| batching.on_timeout(now));
            if keys_due.is_some_and(|due| due.into_std() <= now) {
                if let Err(error) = self.link.lock().connection.handle_timeout(now) {
                    return Poll::Ready(ConnectionEnd::Failed(error));
                }
                cx.waker().wake_by_ref();
            }
            if idle_at.is_some_and(|idle| idle.into_std() <= now) {
                (self.room, self.is_large) = (SMALL, false);
                if self.input.is_empty() {
                    self.input = BytesMut::new();
                }
                if self.output.is_empty() {
                    self.output = BytesMut::new();
                }
                self.link.lock().connection.shrink();
            }
        }
    }
}
