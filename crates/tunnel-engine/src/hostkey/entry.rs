//! The lines of a known_hosts file. A line that makes no sense is skipped, as ssh does: the others still count.

use std::fmt;
use std::io::{self, BufRead};
use std::path::Path;
use std::sync::Arc;

use super::key::HostKey;
use super::name::HostNames;

/// One line that names a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) at: LinePosition,
    pub(super) source: KeySource,
    pub(super) marker: Marker,
    pub(super) names: HostNames,
    pub(super) key: HostKey,
}

/// Where a line is; reads `file:line`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinePosition {
    /// Path of the file.
    pub file: Arc<Path>,
    /// Its line, from 1; comments and empty lines count.
    pub line: usize,
}

impl fmt::Display for LinePosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file.display(), self.line)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeySource {
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

/// Which lines are kept. The others are read past: of a file with every host of a site, a session keeps its own
/// server's lines and nothing else.
#[derive(Clone, Copy)]
pub(super) struct EntryFilter<'a> {
    /// Lines for one of these names; `None`: all lines.
    names: Option<&'a [&'a str]>,
    /// Lines with one of these keys too, under whatever name.
    keys: &'a [HostKey],
}

impl<'a> EntryFilter<'a> {
    /// Lines for one of `names`.
    pub(super) const fn names(names: &'a [&'a str]) -> Self {
        Self { names: Some(names), keys: &[] }
    }

    /// And lines with one of `keys`.
    pub(super) const fn or_keys(self, keys: &'a [HostKey]) -> Self {
        Self { keys, ..self }
    }

    #[cfg(test)]
    pub(super) const fn all() -> Self {
        Self { names: None, keys: &[] }
    }

    fn name(&self, names: &HostNames) -> bool {
        self.names.is_none_or(|wanted| wanted.iter().any(|name| names.matches(name)))
    }
}

/// The wanted lines of what has been read already.
pub(super) fn parse(file: &Path, source: KeySource, content: &[u8], wanted: EntryFilter<'_>) -> Vec<Entry> {
    // Memory cannot fail to be read.
    read(file, source, content, wanted).unwrap_or_default()
}

/// The wanted lines of a file, one line at a time.
///
/// # Errors
/// Those of the reader.
pub(super) fn read(
    file: &Path,
    source: KeySource,
    mut reader: impl BufRead,
    wanted: EntryFilter<'_>,
) -> io::Result<Vec<Entry>> {
    let file: Arc<Path> = file.into();
    let (mut entries, mut line) = (Vec::new(), Vec::new());
    for number in 1.. {
        line.clear();
        if reader.read_until(b'\n', &mut line)? == 0 {
            break;
        }
        let at = || LinePosition { file: Arc::clone(&file), line: number };
        entries.extend(parse_line(&String::from_utf8_lossy(&line), source, at, wanted));
    }
    Ok(entries)
}

fn parse_line(
    text: &str,
    source: KeySource,
    at: impl FnOnce() -> LinePosition,
    wanted: EntryFilter<'_>,
) -> Option<Entry> {
    let mut fields = text.trim_end_matches(['\n', '\r']).split([' ', '\t']).filter(|field| !field.is_empty());
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
    let names = HostNames::parse(names)?;
    let is_named = wanted.name(&names);
    if !is_named && wanted.keys.is_empty() {
        return None;
    }
    let key = HostKey::parse(fields.next()?, fields.next()?.trim_end())?;
    (is_named || wanted.keys.contains(&key)).then(|| Entry { at: at(), source, marker, names, key })
}
