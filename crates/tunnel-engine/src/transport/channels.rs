//! What passes between the server and russh about channels (RFC 4254), and what does not: data from the server is kept
//! here for its reader, windows are granted as it is taken, and our data, EOF and CLOSE are sent from here. Our channels
//! are opened here (`own`); russh says yes or no to the server's, and learns when the server has closed them.

use std::borrow::Cow;
use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::task::Waker;
use std::time::{Duration, Instant};

use bytes::{Buf as _, Bytes};

mod message_count;
mod own;
mod state;

use super::TransportError;
use super::inbox::InPlace;
use super::message::{
    MSG_CHANNEL_CLOSE, MSG_CHANNEL_DATA, MSG_CHANNEL_EOF, MSG_CHANNEL_EXTENDED_DATA, MSG_CHANNEL_FAILURE,
    MSG_CHANNEL_OPEN, MSG_CHANNEL_OPEN_CONFIRMATION, MSG_CHANNEL_OPEN_FAILURE, MSG_CHANNEL_REQUEST,
    MSG_CHANNEL_SUCCESS, MSG_CHANNEL_WINDOW_ADJUST,
};
use super::window::{Room, Window};
use super::wire::{MessageReader, put_u32};
pub(crate) use message_count::MessageCount;
#[cfg(any(test, feature = "fuzzing"))]
pub(in crate::transport) use own::FIRST as FIRST_OWN;
pub(crate) use own::{Content, OwnRefusal, SendError, StreamEnd};
use state::ChannelState;

/// Channels of the server's that wait for russh's answer.
const MAX_OFFERED: usize = 4096;
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
    /// The server's numbers of them.
    by_theirs: HashMap<u32, u32>,
    /// By our numbers: a window may be granted, or CLOSE is due.
    due: VecDeque<u32>,
    /// By our numbers: writers that wait for the connection, in the order in which they came.
    waiting: VecDeque<u32>,
    /// Channels that the server asked for, by its numbers: the window and the longest data that it takes.
    offered: HashMap<u32, (u32, u32)>,
    /// CLOSEs that russh will send for channels that were closed here, by the server's numbers. The server may use a
    /// number again before russh has said its CLOSE.
    unsaid: HashMap<u32, usize>,
    /// Of the channels that are opened here: our number for the next, and those that the server has not answered for.
    next_own: u32,
    opening: Vec<u32>,
}

/// What becomes of a message of the server's.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum FromServer {
    /// It is for russh.
    Pass(Bytes),
    /// Bytes of a channel, kept for its reader.
    Data(usize),
    /// The server has taken data of ours.
    Adjusted,
    /// It is done with.
    Handled,
}

/// A channel takes no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ended;

fn wake(slot: &mut Option<Waker>) {
    if let Some(waker) = slot.take() {
        waker.wake();
    }
}

impl Channels {
    /// `max_window`: how far the window of a channel may grow; `message_count`: how the server counts messages.
    pub(crate) fn new(max_window: u32, message_count: MessageCount) -> Self {
        Self {
            room: Room::new(max_window),
            in_place: InPlace::default(),
            message_count,
            open: HashMap::new(),
            by_theirs: HashMap::new(),
            due: VecDeque::new(),
            waiting: VecDeque::new(),
            offered: HashMap::new(),
            unsaid: HashMap::new(),
            next_own: own::FIRST,
            opening: Vec::new(),
        }
    }

    /// The server took so long for an answer.
    pub(crate) fn note_round_trip(&mut self, took: Duration, now: Instant) {
        self.room.note_round_trip(took, now);
    }

