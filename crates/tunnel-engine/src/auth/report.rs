//! What was tried and what came of it: in the end, the one failure that tells a person what to do. Pure.

use russh::keys::HashAlg;
use russh::{MethodKind, MethodSet};

use super::candidate::{MAX_OFFERED_KEYS, Skipped};
use super::identity::KeyProblem;
use crate::failure::{Failure, FailureKind};
use crate::words;

/// What to do about an agent without keys, where there are no others.
const EMPTY_AGENT: &str = "load a key with `ssh-add`, or set identity_file; an agent shows no key while it is locked \
     (`ssh-add -X`), nor one that it holds for other hosts (`ssh-add -h`)";
/// What to do about an agent with more keys than are shown.
const TOO_MANY_KEYS: &str =
    "name the right key in identity_file (its `.pub` will do), so that the agent's is offered first";
/// Of a certificate, in a hint.
const MAX_PRINCIPALS: usize = 5;

/// What to do about an account that has expired, of which PAM tells once the login has been proven.
const ACCOUNT_EXPIRED: &str =
    "have the account renewed there: `chage -l USER` shows it, and `chage -E -1 USER` (as root) ends the limit";

/// The failure of a login, with what the server `said` (in a banner, or beside its questions) when it ended it. An account that
/// has expired does not come back by another try; what else PAM may say (nologin, say) can change at any time.
pub(crate) fn with_words(failure: Failure, said: &str) -> Failure {
    let message = failure.message();
    if message.contains(said) {
        return failure;
    }
    let message = format!("{message}; it said `{said}`");
    if is_expired(said) {
        return Failure::new(FailureKind::AuthRejected, message).with_hint(ACCOUNT_EXPIRED);
    }
    Failure::new(failure.kind(), message).with_told_hint(failure.hint().to_owned())
}

/// By the words of PAM and of others; sshd never sets a locale, so that PAM speaks English.
fn is_expired(said: &str) -> bool {
    let said = said.to_ascii_lowercase();
    ["account has expired", "account is expired", "account expired"].iter().any(|words| said.contains(words))
}

#[derive(Debug, Clone)]
pub(super) enum RejectedAuth {
    Key,
    RsaKey,
    Certificate {
        file: String,
        /// The users that it is for; none: all.
        principals: Vec<String>,
    },
    /// Words for it.
    Password(String),
}

/// Filled in as authentication goes on.
#[derive(Debug, Default)]
pub(super) struct AuthRecord {
    /// Keys and methods that the server turned down, in order, as [`super::candidate::Candidate::describe`] says.
    pub(super) rejected: Vec<String>,
    /// Words for the password that was among them.
    pub(super) refused_password: Option<String>,
    /// The first certificate among them, and the users that it is for.
    pub(super) refused_certificate: Option<(String, Vec<String>)>,
    pub(super) refused_rsa: bool,
    /// The server did not say which signatures it takes.
    pub(super) silent_about_rsa: bool,
    /// The RSA keys could not be signed with in a way that both sides take: what would help.
    pub(super) signature_hint: Option<String>,
    /// What it said, last, beside its questions.
    pub(super) said: Option<String>,
    /// What it asked, last, in keyboard-interactive.
    pub(super) asked: Option<String>,
    /// Keys that were not offered, or not signed with.
    pub(super) skipped: Vec<Skipped>,
    /// Keys beyond the number that a server listens to.
    pub(super) cut: usize,
    /// The agent that was asked for and could not be had.
    pub(super) agent: Option<String>,
    /// There is an agent, and it shows no key.
    pub(super) empty_agent: bool,
    /// Nothing was named to log in with: no file is there, and no agent has a key.
    pub(super) no_keys: bool,
    /// Why the password could not be read, or that none is set.
    pub(super) no_password: Option<KeyProblem>,
    /// Methods that succeeded, but were not enough (AuthenticationMethods).
    pub(super) partial: Vec<String>,
    /// What the server said it would take, most recently; and whether a key could ever have been it.
    pub(super) methods: Vec<&'static str>,
    pub(super) publickey_allowed: bool,
}

