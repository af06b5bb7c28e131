//! Reading known_hosts files, and writing a new key down.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, BufReader, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use nix::fcntl::{Flock, FlockArg};

use super::entry::{self, Entry, EntryFilter, KeySource, LinePosition, Marker};
use super::folder_owner::as_owner_of_folder;
use super::key::HostKey;
use super::name::HostNames;
use super::verdict::lines;
use crate::file;

/// More than any known_hosts file of a person or a site; a device or a mistake must not fill the memory.
pub(super) const MAX_FILE_BYTES: u64 = 32 << 20;

/// The wanted lines of one file; none when there is no such file.
pub(super) fn read(path: &Path, source: KeySource, wanted: EntryFilter<'_>) -> io::Result<Vec<Entry>> {
    let file = match file::open_or_null(path) {
        Ok(file) => file,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut bounded = file.take(MAX_FILE_BYTES + 1);
    let entries = entry::read(path, source, BufReader::new(&mut bounded), wanted)?;
    if bounded.limit() == 0 { Err(too_large()) } else { Ok(entries) }
}

/// What came of writing keys down.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// The lines are there now, or already were: another tunnel may have been faster.
    Known,
    /// Another key was written down since we looked: these lines. Nothing was written.
    Conflict(Vec<(LinePosition, HostKey)>),
}

/// Appends `name key` to the file for each of the keys, which is made for its owner only when it is not there, as is
/// its directory; what root makes in the folder of another account is that account's. The file stays locked from looking
/// at it to having written it, and the lines go out in one write.
/// `hash`: the name stands there as a hash (ssh_config HashKnownHosts). A line for `name` with another key is in the
/// way where `conflicts` says so.
pub(super) fn append(
    path: &Path,
    name: &str,
    keys: &[HostKey],
    hash: bool,
    conflicts: impl Fn(&HostKey) -> bool,
) -> io::Result<Written> {
    if !writable(name) {
        return Err(io::Error::new(ErrorKind::InvalidInput, "the name cannot stand in a known_hosts line"));
    }
    as_owner_of_folder(path, || append_to(path, name, keys, hash, conflicts))
}

fn append_to(
    path: &Path,
    name: &str,
    keys: &[HostKey],
    hash: bool,
    conflicts: impl Fn(&HostKey) -> bool,
) -> io::Result<Written> {
    make_folder(path)?;
    let mut options = OpenOptions::new();
    options.read(true).append(true).create(true).mode(0o600).custom_flags(file::NO_WAITING);
    let mut file = locked(path, &options)?;
    let content = file::content_or_null(&file, MAX_FILE_BYTES)?;
    let entries = entry::parse(path, KeySource::User, &content, EntryFilter::names(&[name]));
    let known: Vec<_> =
        lines(&entries, name, Marker::Plain).map(|entry| (entry.at.clone(), entry.key.clone())).collect();
    let (same, others): (Vec<_>, Vec<_>) = known.into_iter().partition(|(_, known)| keys.contains(known));
    let new: Vec<_> = keys.iter().filter(|key| !same.iter().any(|(_, known)| known == *key)).collect();
    if new.is_empty() {
        return Ok(Written::Known);
    }
    let in_the_way: Vec<_> = others.into_iter().filter(|(_, key)| conflicts(key)).collect();
    if !in_the_way.is_empty() {
        return Ok(Written::Conflict(in_the_way));
    }
    let newline = if content.is_empty() || content.ends_with(b"\n") { "" } else { "\n" };
    let mut text = newline.to_owned();
    for key in new {
        let field = match hash {
            true => HostNames::hashed(name).ok_or_else(|| io::Error::other("the name cannot be hashed"))?,
            false => name.to_owned(),
        };
        text.push_str(&format!("{field} {}\n", key.to_known_hosts()));
    }
    file.write_all(text.as_bytes())?;
    Ok(Written::Known)
}

/// The folder of `path`, for its owner only, where there is none yet.
fn make_folder(path: &Path) -> io::Result<()> {
    let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) else { return Ok(()) };
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Opens a file and locks it. A file that was replaced while we waited for its lock is not the one that is read next.
pub(super) fn locked(path: &Path, options: &OpenOptions) -> io::Result<Flock<File>> {
    /// No file is replaced that often.
    const TRIES: usize = 16;
    for _ in 0..TRIES {
        let file = options.open(path)?;
        let file = Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, errno)| io::Error::from(errno))?;
        let (ours, there) = (file.metadata()?, fs::metadata(path));
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
