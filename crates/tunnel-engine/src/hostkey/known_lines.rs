//! Which lines of known_hosts are about a server, told one by one: for a person who asks why its key is not believed.

use std::io;
use std::path::{Path, PathBuf};

use russh::keys::PublicKeyOrCertificate;

use super::entry::{Entry, EntryFilter, KeySource, LinePosition, Marker};
use super::key::HostKey;
use super::name::ServerName;
use super::{HostKeys, refusal, store};
use crate::spec::SessionSpec;

/// A line that is about the server, and how it stands to the key that the server presented.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownLine {
    /// Position of the line.
    pub at: LinePosition,
    /// Its key: type and fingerprint.
    pub key: String,
    /// To the presented key.
    pub relation: Relation,
}

/// How a line stands to the presented key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relation {
    /// It holds the key.
    Same,
    /// It holds another key for this server.
    Other,
    /// It holds the authority of the presented certificate.
    Authority,
    /// It holds an authority that did not sign what the server presented.
    OtherAuthority,
    /// It revokes the key, or its authority.
    Revokes,
}

impl HostKeys {
    /// Every line of the files that is about the server. Lines for the name without its port count only where they hold
    /// the presented key.
    pub(crate) fn about(&self, presented: &PublicKeyOrCertificate) -> Vec<KnownLine> {
        let key = HostKey::of(presented.public_key().key_data());
        let authority = presented.certificate().and_then(|certificate| HostKey::of(certificate.signature_key()));
        let line = |entry: &Entry| {
            let (same, signed) = (Some(&entry.key) == key.as_ref(), Some(&entry.key) == authority.as_ref());
            let own_name = entry.names.matches(&self.server.lookup);
            let relation = match entry.marker {
                Marker::Revoked if same || signed => Relation::Revokes,
                Marker::Revoked => return None,
                Marker::CertAuthority if signed => Relation::Authority,
                Marker::CertAuthority => Relation::OtherAuthority,
                Marker::Plain if same => Relation::Same,
                Marker::Plain if own_name => Relation::Other,
                Marker::Plain => return None,
            };
            Some(KnownLine { at: entry.at.clone(), key: entry.key.to_string(), relation })
        };
        self.entries.iter().filter_map(line).collect()
    }

    /// The known_hosts files that are there, and were looked through.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        refusal::files(&self.spec).filter(|path| path.exists()).map(Path::to_owned).collect()
    }

    /// An unknown key that is believed is not written down.
    pub(crate) fn write_nothing(&mut self) {
        self.writes = false;
    }
}

/// The lines of one file that hold the key `wanted` (type and fingerprint) for the server of `spec`.
///
/// # Errors
/// The file cannot be read.
pub fn lines_with_key(path: &Path, spec: &SessionSpec, wanted: &str) -> io::Result<Vec<LinePosition>> {
    let server = ServerName::new(&spec.destination, spec.host_key.alias.as_deref());
    let names: Vec<&str> = server.all().collect();
    let entries = store::read(path, KeySource::User, EntryFilter::names(&names))?;
    let held = entries.into_iter().filter(|entry| entry.marker == Marker::Plain && entry.key.to_string() == wanted);
    Ok(held.map(|entry| entry.at).collect())
}
