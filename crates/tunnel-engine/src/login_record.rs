//! What a login notes of itself, and where.

mod offer;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

pub use offer::{AlgorithmOffer, Common};

use crate::failure::FailureKind;
use crate::hostkey::KnownLine;

/// Notes of one login, jump hosts included: far more than there are, so that a server cannot fill the memory.
const MAX_STEPS: usize = 1000;

/// Takes the notes of one login. The default takes none, and costs nothing: what tunnels log in with.
#[derive(Debug, Clone, Default)]
pub struct LoginRecorder(Option<Arc<Mutex<Vec<Noted>>>>);

/// One note.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Noted {
    /// `host:port` of the server that it is about: the tunnel's, or a jump host.
    pub server: String,
    /// The step.
    pub step: LoginStep,
}

/// What one step of a login found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoginStep {
    /// The addresses of the name that may be tried, in order.
    Resolved(Vec<SocketAddr>),
    /// What became of an address: `None` that it answered, `Some` the system's words. Not noted of addresses that
    /// another one was faster than.
    Tried(SocketAddr, Option<String>),
    /// The server introduced itself with this software, after these words to people.
    Identified {
        /// `OpenSSH_9.2p1`.
        software: String,
        /// What it said before, in one line; most often nothing.
        before: String,
    },
    /// What both sides would take in the key exchange; theirs is `None` when the server did not get so far.
    Offers {
        /// Ours, in order of preference.
        ours: AlgorithmOffer,
        /// The server's.
        theirs: Option<AlgorithmOffer>,
    },
    /// The host key that the server presented.
    HostKey {
        /// Type and fingerprint.
        key: String,
        /// It came in a certificate.
        certified: bool,
        /// Files that were looked through.
        files: Vec<PathBuf>,
        /// Every line in them that is about this server.
        lines: Vec<KnownLine>,
    },
    /// The host key is believed.
    Believed,
    /// What the server says to those who log in, in one line.
    Banner(String),
    /// The methods that the server would take now.
    Methods(Vec<String>),
    /// A key or a password that was shown to the server, and its answer.
    Shown {
        /// `ssh-ed25519 SHA256:… (file)`.
        what: String,
        /// The answer of the server.
        answer: AuthAnswer,
    },
    /// A key that was not shown, for this reason.
    NotShown {
        /// The file, or the agent's name for the key.
        source: String,
        /// Kind of the failure.
        kind: FailureKind,
        /// In words.
        why: String,
        /// What to do, where it is known better than by the kind.
        hint: Option<String>,
    },
    /// So many keys more than a server listens to.
    TooManyKeys(usize),
    /// The agent that was to be asked could not be.
    NoAgent(String),
    /// There was nothing to show.
    NoKeys,
    /// The server accepted the login.
    LoggedIn,
}

/// What the server made of a proof.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuthAnswer {
    /// It let us in.
    Taken,
    /// It took this and wants more (AuthenticationMethods).
    TakenInPart,
    /// It turned this down.
    Refused,
    /// It would take the key, or was not asked, but there is no signature.
    Unsigned {
        /// It said that it would take the key.
        wanted: bool,
        /// Kind of the failure.
        kind: FailureKind,
        /// In words.
        why: String,
        /// What to do, where it is known better than by the kind.
        hint: Option<String>,
    },
    /// It ended the session.
    Ended(String),
}

impl LoginRecorder {
    /// One that takes notes.
    pub fn active() -> Self {
        Self(Some(Arc::default()))
    }

    /// Whether anything is noted: what costs something need not be made otherwise.
    pub const fn is_active(&self) -> bool {
        self.0.is_some()
    }

    /// Notes a step of the login at `server`.
    pub fn note(&self, server: &str, step: LoginStep) {
        let Some(notes) = &self.0 else { return };
        let mut notes = notes.lock().unwrap_or_else(PoisonError::into_inner);
        if notes.len() < MAX_STEPS {
            notes.push(Noted { server: server.to_owned(), step });
        }
    }

    /// All notes so far.
    pub fn steps(&self) -> Vec<Noted> {
        let notes = self.0.as_ref().map(|notes| notes.lock().unwrap_or_else(PoisonError::into_inner).clone());
        notes.unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_are_bounded_and_the_default_takes_none() {
        let recorder = LoginRecorder::active();
        (0..MAX_STEPS + 5).for_each(|_| recorder.note("h:22", LoginStep::NoKeys));
        assert_eq!(recorder.steps().len(), MAX_STEPS);
        let silent = LoginRecorder::default();
        silent.note("h:22", LoginStep::NoKeys);
        assert!(silent.steps().is_empty() && !silent.is_active());
    }
}
