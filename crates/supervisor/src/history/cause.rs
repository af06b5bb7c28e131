//! Why something happened.

use tunnel_engine::failure::{Failure, FailureKind};

use crate::word::{WireWord, Word};

use crate::spec::shortened;

/// Longest message that is kept, in bytes: a server's words are told whole in the log and in `status`.
const MAX_MESSAGE: usize = 300;

/// Why a tunnel is not ready, or an event happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// The kind of the failure; none where no failure is behind it, such as an operator's order.
    pub kind: Option<Word<CauseKind>>,
    /// Which side did what, for a user.
    pub message: String,
}

/// What went wrong, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CauseKind {
    /// Of a session or a forward.
    Failure(FailureKind),
    /// tunneld ended without being stopped, and tunnels were wanted.
    NotRunning,
}

impl WireWord for CauseKind {
    fn all() -> impl Iterator<Item = Self> {
        FailureKind::all().map(Self::Failure).chain([Self::NotRunning])
    }

    fn word(self) -> &'static str {
        match self {
            Self::Failure(kind) => kind.word(),
            Self::NotRunning => "not_running",
        }
    }
}

impl Cause {
    pub fn without_kind(message: &str) -> Self {
        Self { kind: None, message: bounded(message) }
    }

    /// What a failure of this kind is behind, of a forward where one is named.
    pub fn of(failure: &Failure, forward: Option<&str>) -> Self {
        let message = match forward {
            Some(forward) => bounded(&format!("{forward}: {}", failure.message())),
            None => bounded(failure.message()),
        };
        Self { kind: Some(CauseKind::Failure(failure.kind()).into()), message }
    }

    /// Whether a failure of this kind is behind it.
    pub fn is(&self, kind: FailureKind) -> bool {
        self.kind.as_ref().is_some_and(|word| *word == CauseKind::Failure(kind))
    }
}

/// At most [`MAX_MESSAGE`] bytes.
pub(super) fn bounded(text: &str) -> String {
    shortened(text, MAX_MESSAGE).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_message_keeps_what_was_wrong() {
        let cause = Cause::without_kind(&format!("`{}` did not answer", "ä".repeat(MAX_MESSAGE)));
        assert!(cause.message.len() <= MAX_MESSAGE && cause.message.ends_with("ä` did not answer"), "{cause:?}");
    }
}
