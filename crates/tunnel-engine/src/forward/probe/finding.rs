//! What a probe found, and what a user's connection showed.

use std::io;

use crate::session::OpenError;
use crate::spec::Connect;

/// The result of one probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// Bytes pass. The note: what is not quite as it was asked for.
    Up(Option<String>),
    /// The server's port takes connections, but they do not come to this session: somebody else holds it.
    Stale(String),
    /// It does not carry.
    Down(Disproof),
    /// The server forbids to look.
    Unverified(String),
    /// Nobody answered, the session neither: nothing is known about the forward.
    Nothing,
}

/// Why a forward does not carry, and who said so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disproof {
    /// What kind of no.
    pub cause: Cause,
    /// Who did what.
    pub words: String,
}

/// What kind of no.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The server could not connect to the target: it reached no service.
    Refused,
    /// The server's policy forbids this target.
    Prohibited,
    /// The server does not do this kind of forwarding.
    Unsupported,
    /// The server is at a limit of its own.
    Shortage,
    /// The server refused for a reason that RFC 4254 does not name.
    Unnamed,
    /// Nobody listens on the server's port, although the server said that it does.
    NotListening,
    /// The target on this side refused.
    RefusedHere,
    /// The target, or the server about it, did not answer in time.
    NoAnswer,
    /// The target said something else than it should.
    WrongBanner,
}

impl Disproof {
    pub(super) fn new(cause: Cause, words: impl Into<String>) -> Self {
        Self { cause, words: words.into() }
    }
}

/// The same of a target on this side.
pub(in crate::forward) fn disproof_here(target: &Connect, error: &io::Error) -> Disproof {
    Disproof::new(Cause::RefusedHere, format!("a connection to {target} was refused: {}", plain(error)))
}

/// The words of the system, without Rust's `(os error 111)`.
pub(in crate::forward) fn plain(error: &io::Error) -> String {
    error.to_string().split(" (os error").next().unwrap_or_default().to_owned()
}

/// What a refused channel says about the forward to `target`; `None`: nothing.
pub(in crate::forward) fn disproof(target: &Connect, error: &OpenError) -> Option<Disproof> {
    let cause = match error {
        OpenError::ConnectFailed(_) => Cause::Refused,
        OpenError::Prohibited(_) => Cause::Prohibited,
        OpenError::UnknownType(_) => Cause::Unsupported,
        OpenError::ResourceShortage(_) => Cause::Shortage,
        OpenError::Other { .. } => Cause::Unnamed,
        OpenError::Timeout | OpenError::SessionEnded => return None,
    };
    Some(Disproof::new(cause, format!("a connection to {target} was refused: {error}")))
}
