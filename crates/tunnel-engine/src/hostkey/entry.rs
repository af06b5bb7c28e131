//! The lines of a known_hosts file. A line that makes no sense is skipped, as ssh does: the others still count.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use super::key::HostKey;
use super::name::Names;

/// One line that names a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) at: Place,
    pub(super) source: Source,
    pub(super) marker: Marker,
    pub(super) names: Names,
    pub(super) key: HostKey,
}

/// Where a line is; reads `file:line`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub file: Arc<Path>,
    /// Its line, from 1; comments and empty lines count.
    pub line: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file.display(), self.line)
    }
}

/// Who says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// A file of UserKnownHostsFile.
    User,
    /// A file of GlobalKnownHostsFile.
    Global,
    /// KnownHostsCommand, which was asked about this very name.
    Command,
}

/// What the key of a line is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Marker {
    /// The server's own key.
    Plain,
    /// `@cert-authority`: it signs host certificates.
    CertAuthority,
    /// `@revoked`: never to be believed.
    Revoked,
}

/// Reads a whole file.
pub(super) fn parse(file: &Path, source: Source, content: &[u8]) -> Vec<Entry> {
    let file: Arc<Path> = file.into();
    String::from_utf8_lossy(content)
        .lines()
        .enumerate()
        .filter_map(|(index, text)| parse_line(text, source, Place { file: Arc::clone(&file), line: index + 1 }))
        .collect()
}

fn parse_line(text: &str, source: Source, at: Place) -> Option<Entry> {
    let mut fields = text.split([' ', '\t']).filter(|field| !field.is_empty());
    let mut names = fields.next().filter(|field| !field.starts_with('#'))?;
    let marker = match names {
        "@cert-authority" => Marker::CertAuthority,
        "@revoked" => Marker::Revoked,
        unknown if unknown.starts_with('@') => return None,
        _ => Marker::Plain,
    };
    if marker != Marker::Plain {
        names = fields.next()?;
    }
    let key = HostKey::parse(fields.next()?, fields.next()?.trim_end())?;
    Some(Entry { at, source, marker, names: Names::parse(names)?, key })
}
