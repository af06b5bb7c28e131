//! What the parts of a running session share: the connection, its requests and channels, and, during the login, what goes to
//! and from russh. Each part takes the lock for a moment and never waits with it.

mod channel_handle;
mod global_request;
mod offered_channel;

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::channels::{Channels, Ended, FromServer, MessageCount, Offer};
use super::connection::{Connection, ConnectionEvent};
use super::global::{GlobalRequests, ServerRequest};
use super::kex::WorkResult;
use super::message::{
    DebugText, MSG_CHANNEL_DATA, MSG_CHANNEL_FAILURE, MSG_CHANNEL_OPEN, MSG_DISCONNECT, MSG_GLOBAL_REQUEST,
    MSG_REQUEST_FAILURE, MSG_REQUEST_SUCCESS, MSG_UNIMPLEMENTED, MSG_USERAUTH_SUCCESS,
};
use super::negotiate::Agreement;
use super::russh_side::RusshSide;
use super::stage::{Meaning, Stage};
use super::wire::MessageReader;
use super::{TransportError, wake};
use crate::clock;
pub(crate) use channel_handle::{ChannelHandle, StreamEvent};
pub(crate) use offered_channel::{OfferReceiver, OfferedChannel};

/// Who is told what passes. Called with the lock held: nothing may wait in it.
pub(crate) trait LinkObserver: Send + 'static {
    /// New keys are in use.
    fn new_keys(&mut self, agreement: &Agreement);
    /// The server has let us in.
    fn logged_in(&mut self);
    /// The server says what it does.
    fn debug(&mut self, text: &DebugText);
    /// The server says which host keys it has, by their blobs.
    fn host_keys(&mut self, keys: Vec<Vec<u8>>);
    /// The server asks for what no client knows.
    fn unknown_request(&mut self, name: &str);
    /// A packet of data came on some channel.
    fn data(&mut self, bytes: usize);
    /// The server has taken data of ours.
    fn window_adjusted(&mut self);
    /// The server says goodbye: the payload of its DISCONNECT.
    fn goodbye(&mut self, payload: &[u8]);
    /// The connection is over: the server has closed it…
    fn closed(&mut self);
    /// …or because of what it sent…
    fn failed(&mut self, error: &TransportError);
    /// …or because the way to it broke.
    fn lost(&mut self, error: io::Error);
}

pub(super) enum ConnectionEnd {
    /// From here.
    Shut,
    /// By the server.
    Closed,
    Failed(TransportError),
    Lost(io::Error),
}