    /// A message of russh's; `None`: it is not for the server.
    pub(crate) fn client_says<'a>(&mut self, payload: &'a [u8]) -> Result<Option<Cow<'a, [u8]>>, TransportError> {
        let mut reader = MessageReader::new("channel message", payload);
        match reader.u8()? {
            MSG_CHANNEL_OPEN_CONFIRMATION => {
                let (theirs, ours) = (reader.u32()?, reader.u32()?);
                let at = payload.len() - reader.rest().len();
                Ok(Some(self.begin(ours, theirs, payload, at)))
            }
            // Of data that russh never saw.
            MSG_CHANNEL_WINDOW_ADJUST => Ok(None),
            MSG_CHANNEL_OPEN_FAILURE => {
                self.offered.remove(&reader.u32()?);
                Ok(Some(Cow::Borrowed(payload)))
            }
            MSG_CHANNEL_CLOSE => {
                let theirs = reader.u32()?;
                if let Entry::Occupied(mut unsaid) = self.unsaid.entry(theirs) {
                    *unsaid.get_mut() -= 1;
                    if *unsaid.get() == 0 {
                        unsaid.remove();
                    }
                    return Ok(None);
                }
                let Some((ours, channel)) = self.of_theirs(theirs) else { return Ok(None) };
                channel.sent_close = true;
                self.forget_if_over(ours);
                Ok(Some(Cow::Borrowed(payload)))
            }
            _ => Ok(Some(Cow::Borrowed(payload))),
        }
    }

    /// A message of the server's.
    pub(crate) fn server_says(&mut self, payload: Bytes, now: Instant) -> Result<FromServer, TransportError> {
        match own::recipient(&payload) {
            Some(ours) => self.own_from_server(ours, payload, now),
            None => self.note_from_server(payload, now),
        }
    }

    fn note_from_server(&mut self, payload: Bytes, now: Instant) -> Result<FromServer, TransportError> {
        let mut reader = MessageReader::new("channel message", &payload);
        match reader.u8()? {
            MSG_CHANNEL_DATA => {
                let (ours, data) = (reader.u32()?, reader.string()?);
                reader.end()?;
                let (length, mut data) = (data.len(), payload.clone());
                data.advance(payload.len() - length);
                self.data(ours, data)?;
                Ok(FromServer::Data(length))
            }
            MSG_CHANNEL_EXTENDED_DATA => {
                let (ours, _) = (reader.u32()?, reader.u32()?);
                let length = reader.string()?.len();
                reader.end()?;
                // Errors of a command, which are left out.
                self.get(ours, MSG_CHANNEL_EXTENDED_DATA)?.window.received(length)?;
                self.taken(ours, length, now);
                Ok(FromServer::Data(length))
            }
            MSG_CHANNEL_OPEN => {
                reader.string()?;
                let theirs = reader.u32()?;
                if self.offered.len() >= MAX_OFFERED {
                    return Err(TransportError::Flood);
                }
                self.offered.insert(theirs, (reader.u32()?, reader.u32()?));
                Ok(FromServer::Pass(payload))
            }
            MSG_CHANNEL_WINDOW_ADJUST => {
                let (ours, bytes) = (reader.u32()?, reader.u32()?);
                reader.end()?;
                if let Some(channel) = self.open.get_mut(&ours) {
                    channel.send_window = channel.send_window.saturating_add(bytes);
                    wake(&mut channel.writer);
                }
                Ok(FromServer::Adjusted)
            }
            MSG_CHANNEL_OPEN_CONFIRMATION => {
                let (ours, theirs) = (reader.u32()?, reader.u32()?);
                let (window, max_data) = (reader.u32()?, reader.u32()?);
                let channel = self.get(ours, MSG_CHANNEL_OPEN_CONFIRMATION)?;
                if channel.theirs.replace(theirs).is_some() || self.by_theirs.insert(theirs, ours).is_some() {
                    return Err(TransportError::Unexpected(MSG_CHANNEL_OPEN_CONFIRMATION));
                }
                self.takes(ours, (window, max_data));
                Ok(FromServer::Handled)
            }
            // russh would keep each of these for a reader, without a bound: EOF is said to it once.
            MSG_CHANNEL_EOF => {
                let again =
                    self.open.get_mut(&reader.u32()?).is_some_and(|it| std::mem::replace(&mut it.got_eof, true));
                Ok(if again { FromServer::Handled } else { FromServer::Pass(payload) })
            }
            MSG_CHANNEL_REQUEST => {
                let ours = reader.u32()?;
                reader.string()?;
                if reader.boolean()? {
                    self.refuse_request(ours)?;
                }
                Ok(FromServer::Handled)
            }
            // Nothing is asked on channels of the server's.
            MSG_CHANNEL_SUCCESS | MSG_CHANNEL_FAILURE => Ok(FromServer::Handled),
            // Of a channel that was not opened here: there is none.
            MSG_CHANNEL_OPEN_FAILURE => Err(TransportError::Unexpected(MSG_CHANNEL_OPEN_FAILURE)),
            MSG_CHANNEL_CLOSE => {
                let ours = reader.u32()?;
                let channel = self.get(ours, MSG_CHANNEL_CLOSE)?;
                channel.got_close = true;
                wake(&mut channel.writer);
                self.forget_if_over(ours);
                Ok(FromServer::Pass(payload))
            }
            _ => Ok(FromServer::Pass(payload)),
        }
    }

    /// A channel has a reader, perhaps before russh has said yes to the server, which opened it.
    pub(crate) fn attach(&mut self, ours: u32) {
        let room = &mut self.room;
        self.open.entry(ours).or_insert_with(|| ChannelState::new(Window::new(room)));
    }

    /// The next message that is due to the server: windows to grant, channels to close.
    pub(crate) fn poll_message(&mut self) -> Option<Vec<u8>> {
        while let Some(ours) = self.due.pop_front() {
            let Some(channel) = self.open.get_mut(&ours) else { continue };
            channel.is_due = false;
            if let Some(open) = channel.own.as_mut().and_then(|own| own.open.take()) {
                self.make_due(ours);
                return Some(open);
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
                let mut message = vec![MSG_CHANNEL_EOF];
                put_u32(&mut message, theirs);
                self.make_due(ours);
                return Some(message);
            }
            if channel.closing {
                channel.sent_close = true;
                if channel.own.is_none() {
                    *self.unsaid.entry(theirs).or_insert(0) += 1;
                }
                let mut message = vec![MSG_CHANNEL_CLOSE];
                put_u32(&mut message, theirs);
                self.forget_if_over(ours);
                return Some(message);
            }
            if channel.got_close {
                continue;
            }
            if let Some(bytes) = channel.window.grant() {
                let mut message = vec![MSG_CHANNEL_WINDOW_ADJUST];
                put_u32(&mut message, theirs);
                put_u32(&mut message, bytes);
                return Some(message);
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

    /// How much of `wanted` bytes the server takes now, in one message to the channel with the given number of its own;
    /// `None`: nothing, and `waker` is woken when it does.
    ///
    /// # Errors
    /// The channel has ended.
    pub(crate) fn may_send(&mut self, ours: u32, wanted: usize, waker: &Waker) -> Result<Option<(u32, usize)>, Ended> {
        let channel = self.open.get_mut(&ours).ok_or(Ended)?;
        if channel.got_close || channel.ending || channel.closing {
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

    /// A channel is closed here. russh learns of it by the server's CLOSE, and then forgets the channel.
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
            if let Some(own) = &mut channel.own {
                own.forget_messages();
            }
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

    /// Of a channel of the server's. `at`: where in `payload` the window is.
    fn begin<'a>(&mut self, ours: u32, theirs: u32, payload: &'a [u8], at: usize) -> Cow<'a, [u8]> {
        let room = &mut self.room;
        let channel = self.open.entry(ours).or_insert_with(|| ChannelState::new(Window::new(room)));
        let mut message = payload.to_vec();
        if let Some(field) = message.get_mut(at..at + 4) {
            field.copy_from_slice(&channel.window.initial().to_be_bytes());
        }
        channel.theirs = Some(theirs);
        self.by_theirs.insert(theirs, ours);
        let takes = self.offered.remove(&theirs).unwrap_or_default();
        self.takes(ours, takes);
        Cow::Owned(message)
    }

    fn data(&mut self, ours: u32, data: Bytes) -> Result<(), TransportError> {
        let channel = self.open.get_mut(&ours).ok_or(TransportError::Unexpected(MSG_CHANNEL_DATA))?;
        if channel.theirs.is_none() || channel.got_close {
            return Err(TransportError::Unexpected(MSG_CHANNEL_DATA));
        }
        channel.window.received(data.len())?;
        if channel.abandoned || channel.sent_close || data.is_empty() {
            return Ok(());
        }
        channel.inbox.put(data, &mut self.in_place);
        wake(&mut channel.reader);
        Ok(())
    }

    /// What the server said about the data that it takes.
    fn takes(&mut self, ours: u32, (window, max_data): (u32, u32)) {
        if let Some(channel) = self.open.get_mut(&ours) {
            (channel.send_window, channel.max_data) = (window, max_data.min(MAX_DATA));
            if let Some(own) = &mut channel.own {
                own.window_at_first = window;
            }
            wake(&mut channel.writer);
            // EOF and CLOSE may have been asked for before.
            self.make_due(ours);
        }
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

    fn of_theirs(&mut self, theirs: u32) -> Option<(u32, &mut ChannelState)> {
        let ours = *self.by_theirs.get(&theirs)?;
        Some((ours, self.open.get_mut(&ours)?))
    }

    fn make_due(&mut self, ours: u32) {
        if let Some(channel) = self.open.get_mut(&ours)
            && !std::mem::replace(&mut channel.is_due, true)
        {
            self.due.push_back(ours);
        }
    }

    /// A channel that both sides have closed is forgotten by the server's number at once, and by ours when its reader
    /// has taken what came.
    fn forget_if_over(&mut self, ours: u32) {
        let Some(channel) = self.open.get(&ours) else { return };
        if !(channel.sent_close && channel.got_close) {
            return;
        }
        if let Some(theirs) = channel.theirs
            && self.by_theirs.get(&theirs) == Some(&ours)
        {
            self.by_theirs.remove(&theirs);
        }
        if channel.abandoned {
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
