//! What the parts of a running session share: the connection, its channels, and what goes to and from russh. Each part
//! takes the lock for a moment and never waits with it.

mod clear_stream;
mod own_channel;

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};

use super::TransportError;
use super::channels::{Channels, Ended, FromServer, MessageCount};
use super::connection::{Connection, ConnectionEvent};
use super::global::{GlobalRequests, unknown_request};
use super::kex::WorkResult;
use super::message::{DebugText, MSG_CHANNEL_DATA, MSG_DISCONNECT, MSG_SERVICE_ACCEPT, MSG_SERVICE_REQUEST};
use super::negotiate::Agreement;
use super::russh_side::Clear;
use super::stage::{Meaning, Stage};
use super::text::Texts;
use crate::clock;
pub(crate) use clear_stream::ClearStream;
pub(crate) use own_channel::{OwnChannel, StreamEvent};

/// Messages for russh, without the data of channels, which does not go there. From here on the server is not read,
/// unless russh waits for the server.
const MAX_UNHEARD: usize = 256 * 1024;
/// While russh waits for the server, it hears nothing, and what answers it may stand behind other messages. More than
/// this is no answer.
const MAX_WHILE_WAITING: usize = 1024 * 1024;

/// Who is told what passes. Called with the lock held: nothing may wait in it.
pub(crate) trait LinkObserver: Send + 'static {
    /// New keys are in use.
    fn new_keys(&mut self, agreement: &Agreement);
    /// The server says what it does.
    fn debug(&mut self, text: &DebugText);
    /// The server asks for what no client knows.
    fn unknown_request(&mut self, name: &str);
    /// A packet of data came on some channel.
    fn data(&mut self, bytes: usize);
    /// The server has taken data of ours.
    fn window_adjusted(&mut self);
    /// The server says goodbye: the payload of its DISCONNECT.
    fn goodbye(&mut self, payload: &[u8]);
    /// The connection is over, because of what the server sent…
    fn failed(&mut self, error: &TransportError);
    /// …or because the way to it broke.
    fn lost(&mut self, error: io::Error);
}

pub(super) enum ConnectionEnd {
    /// By either side, in order.
    Closed,
    Failed(TransportError),
    Lost(io::Error),
}

/// A running session's transport.
pub(crate) struct TransportLink {
    state: Mutex<TransportState>,
}

pub(super) struct TransportState {
    pub(super) connection: Connection,
    channels: Channels,
    global: GlobalRequests,
    stage: Stage,
    texts: Texts,
    clear: Clear,
    to_russh: BytesMut,
    /// When a service was asked for: the first question that a server answers without work.
    service_asked: Option<Instant>,
    /// Until the end: it may hold what holds the link.
    observer: Option<Box<dyn LinkObserver>>,
    russh_reads: Option<Waker>,
    russh_writes: Option<Waker>,
    pub(super) driver: Option<Waker>,
    /// russh has said all.
    pub(super) is_shut: bool,
    /// Nothing comes any more.
    is_over: bool,
}

impl TransportLink {
    /// For a connection whose host key is believed.
    pub(crate) fn new(connection: Connection, max_window: u32) -> Result<Arc<Self>, TransportError> {
        let mut to_russh = BytesMut::new();
        let clear = Clear::begin(&mut to_russh)?;
        let channels = Channels::new(max_window, MessageCount::of(connection.server_ident()));
        let state = TransportState {
            connection,
            channels,
            global: GlobalRequests::default(),
            stage: Stage::default(),
            texts: Texts::default(),
            clear,
            to_russh,
            service_asked: None,
            observer: None,
            russh_reads: None,
            russh_writes: None,
            driver: None,
            is_shut: false,
            is_over: false,
        };
        Ok(Arc::new(Self { state: Mutex::new(state) }))
    }

    /// Tells `observer` from now on.
    pub(crate) fn observe(&self, observer: Box<dyn LinkObserver>) {
        self.lock().observer = Some(observer);
    }

    /// Why the server refused the global request whose fields begin with these; in the server's words, not escaped.
    pub(crate) fn take_refusal(&self, fields: &[u8]) -> Option<String> {
        self.lock().global.take_reason(fields)
    }

    /// The server took so long for an answer.
    pub(crate) fn note_round_trip(&self, took: Duration) {
        self.lock().channels.note_round_trip(took, clock::now());
    }

