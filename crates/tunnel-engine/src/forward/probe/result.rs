//! What a probe found, and what a user's connection showed.

use std::io;

use crate::session::OpenError;
use crate::spec::Connect;

/// The result of one probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProbeResult {
    /// Bytes pass. The note: what is not quite as it was asked for.
    Up(Option<String>),
    /// The server's port takes connections, but they do not come to this session: another session or program holds it.
    Stale(String),
    /// It does not carry.
    Down(ProbeFailure),
    /// The server forbids to look.
    Unverified(String),
    /// No answer came, not even from the session: nothing is known about the forward.
    Nothing,
}

/// Why a forward does not carry, and who said so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeFailure {
    /// Kind of the failure.
    pub cause: ProbeFailureKind,
    /// Which side did what.
    pub words: String,
}

/// Kind of a failed probe or refused connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProbeFailureKind {
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
    /// There is no listener on the server's port, although the server said that it listens.
    NotListening,
    /// The target on this side refused.
    RefusedHere,
    /// The target, or the server about it, did not answer in time.
    NoAnswer,
    /// The target said something else than it should.
    WrongBanner,
}

impl ProbeFailure {
    pub(super) fn new(cause: ProbeFailureKind, words: impl Into<String>) -> Self {
        Self { cause, words: words.into() }
    }
}

/// The same of a target on this side.
pub(in crate::forward) fn disproof_here(target: &Connect, error: &io::Error) -> ProbeFailure {
    ProbeFailure::new(ProbeFailureKind::RefusedHere, format!("a connection to {target} was refused: {}", plain(error)))
}

/// The words of the system, without Rust's `(os error 111)`.
pub(in crate::forward) fn plain(error: &io::Error) -> String {
    error.to_string().split(" (os error").next().unwrap_or_default().to_owned()
}

/// What a refused channel says about the forward to `target`; `None`: nothing.
pub(in crate::forward) fn probe_failure(target: &Connect, error: &OpenError) -> Option<ProbeFailure> {
    let cause = match error {
        OpenError::ConnectFailed(_) => ProbeFailureKind::Refused,
        OpenError::Prohibited(_) => ProbeFailureKind::Prohibited,
        OpenError::UnknownType(_) => ProbeFailureKind::Unsupported,
        OpenError::ResourceShortage(_) => ProbeFailureKind::Shortage,
        OpenError::Other { .. } => ProbeFailureKind::Unnamed,
        OpenError::Timeout | OpenError::SessionEnded => return None,
    };
    Some(ProbeFailure::new(cause, format!("a connection to {target} was refused: {error}")))
}
