//! How channels come about: asked for here, with what is asked on them then, or offered by the server.

use std::task::Waker;

use super::{
    ChannelState, Channels, Content, FromServer, MAX_DATA, MAX_DATA_NEAR, OpenRefusal, Request, about, put_string,
    put_u32, wake,
};
use crate::transport::TransportError;
use crate::transport::message::{MSG_CHANNEL_OPEN, MSG_CHANNEL_OPEN_CONFIRMATION, MSG_CHANNEL_OPEN_FAILURE};
use crate::transport::window::Window;
use crate::transport::wire::MessageReader;

/// Our first number.
pub(in crate::transport) const FIRST: u32 = 0;
/// Behind our last one: servers that keep numbers as signed ones know all of them.
const END: u32 = 1 << 31;
/// Channels of the server's that wait for our answer, or whose refusal waits to be sent.
const MAX_OFFERED: usize = 4096;
/// SSH_OPEN_ADMINISTRATIVELY_PROHIBITED (RFC 4254 section 5.1).
const PROHIBITED: u32 = 1;

/// A channel that the server asks for. It is to be given to [`Channels::accept`] or [`Channels::refuse`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Offer {
    pub(crate) what: Offered,
    theirs: u32,
    /// What the server takes: all, and in one message.
    takes: (u32, u32),
}

/// The connection that the server offers to a remote forward, in the server's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Offered {
    /// forwarded-tcpip (RFC 4254 section 7.2): where it was accepted, and from where it came.
    Tcp { address: String, port: u16, originator: String, originator_port: u16 },
    /// forwarded-streamlocal@openssh.com (OpenSSH's PROTOCOL, section 2.4): the path of the socket.
    Unix(String),
}

impl Channels {
    /// Asks for a channel of the given type, whose own fields are `fields`; gives our number of it. The request is due.
    pub(crate) fn open(&mut self, kind: &str, fields: &[u8], content: Content) -> u32 {
        let window = Window::new(&mut self.room);
        let ours = self.next_number();
        let mut open = vec![MSG_CHANNEL_OPEN];
        put_string(&mut open, kind.as_bytes());
        [ours, window.initial(), self.max_data()].into_iter().for_each(|number| put_u32(&mut open, number));
        open.extend_from_slice(fields);
        self.open.insert(ours, ChannelState::new(content, window, open));
        if content == Content::Messages {
            self.opening.push(ours);
        }
        self.make_due(ours);
        ours
    }

    /// The server's answer; `None`: none has come, and `waker` is woken when one does.
    pub(crate) fn take_answer(&mut self, ours: u32, waker: &Waker) -> Option<Result<(), OpenRefusal>> {
        let channel = self.open.get_mut(&ours)?;
        let answer = channel.answer.take();
        if answer.is_none() {
            channel.reader = Some(waker.clone());
        }
        answer
    }

    /// The server says what it does, perhaps about a channel that is being opened.
    pub(crate) fn debug_text(&mut self, text: &str) {
        for ours in &self.opening {
            if let Some(channel) = self.open.get_mut(ours).filter(|channel| channel.first.is_none()) {
                text.clone_into(&mut channel.said);
            }
        }
    }

    /// Asks for something on an open channel, with an answer: a kind of request, whose own fields are `fields`. It is due.
    pub(crate) fn ask(&mut self, ours: u32, kind: &str, fields: &[u8]) {
        let Some(channel) = self.open.get_mut(&ours) else { return };
        let mut request = Vec::new();
        put_string(&mut request, kind.as_bytes());
        request.push(1);
        request.extend_from_slice(fields);
        channel.request = Request::Due(request);
        self.make_due(ours);
    }

    /// Whether the server does what it was asked for; `None`: it has not said, and `waker` is woken when it does.
    pub(crate) fn take_reply(&mut self, ours: u32, waker: &Waker) -> Option<bool> {
        let channel = self.open.get_mut(&ours)?;
        if let Request::Answered(reply) = channel.request {
            channel.request = Request::None;
            return Some(reply);
        }
        channel.reader = Some(waker.clone());
        None
    }

    /// Takes a channel that the server asked for; gives our number of it. The answer is due.
    pub(crate) fn accept(&mut self, offer: &Offer) -> u32 {
        self.offered = self.offered.saturating_sub(1);
        let window = Window::new(&mut self.room);
        let ours = self.next_number();
        let numbers = [offer.theirs, ours, window.initial(), self.max_data()];
        let yes = about(MSG_CHANNEL_OPEN_CONFIRMATION, &numbers);
        let channel = ChannelState { theirs: Some(offer.theirs), ..ChannelState::new(Content::Bytes, window, yes) };
        self.open.insert(ours, channel);
        self.takes(ours, offer.takes);
        ours
    }

    /// Refuses a channel that the server asked for, with a code of RFC 4254 section 5.1. The answer is due.
    pub(crate) fn refuse(&mut self, offer: &Offer, code: u32) {
        self.offered = self.offered.saturating_sub(1);
        self.say_no(offer.theirs, code);
    }

