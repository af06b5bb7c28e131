//! russh's end of a connection, which lasts as long as the login: what it is told, and what it has said.

mod clear;
mod stream;
mod text;

use std::borrow::Cow;
use std::task::Waker;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};

use super::message::{MSG_SERVICE_ACCEPT, MSG_SERVICE_REQUEST};
use super::{TransportError, wake};
use clear::Clear;
pub(crate) use stream::ClearStream;
pub(super) use text::Texts;

/// From here on the server is not read, unless russh waits for the server.
const MAX_UNHEARD: usize = 256 * 1024;
/// While russh waits for the server, it hears nothing, and what answers it may stand behind other messages. More than
/// this is no answer.
const MAX_WHILE_WAITING: usize = 1024 * 1024;

/// Between russh and a connection.
pub(super) struct RusshSide {
    clear: Clear,
    texts: Texts,
    /// For russh.
    unheard: BytesMut,
    /// When a service was asked for: the first question that a server answers without work.
    service_asked: Option<Instant>,
    reads: Option<Waker>,
    writes: Option<Waker>,
}

impl RusshSide {
    pub(super) fn new() -> Result<Self, TransportError> {
        let mut unheard = BytesMut::new();
        let clear = Clear::begin(&mut unheard)?;
        Ok(Self { clear, texts: Texts::default(), unheard, service_asked: None, reads: None, writes: None })
    }

    /// It is to hear what there is before the server says more.
    pub(super) fn is_full(&self) -> bool {
        self.unheard.len() >= MAX_UNHEARD && self.writes.is_none()
    }

    /// A message for russh. Gives how long the server took for it, where that is known.
    ///
    /// # Errors
    /// It is malformed; or russh hears none of them.
    pub(super) fn tell(&mut self, payload: Bytes, now: Instant) -> Result<Option<Duration>, TransportError> {
        let accepted = payload.first() == Some(&MSG_SERVICE_ACCEPT);
        let asked = if accepted { self.service_asked.take() } else { None };
        let payload = self.texts.in_utf8(payload)?;
        self.clear.deliver(&payload, &mut self.unheard)?;
        if self.unheard.len() > MAX_WHILE_WAITING {
            return Err(TransportError::Flood);
        }
        wake(&mut self.reads);
        Ok(asked.map(|asked| now.saturating_duration_since(asked)))
    }

    /// The next message for the server, from the front of what russh has `written`; `None`: all of it was taken.
    pub(super) fn next<'a>(
        &mut self,
        written: &mut &'a [u8],
        now: Instant,
    ) -> Result<Option<Cow<'a, [u8]>>, TransportError> {
        let Some(message) = self.clear.next(written)? else { return Ok(None) };
        if message.first() == Some(&MSG_SERVICE_REQUEST) {
            self.service_asked = Some(now);
        }
        self.texts.sent(&message)?;
        Ok(Some(message))
    }

    /// The connection takes more.
    pub(super) fn wake_writer(&mut self) {
        wake(&mut self.writes);
    }

    /// There is no more to wait for.
    pub(super) fn wake(&mut self) {
        wake(&mut self.reads);
        wake(&mut self.writes);
    }
}
