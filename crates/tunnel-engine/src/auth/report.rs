//! What was tried and what came of it: in the end, the one failure that tells a person what to do. Pure.

use russh::{MethodKind, MethodSet};

use super::candidate::{MAX_OFFERED_KEYS, Skipped};
use super::identity::Trouble;
use crate::failure::{Failure, FailureKind};

/// Filled in as authentication goes on.
#[derive(Debug, Default)]
pub(super) struct Record {
    /// Keys and methods that the server turned down, in order, as [`super::candidate::Candidate::describe`] says.
    pub(super) rejected: Vec<String>,
    /// Keys that were not offered, or not signed with.
    pub(super) skipped: Vec<Skipped>,
    /// Keys beyond the number that a server listens to.
    pub(super) cut: usize,
    /// The agent that was asked for and could not be had.
    pub(super) agent: Option<String>,
    /// Nothing was named to log in with: no file is there, and no agent has a key.
    pub(super) no_keys: bool,
    /// Why the password could not be read, or that none is set.
    pub(super) no_password: Option<Trouble>,
    /// Methods that succeeded, but were not enough (AuthenticationMethods).
    pub(super) partial: Vec<String>,
    /// What the server said it would take, most recently; and whether a key could ever have been it.
    pub(super) methods: Vec<&'static str>,
    pub(super) publickey_allowed: bool,
}

impl Record {
    pub(super) fn learn(&mut self, methods: &MethodSet) {
        self.methods = methods.iter().map(<&'static str>::from).collect();
        self.publickey_allowed |= methods.contains(&MethodKind::PublicKey);
    }

    /// The server turned this down, again perhaps.
    pub(super) fn reject(&mut self, what: String) {
        if !self.rejected.contains(&what) {
            self.rejected.push(what);
        }
    }

    /// Why nothing worked. `last_word` is what the server said when it ended the session itself.
    pub(super) fn failure(&self, user: &str, last_word: Option<&Failure>) -> Failure {
        let (kind, hint) = self.decisive();
        let mut message = format!("the server did not let user `{user}` in");
        let mut say = |text: String| {
            message.push_str("; ");
            message.push_str(&text);
        };
        if !self.partial.is_empty() {
            say(format!("it took {}, and wants more", self.partial.join(", then ")));
        }
        if !self.rejected.is_empty() {
            say(format!("it rejected {}", self.rejected.join(", ")));
        }
        for skipped in &self.skipped {
            let wanted = if skipped.wanted { "the server would take it, but " } else { "not offered: " };
            say(format!("`{}`: {wanted}{}", skipped.source, skipped.trouble.why));
        }
        if self.cut > 0 {
            let cut = self.cut;
            say(format!("{cut} more keys were not offered: servers listen to {MAX_OFFERED_KEYS} tries"));
        }
        if let Some(agent) = &self.agent {
            say(agent.clone());
        }
        if self.no_keys {
            say("there is no key to offer".to_owned());
        }
        if let Some(trouble) = &self.no_password {
            say(trouble.why.clone());
        }
        match last_word {
            Some(word) => say(word.message().to_owned()),
            None if self.methods.is_empty() => say("it takes no method that tunneld knows".to_owned()),
            None => say(format!("it takes {}", self.methods.join(", "))),
        }
        let failure = Failure::new(kind, message);
        match hint.or_else(|| last_word.map(|word| word.hint().to_owned())) {
            Some(hint) => failure.with_hint(hint),
            None => failure,
        }
    }

    /// The most useful thing to mend: a key that the server wanted, then one that could not be shown to it.
    fn decisive(&self) -> (FailureKind, Option<String>) {
        let of = |trouble: &Trouble| (trouble.kind, trouble.hint.clone());
        if let Some(skipped) = self.skipped.iter().find(|skipped| skipped.wanted) {
            return of(&skipped.trouble);
        }
        if self.publickey_allowed {
            const ORDER: [FailureKind; 4] = [
                FailureKind::IdentityPermissions,
                FailureKind::IdentityUnreadable,
                FailureKind::CertificateExpired,
                FailureKind::PassphraseNeeded,
            ];
            // Without its agent a public identity file is useless, and the agent is what is missing.
            if self.agent.is_some() && self.rejected.is_empty() {
                return (FailureKind::AgentUnavailable, None);
            }
            let first = |kind| self.skipped.iter().find(|skipped| skipped.trouble.kind == kind);
            if let Some(skipped) = ORDER.into_iter().find_map(first) {
                return of(&skipped.trouble);
            }
            // Held back by a rule of the user's, and nothing else was left.
            let held_back = |skipped: &&Skipped| {
                skipped.trouble.kind == FailureKind::AuthRejected && skipped.trouble.hint.is_some()
            };
            if self.rejected.is_empty()
                && let Some(skipped) = self.skipped.iter().find(held_back)
            {
                return of(&skipped.trouble);
            }
        }
        if let Some(trouble) = self.no_password.as_ref().filter(|trouble| trouble.kind != FailureKind::AuthRejected) {
            return of(trouble);
        }
        let hint = if self.cut > 0 {
            Some("set identity_file and identities_only, so that only the right key is offered".to_owned())
        } else if !self.publickey_allowed {
            Some(format!("the server takes only {}: set password_file, or allow keys there", self.methods.join(", ")))
        } else if self.no_keys {
            Some("set identity_file, or make the agent's socket known with identity_agent".to_owned())
        } else {
            None
        };
        (FailureKind::AuthRejected, hint)
    }
}
