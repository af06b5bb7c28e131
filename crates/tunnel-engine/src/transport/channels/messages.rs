//! Channels whose data are messages that are kept apart: the packets of a tunnel device.

use std::task::Waker;
use std::time::Instant;

use bytes::Bytes;

use super::{Channels, Ended, wake};

/// Messages that wait for their reader. More are dropped: what they carry is resent by those who need it.
pub(super) const MAX_MESSAGES: usize = 4096;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SendError {
    /// The server takes none that long.
    TooLong,
    /// The channel has ended.
    Ended,
}

impl From<Ended> for SendError {
    fn from(_: Ended) -> Self {
        Self::Ended
    }
}

impl Channels {
    /// No more messages come on a channel, once those that have come are read.
    pub(crate) fn has_ended(&self, ours: u32) -> bool {
        self.open.get(&ours).is_none_or(|channel| channel.got_close || channel.got_eof)
    }

    /// The next message; `None`: none has come, and `waker` is woken when one does.
    pub(crate) fn read_message(&mut self, ours: u32, waker: &Waker, now: Instant) -> Option<Bytes> {
        let channel = self.open.get_mut(&ours)?;
        let message = channel.messages.pop_front();
        match &message {
            Some(message) => self.taken(ours, message.len(), now),
            None => channel.reader = Some(waker.clone()),
        }
        message
    }

    /// Whether the server takes a message of these lengths, of its address family and its packet, now, on the channel with
    /// the given number of its own; `None`: not now, and `waker` is woken when it does.
    pub(crate) fn may_send_whole(
        &mut self,
        ours: u32,
        (family, packet): (usize, usize),
        waker: &Waker,
    ) -> Result<Option<u32>, SendError> {
        let channel = self.open.get_mut(&ours).filter(|channel| !channel.takes_nothing()).ok_or(SendError::Ended)?;
        let counted = self.message_count.counted(family, packet).ok_or(SendError::TooLong)?;
        let Some(theirs) = channel.theirs else { return Err(SendError::Ended) };
        if counted > channel.max_data {
            return Err(SendError::TooLong);
        }
        let unused = self.message_count.unused(channel.window_at_first, self.room.round_trip());
        let Some(rest) = channel.send_window.checked_sub(counted).filter(|rest| *rest >= unused) else {
            channel.writer = Some(waker.clone());
            return Ok(None);
        };
        channel.send_window = rest;
        Ok(Some(theirs))
    }

    /// A message came, and its window is used up by it.
    pub(super) fn message(&mut self, ours: u32, message: &[u8], now: Instant) {
        let Some(channel) = self.open.get_mut(&ours) else { return };
        if channel.abandoned || channel.messages.len() >= MAX_MESSAGES {
            return self.taken(ours, message.len(), now);
        }
        channel.messages.push_back(Bytes::copy_from_slice(message));
        wake(&mut channel.reader);
    }
}
