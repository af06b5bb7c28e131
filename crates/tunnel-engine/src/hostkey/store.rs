//! Reading known_hosts files, and writing a new key down.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, BufReader, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use nix::fcntl::{Flock, FlockArg};

use super::entry::{self, Entry, Marker, Place, Source, Wanted};
use super::key::HostKey;
use super::name::Names;
use super::verdict::lines;
use crate::file;

/// More than any known_hosts file of a person or a site; a device or a mistake must not fill the memory.
pub(super) const MAX_FILE_BYTES: u64 = 32 << 20;

/// The wanted lines of one file; none when there is no such file.
pub(super) fn read(path: &Path, source: Source, wanted: Wanted<'_>) -> io::Result<Vec<Entry>> {
    let file = match file::open_or_null(path) {
        Ok(file) => file,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut bounded = file.take(MAX_FILE_BYTES + 1);
    let entries = entry::read(path, source, BufReader::new(&mut bounded), wanted)?;
    if bounded.limit() == 0 { Err(too_large()) } else { Ok(entries) }
}

/// What came of writing a key down.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// The line is there now, or already was: another tunnel may have been faster.
    Known,
    /// Another tunnel wrote another key down since we looked: these lines.
    Conflict(Vec<(Place, HostKey)>),
}

/// Appends `name key` to the file, which is made for its owner only when it is not there, as is its directory.
/// The file stays locked from looking at it to having written it, and the line goes out in one write. `hash`: the name
/// stands there as a hash (ssh_config HashKnownHosts).
pub(super) fn append(path: &Path, name: &str, key: &HostKey, hash: bool) -> io::Result<Written> {
    if !writable(name) {
        return Err(io::Error::new(ErrorKind::InvalidInput, "the name cannot stand in a known_hosts line"));
    }
    if let Some(directory) = path.parent().filter(|directory| !directory.as_os_str().is_empty()) {
        match DirBuilder::new().mode(0o700).create(directory) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
            Ok(()) | Err(_) => {}
        }
    }
    let mut options = OpenOptions::new();
    options.read(true).append(true).create(true).mode(0o600).custom_flags(file::NO_WAITING);
    let mut file = locked(path, &options)?;
    let content = file::content_or_null(&file, MAX_FILE_BYTES)?;
    let entries = entry::parse(path, Source::User, &content, Wanted::names(&[name]));
    let known: Vec<_> =
        lines(&entries, name, Marker::Plain).map(|entry| (entry.at.clone(), entry.key.clone())).collect();
    if known.iter().any(|(_, known)| known == key) {
        return Ok(Written::Known);
    }
    if !known.is_empty() {
        return Ok(Written::Conflict(known));
    }
    let newline = if content.is_empty() || content.ends_with(b"\n") { "" } else { "\n" };
    let field = if hash {
        Names::hashed(name).ok_or_else(|| io::Error::other("the name cannot be hashed"))?
    } else {
        name.to_owned()
    };
    file.write_all(format!("{newline}{field} {}\n", key.to_known_hosts()).as_bytes())?;
    Ok(Written::Known)
}

/// Opens a file and locks it. A file that was replaced while we waited for its lock is not the one that is read next.
pub(super) fn locked(path: &Path, options: &OpenOptions) -> io::Result<Flock<File>> {
    /// Nobody replaces a file that often.
    const TRIES: usize = 16;
    for _ in 0..TRIES {
        let file = options.open(path)?;
        let file = Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, errno)| io::Error::from(errno))?;
        let (ours, there) = (file.metadata()?, std::fs::metadata(path));
        if there.is_ok_and(|there| (there.dev(), there.ino()) == (ours.dev(), ours.ino())) {
            return Ok(file);
        }
    }
    Err(io::Error::new(ErrorKind::ResourceBusy, "it is replaced again and again"))
}

/// A name that reads back as itself, and as nothing else: no list, pattern, hash, marker or comment.
pub(super) fn writable(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(['#', '@', '|', '!'])
        && !name.contains(|c: char| matches!(c, ',' | '*' | '?') || c.is_whitespace() || c.is_control())
}

fn too_large() -> io::Error {
    io::Error::new(ErrorKind::FileTooLarge, "too large for a known_hosts file")
}
