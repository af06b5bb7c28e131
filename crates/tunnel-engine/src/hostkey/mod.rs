//! Whom to believe: the verdict on a server's host key over the known_hosts files, by our own reader.
//!
//! ```text
//! files ─ store ─► entry (line) ─► verdict (pure: Match · Unknown · Changed · Revoked) ─► refusal (words)
//!                   name, key         certificate
//! ```

mod certificate;
mod entry;
mod key;
mod name;
mod refusal;
mod store;
#[cfg(test)]
mod tests;
mod verdict;

use std::time::SystemTime;

use russh::keys::{Algorithm, PublicKeyOrCertificate};

pub use certificate::CertificateProblem;
pub use entry::Place;
pub use key::HostKey;
pub use verdict::Verdict;

use crate::failure::{Failure, FailureKind};
use crate::spec::{ASKED_AT_MOST, Destination, HostKeySpec, Question, StrictHostKeyChecking};
use entry::{Entry, Marker};
use name::ServerName;
use store::Written;

/// What the known_hosts files say about one server. Read anew for every session, so that an edit counts at once.
#[derive(Debug, Clone)]
pub struct HostKeys {
    spec: HostKeySpec,
    destination: Destination,
    server: ServerName,
    entries: Vec<Entry>,
}

/// In which order to offer host key algorithms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostKeyPreference {
    /// Plain key algorithms: types known for this server first, otherwise in the order given.
    pub plain: Vec<Algorithm>,
    /// The same algorithms as certificates, to be offered before the plain ones; empty when no
    /// `@cert-authority` line is for this server.
    pub certificates: Vec<Algorithm>,
}

impl HostKeys {
    /// Reads the known_hosts files of `spec`, off the runtime's thread. A missing file is fine.
    ///
    /// # Errors
    /// A file that exists and cannot be read: what it would say is not the same as "unknown".
    pub async fn load(spec: &HostKeySpec, destination: &Destination) -> Result<Self, Failure> {
        let files: Vec<_> = refusal::files(spec).map(std::path::Path::to_owned).collect();
        let entries = blocking(move || {
            let mut entries = Vec::new();
            for path in files {
                entries.extend(store::read(&path).map_err(|error| refusal::unreadable(&path, error))?);
            }
            Ok(entries)
        })
        .await?;
        let server = ServerName::new(destination, spec.alias.as_deref());
        Ok(Self { spec: spec.clone(), destination: destination.clone(), server, entries })
    }

    /// Orders the algorithms that we would offer, so that a server known by one type of key is asked for that
    /// type: one that is known by RSA only and has an ed25519 key too must not look changed. Not for a list that
    /// the user wrote down in full (`HostKeyAlgorithms a,b`), as in ssh.
    pub fn prefer(&self, offered: &[Algorithm]) -> HostKeyPreference {
        let names = || std::iter::once(&self.server.lookup).chain(&self.server.fallback);
        let known: Vec<&Entry> = names()
            .map(|name| verdict::lines(&self.entries, name, Marker::Plain).collect::<Vec<_>>())
            .find(|lines| !lines.is_empty())
            .unwrap_or_default();
        let (mut plain, others): (Vec<_>, Vec<_>) =
            offered.iter().cloned().partition(|algorithm| known.iter().any(|entry| entry.key.serves(algorithm)));
        plain.extend(others);
        let certified = names().any(|name| verdict::lines(&self.entries, name, Marker::CertAuthority).next().is_some());
        HostKeyPreference { certificates: if certified { offered.to_vec() } else { Vec::new() }, plain }
    }

    /// What the files say, without consequence. `now` is the calendar's time, for certificates.
    pub fn verdict(&self, presented: &PublicKeyOrCertificate, now: SystemTime) -> Verdict {
        verdict::verdict(&self.entries, &self.server, presented, now)
    }

    /// Judges what the server presented (ssh_config StrictHostKeyChecking), and with `accept-new` or `no` writes an
    /// unknown key down. When that cannot be done it is believed all the same, with a warning, as ssh does.
    ///
    /// # Errors
    /// `host_key_unknown`, `host_key_changed`, `host_key_revoked`. A changed key is refused under `no` too: there
    /// ssh connects but refuses all forwards, and a tunnel is its forwards.
    pub async fn check(&self, presented: &PublicKeyOrCertificate, now: SystemTime) -> Result<(), Failure> {
        let Some(key) = HostKey::of(presented.public_key().key_data()) else {
            return Err(Failure::new(FailureKind::Protocol, "the server presented a host key that cannot be encoded"));
        };
        match self.verdict(presented, now) {
            Verdict::Match => Ok(()),
            Verdict::Revoked { at, key: revoked } => Err(refusal::revoked(&self.server, &key, &at, &revoked)),
            Verdict::Changed { conflicts } => Err(refusal::changed(&self.spec, &self.server, &key, &conflicts)),
            Verdict::Unknown { certificate } => match self.spec.strict {
                StrictHostKeyChecking::Yes if self.confirmed(&key).await => self.remember(key).await,
                StrictHostKeyChecking::Yes => {
                    Err(refusal::unknown(&self.spec, &self.destination, &self.server, &key, certificate.as_ref()))
                }
                StrictHostKeyChecking::AcceptNew => self.remember(key).await,
                StrictHostKeyChecking::No => {
                    tracing::warn!(server = self.server.lookup, %key, "believing an unknown host key unchecked");
                    self.remember(key).await
                }
            },
        }
    }

    /// ssh's `ask`: somebody is there, and says that the key is the server's.
    async fn confirmed(&self, key: &HostKey) -> bool {
        let Some(asker) = self.spec.ask.clone() else { return false };
        let fingerprint = key.fingerprint();
        let question = Question::HostKey {
            server: self.server.lookup.clone(),
            kind: key.kind().to_owned(),
            fingerprint: fingerprint.clone(),
        };
        let answer = blocking(move || {
            let answers = (0..ASKED_AT_MOST).map_while(|again| asker.ask(&question, again));
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
        let Some(path) = self.spec.user_known_hosts.first().cloned() else {
            return Ok(());
        };
        let (name, line, file) = (self.server.lookup.clone(), key.clone(), path.clone());
        let written = blocking(move || Ok(store::append(&file, &name, &line))).await?;
        let (server, file) = (&self.server.lookup, path.display());
        match written {
            Ok(Written::Known) => tracing::warn!(server, %key, %file, "new host key believed and added to known_hosts"),
            Ok(Written::Conflict(lines)) => {
                return Err(refusal::changed(&self.spec, &self.server, &key, &lines));
            }
            Err(error) => {
                tracing::warn!(server, %key, %file, %error, "new host key believed, but not added to known_hosts");
            }
        }
        Ok(())
    }
}

/// Files are read off the one thread that carries all tunnels: a home directory may be on a network.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Failure> + Send + 'static) -> Result<T, Failure> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| {
        Err(Failure::new(FailureKind::HostKeyUnknown, "reading known_hosts was given up").with_source(error))
    })
}
