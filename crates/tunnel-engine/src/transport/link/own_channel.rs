//! A channel that is opened here, without russh, and carries messages.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;

use super::{TransportLink, TransportState, wake};
use crate::clock;
use crate::transport::channels::{OwnRefusal, SendError};
use crate::transport::message::MSG_CHANNEL_DATA;

/// The message's number, the recipient, the length of the data.
const DATA_HEAD: usize = 9;

/// Such a channel. Dropping it closes it, or gives up the request for it.
pub(crate) struct OwnChannel {
    link: Arc<TransportLink>,
    ours: u32,
}

impl TransportLink {
    /// Asks the server for a channel of the given type, whose own fields are `fields`.
    pub(crate) fn open_own(self: &Arc<Self>, kind: &str, fields: &[u8]) -> OwnChannel {
        let mut state = self.lock();
        let ours = state.channels.open_own(kind, fields);
        state.send_what_is_due();
        drop(state);
        OwnChannel { link: self.clone(), ours }
    }
}

impl OwnChannel {
    /// The server's answer; ready once.
    ///
    /// # Errors
    /// Why it refused; `None`: the connection has ended.
    pub(crate) fn poll_opened(&self, cx: &Context<'_>) -> Poll<Result<(), Option<OwnRefusal>>> {
        let mut state = self.link.lock();
        match state.channels.take_answer(self.ours, cx.waker()) {
            Some(answer) => Poll::Ready(answer.map_err(Some)),
            None if state.is_over => Poll::Ready(Err(None)),
            None => Poll::Pending,
        }
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

impl Drop for OwnChannel {
    fn drop(&mut self) {
        self.link.close(self.ours);
        self.link.abandon(self.ours);
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
        let Some(theirs) = self.channels.may_send_whole(ours, length, waker)? else { return Poll::Pending };
        let mut message = Vec::with_capacity(DATA_HEAD + head.len());
        message.push(MSG_CHANNEL_DATA);
        message.extend_from_slice(&theirs.to_be_bytes());
        message.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
        message.extend_from_slice(head);
        let sent = self.connection.send_parts([&message, body], clock::now());
        Poll::Ready(sent.map_err(|_| SendError::Ended))
    }
}
