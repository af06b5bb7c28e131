//! Channels that are opened here and that russh never hears of. The data of those of forwards and commands are a stream of
//! bytes, those of tunnel devices messages that are kept apart. russh counts the channels of the server's up from small
//! numbers; these have large ones.

use std::collections::VecDeque;
use std::task::Waker;
use std::time::Instant;

use bytes::Bytes;

use super::{ChannelState, Channels, Ended, FromServer, MAX_DATA, MAX_DATA_NEAR, wake};
use crate::transport::TransportError;
use crate::transport::message::{
    MSG_CHANNEL_CLOSE, MSG_CHANNEL_DATA, MSG_CHANNEL_EOF, MSG_CHANNEL_EXTENDED_DATA, MSG_CHANNEL_FAILURE,
    MSG_CHANNEL_OPEN, MSG_CHANNEL_OPEN_CONFIRMATION, MSG_CHANNEL_OPEN_FAILURE, MSG_CHANNEL_REQUEST,
    MSG_CHANNEL_SUCCESS, MSG_CHANNEL_WINDOW_ADJUST,
};
use crate::transport::window::Window;
use crate::transport::wire::{MessageReader, put_string, put_u32};

/// The first number; the server would have to open a billion channels on one session to get there.
pub(in crate::transport) const FIRST: u32 = 1 << 30;
/// Behind the last one: servers that keep numbers as signed ones know all of them.
const END: u32 = 1 << 31;
/// Messages that wait for their reader. More are dropped: what they carry is resent by those who need it.
const MAX_MESSAGES: usize = 4096;

/// What the data of a channel are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    /// A stream of bytes, in pieces of no meaning.
    Bytes,
    /// Each is read as it was sent, or lost where too many wait.
    Messages,
}

/// What a stream says beside its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StreamEnd {
    /// The server sends no more; it may still read.
    Eof,
    /// The server has closed the channel.
    Closed,
}

/// What such a channel has beside the others.
pub(super) struct Own {
    content: Content,
    /// Not sent yet.
    pub(super) open: Option<Vec<u8>>,
    answer: Option<Result<(), OwnRefusal>>,
    /// The last debug message since the request: OpenSSH gives its reason right before its answer.
    said: String,
    messages: VecDeque<Bytes>,
    request: Request,
    /// The server's, which it refills.
    pub(super) window_at_first: u32,
    /// The reader of a stream knows of its EOF.
    is_eof_read: bool,
}

/// What is asked on such a channel, one thing at a time.
enum Request {
    None,
    /// Not yet: the rest of its message, behind the number of the channel.
    Due(Vec<u8>),
    Sent,
    Answered(bool),
}

impl Own {
    fn new(content: Content, open: Vec<u8>) -> Self {
        Self {
            content,
            open: Some(open),
            answer: None,
            said: String::new(),
            messages: VecDeque::new(),
            request: Request::None,
            window_at_first: 0,
            is_eof_read: false,
        }
    }

    pub(super) fn forget_messages(&mut self) {
        self.messages = VecDeque::new();
    }

    /// The request, if it is due.
    pub(super) fn take_request(&mut self, theirs: u32) -> Option<Vec<u8>> {
        let Request::Due(request) = &self.request else { return None };
        let mut message = vec![MSG_CHANNEL_REQUEST];
        put_u32(&mut message, theirs);
        message.extend_from_slice(request);
        self.request = Request::Sent;
        Some(message)
    }
}

/// Why the server did not open a channel; its words are not escaped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OwnRefusal {
    /// RFC 4254 section 5.1.
    pub(crate) code: u32,
    pub(crate) text: String,
    /// What it said in the debug message before, where OpenSSH has its reason.
    pub(crate) said: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SendError {
    /// The server takes none that long.
    TooLong,
    /// The channel has ended.
    Ended,
}

/// Whom a message is for, where that is a channel of these.
pub(super) fn recipient(payload: &[u8]) -> Option<u32> {
    let mut reader = MessageReader::new("channel message", payload);
    let about_a_channel = (MSG_CHANNEL_OPEN_CONFIRMATION..=MSG_CHANNEL_FAILURE).contains(&reader.u8().ok()?);
    reader.u32().ok().filter(|ours| about_a_channel && (FIRST..END).contains(ours))
}

impl Channels {
    /// Begins a channel of the given type, whose own fields are `fields`; gives our number of it. The request is due.
    pub(crate) fn open_own(&mut self, kind: &str, fields: &[u8], content: Content) -> u32 {
        while self.open.contains_key(&self.next_own) {
            self.advance();
        }
        let ours = self.next_own;
        self.advance();
        let window = Window::new(&mut self.room);
        let mut open = vec![MSG_CHANNEL_OPEN];
        put_string(&mut open, kind.as_bytes());
        put_u32(&mut open, ours);
        put_u32(&mut open, window.initial());
        put_u32(&mut open, if self.room.is_near() { MAX_DATA_NEAR } else { MAX_DATA });
        open.extend_from_slice(fields);
        let own = Own::new(content, open);
        self.open.insert(ours, ChannelState { own: Some(Box::new(own)), ..ChannelState::new(window) });
        if content == Content::Messages {
            self.opening.push(ours);
        }
        self.make_due(ours);
        ours
    }

