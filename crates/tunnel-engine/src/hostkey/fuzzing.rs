//! known_hosts and revocation lists for `fuzz/`.

use std::path::Path;

use super::entry::{self, EntryFilter, KeySource, Marker};
use super::key::HostKey;
use super::{krl, store};

/// A line of known_hosts that is for a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownHostsLine {
    /// From 1.
    pub number: usize,
    /// It is the server's own key, neither an authority's nor a revoked one.
    pub plain: bool,
    /// Type and base64, as a line has them.
    pub key: String,
}

/// The lines of `content` for a name, as a session keeps them.
pub fn known_hosts_lines(content: &[u8], name: &str) -> Vec<KnownHostsLine> {
    let entries = entry::parse(Path::new("known_hosts"), KeySource::User, content, EntryFilter::names(&[name]));
    let line = |entry: entry::Entry| KnownHostsLine {
        number: entry.at.line,
        plain: entry.marker == Marker::Plain,
        key: entry.key.to_known_hosts(),
    };
    entries.into_iter().map(line).collect()
}

/// Whether a line could be written for the name.
pub fn is_writable(name: &str) -> bool {
    store::writable(name)
}

/// Whether a key of the form `type base64` is read back as the same.
pub fn key_reads_back(key: &str) -> bool {
    let read = key.split_once(' ').and_then(|(kind, base64)| HostKey::parse(kind, base64));
    read.is_some_and(|read| read.to_known_hosts() == key)
}

/// What a binary list of revoked keys (KRL) says about a key; `None`: it is damaged.
pub fn revocation_list(list: &[u8], key: &[u8], serial: u64) -> Option<bool> {
    let certificate = Some(krl::CertificateFields { authority: key, serial, id: "id" });
    krl::revokes(list, &krl::RevocationQuery { key, certificate }).ok()
}
