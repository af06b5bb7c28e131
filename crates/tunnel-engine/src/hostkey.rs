//! Whom to believe: the verdict on a server's host key over known_hosts and the lists of revoked keys, by our own
//! readers.
//!
//! ```text
//! lists ─ revoked ─► (krl) ──────► objection ─────────────────────────────────────────────► refusal (words)
//! files ─ store ──┐                                                                          ▲
//! command ────────┴► entry (line) ─► verdict (pure: Match · Unknown · Changed · Revoked) ────┘
//!                   name, key         certificate
//! login ─ update ─► store: known_hosts follows what a believed server announces
//! ```

mod certificate;
mod command;
mod entry;
mod folder_owner;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod key;
mod known_lines;
mod krl;
mod name;
mod refusal;
mod replace;
mod revoked;
mod store;
#[cfg(test)]
mod tests;
mod trust;
mod update;
mod verdict;

use std::net::SocketAddr;
use std::time::SystemTime;

use russh::keys::{Algorithm, PublicKeyOrCertificate};

pub use certificate::CertificateProblem;
pub use command::Until;
pub use entry::LinePosition;
pub use key::HostKey;
pub use known_lines::{KnownLine, Relation, lines_with_key};
pub use trust::{KeyStanding, Trusted};
pub use update::{KnownHostsChange, Updates};
pub use verdict::{HostKeyVerdict, MatchedBy};

use crate::failure::{Failure, FailureKind};
use crate::spec::{Destination, HostKeySpec, MAX_UNCLEAR_ANSWERS, PromptKind, StrictHostKeyChecking};
use crate::{clock, shortage, task};
use command::About;
use entry::{Entry, EntryFilter, KeySource, Marker};
use name::ServerName;
use store::Written;
use verdict::CertificateTerms;

/// What known_hosts says about one server. Read anew for every session, so that an edit counts at once.
#[derive(Debug, Clone)]
pub struct HostKeys {
    spec: HostKeySpec,
    destination: Destination,
    server: ServerName,
    /// Of the files: the lines for this server.
    entries: Vec<Entry>,
    /// Of the command, when it was asked which algorithms to offer.
    ordered: Vec<Entry>,
    until: Until,
    /// The server answered on an address of this machine to itself.
    is_loopback: bool,
    /// Whether an unknown key that is believed is written down.
    writes: bool,
}

/// The host key algorithms that may be offered.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HostKeyOffer {
    /// For plain keys.
    pub plain: Vec<Algorithm>,
    /// For certificates. They are offered before the plain ones.
    pub certificates: Vec<Algorithm>,
    /// How many of the certificates stand before every plain algorithm in the list that this was made from.
    pub leading: usize,
    /// The user gave the order (`HostKeyAlgorithms a,b` or `^a`).
    pub ordered: bool,
}

impl HostKeys {
    /// Reads the known_hosts files of `spec`, off the runtime's thread. A missing file is fine. The command of `spec`
    /// has time `until` then.
    ///
    /// # Errors
    /// A file that exists and cannot be read, under `yes`: what it would say is not the same as "unknown". Where
    /// unknown keys are believed, and where a person is asked, it is passed over with a warning, as ssh does. A shortage
    /// of this machine's is one always.
    pub async fn load(spec: &HostKeySpec, destination: &Destination, until: Until) -> Result<Self, Failure> {
        let users = spec.user_known_hosts.iter().map(|path| (path.clone(), KeySource::User));
        let files: Vec<_> =
            users.chain(spec.global_known_hosts.iter().map(|path| (path.clone(), KeySource::Global))).collect();
        let server = ServerName::new(destination, spec.alias.as_deref());
        let whose = server.clone();
        let all_needed = spec.strict == StrictHostKeyChecking::Yes && spec.ask.is_none();
        let entries = blocking(move || {
            let names: Vec<&str> = whose.all().collect();
            let mut entries = Vec::new();
            for (path, source) in files {
                match store::read(&path, source, EntryFilter::names(&names)) {
                    Ok(more) => entries.extend(more),
                    // A shortage says nothing about the file: what it has must not be passed over for that.
                    Err(error) if all_needed || shortage::hint(&error).is_some() => return Err(refusal::unreadable(&path, error)),
                    Err(error) => {
                        let file = path.display();
                        tracing::warn!(%file, %error, "`{file}` cannot be read: the login goes on as if the server were unknown");
                    }
                }
            }
            Ok(entries)
        })
        .await?;
        let (spec, destination) = (spec.clone(), destination.clone());
        Ok(Self { spec, destination, server, entries, ordered: Vec::new(), until, is_loopback: false, writes: true })
    }

    /// Whether a line of the files is for this server: a key of it, or an authority that may certify one.
    pub fn has_lines(&self) -> bool {
        let plain = self.lines(&self.server.lookup, Marker::Plain).next().is_some();
        plain || self.server.all().any(|name| self.lines(name, Marker::CertAuthority).next().is_some())
    }

