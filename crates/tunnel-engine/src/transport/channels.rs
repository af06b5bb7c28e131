//! The channels of a connection (RFC 4254): data from the server is kept here for its reader, windows are granted as it is
//! taken, and our data, EOF and CLOSE are sent from here.

use std::collections::{HashMap, VecDeque};
use std::task::Waker;
use std::time::{Duration, Instant};

use bytes::Bytes;

mod message_count;
mod messages;
mod open;
mod state;

use super::inbox::InPlace;
use super::message::{
    MSG_CHANNEL_CLOSE, MSG_CHANNEL_DATA, MSG_CHANNEL_EOF, MSG_CHANNEL_EXTENDED_DATA, MSG_CHANNEL_FAILURE,
    MSG_CHANNEL_OPEN, MSG_CHANNEL_OPEN_CONFIRMATION, MSG_CHANNEL_OPEN_FAILURE, MSG_CHANNEL_REQUEST,
    MSG_CHANNEL_SUCCESS, MSG_CHANNEL_WINDOW_ADJUST,
};
use super::window::Room;
use super::wire::{MessageReader, put_string, put_u32};
use super::{TransportError, wake};
pub(crate) use message_count::MessageCount;
pub(crate) use messages::SendError;
pub(crate) use open::{Offer, Offered};
use state::{ChannelState, Request};
pub(crate) use state::{Content, OpenRefusal};

/// What one message carries at most, as OpenSSH's.
const MAX_DATA: u32 = 32 * 1024;
/// As much in one message is taken from a server that is near: each costs both sides a little beside its bytes. On a slow
/// path it would keep the messages of other channels waiting.
const MAX_DATA_NEAR: u32 = 128 * 1024;
/// Writers that are woken together. More than these would find the connection full again.
const MAX_WOKEN: usize = 16;
/// Requests of the server's on one channel that wait for our no. OpenSSH has one under way: its keepalive.
const MAX_UNANSWERED: u32 = 4096;

/// The channels of a connection, by our numbers.
pub(crate) struct Channels {
    room: Room,
    in_place: InPlace,
    message_count: MessageCount,
    open: HashMap<u32, ChannelState>,
    /// By our numbers: something is to be sent, or a window may be granted.
    due: VecDeque<u32>,
    /// By our numbers: writers that wait for the connection, in the order in which they came.
    waiting: VecDeque<u32>,
    /// Our number for the next.
    next: u32,
    /// Those that the server has not answered for.
    opening: Vec<u32>,
    /// Channels that the server asked for and that are neither taken nor refused yet.
    offered: usize,
    /// No to channels that the server asked for: the messages.
    refusals: VecDeque<Vec<u8>>,
}

/// What becomes of a message of the server's.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum FromServer {
    /// Bytes of a channel, kept for its reader.
    Data(usize),
    /// The server has taken data of ours.
    Adjusted,
    /// It asks for a channel, which is to be taken or refused.
    Offered(Offer),
    /// It asks for a channel that no tunnel wants, and is refused: what that was.
    Refused(&'static str),
    /// It is done with.
    Handled,
}

/// What a stream says beside its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StreamEnd {
    /// The server sends no more; it may still read.
    Eof,
    /// The server has closed the channel.
    Closed,
}

/// A channel takes no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ended;

/// A message with these numbers.
fn about(number: u8, fields: &[u32]) -> Vec<u8> {
    let mut message = vec![number];
    fields.iter().for_each(|field| put_u32(&mut message, *field));
    message
}

impl Channels {
    /// `max_window`: how far the window of a channel may grow; `message_count`: how the server counts messages.
    pub(crate) fn new(max_window: u32, message_count: MessageCount) -> Self {
        Self {
            room: Room::new(max_window),
            in_place: InPlace::default(),
            message_count,
            open: HashMap::new(),
            due: VecDeque::new(),
            waiting: VecDeque::new(),
            next: open::FIRST,
            opening: Vec::new(),
            offered: 0,
            refusals: VecDeque::new(),
        }
    }

    /// The server took so long for an answer.
    pub(crate) fn note_round_trip(&mut self, took: Duration, now: Instant) {
        self.room.note_round_trip(took, now);
    }