impl AuthRecord {
    pub(super) fn learn(&mut self, methods: &MethodSet) {
        self.methods = methods.iter().map(<&'static str>::from).collect();
        self.publickey_allowed |= methods.contains(&MethodKind::PublicKey);
    }

    /// The server turned this down, again perhaps.
    pub(super) fn refused(&mut self, what: RejectedAuth, words: String) {
        if !self.rejected.contains(&words) {
            self.rejected.push(words);
        }
        match what {
            RejectedAuth::Key => {}
            RejectedAuth::RsaKey => self.refused_rsa = true,
            RejectedAuth::Certificate { file, principals } => {
                self.refused_certificate.get_or_insert((file, principals));
            }
            RejectedAuth::Password(words) => self.refused_password = Some(words),
        }
    }

    /// An RSA key that cannot be used; `announced` is the best hash that the server named, SHA-1 being none.
    pub(super) fn no_common_signature(&mut self, announced: Option<Option<HashAlg>>) -> KeyProblem {
        let (why, hint) = match announced {
            Some(None) => (
                "no signature algorithm in common: the server takes no RSA signature with SHA-2",
                "no signature algorithm in common: if the server cannot be updated, set `pubkey_accepted_algorithms = \
                 \"+ssh-rsa\"` for this tunnel, or use an Ed25519 or ECDSA key if it takes those",
            ),
            Some(Some(_)) | None => (
                "no signature algorithm in common: pubkey_accepted_algorithms leaves out the RSA signatures that the \
                 server takes",
                "no signature algorithm in common: add `rsa-sha2-256` to pubkey_accepted_algorithms",
            ),
        };
        self.signature_hint = Some(words::own(hint).into_owned());
        KeyProblem::new(FailureKind::AuthRejected, words::own(why)).with_hint(hint)
    }

    /// Why nothing worked. `last_word` is what the server said when it ended the session itself.
    pub(super) fn failure(&self, user: &str, last_word: Option<&Failure>) -> Failure {
        let (kind, hint) = self.decisive(user);
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
        if let (Some(asked), Some(_)) = (&self.asked, &self.refused_password) {
            say(format!("it asked `{asked}`"));
        }
        for skipped in &self.skipped {
            let wanted = if skipped.wanted { "the server would take it, but " } else { "not offered: " };
            say(format!("`{}`: {wanted}{}", skipped.source, skipped.trouble.why));
        }
        if self.cut > 0 {
            let cut = self.cut;
            say(format!(
                "{cut} more keys of the agent were not offered: most servers listen to {MAX_OFFERED_KEYS} tries"
            ));
        }
        if let Some(agent) = &self.agent {
            say(agent.clone());
        }
        if self.empty_agent {
            say("the agent shows no key".to_owned());
        }
        if self.no_keys {
            say("there is no key to offer".to_owned());
        }
        if let Some(trouble) = &self.no_password {
            say(trouble.why.clone());
        }
        if let Some(said) = &self.said {
            say(format!("it said `{said}`"));
        }
        match last_word {
            Some(word) => say(word.message().to_owned()),
            None if self.methods.is_empty() => say("it takes no method that tunneld knows".to_owned()),
            None => say(format!("it takes {}", self.methods.join(", "))),
        }
        let failure = Failure::new(kind, message);
        // What the server said is told better than by the kind's own hint.
        let said = last_word.map(Failure::hint).filter(|hint| *hint != FailureKind::AuthRejected.hint());
        let expired = self.said.as_deref().filter(|said| is_expired(said)).map(|_| ACCOUNT_EXPIRED);
        let hint = match expired.or(said).filter(|_| kind == FailureKind::AuthRejected) {
            Some(said) => Some(said.to_owned()),
            None => hint,
        };
        match hint {
            Some(hint) => failure.with_told_hint(hint),
            None => failure,
        }
    }

    /// The most useful thing to mend: a key that the server wanted, then one that could not be shown to it.
    fn decisive(&self, user: &str) -> (FailureKind, Option<String>) {
        let of = |trouble: &KeyProblem| (trouble.kind, trouble.hint.clone());
        // What could not be read may be what the server wants.
        let mut troubles = self.skipped.iter().map(|skipped| &skipped.trouble).chain(&self.no_password);
        if let Some(shortage) = troubles.find(|trouble| trouble.kind == FailureKind::ResourceShortage) {
            return of(shortage);
        }
        if let Some(skipped) = self.skipped.iter().find(|skipped| skipped.wanted) {
            return of(&skipped.trouble);
        }
        let key_wanted = self.partial.is_empty() || self.methods.contains(&"publickey");
        if self.publickey_allowed && key_wanted {
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
            if let Some(hint) = &self.signature_hint {
                return (FailureKind::AuthRejected, Some(hint.clone()));
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
        let hint = if let Some(hint) = self.partial_hint() {
            Some(hint)
        } else if self.cut > 0 {
            Some(words::own(TOO_MANY_KEYS).into_owned())
        } else if let Some(password) = &self.refused_password {
            Some(password_hint(password, user, self.publickey_allowed))
        } else if let Some((file, principals)) = &self.refused_certificate {
            Some(certificate_hint(file, principals, user))
        } else if self.refused_rsa && self.silent_about_rsa {
            Some(words::about(
                "{}; the server does not say which signatures it takes: one too old for RSA with SHA-2 needs \
                 `pubkey_accepted_algorithms = \"+ssh-rsa\"`",
                [FailureKind::AuthRejected.hint()],
            ))
        } else if self.methods.is_empty() {
            Some(format!(
                "the server lets `{user}` log in by no method at all: enable PubkeyAuthentication or another one in its sshd_config, \
                 and look at its Match blocks"
            ))
        } else if !self.publickey_allowed {
            Some(words::about(
                "the server takes only {}: set password_file, or allow keys there",
                [&self.methods.join(", ")],
            ))
        } else if self.no_keys && self.empty_agent {
            Some(words::own(EMPTY_AGENT).into_owned())
        } else if self.no_keys {
            Some(words::own("set identity_file, or make the agent's socket known with identity_agent").into_owned())
        } else {
            None
        };
        (FailureKind::AuthRejected, hint)
    }

    /// Where the server took something and wants more (AuthenticationMethods): what it still takes, and how to have it.
    fn partial_hint(&self) -> Option<String> {
        let took = self.partial.last()?;
        let wants = |method: &str| self.methods.contains(&method);
        let (password, key) = (wants("password") || wants("keyboard-interactive"), wants("publickey"));
        let next = match (password, key) {
            (true, _) if self.refused_password.is_some() => return None,
            (true, true) => "set password_file, or name another key that it lets in as well in identity_file",
            (true, false) => "set password_file",
            (false, true) => {
                "name another key in identity_file, and add that one's public half to authorized_keys there as well"
            }
            (false, false) => "tunneld cannot do that: change AuthenticationMethods there",
        };
        Some(format!("the server took {took} and wants {} after it: {}", self.methods.join(" or "), words::own(next)))
    }
}

fn password_hint(password: &str, user: &str, keys_too: bool) -> String {
    let root = if user == "root" { "; sshd takes no password of root unless PermitRootLogin is yes" } else { "" };
    let keys = if keys_too { "; or add a public key to the user's authorized_keys" } else { "" };
    format!("the server refused {password}: check it, and that `{user}` may log in with one there{root}{keys}")
}

fn certificate_hint(file: &str, principals: &[String], user: &str) -> String {
    let mut names = principals.iter().take(MAX_PRINCIPALS).cloned().collect::<Vec<_>>().join(", ");
    if principals.len() > MAX_PRINCIPALS {
        names.push_str(", …");
    }
    let principals = match principals.iter().any(|name| name == user) {
        _ if principals.is_empty() => "it names no principals, which sshd takes only from an authority's \
             `cert-authority` line"
            .to_owned(),
        true => format!("it is for `{names}`"),
        false => format!("it is for `{names}`, not for `{user}`"),
    };
    format!(
        "the server refused the certificate `{file}`: {principals}; check TrustedUserCAKeys and AuthorizedPrincipalsFile \
         there, and the certificate's critical options with `ssh-keygen -L`"
    )
}