    /// The server's answer; `None`: none has come, and `waker` is woken when one does.
    pub(crate) fn take_answer(&mut self, ours: u32, waker: &Waker) -> Option<Result<(), OwnRefusal>> {
        let channel = self.open.get_mut(&ours)?;
        let answer = channel.own.as_mut().and_then(|own| own.answer.take());
        if answer.is_none() {
            channel.reader = Some(waker.clone());
        }
        answer
    }

    /// Asks for something on an open channel, with an answer: a kind of request, whose own fields are `fields`. It is due.
    pub(crate) fn ask(&mut self, ours: u32, kind: &str, fields: &[u8]) {
        let Some(own) = self.open.get_mut(&ours).and_then(|channel| channel.own.as_mut()) else { return };
        let mut request = Vec::new();
        put_string(&mut request, kind.as_bytes());
        request.push(1);
        request.extend_from_slice(fields);
        own.request = Request::Due(request);
        self.make_due(ours);
    }

    /// Whether the server does what it was asked for; `None`: it has not said, and `waker` is woken when it does.
    pub(crate) fn take_reply(&mut self, ours: u32, waker: &Waker) -> Option<bool> {
        let channel = self.open.get_mut(&ours)?;
        if let Some(own) = &mut channel.own
            && let Request::Answered(reply) = own.request
        {
            own.request = Request::None;
            return Some(reply);
        }
        channel.reader = Some(waker.clone());
        None
    }

    /// What such a stream says when all bytes that have come are read; EOF once. `None`: nothing yet.
    pub(crate) fn stream_end(&mut self, ours: u32) -> Option<StreamEnd> {
        let Some(channel) = self.open.get_mut(&ours) else { return Some(StreamEnd::Closed) };
        if let Some(own) = &mut channel.own
            && channel.got_eof
            && !std::mem::replace(&mut own.is_eof_read, true)
        {
            return Some(StreamEnd::Eof);
        }
        channel.got_close.then_some(StreamEnd::Closed)
    }

    /// No more messages come on such a channel, once those that have come are read.
    pub(crate) fn has_ended(&self, ours: u32) -> bool {
        let Some(channel) = self.open.get(&ours) else { return true };
        channel.got_close || channel.got_eof || channel.own.is_none()
    }

    /// Whether the server takes a message of these lengths, of its address family and its packet, now, on the channel with
    /// the given number of its own; `None`: not now, and `waker` is woken when it does.
    pub(crate) fn may_send_whole(
        &mut self,
        ours: u32,
        (family, packet): (usize, usize),
        waker: &Waker,
    ) -> Result<Option<u32>, SendError> {
        let channel = self.open.get_mut(&ours).ok_or(SendError::Ended)?;
        if channel.got_close || channel.ending || channel.closing {
            return Err(SendError::Ended);
        }
        let counted = self.message_count.counted(family, packet).ok_or(SendError::TooLong)?;
        let Some(theirs) = channel.theirs else { return Err(SendError::Ended) };
        if counted > channel.max_data {
            return Err(SendError::TooLong);
        }
        let at_first = channel.own.as_ref().map_or(0, |own| own.window_at_first);
        let unused = self.message_count.unused(at_first, self.room.round_trip());
        let Some(rest) = channel.send_window.checked_sub(counted).filter(|rest| *rest >= unused) else {
            channel.writer = Some(waker.clone());
            return Ok(None);
        };
        channel.send_window = rest;
        Ok(Some(theirs))
    }

    /// The server says what it does, perhaps about a channel that is being opened.
    pub(crate) fn debug_text(&mut self, text: &str) {
        for ours in &self.opening {
            let own = self.open.get_mut(ours).and_then(|channel| channel.own.as_mut());
            if let Some(own) = own.filter(|own| own.open.is_none()) {
                text.clone_into(&mut own.said);
            }
        }
    }

    /// The next message; `None`: none has come, and `waker` is woken when one does.
    pub(crate) fn read_message(&mut self, ours: u32, waker: &Waker, now: Instant) -> Option<Bytes> {
        let channel = self.open.get_mut(&ours)?;
        let message = channel.own.as_mut().and_then(|own| own.messages.pop_front());
        match &message {
            Some(message) => self.taken(ours, message.len(), now),
            None => channel.reader = Some(waker.clone()),
        }
        message
    }

