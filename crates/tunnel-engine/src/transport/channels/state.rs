//! What is known of one channel.

use std::collections::VecDeque;
use std::task::Waker;

use bytes::Bytes;

use super::about;
use crate::transport::inbox::ChannelInbox;
use crate::transport::message::{MSG_CHANNEL_FAILURE, MSG_CHANNEL_REQUEST};
use crate::transport::window::Window;

/// What the data of a channel are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    /// A stream of bytes, in pieces of no meaning.
    Bytes,
    /// Each is read as it was sent, or lost where too many wait.
    Messages,
}

/// Why the server did not open a channel; its words are not escaped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OpenRefusal {
    /// RFC 4254 section 5.1.
    pub(crate) code: u32,
    pub(crate) text: String,
    /// What it said in the debug message before, where OpenSSH has its reason.
    pub(crate) said: String,
}

/// Of this side and the server's.
pub(super) struct ChannelState {
    pub(super) content: Content,
    /// The message that asks for it, or says yes to the server, which is not sent yet.
    pub(super) first: Option<Vec<u8>>,
    /// The server's, to our asking for it.
    pub(super) answer: Option<Result<(), OpenRefusal>>,
    /// The last debug message since then: OpenSSH gives its reason right before its answer.
    pub(super) said: String,
    /// The server's number, known when both have agreed to the channel.
    pub(super) theirs: Option<u32>,
    pub(super) window: Window,
    /// Of a stream, what came and is not read.
    pub(super) inbox: ChannelInbox,
    /// The same, of messages.
    pub(super) messages: VecDeque<Bytes>,
    pub(super) reader: Option<Waker>,
    /// What the server still takes, how much that was at first, which it refills, and how much in one message.
    pub(super) send_window: u32,
    pub(super) window_at_first: u32,
    pub(super) max_data: u32,
    pub(super) writer: Option<Waker>,
    /// It is in `waiting`.
    pub(super) is_waiting: bool,
    pub(super) request: Request,
    /// The reader has gone: what still comes is for no one.
    pub(super) abandoned: bool,
    /// EOF is to be sent, or was.
    pub(super) ending: bool,
    pub(super) sent_eof: bool,
    pub(super) sent_close: bool,
    pub(super) got_eof: bool,
    /// The reader of a stream knows of that.
    pub(super) is_eof_read: bool,
    pub(super) got_close: bool,
    /// Requests of the server's that are to be answered with no.
    pub(super) unanswered: u32,
    /// CLOSE is to be sent, or was.
    pub(super) closing: bool,
    /// It is in `due`.
    pub(super) is_due: bool,
}

/// What is asked on a channel, one thing at a time.
pub(super) enum Request {
    None,
    /// Not yet: the rest of its message, behind the number of the channel.
    Due(Vec<u8>),
    Sent,
    Answered(bool),
}

impl ChannelState {
    pub(super) fn new(content: Content, window: Window, first: Vec<u8>) -> Self {
        Self {
            content,
            first: Some(first),
            answer: None,
            said: String::new(),
            theirs: None,
            window,
            inbox: ChannelInbox::default(),
            messages: VecDeque::new(),
            reader: None,
            send_window: 0,
            window_at_first: 0,
            max_data: 0,
            writer: None,
            is_waiting: false,
            request: Request::None,
            abandoned: false,
            ending: false,
            sent_eof: false,
            sent_close: false,
            got_eof: false,
            is_eof_read: false,
            got_close: false,
            unanswered: 0,
            closing: false,
            is_due: false,
        }
    }

    /// Nothing more is sent on it.
    pub(super) const fn takes_nothing(&self) -> bool {
        self.got_close || self.ending || self.closing
    }

    /// What is due besides EOF, CLOSE and windows: a request of ours, a no to one of the server's.
    pub(super) fn answer_or_request(&mut self, theirs: u32) -> Option<Vec<u8>> {
        if let Request::Due(request) = &self.request {
            let mut message = about(MSG_CHANNEL_REQUEST, &[theirs]);
            message.extend_from_slice(request);
            self.request = Request::Sent;
            return Some(message);
        }
        self.unanswered = self.unanswered.checked_sub(1)?;
        Some(about(MSG_CHANNEL_FAILURE, &[theirs]))
    }
}