    /// The server asks for a channel; its type and what follows are still to be read. All but connections of forwards are
    /// refused, and so are those without room for data.
    pub(super) fn asked_for(&mut self, mut reader: MessageReader<'_>) -> Result<FromServer, TransportError> {
        let kind = reader.string()?;
        let (theirs, takes) = (reader.u32()?, (reader.u32()?, reader.u32()?));
        if self.offered + self.refusals.len() >= MAX_OFFERED {
            return Err(TransportError::Flood);
        }
        if takes.1 > 0
            && let Some(what) = Offered::read(kind, reader)
        {
            self.offered += 1;
            return Ok(FromServer::Offered(Offer { what, theirs, takes }));
        }
        self.say_no(theirs, PROHIBITED);
        Ok(FromServer::Refused(match kind {
            b"session" => "session",
            b"x11" => "x11",
            b"direct-tcpip" => "direct-tcpip",
            b"direct-streamlocal@openssh.com" => "direct-streamlocal",
            b"auth-agent@openssh.com" => "auth-agent",
            b"forwarded-tcpip" | b"forwarded-streamlocal@openssh.com" => "a forwarded connection that cannot be read",
            _ => "unknown",
        }))
    }

    /// The server has opened a channel that was asked for.
    pub(super) fn confirmed(&mut self, ours: u32, theirs: u32, takes: (u32, u32)) -> Result<(), TransportError> {
        let channel = self.opening(ours, MSG_CHANNEL_OPEN_CONFIRMATION)?;
        channel.theirs = Some(theirs);
        channel.answer = Some(Ok(()));
        wake(&mut channel.reader);
        self.takes(ours, takes);
        Ok(())
    }

    /// It has not.
    pub(super) fn refused(&mut self, ours: u32, code: u32, text: &[u8]) -> Result<(), TransportError> {
        let channel = self.opening(ours, MSG_CHANNEL_OPEN_FAILURE)?;
        let said = std::mem::take(&mut channel.said);
        channel.answer = Some(Err(OpenRefusal { code, text: String::from_utf8_lossy(text).into_owned(), said }));
        wake(&mut channel.reader);
        // It never was: there is nothing to close.
        (channel.sent_close, channel.got_close) = (true, true);
        self.forget_if_over(ours);
        Ok(())
    }

    /// A channel that waits for the server's answer, which is `number`.
    fn opening(&mut self, ours: u32, number: u8) -> Result<&mut ChannelState, TransportError> {
        self.opening.retain(|opening| *opening != ours);
        let waits = |channel: &&mut ChannelState| channel.theirs.is_none() && !channel.got_close;
        self.open.get_mut(&ours).filter(waits).ok_or(TransportError::Unexpected(number))
    }

    /// What the server says about the data that it takes.
    fn takes(&mut self, ours: u32, (window, max_data): (u32, u32)) {
        if let Some(channel) = self.open.get_mut(&ours) {
            (channel.send_window, channel.window_at_first) = (window, window);
            channel.max_data = max_data.min(MAX_DATA);
            wake(&mut channel.writer);
            // EOF and CLOSE may have been asked for before.
            self.make_due(ours);
        }
    }

    fn say_no(&mut self, theirs: u32, code: u32) {
        let mut no = about(MSG_CHANNEL_OPEN_FAILURE, &[theirs, code]);
        // Its text, and the text's language.
        put_string(&mut no, b"");
        put_string(&mut no, b"");
        self.refusals.push_back(no);
    }

    fn max_data(&self) -> u32 {
        if self.room.is_near() { MAX_DATA_NEAR } else { MAX_DATA }
    }

    fn next_number(&mut self) -> u32 {
        loop {
            let ours = self.next;
            self.next = if ours + 1 < END { ours + 1 } else { FIRST };
            if !self.open.contains_key(&ours) {
                return ours;
            }
        }
    }
}

impl Offered {
    /// What follows the numbers of the request, if it is one of these and nothing else.
    fn read(kind: &[u8], mut reader: MessageReader<'_>) -> Option<Self> {
        fn text(reader: &mut MessageReader<'_>) -> Option<String> {
            reader.string().ok().map(|text| String::from_utf8_lossy(text).into_owned())
        }
        fn port(reader: &mut MessageReader<'_>) -> Option<u16> {
            u16::try_from(reader.u32().ok()?).ok()
        }
        let offered = match kind {
            b"forwarded-tcpip" => Self::Tcp {
                address: text(&mut reader)?,
                port: port(&mut reader)?,
                originator: text(&mut reader)?,
                originator_port: port(&mut reader)?,
            },
            b"forwarded-streamlocal@openssh.com" => {
                let path = text(&mut reader)?;
                // Reserved.
                reader.string().ok()?;
                Self::Unix(path)
            }
            _ => return None,
        };
        reader.end().ok().map(|()| offered)
    }
}

#[cfg(test)]
mod tests;