    /// A channel has a reader.
    pub(crate) fn attach(&self, ours: u32) {
        self.lock().channels.attach(ours);
    }

    /// Bytes of a channel, by our number, in their order. Whether the channel has ended is not known here.
    pub(crate) fn poll_channel(&self, ours: u32, cx: &Context<'_>) -> Poll<Bytes> {
        let mut state = self.lock();
        let bytes = state.channels.read(ours, cx.waker(), clock::now());
        state.send_what_is_due();
        bytes.map_or(Poll::Pending, Poll::Ready)
    }

    /// Sends bytes on a channel, as far as the server and the connection take them; ready when all are sent.
    ///
    /// # Errors
    /// The channel or the connection has ended.
    pub(crate) fn poll_send(&self, ours: u32, bytes: &mut Bytes, cx: &Context<'_>) -> Poll<Result<(), Ended>> {
        let mut state = self.lock();
        let sent = state.send(ours, bytes, cx.waker());
        wake(&mut state.driver);
        sent
    }

    /// No more bytes are sent on a channel: EOF.
    pub(crate) fn end(&self, ours: u32) {
        let mut state = self.lock();
        state.channels.end(ours);
        state.send_what_is_due();
    }

    /// Ends a channel in both directions: CLOSE.
    pub(crate) fn close(&self, ours: u32) {
        let mut state = self.lock();
        state.channels.close(ours);
        state.send_what_is_due();
    }