    /// A message of the server's about a channel. Those about none end the connection where OpenSSH's client ends it.
    pub(crate) fn server_says(&mut self, payload: Bytes, now: Instant) -> Result<FromServer, TransportError> {
        let mut reader = MessageReader::new("channel message", &payload);
        let number = reader.u8()?;
        if number == MSG_CHANNEL_OPEN {
            return self.asked_for(reader);
        }
        let ours = reader.u32()?;
        match number {
            MSG_CHANNEL_DATA => {
                let length = reader.string()?.len();
                reader.end()?;
                self.data(ours, payload.slice(payload.len() - length..), now)?;
                return Ok(FromServer::Data(length));
            }
            MSG_CHANNEL_EXTENDED_DATA => {
                reader.u32()?;
                let length = reader.string()?.len();
                reader.end()?;
                // Errors of a command, which are left out.
                self.get(ours, number)?.window.received(length)?;
                self.taken(ours, length, now);
                return Ok(FromServer::Data(length));
            }
            MSG_CHANNEL_WINDOW_ADJUST => {
                let bytes = reader.u32()?;
                reader.end()?;
                if let Some(channel) = self.open.get_mut(&ours) {
                    channel.send_window = channel.send_window.saturating_add(bytes);
                    wake(&mut channel.writer);
                }
                return Ok(FromServer::Adjusted);
            }
            MSG_CHANNEL_OPEN_CONFIRMATION => self.confirmed(ours, reader.u32()?, (reader.u32()?, reader.u32()?))?,
            MSG_CHANNEL_OPEN_FAILURE => {
                let (code, text) = (reader.u32()?, reader.string()?);
                self.refused(ours, code, text)?;
            }
            MSG_CHANNEL_EOF => {
                let channel = self.get(ours, number)?;
                channel.got_eof = true;
                wake(&mut channel.reader);
            }
            MSG_CHANNEL_CLOSE => {
                let channel = self.get(ours, number)?;
                channel.got_close = true;
                wake(&mut channel.writer);
                wake(&mut channel.reader);
                // It is answered by ours, if that was not sent before.
                self.close(ours);
                self.forget_if_over(ours);
            }
            MSG_CHANNEL_REQUEST => {
                reader.string()?;
                // On a channel that there is not it is passed over, as by OpenSSH (client_input_channel_req).
                if reader.boolean()? {
                    self.refuse_request(ours)?;
                }
            }
            // Those that were not asked for are passed over, as by OpenSSH (channel_input_status_confirm).
            MSG_CHANNEL_SUCCESS | MSG_CHANNEL_FAILURE => {
                if let Some(channel) = self.open.get_mut(&ours)
                    && matches!(channel.request, Request::Sent)
                {
                    channel.request = Request::Answered(number == MSG_CHANNEL_SUCCESS);
                    wake(&mut channel.reader);
                }
            }
            _ => return Err(TransportError::Unexpected(number)),
        }
        Ok(FromServer::Handled)
    }

    /// The next message that is due to the server.
    pub(crate) fn poll_message(&mut self) -> Option<Vec<u8>> {
        if let Some(refusal) = self.refusals.pop_front() {
            return Some(refusal);
        }
        while let Some(ours) = self.due.pop_front() {
            let Some(channel) = self.open.get_mut(&ours) else { continue };
            channel.is_due = false;
            if let Some(first) = channel.first.take() {
                self.make_due(ours);
                return Some(first);
            }
            let Some(theirs) = channel.theirs else { continue };
            if channel.sent_close {
                continue;
            }
            if !channel.closing
                && let Some(message) = channel.answer_or_request(theirs)
            {
                self.make_due(ours);
                return Some(message);
            }
            if channel.ending && !channel.sent_eof && !channel.got_close {
                channel.sent_eof = true;
                self.make_due(ours);
                return Some(about(MSG_CHANNEL_EOF, &[theirs]));
            }
            if channel.closing {
                channel.sent_close = true;
                self.forget_if_over(ours);
                return Some(about(MSG_CHANNEL_CLOSE, &[theirs]));
            }
            if let Some(bytes) = channel.window.grant() {
                return Some(about(MSG_CHANNEL_WINDOW_ADJUST, &[theirs, bytes]));
            }
        }
        None
    }

    /// The next bytes for the reader of a channel; `None`: none have come, and `waker` is woken when some do.
    pub(crate) fn read(&mut self, ours: u32, waker: &Waker, now: Instant) -> Option<Bytes> {
        let channel = self.open.get_mut(&ours)?;
        let Some(bytes) = channel.inbox.take(&mut self.in_place) else {
            match &mut channel.reader {
                Some(known) => known.clone_from(waker),
                None => channel.reader = Some(waker.clone()),
            }
            return None;
        };
        self.taken(ours, bytes.len(), now);
        Some(bytes)
    }

    /// What a stream says when all bytes that have come are read; EOF once. `None`: nothing yet.
    pub(crate) fn stream_end(&mut self, ours: u32) -> Option<StreamEnd> {
        let Some(channel) = self.open.get_mut(&ours) else { return Some(StreamEnd::Closed) };
        if channel.got_eof && !std::mem::replace(&mut channel.is_eof_read, true) {
            return Some(StreamEnd::Eof);
        }
        channel.got_close.then_some(StreamEnd::Closed)
    }