    /// Asks the command which keys it knows, for the order of the offer. Not for a list whose order the user gave, as
    /// in ssh. A command that fails is asked again about the key, and that counts.
    pub async fn ask_for_order(&mut self) {
        // One that hangs leaves as much time for the login itself.
        let half = self.until.deadline.left() / 2;
        let until = Until { deadline: clock::Deadline::after(half), ..self.until.clone() };
        match self.asked(None, &until).await {
            Ok(entries) => self.ordered = entries,
            Err(failure) => {
                tracing::debug!(server = self.server.lookup, %failure, "no order for the host key algorithms")
            }
        }
    }

    /// Where the server answered; `None` behind a jump host or a command.
    pub fn reached_at(&mut self, peer: Option<SocketAddr>) {
        self.is_loopback = peer.is_some_and(|peer| peer.ip().to_canonical().is_loopback());
    }

    /// The command's lines for this server.
    async fn asked(&self, presented: Option<&PublicKeyOrCertificate>, until: &Until) -> Result<Vec<Entry>, Failure> {
        let Some(command) = &self.spec.command else { return Ok(Vec::new()) };
        let about = About { destination: &self.destination, server: &self.server, presented };
        let lines = command::ask(command, about, until).await?;
        // It was asked about this name: what it says about others, as the name without its port, does not count.
        let wanted = [self.server.lookup.as_str()];
        Ok(entry::parse(command.program(), KeySource::Command, &lines, EntryFilter::names(&wanted)))
    }

    /// Orders what may be offered as ssh does, so that a server known by one type of key is asked for that type: one
    /// that is known by RSA only and has an ed25519 key too must not look changed. An order that the user gave is kept.
    ///
    /// A certificate that is not believed leaves its plain key to be judged. So certificates of every type are asked
    /// for where a `@cert-authority` line is for this server, or where the user puts them first; and otherwise those
    /// whose plain key could be believed.
    pub fn prefer(&self, offer: HostKeyOffer) -> HostKeyOffer {
        let known: Vec<&Entry> = (self.server.all())
            .map(|name| self.lines(name, Marker::Plain).collect::<Vec<_>>())
            .find(|lines| !lines.is_empty())
            .unwrap_or_default();
        let is_known = |algorithm: &Algorithm| known.iter().any(|entry| entry.key.serves(algorithm.as_str()));
        let certified = self.server.all().any(|name| self.lines(name, Marker::CertAuthority).next().is_some());
        let leading = if offer.ordered { offer.leading } else { 0 };
        let certificates = offer.certificates.into_iter().enumerate();
        let certificates = certificates.filter(|(at, algorithm)| certified || *at < leading || is_known(algorithm));
        let certificates = certificates.map(|(_, algorithm)| algorithm).collect();
        let plain = if offer.ordered {
            offer.plain
        } else {
            let (mut plain, others): (Vec<_>, Vec<_>) = offer.plain.into_iter().partition(is_known);
            plain.extend(others);
            plain
        };
        HostKeyOffer { plain, certificates, ..offer }
    }

    fn lines<'a>(&'a self, name: &'a str, marker: Marker) -> impl Iterator<Item = &'a Entry> {
        verdict::lines(&self.entries, name, marker).chain(verdict::lines(&self.ordered, name, marker))
    }

    /// What the files say, without consequence. `now` is the calendar's time, for certificates.
    pub fn verdict(&self, presented: &PublicKeyOrCertificate, now: SystemTime) -> HostKeyVerdict {
        self.verdict_of(&self.entries, presented, now)
    }

    fn verdict_of(&self, entries: &[Entry], presented: &PublicKeyOrCertificate, now: SystemTime) -> HostKeyVerdict {
        verdict::verdict(
            entries,
            &self.server,
            presented,
            &CertificateTerms { now, signatures: &self.spec.ca_signatures },
        )
    }

    /// Who has known_hosts follow what the server announces after a login whose proof was [`MatchedBy::OwnLine`];
    /// `None` where it does not. `accepted`: the names of the algorithms that host keys may have.
    pub fn updates(&self, accepted: Vec<String>) -> Option<Updates> {
        Updates::new(&self.spec, &self.server, accepted)
    }

