//! Questions to whoever sits at the terminal, as a value in a spec: for the programs that have somebody to ask.

use std::fmt;
use std::sync::Arc;

use zeroize::Zeroizing;

/// What only a person knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// The passphrase of a private key file.
    Passphrase {
        /// The file.
        file: String,
    },
    /// The password of an account.
    Password {
        /// Login name.
        user: String,
        /// Of this server.
        host: String,
    },
    /// A question of the server (keyboard-interactive, RFC 4256).
    Prompt {
        /// Login name.
        user: String,
        /// Of this server.
        host: String,
        /// The server's words, made printable.
        text: String,
        /// The answer may be seen.
        echo: bool,
    },
    /// Whether an unknown host key is the server's. Yes: `yes`, or the fingerprint.
    HostKey {
        /// As known_hosts would call it.
        server: String,
        /// The type of the key.
        kind: String,
        /// `SHA256:…`.
        fingerprint: String,
    },
    /// Whether known_hosts is to follow the keys that a believed server has now. Yes: `yes`.
    UpdateHostKeys {
        /// As known_hosts calls it.
        server: String,
        /// Keys that it proved, as `ssh-ed25519 SHA256:…`.
        learned: Vec<String>,
        /// Keys that it no longer has.
        gone: Vec<String>,
    },
}

/// Somebody who can be asked.
pub trait Person: Send + Sync {
    /// Blocks until there is an answer. `again` counts the answers to the same question that were wrong. `None`: there
    /// is none, and asking again is no use.
    fn ask(&self, question: &Question, again: u32) -> Option<Zeroizing<String>>;
}

/// A handle on somebody. Two are equal when they lead to the same person.
#[derive(Clone)]
pub struct Asker(Arc<dyn Person>);

/// How often the same thing is asked for (ssh_config NumberOfPasswordPrompts).
pub const ASKED_AT_MOST: u32 = 3;

impl Asker {
    /// Leads to this one.
    pub fn new(person: impl Person + 'static) -> Self {
        Self(Arc::new(person))
    }

    /// As [`Person::ask`].
    pub fn ask(&self, question: &Question, again: u32) -> Option<Zeroizing<String>> {
        self.0.ask(question, again)
    }
}

impl PartialEq for Asker {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Asker {}

impl fmt::Debug for Asker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Asker")
    }
}
