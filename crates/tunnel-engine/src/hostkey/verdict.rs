//! The verdict on a presented key over all lines of all files: pure.

use std::time::SystemTime;

use russh::keys::PublicKeyOrCertificate;

use super::certificate::{self, CertificateProblem};
use super::entry::{Entry, KeySource, LinePosition, Marker};
use super::key::HostKey;
use super::name::ServerName;
use crate::spec::AlgorithmList;

/// What known_hosts says about the key that a server presented.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostKeyVerdict {
    /// A line holds this key, or the authority of its certificate.
    Match(MatchedBy),
    /// No line is for this server.
    Unknown {
        /// A trusted authority signed a certificate for it that does not count, for this reason.
        certificate: Option<CertificateProblem>,
    },
    /// Lines are for this server, and none holds this key. Their type does not matter: otherwise an attacker in
    /// between only had to present a key of another type to look new.
    Changed {
        /// Every such line, with its key.
        conflicts: Vec<(LinePosition, HostKey)>,
    },
    /// A `@revoked` line holds this key, or the authority of its certificate.
    Revoked {
        /// Position of the line.
        at: LinePosition,
        /// The key on it.
        key: HostKey,
    },
}

/// What made a host key trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MatchedBy {
    /// A line of a user's file for this very name holds the key.
    OwnLine,
    /// An authority, a system's file, the command, or a line for the name without its port.
    Other,
}

/// What a certificate has to keep to.
pub(super) struct CertificateTerms<'a> {
    /// The calendar's time.
    pub(super) now: SystemTime,
    /// CASignatureAlgorithms.
    pub(super) signatures: &'a AlgorithmList,
}

/// Judges `presented`. A key that cannot be encoded is one that no line holds.
pub(super) fn verdict(
    entries: &[Entry],
    server: &ServerName,
    presented: &PublicKeyOrCertificate,
    terms: &CertificateTerms<'_>,
) -> HostKeyVerdict {
    let key = HostKey::of(presented.public_key().key_data());
    let authority = presented.certificate().and_then(|certificate| HostKey::of(certificate.signature_key()));
    let revoked = server.all().flat_map(|name| lines(entries, name, Marker::Revoked)).find(|entry| {
        let revoked = Some(&entry.key);
        revoked == key.as_ref() || revoked == authority.as_ref()
    });
    if let Some(entry) = revoked {
        return HostKeyVerdict::Revoked { at: entry.at.clone(), key: entry.key.clone() };
    }
    let mut problem = None;
    let trusted = server
        .all()
        .flat_map(|name| lines(entries, name, Marker::CertAuthority))
        .any(|entry| Some(&entry.key) == authority.as_ref());
    if let Some(certificate) = presented.certificate().filter(|_| trusted) {
        match certificate::check(certificate, &server.principal, terms) {
            Ok(()) => return HostKeyVerdict::Match(MatchedBy::Other),
            Err(why) => problem = Some(why),
        }
    }
    match plain(entries, &server.lookup, key.as_ref()) {
        HostKeyVerdict::Unknown { .. } => {}
        known @ (HostKeyVerdict::Match(_) | HostKeyVerdict::Changed { .. } | HostKeyVerdict::Revoked { .. }) => {
            return known;
        }
    }
    let fallback = server.fallback.as_ref().map(|name| plain(entries, name, key.as_ref()));
    match fallback {
        Some(HostKeyVerdict::Match(_)) => HostKeyVerdict::Match(MatchedBy::Other),
        _ => HostKeyVerdict::Unknown { certificate: problem },
    }
}

fn plain(entries: &[Entry], name: &str, key: Option<&HostKey>) -> HostKeyVerdict {
    let known: Vec<&Entry> = lines(entries, name, Marker::Plain).collect();
    if let Some(entry) = known.iter().find(|entry| Some(&entry.key) == key) {
        HostKeyVerdict::Match(if entry.source == KeySource::User { MatchedBy::OwnLine } else { MatchedBy::Other })
    } else if known.is_empty() {
        HostKeyVerdict::Unknown { certificate: None }
    } else {
        HostKeyVerdict::Changed { conflicts: known.iter().map(|entry| (entry.at.clone(), entry.key.clone())).collect() }
    }
}

/// The lines of one marker that are for `name`.
pub(super) fn lines<'a>(entries: &'a [Entry], name: &str, marker: Marker) -> impl Iterator<Item = &'a Entry> {
    entries.iter().filter(move |entry| entry.marker == marker && entry.names.matches(name))
}