    /// Judges what the server presented (ssh_config StrictHostKeyChecking), and with `accept-new` or `no` writes an
    /// unknown key down. When that cannot be done it is believed all the same, with a warning, as ssh does.
    ///
    /// # Errors
    /// `host_key_unknown`, `host_key_changed`, `host_key_revoked`, `known_hosts_command_failed`. A changed key is
    /// refused under `no` too: there ssh connects but refuses all forwards, and a tunnel is its forwards.
    pub async fn check(&self, presented: &PublicKeyOrCertificate, now: SystemTime) -> Result<MatchedBy, Failure> {
        let Some(key) = HostKey::of(presented.public_key().key_data()) else {
            return Err(Failure::new(FailureKind::Protocol, "the server presented a host key that cannot be encoded"));
        };
        self.check_lists(presented, &key).await?;
        if self.spec.trust_loopback && self.is_loopback && self.spec.alias.is_none() {
            tracing::debug!(server = self.server.lookup, %key, "believing the host key of a loopback address unchecked");
            return Ok(MatchedBy::Other);
        }
        let asked = self.asked(Some(presented), &self.until).await?;
        let verdict = if asked.is_empty() {
            self.verdict(presented, now)
        } else {
            self.verdict_of(&[self.entries.as_slice(), &asked].concat(), presented, now)
        };
        match verdict {
            HostKeyVerdict::Match(proof) => Ok(proof),
            HostKeyVerdict::Revoked { at, key: revoked } => Err(refusal::revoked(&self.server, &key, &at, &revoked)),
            HostKeyVerdict::Changed { conflicts } => Err(refusal::changed(&self.spec, &self.server, &key, &conflicts)),
            HostKeyVerdict::Unknown { certificate } => match self.spec.strict {
                StrictHostKeyChecking::Yes if self.confirmed(&key).await => {
                    self.remember(key).await.map(|()| MatchedBy::OwnLine)
                }
                StrictHostKeyChecking::Yes => {
                    Err(refusal::unknown(&self.spec, &self.destination, &self.server, &key, certificate.as_ref()))
                }
                StrictHostKeyChecking::AcceptNew => self.remember(key).await.map(|()| MatchedBy::Other),
                StrictHostKeyChecking::No => {
                    // Told by what keeps the session, once it is up.
                    tracing::debug!(server = self.server.lookup, %key, "believing an unknown host key unchecked");
                    self.remember(key).await.map(|()| MatchedBy::Other)
                }
            },
        }
    }

    async fn check_lists(&self, presented: &PublicKeyOrCertificate, key: &HostKey) -> Result<(), Failure> {
        if self.spec.revoked.is_empty() {
            return Ok(());
        }
        let (lists, presented) = (self.spec.revoked.clone(), revoked::Presented::of(key, presented));
        match blocking(move || Ok(revoked::objection(&lists, &presented))).await? {
            None => Ok(()),
            Some(objection) => Err(refusal::objection(&self.server, key, &objection)),
        }
    }

    /// ssh's `ask`: the user says that the key is the server's.
    async fn confirmed(&self, key: &HostKey) -> bool {
        let Some(asker) = self.spec.ask.clone() else { return false };
        let fingerprint = key.fingerprint();
        let question = PromptKind::HostKey {
            server: self.server.lookup.clone(),
            kind: key.kind().to_owned(),
            fingerprint: fingerprint.clone(),
        };
        let answer = blocking(move || {
            let answers = (0..MAX_UNCLEAR_ANSWERS).map_while(|again| asker.ask(&question, again));
            let clear = |answer: &zeroize::Zeroizing<String>| {
                let answer = answer.trim();
                (answer == fingerprint || answer.eq_ignore_ascii_case("yes"))
                    .then_some(true)
                    .or(answer.eq_ignore_ascii_case("no").then_some(false))
            };
            Ok(answers.into_iter().find_map(|answer| clear(&answer)).unwrap_or(false))
        });
        answer.await.unwrap_or(false)
    }

    async fn remember(&self, key: HostKey) -> Result<(), Failure> {
        let Some(path) = self.spec.user_known_hosts.first().filter(|_| self.writes).cloned() else {
            return Ok(());
        };
        let (name, line, file) = (self.server.lookup.clone(), key.clone(), path.clone());
        let hash = self.spec.hash_names;
        let any_other = |_: &HostKey| true;
        let written = blocking(move || Ok(store::append(&file, &name, &[line], hash, any_other))).await?;
        let (server, file) = (&self.server.lookup, path.display());
        match written {
            Ok(Written::Known) => {
                tracing::warn!(server, %key, %file, "`{server}`: new host key believed and added to `{file}`: {key}");
            }
            Ok(Written::Conflict(lines)) => {
                return Err(refusal::changed(&self.spec, &self.server, &key, &lines));
            }
            Err(error) => {
                tracing::warn!(server, %key, %file, %error, "`{server}`: new host key believed, but not added to `{file}`: {key}");
            }
        }
        Ok(())
    }
}

/// Files are read off the one thread that carries all tunnels: a home directory may be on a network.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Failure> + Send + 'static) -> Result<T, Failure> {
    task::blocking(work).await.unwrap_or_else(|error| {
        Err(Failure::new(FailureKind::HostKeyUnknown, "reading known_hosts was given up").with_source(error))
    })
}
