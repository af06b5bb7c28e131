//! What is known of one channel.

use std::task::Waker;

use super::own::Own;
use crate::transport::inbox::ChannelInbox;
use crate::transport::message::MSG_CHANNEL_FAILURE;
use crate::transport::window::Window;
use crate::transport::wire::put_u32;

/// Of this side and the server's.
pub(super) struct ChannelState {
    /// Known when both have agreed to the channel.
    pub(super) theirs: Option<u32>,
    pub(super) window: Window,
    pub(super) inbox: ChannelInbox,
    pub(super) reader: Option<Waker>,
    /// What the server still takes, and how much of it in one message.
    pub(super) send_window: u32,
    pub(super) max_data: u32,
    pub(super) writer: Option<Waker>,
    /// It is in `waiting`.
    pub(super) is_waiting: bool,
    /// The reader has gone: what still comes is for no one.
    pub(super) abandoned: bool,
    /// EOF is to be sent, or was.
    pub(super) ending: bool,
    pub(super) sent_eof: bool,
    pub(super) sent_close: bool,
    pub(super) got_eof: bool,
    pub(super) got_close: bool,
    /// Requests of the server's that are to be answered with no.
    pub(super) unanswered: u32,
    /// CLOSE is to be sent, or was.
    pub(super) closing: bool,
    /// It is in `due`.
    pub(super) is_due: bool,
    /// Of a channel that was opened here, without russh.
    pub(super) own: Option<Box<Own>>,
}

impl ChannelState {
    pub(super) fn new(window: Window) -> Self {
        Self {
            theirs: None,
            window,
            inbox: ChannelInbox::default(),
            reader: None,
            send_window: 0,
            max_data: 0,
            writer: None,
            is_waiting: false,
            abandoned: false,
            ending: false,
            sent_eof: false,
            sent_close: false,
            got_eof: false,
            got_close: false,
            unanswered: 0,
            closing: false,
            is_due: false,
            own: None,
        }
    }

    /// What is due besides EOF, CLOSE and windows: a request of ours, a no to one of the server's.
    pub(super) fn answer_or_request(&mut self, theirs: u32) -> Option<Vec<u8>> {
        if let Some(message) = self.own.as_mut().and_then(|own| own.take_request(theirs)) {
            return Some(message);
        }
        self.unanswered = self.unanswered.checked_sub(1)?;
        let mut message = vec![MSG_CHANNEL_FAILURE];
        put_u32(&mut message, theirs);
        Some(message)
    }
}