    /// How much of `wanted` bytes the server takes now, in one message to the channel with the given number of its own;
    /// `None`: nothing, and `waker` is woken when it does.
    ///
    /// # Errors
    /// The channel has ended.
    pub(crate) fn may_send(&mut self, ours: u32, wanted: usize, waker: &Waker) -> Result<Option<(u32, usize)>, Ended> {
        let channel = self.open.get_mut(&ours).ok_or(Ended)?;
        if channel.takes_nothing() {
            return Err(Ended);
        }
        let most = channel.send_window.min(channel.max_data);
        let bytes = wanted.min(usize::try_from(most).unwrap_or(usize::MAX));
        let Some(theirs) = channel.theirs.filter(|_| bytes > 0) else {
            channel.writer = Some(waker.clone());
            return Ok(None);
        };
        channel.send_window -= u32::try_from(bytes).unwrap_or(most);
        Ok(Some((theirs, bytes)))
    }

    /// A writer is woken when the connection takes more.
    pub(crate) fn wait(&mut self, ours: u32, waker: &Waker) {
        if let Some(channel) = self.open.get_mut(&ours) {
            channel.writer = Some(waker.clone());
            if !std::mem::replace(&mut channel.is_waiting, true) {
                self.waiting.push_back(ours);
            }
        }
    }

    /// The connection takes more. Whether others wait still, who are to be woken after these.
    pub(crate) fn wake_waiting(&mut self) -> bool {
        for ours in self.waiting.drain(..self.waiting.len().min(MAX_WOKEN)) {
            if let Some(channel) = self.open.get_mut(&ours) {
                channel.is_waiting = false;
                wake(&mut channel.writer);
            }
        }
        !self.waiting.is_empty()
    }

    /// No more bytes are sent on a channel.
    pub(crate) fn end(&mut self, ours: u32) {
        if let Some(channel) = self.open.get_mut(&ours) {
            channel.ending = true;
            self.make_due(ours);
        }
    }

    /// A channel is closed in both directions.
    pub(crate) fn close(&mut self, ours: u32) {
        if let Some(channel) = self.open.get_mut(&ours) {
            channel.closing = true;
            self.make_due(ours);
        }
    }

    /// The reader of a channel has gone.
    pub(crate) fn abandon(&mut self, ours: u32) {
        if let Some(channel) = self.open.get_mut(&ours) {
            channel.abandoned = true;
            channel.inbox.clear(&mut self.in_place);
            channel.reader = None;
            // What still comes is not kept.
            channel.window.give_back(&mut self.room);
            channel.messages = VecDeque::new();
            self.forget_if_over(ours);
        }
    }

    /// Bytes that came and are not taken.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(super) fn kept(&self) -> usize {
        self.open.values().map(|channel| channel.inbox.len()).sum()
    }

    /// No more will come for any reader, nor go from any writer.
    pub(crate) fn wake_all(&mut self) {
        for channel in self.open.values_mut() {
            wake(&mut channel.reader);
            wake(&mut channel.writer);
        }
    }

    fn data(&mut self, ours: u32, data: Bytes, now: Instant) -> Result<(), TransportError> {
        let channel = self.open.get_mut(&ours).ok_or(TransportError::Unexpected(MSG_CHANNEL_DATA))?;
        if channel.theirs.is_none() || channel.got_close {
            return Err(TransportError::Unexpected(MSG_CHANNEL_DATA));
        }
        channel.window.received(data.len())?;
        if channel.content == Content::Messages {
            self.message(ours, &data, now);
        } else if !(channel.abandoned || channel.sent_close || data.is_empty()) {
            channel.inbox.put(data, &mut self.in_place);
            wake(&mut channel.reader);
        }
        Ok(())
    }

    fn taken(&mut self, ours: u32, bytes: usize, now: Instant) {
        if let Some(channel) = self.open.get_mut(&ours) {
            channel.window.taken(bytes, &mut self.room, now);
            self.make_due(ours);
        }
    }

    /// A request of the server's that wants an answer, which is no.
    fn refuse_request(&mut self, ours: u32) -> Result<(), TransportError> {
        if let Some(channel) = self.open.get_mut(&ours) {
            if channel.unanswered >= MAX_UNANSWERED {
                return Err(TransportError::Flood);
            }
            channel.unanswered += 1;
            self.make_due(ours);
        }
        Ok(())
    }

    fn get(&mut self, ours: u32, number: u8) -> Result<&mut ChannelState, TransportError> {
        self.open.get_mut(&ours).ok_or(TransportError::Unexpected(number))
    }

    fn make_due(&mut self, ours: u32) {
        if let Some(channel) = self.open.get_mut(&ours)
            && !std::mem::replace(&mut channel.is_due, true)
        {
            self.due.push_back(ours);
        }
    }

    /// A channel that both sides have closed is forgotten when its reader has taken what came, or has gone.
    fn forget_if_over(&mut self, ours: u32) {
        if let Some(channel) = self.open.get(&ours)
            && channel.sent_close
            && channel.got_close
            && channel.abandoned
        {
            self.forget(ours);
        }
    }

    fn forget(&mut self, ours: u32) {
        if let Some(mut channel) = self.open.remove(&ours) {
            channel.window.give_back(&mut self.room);
        }
    }
}

#[cfg(test)]
mod tests;
