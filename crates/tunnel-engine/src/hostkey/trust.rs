//! Keys that a person says are the server's: how each stands to what known_hosts has, and writing them down.

use std::io;
use std::path::Path;

use super::entry::{LinePosition, Marker};
use super::key::HostKey;
use super::store::{self, Written};
use super::{HostKeys, blocking, refusal, revoked};
use crate::failure::Failure;

/// How one of a server's keys stands to what known_hosts has of that server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyStanding {
    /// This line has it.
    Known(LinePosition),
    /// No line has a key of its type.
    New,
    /// The server is known with other keys of this type.
    Changed(Failure),
    /// It is marked as revoked, or on a list of revoked keys, or the list cannot be used.
    Revoked(Failure),
}

/// What came of writing keys down.
#[derive(Debug)]
pub enum Trusted {
    /// They are in the file.
    Written,
    /// Another key was written down meanwhile; nothing was written.
    Changed(Failure),
}

impl HostKeys {
    /// How a key that the server showed stands, by the files and the lists of revoked keys.
    pub async fn standing(&self, key: &HostKey) -> KeyStanding {
        let revoked =
            self.server.all().flat_map(|name| self.lines(name, Marker::Revoked)).find(|line| line.key == *key);
        if let Some(line) = revoked {
            return KeyStanding::Revoked(refusal::revoked(&self.server, key, &line.at, key));
        }
        let (lists, plain) = (self.spec.revoked.clone(), revoked::Presented::plain(key));
        match blocking(move || Ok(revoked::objection(&lists, &plain))).await {
            Ok(None) => {}
            Ok(Some(objection)) => return KeyStanding::Revoked(refusal::objection(&self.server, key, &objection)),
            Err(failure) => return KeyStanding::Revoked(failure),
        }
        let own: Vec<_> = self.lines(&self.server.lookup, Marker::Plain).collect();
        if let Some(line) = own.iter().find(|line| line.key == *key) {
            return KeyStanding::Known(line.at.clone());
        }
        let others = own.iter().filter(|line| line.key.kind() == key.kind());
        let others: Vec<_> = others.map(|line| (line.at.clone(), line.key.clone())).collect();
        match others.is_empty() {
            true => KeyStanding::New,
            false => KeyStanding::Changed(refusal::changed(&self.spec, &self.server, key, &others)),
        }
    }

    /// That none of the server's keys is one of those that known_hosts has for it. `shown`: all that it has.
    pub fn replaced(&self, shown: &[HostKey]) -> Option<Failure> {
        let own = self.lines(&self.server.lookup, Marker::Plain);
        let known: Vec<_> = own.map(|line| (line.at.clone(), line.key.clone())).collect();
        let is_known = known.iter().any(|(_, key)| shown.contains(key));
        let first = shown.first().filter(|_| !known.is_empty() && !is_known)?;
        Some(refusal::changed(&self.spec, &self.server, first, &known))
    }

    /// The name that lines for this server have.
    pub fn name(&self) -> &str {
        &self.server.lookup
    }

    /// Adds the keys to `file` in one write, those that are not there. The file is made for its owner only.
    ///
    /// # Errors
    /// Those of the system.
    pub async fn trust(&self, file: &Path, keys: &[HostKey]) -> io::Result<Trusted> {
        let (path, name, hash, added) =
            (file.to_owned(), self.server.lookup.clone(), self.spec.hash_names, keys.to_vec());
        let of_same_type = move |known: &HostKey| added.iter().any(|key| key.kind() == known.kind());
        let added = keys.to_vec();
        let written = blocking(move || Ok(store::append(&path, &name, &added, hash, of_same_type))).await;
        match written.map_err(io::Error::other)?? {
            Written::Known => Ok(Trusted::Written),
            Written::Conflict(lines) => match keys.first() {
                Some(key) => Ok(Trusted::Changed(refusal::changed(&self.spec, &self.server, key, &lines))),
                None => Ok(Trusted::Written),
            },
        }
    }
}
