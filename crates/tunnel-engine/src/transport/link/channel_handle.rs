//! A channel of a session: it carries messages, or becomes a stream of bytes.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;

use super::{TransportLink, TransportState};
use crate::clock;
use crate::transport::channels::{Content, OpenRefusal, SendError, StreamEnd};
use crate::transport::message::MSG_CHANNEL_DATA;
use crate::transport::wake;

/// The message's number, the recipient, the length of the data.
const DATA_HEAD: usize = 9;

/// Such a channel. Dropping it closes it, or gives up the request for it.
pub(crate) struct ChannelHandle {
    link: Arc<TransportLink>,
    ours: u32,
    /// It has become a stream, whose halves close it.
    is_stream: bool,
}

/// What comes on a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum StreamEvent {
    Bytes(Bytes),
    /// The server sends no more; it may still read.
    Eof,
    /// The server has closed the channel.
    Closed,
    /// The connection has ended.
    Lost,
}

impl TransportLink {
    /// Asks the server for a channel of the given type, whose own fields are `fields`.
    pub(crate) fn open_channel(self: &Arc<Self>, kind: &str, fields: &[u8], content: Content) -> ChannelHandle {
        let mut state = self.lock();
        let ours = state.channels.open(kind, fields, content);
        state.send_what_is_due();
        drop(state);
        ChannelHandle::new(self.clone(), ours)
    }

    /// What comes next on a stream, by our number.
    pub(crate) fn poll_stream(&self, ours: u32, cx: &Context<'_>) -> Poll<StreamEvent> {
        let mut state = self.lock();
        if let Some(bytes) = state.channels.read(ours, cx.waker(), clock::now()) {
            state.send_what_is_due();
            return Poll::Ready(StreamEvent::Bytes(bytes));
        }
        match state.channels.stream_end(ours) {
            Some(StreamEnd::Eof) => Poll::Ready(StreamEvent::Eof),
            Some(StreamEnd::Closed) => Poll::Ready(StreamEvent::Closed),
            None if state.is_over => Poll::Ready(StreamEvent::Lost),
            None => Poll::Pending,
        }
    }
}

impl ChannelHandle {
    /// Of a channel with our number.
    pub(super) const fn new(link: Arc<TransportLink>, ours: u32) -> Self {
        Self { link, ours, is_stream: false }
    }

    /// The server's answer; ready once.
    ///
    /// # Errors
    /// Why it refused; `None`: the connection has ended.
    pub(crate) fn poll_opened(&self, cx: &Context<'_>) -> Poll<Result<(), Option<OpenRefusal>>> {
        let mut state = self.link.lock();
        match state.channels.take_answer(self.ours, cx.waker()) {
            Some(answer) => Poll::Ready(answer.map_err(Some)),
            None if state.is_over => Poll::Ready(Err(None)),
            None => Poll::Pending,
        }
    }

    /// Asks for something on the open channel: a kind of request, whose own fields are `fields`.
    pub(crate) fn ask(&self, kind: &str, fields: &[u8]) {
        let mut state = self.link.lock();
        state.channels.ask(self.ours, kind, fields);
        state.send_what_is_due();
    }

    /// Whether the server does it; ready once. `None`: the channel or the connection has ended.
    pub(crate) fn poll_reply(&self, cx: &Context<'_>) -> Poll<Option<bool>> {
        let mut state = self.link.lock();
        match state.channels.take_reply(self.ours, cx.waker()) {
            Some(reply) => Poll::Ready(Some(reply)),
            None if state.is_over || state.channels.has_ended(self.ours) => Poll::Ready(None),
            None => Poll::Pending,
        }
    }

    /// Of an open channel: our number of the stream. From now on the caller closes and abandons it.
    pub(crate) fn into_stream(mut self) -> u32 {
        self.is_stream = true;
        self.ours
    }

    /// The next message; `None`: the channel or the connection has ended.
    pub(crate) fn poll_recv(&self, cx: &Context<'_>) -> Poll<Option<Bytes>> {
        let mut state = self.link.lock();
        let message = state.channels.read_message(self.ours, cx.waker(), clock::now());
        state.send_what_is_due();
        match message {
            Some(message) => Poll::Ready(Some(message)),
            None if state.is_over || state.channels.has_ended(self.ours) => Poll::Ready(None),
            None => Poll::Pending,
        }
    }

    /// Sends a message in two parts, whole, when the server and the connection take it.
    pub(crate) fn poll_send(&self, parts: [&[u8]; 2], cx: &Context<'_>) -> Poll<Result<(), SendError>> {
        let mut state = self.link.lock();
        let sent = state.send_whole(self.ours, parts, cx.waker());
        wake(&mut state.driver);
        sent
    }

    /// Ends the channel in both directions: CLOSE. The server's own follows.
    pub(crate) fn close(&self) {
        self.link.close(self.ours);
    }
}

impl Drop for ChannelHandle {
    fn drop(&mut self) {
        if !self.is_stream {
            self.link.close(self.ours);
            self.link.abandon(self.ours);
        }
    }
}

impl TransportState {
    fn send_whole(&mut self, ours: u32, parts: [&[u8]; 2], waker: &Waker) -> Poll<Result<(), SendError>> {
        if self.is_over {
            return Poll::Ready(Err(SendError::Ended));
        }
        if !self.connection.can_send() {
            self.channels.wait(ours, waker);
            return Poll::Pending;
        }
        let [head, body] = parts;
        let length = head.len() + body.len();
        let Some(theirs) = self.channels.may_send_whole(ours, (head.len(), body.len()), waker)? else {
            return Poll::Pending;
        };
        let mut message = Vec::with_capacity(DATA_HEAD + head.len());
        message.push(MSG_CHANNEL_DATA);
        message.extend_from_slice(&theirs.to_be_bytes());
        message.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
        message.extend_from_slice(head);
        let sent = self.connection.send_parts([&message, body], clock::now());
        Poll::Ready(sent.map_err(|_| SendError::Ended))
    }
}