    pub(super) fn own_from_server(
        &mut self,
        ours: u32,
        payload: Bytes,
        now: Instant,
    ) -> Result<FromServer, TransportError> {
        let mut reader = MessageReader::new("channel message", &payload);
        let (number, _) = (reader.u8()?, reader.u32()?);
        match number {
            MSG_CHANNEL_DATA if self.content(ours, number)? == Content::Bytes => self.note_from_server(payload, now),
            MSG_CHANNEL_DATA => {
                let message = reader.string()?;
                reader.end()?;
                self.message(ours, message, now)
            }
            MSG_CHANNEL_EXTENDED_DATA | MSG_CHANNEL_WINDOW_ADJUST => self.note_from_server(payload, now),
            MSG_CHANNEL_OPEN_CONFIRMATION => {
                self.note_from_server(payload, now)?;
                self.answer(ours, Ok(()))
            }
            MSG_CHANNEL_OPEN_FAILURE => {
                let code = reader.u32()?;
                let text = String::from_utf8_lossy(reader.string()?).into_owned();
                if self.get(ours, number)?.theirs.is_some() {
                    return Err(TransportError::Unexpected(number));
                }
                self.answer(ours, Err(OwnRefusal { code, text, said: String::new() }))
            }
            MSG_CHANNEL_CLOSE => {
                self.note_from_server(payload, now)?;
                // Nothing but this answers it.
                self.close(ours);
                self.wake_reader(ours);
                Ok(FromServer::Handled)
            }
            MSG_CHANNEL_EOF => {
                self.get(ours, number)?.got_eof = true;
                self.wake_reader(ours);
                Ok(FromServer::Handled)
            }
            MSG_CHANNEL_REQUEST => {
                reader.string()?;
                // On a channel that there is not it is passed over, as by OpenSSH (client_input_channel_req).
                if reader.boolean()? {
                    self.refuse_request(ours)?;
                }
                Ok(FromServer::Handled)
            }
            // Those that were not asked for are passed over, as by OpenSSH (channel_input_status_confirm).
            MSG_CHANNEL_SUCCESS | MSG_CHANNEL_FAILURE => {
                if let Some(channel) = self.open.get_mut(&ours)
                    && let Some(own) = channel.own.as_mut().filter(|own| matches!(own.request, Request::Sent))
                {
                    own.request = Request::Answered(number == MSG_CHANNEL_SUCCESS);
                    wake(&mut channel.reader);
                }
                Ok(FromServer::Handled)
            }
            _ => Err(TransportError::Unexpected(number)),
        }
    }

    fn content(&mut self, ours: u32, number: u8) -> Result<Content, TransportError> {
        let own = self.get(ours, number)?.own.as_ref();
        own.map(|own| own.content).ok_or(TransportError::Unexpected(number))
    }

    fn message(&mut self, ours: u32, message: &[u8], now: Instant) -> Result<FromServer, TransportError> {
        let channel = self.get(ours, MSG_CHANNEL_DATA)?;
        if channel.theirs.is_none() || channel.got_close {
            return Err(TransportError::Unexpected(MSG_CHANNEL_DATA));
        }
        channel.window.received(message.len())?;
        match &mut channel.own {
            Some(own) if !channel.abandoned && own.messages.len() < MAX_MESSAGES => {
                own.messages.push_back(Bytes::copy_from_slice(message));
                wake(&mut channel.reader);
            }
            Some(_) | None => self.taken(ours, message.len(), now),
        }
        Ok(FromServer::Data(message.len()))
    }

    fn answer(&mut self, ours: u32, answer: Result<(), OwnRefusal>) -> Result<FromServer, TransportError> {
        self.opening.retain(|opening| *opening != ours);
        let channel = self.get(ours, MSG_CHANNEL_OPEN_FAILURE)?;
        let own = channel.own.as_mut().ok_or(TransportError::Unexpected(MSG_CHANNEL_OPEN_FAILURE))?;
        if own.answer.is_some() {
            return Err(TransportError::Unexpected(MSG_CHANNEL_OPEN_FAILURE));
        }
        let said = std::mem::take(&mut own.said);
        let is_refused = answer.is_err();
        own.answer = Some(answer.map_err(|refusal| OwnRefusal { said, ..refusal }));
        wake(&mut channel.reader);
        if is_refused {
            // It never was: there is nothing to close.
            (channel.sent_close, channel.got_close) = (true, true);
            self.forget_if_over(ours);
        }
        Ok(FromServer::Handled)
    }

    fn wake_reader(&mut self, ours: u32) {
        if let Some(channel) = self.open.get_mut(&ours) {
            wake(&mut channel.reader);
        }
    }

    fn advance(&mut self) {
        self.next_own = if self.next_own + 1 < END { self.next_own + 1 } else { FIRST };
    }
}

impl From<Ended> for SendError {
    fn from(_: Ended) -> Self {
        Self::Ended
    }
}

#[cfg(test)]
mod tests;
