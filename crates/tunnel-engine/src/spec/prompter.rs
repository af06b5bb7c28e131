//! Questions to the user at the terminal, as a value in a spec: for programs that run on a terminal.

use std::fmt;
use std::sync::Arc;

use zeroize::Zeroizing;

/// The question of a prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PromptKind {
    /// The passphrase of a private key file.
    Passphrase {
        /// Path of the file.
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

/// A user who can be asked.
pub trait Prompter: Send + Sync {
    /// Blocks until there is an answer. `again` counts the answers to the same question that were wrong. `None`: there
    /// is none, and asking again is no use.
    fn ask(&self, question: &PromptKind, again: u32) -> Option<Zeroizing<String>>;
}

/// A cheap handle. Two are equal when they ask the same user, as often.
#[derive(Clone)]
pub struct PrompterHandle {
    person: Arc<dyn Prompter>,
    prompts: u32,
}

/// How often the user is asked whether a host key is the right one, until the answer is yes or no. ssh asks for ever.
pub(crate) const MAX_UNCLEAR_ANSWERS: u32 = 16;

impl PrompterHandle {
    /// ssh_config NumberOfPasswordPrompts; this is its default.
    const PROMPTS: u32 = 3;

    /// Leads to this one.
    pub fn new(person: impl Prompter + 'static) -> Self {
        Self { person: Arc::new(person), prompts: Self::PROMPTS }
    }

    /// The same person, asked so often at most for the same secret. Zero: not at all.
    #[must_use]
    pub fn with_prompts(&self, prompts: u32) -> Self {
        Self { person: self.person.clone(), prompts }
    }

    /// How often to ask for the same secret (ssh_config NumberOfPasswordPrompts; 3 by default).
    pub const fn prompts(&self) -> u32 {
        self.prompts
    }

    /// As [`Prompter::ask`].
    pub fn ask(&self, question: &PromptKind, again: u32) -> Option<Zeroizing<String>> {
        self.person.ask(question, again)
    }
}

impl PartialEq for PrompterHandle {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.person, &other.person) && self.prompts == other.prompts
    }
}

impl Eq for PrompterHandle {}

impl fmt::Debug for PrompterHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Asker")
    }
}