/// What the server has asked for, for [`OfferReceiver`].
pub(super) enum Arrival {
    Offered(Offer),
    Refused(&'static str),
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
    /// Until the login is over.
    pub(super) russh: Option<Box<RusshSide>>,
    arrivals: Vec<Arrival>,
    /// Until the end: it may hold what holds the link.
    observer: Option<Box<dyn LinkObserver>>,
    pub(super) driver: Option<Waker>,
    /// This side has said all.
    pub(super) is_shut: bool,
    /// Nothing comes any more.
    pub(super) is_over: bool,
}

impl TransportLink {
    /// For a connection whose host key is believed.
    pub(crate) fn new(connection: Connection, max_window: u32) -> Result<Arc<Self>, TransportError> {
        let channels = Channels::new(max_window, MessageCount::of(connection.server_ident()));
        let state = TransportState {
            connection,
            channels,
            global: GlobalRequests::default(),
            stage: Stage::default(),
            russh: Some(Box::new(RusshSide::new()?)),
            arrivals: Vec::new(),
            observer: None,
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

    /// The login is over: russh reads the end of its stream, and is not heard any more.
    pub(crate) fn leave_russh(&self) {
        let side = self.lock().russh.take();
        if let Some(mut side) = side {
            side.wake();
        }
    }

    /// The server took so long for an answer.
    pub(crate) fn note_round_trip(&self, took: Duration) {
        self.lock().channels.note_round_trip(took, clock::now());
    }

    /// Says goodbye (RFC 4253 section 11.1) and ends the connection when that is written.
    pub(crate) fn disconnect(&self, reason: u32, text: &str) {
        let mut state = self.lock();
        if !state.is_over && !state.is_shut {
            state.connection.goodbye(reason, text);
        }
        state.shut();
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
        !self.connection.is_computing() && self.russh.as_ref().is_none_or(|side| !side.is_full())
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
            let sequence = self.connection.next_sent();
            let message = self.global.poll_message(sequence).or_else(|| self.channels.poll_message());
            let Some(message) = message else { break };
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
            if let Some(side) = &mut self.russh {
                side.wake_writer();
            }
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

    /// What the server has asked for since the last call.
    pub(super) fn take_arrivals(&mut self) -> Vec<Arrival> {
        std::mem::take(&mut self.arrivals)
    }

    /// This side has said all.
    pub(super) fn shut(&mut self) {
        self.is_shut = true;
        wake(&mut self.driver);
    }

    /// russh ends the login; afterwards its end is no one's.
    pub(super) fn shut_by_russh(&mut self) {
        if self.russh.is_some() {
            self.shut();
        }
    }

    /// The connection is over: all who wait read what there is and then the end.
    pub(super) fn end(&mut self, end: ConnectionEnd) {
        if let Some(mut observer) = self.observer.take() {
            match end {
                ConnectionEnd::Shut => {}
                // Its answer to our end.
                ConnectionEnd::Closed if self.is_shut => {}
                ConnectionEnd::Closed => observer.closed(),
                ConnectionEnd::Failed(error) => observer.failed(&error),
                ConnectionEnd::Lost(error) => observer.lost(error),
            }
        }
        self.is_over = true;
        self.global.wake_all();
        self.channels.wake_all();
        if let Some(side) = &mut self.russh {
            side.wake();
        }
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
        if payload.first() == Some(&MSG_UNIMPLEMENTED) {
            let number = MessageReader::new("UNIMPLEMENTED", payload.get(1..).unwrap_or_default()).u32();
            number.into_iter().for_each(|number| self.global.unimplemented(number));
            return Ok(());
        }
        let payload = match self.stage.take(payload)? {
            Meaning::Known(payload) => payload,
            Meaning::Ping(pong) if self.connection.can_send_small() => return self.connection.send(&pong, now),
            // As OpenSSH, which answers no ping while keys are exchanged.
            Meaning::Ping(_) | Meaning::PassedOver => return Ok(()),
            Meaning::Unimplemented => return self.connection.unimplemented(sequence),
        };
        match payload.first().copied().unwrap_or_default() {
            MSG_GLOBAL_REQUEST => match self.global.asked(&payload)? {
                ServerRequest::HostKeys(keys) => self.deliver(|observer| observer.host_keys(keys)),
                ServerRequest::Unknown(name) => self.deliver(|observer| observer.unknown_request(&name)),
                ServerRequest::Refused => {}
            },
            MSG_REQUEST_SUCCESS | MSG_REQUEST_FAILURE => self.global.answer(&payload),
            MSG_CHANNEL_OPEN..=MSG_CHANNEL_FAILURE => match self.channels.server_says(payload, now)? {
                FromServer::Data(bytes) => self.deliver(|observer| observer.data(bytes)),
                FromServer::Adjusted => self.deliver(|observer| observer.window_adjusted()),
                FromServer::Offered(offer) => self.arrivals.push(Arrival::Offered(offer)),
                FromServer::Refused(what) => self.arrivals.push(Arrival::Refused(what)),
                FromServer::Handled => {}
            },
            number => {
                // Told at once: what comes behind it is its doing.
                match number {
                    MSG_DISCONNECT => self.deliver(|observer| observer.goodbye(&payload)),
                    MSG_USERAUTH_SUCCESS => self.deliver(|observer| observer.logged_in()),
                    _ => {}
                }
                if let Some(side) = &mut self.russh
                    && let Some(took) = side.tell(payload, now)?
                {
                    self.channels.note_round_trip(took, now);
                }
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
    pub(super) fn take_from_russh(&mut self, data: &[u8]) -> Result<usize, TransportError> {
        let (mut rest, now) = (data, clock::now());
        while self.connection.can_send()
            && let Some(side) = &mut self.russh
            && let Some(message) = side.next(&mut rest, now)?
        {
            self.connection.send(&message, now)?;
        }
        wake(&mut self.driver);
        Ok(data.len() - rest.len())
    }
}