    /// The reader of a channel has gone.
    pub(crate) fn abandon(&self, ours: u32) {
        self.lock().channels.abandon(ours);
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, TransportState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TransportState {
    /// Whether more may be read from the server.
    pub(super) fn may_read(&self) -> bool {
        !self.connection.is_computing() && (self.to_russh.len() < MAX_UNHEARD || self.russh_writes.is_some())
    }

    /// The result of what the connection has asked to have computed, and what is in `input` since.
    pub(super) fn handle_work(&mut self, done: WorkResult, input: &mut BytesMut) -> Result<(), TransportError> {
        self.connection.handle_work(done, clock::now())?;
        self.handle_input(input)
    }

    /// Handles what is in `input`.
    pub(super) fn handle_input(&mut self, input: &mut BytesMut) -> Result<(), TransportError> {
        loop {
            let before = input.len();
            let handled = self.connection.handle_input(input, clock::now());
            let mut events = 0_usize;
            // What came before the error is told first.
            while let Some(event) = self.connection.poll_event() {
                events += 1;
                self.handle_event(event)?;
            }
            handled?;
            // Answers to many requests do not wait for all of them.
            self.send_what_is_due();
            if events == 0 || input.len() == before {
                break;
            }
        }
        Ok(())
    }

    /// Sends answers, grants and closes that waited.
    pub(super) fn send_what_is_due(&mut self) {
        let mut said = false;
        while self.connection.can_send_small() {
            let Some(message) = self.global.poll_answer().or_else(|| self.channels.poll_message()) else { break };
            said = true;
            if self.connection.send(&message, clock::now()).is_err() {
                break;
            }
        }
        if said {
            wake(&mut self.driver);
        }
    }

    /// russh, and the writers of channels in the order in which they came, may write again.
    pub(super) fn wake_writers(&mut self) {
        if self.connection.can_send() {
            wake(&mut self.russh_writes);
            if self.channels.wake_waiting() {
                // After those who were woken, which may have nothing to say any more.
                wake(&mut self.driver);
            }
        }
    }

    fn send(&mut self, ours: u32, bytes: &mut Bytes, waker: &Waker) -> Poll<Result<(), Ended>> {
        while !bytes.is_empty() {
            if self.is_over {
                return Poll::Ready(Err(Ended));
            }
            if !self.connection.can_send() {
                self.channels.wait(ours, waker);
                return Poll::Pending;
            }
            let Some((theirs, count)) = self.channels.may_send(ours, bytes.len(), waker)? else {
                return Poll::Pending;
            };
            let mut head = [0; 9];
            let (number, numbers) = head.split_at_mut(1);
            number.copy_from_slice(&[MSG_CHANNEL_DATA]);
            let (recipient, length) = numbers.split_at_mut(4);
            recipient.copy_from_slice(&theirs.to_be_bytes());
            length.copy_from_slice(&u32::try_from(count).unwrap_or(u32::MAX).to_be_bytes());
            let piece = bytes.split_to(count);
            self.connection.send_parts([&head, &piece], clock::now()).map_err(|_| Ended)?;
        }
        Poll::Ready(Ok(()))
    }

    /// The connection is over: russh reads what there is and then the end.
    pub(super) fn end(&mut self, end: ConnectionEnd) {
        if let Some(mut observer) = self.observer.take() {
            match end {
                ConnectionEnd::Closed => {}
                ConnectionEnd::Failed(error) => observer.failed(&error),
                ConnectionEnd::Lost(error) => observer.lost(error),
            }
        }
        self.is_over = true;
        self.channels.wake_all();
        wake(&mut self.russh_reads);
        wake(&mut self.russh_writes);
    }

    fn handle_event(&mut self, event: ConnectionEvent) -> Result<(), TransportError> {
        match event {
            ConnectionEvent::Message(payload, sequence) => self.handle_message(payload, sequence)?,
            ConnectionEvent::NewKeys(agreement) => self.deliver(|observer| observer.new_keys(&agreement)),
            ConnectionEvent::Debug(text) => {
                self.global.debug_text(&text.text);
                self.channels.debug_text(&text.text);
                self.deliver(|observer| observer.debug(&text));
            }
            // Asked and answered before there was a link.
            ConnectionEvent::HostKey { .. } => {}
        }
        Ok(())
    }

    fn handle_message(&mut self, payload: Bytes, sequence: u32) -> Result<(), TransportError> {
        let now = clock::now();
        let Some(payload) = self.global.answer(payload) else { return Ok(()) };
        let payload = match self.stage.take(payload)? {
            Meaning::Known(payload) => payload,
            Meaning::Ping(pong) if self.connection.can_send_small() => return self.connection.send(&pong, now),
            // As OpenSSH, which answers no ping while keys are exchanged.
            Meaning::Ping(_) | Meaning::PassedOver => return Ok(()),
            Meaning::Unimplemented => return self.connection.unimplemented(sequence),
        };
        match payload.first() {
            // Told at once: what comes behind it is its doing.
            Some(&MSG_DISCONNECT) => self.deliver(|observer| observer.goodbye(&payload)),
            Some(&MSG_SERVICE_ACCEPT) => {
                if let Some(asked) = self.service_asked.take() {
                    self.channels.note_round_trip(now.saturating_duration_since(asked), now);
                }
            }
            _ => {}
        }
        self.global.came(&payload);
        if let Some(name) = unknown_request(&payload) {
            self.deliver(|observer| observer.unknown_request(&name));
        }
        if self.global.refuse(&payload)? {
            return Ok(());
        }
        match self.channels.server_says(payload, now)? {
            FromServer::Data(bytes) => self.deliver(|observer| observer.data(bytes)),
            FromServer::Adjusted => self.deliver(|observer| observer.window_adjusted()),
            FromServer::Handled => {}
            FromServer::Pass(payload) => {
                let payload = self.texts.in_utf8(payload)?;
                self.clear.deliver(&payload, &mut self.to_russh)?;
                if self.to_russh.len() > MAX_WHILE_WAITING {
                    return Err(TransportError::Flood);
                }
                wake(&mut self.russh_reads);
            }
        }
        Ok(())
    }

    fn deliver(&mut self, what: impl FnOnce(&mut dyn LinkObserver)) {
        if let Some(observer) = &mut self.observer {
            what(&mut **observer);
        }
    }

    /// Takes messages for the server from what russh has written; gives how much was taken.
    fn receive(&mut self, data: &[u8]) -> Result<usize, TransportError> {
        let mut rest = data;
        while self.connection.can_send() {
            let Some(message) = self.clear.next(&mut rest)? else { break };
            if message.first() == Some(&MSG_SERVICE_REQUEST) {
                self.service_asked = Some(clock::now());
            }
            if let Some(message) = self.channels.client_says(&message)? {
                self.global.sent(&message, self.connection.next_sent())?;
                self.texts.sent(&message)?;
                self.connection.send(&message, clock::now())?;
            }
        }
        self.send_what_is_due();
        wake(&mut self.driver);
        Ok(data.len() - rest.len())
    }
}

fn wake(slot: &mut Option<Waker>) {
    if let Some(waker) = slot.take() {
        waker.wake();
    }
}
