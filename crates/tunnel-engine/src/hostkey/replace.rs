//! Replaces lines of a known_hosts file: a reader finds the old file or the new one, never half of either.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::Path;

use super::entry::{self, Entry, EntryFilter, KeySource};
use super::key::HostKey;
use super::store;
use crate::file;

/// Lines that go, by their numbers, and lines that come.
#[derive(Debug, Default)]
pub(super) struct Edit {
    pub(super) gone: Vec<(usize, HostKey)>,
    pub(super) new: Vec<(String, HostKey)>,
}

impl Edit {
    fn is_empty(&self) -> bool {
        self.gone.is_empty() && self.new.is_empty()
    }

    pub(super) fn log_edit(&self, server: &str, path: &Path) {
        let file = path.display();
        for (_, key) in &self.new {
            tracing::info!(server, %key, %file, "`{server}` proved another host key, which is now in `{file}`: {key}");
        }
        for (_, key) in &self.gone {
            tracing::info!(server, %key, %file, "`{server}` no longer has this host key, which is no longer in `{file}`: {key}");
        }
    }

    fn apply(&self, content: &[u8]) -> Vec<u8> {
        let lines = content.split_inclusive(|byte| *byte == b'\n').enumerate();
        let kept = lines.filter(|(index, _)| !self.gone.iter().any(|(number, _)| *number == index + 1));
        let mut edited: Vec<u8> = kept.flat_map(|(_, line)| line).copied().collect();
        for (line, _) in &self.new {
            if !edited.is_empty() && !edited.ends_with(b"\n") {
                edited.push(b'\n');
            }
            edited.extend_from_slice(line.as_bytes());
            edited.push(b'\n');
        }
        edited
    }
}

/// Edits the file under its lock, and gives what was done: `edit` is shown the lines for `name`. A missing file is left
/// missing. Mode and owner stay, and a symbolic link goes on leading to the file.
///
/// # Errors
/// Those of the system: the file or its folder may not be written, for example. The file is then as it was.
pub(super) fn replace(path: &Path, name: &str, edit: impl FnOnce(&[Entry]) -> Edit) -> io::Result<Edit> {
    let path = match fs::canonicalize(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Edit::default()),
        resolved => resolved?,
    };
    let mut options = OpenOptions::new();
    // Nothing is written to it; but a file that may not be written is not to be replaced either.
    options.read(true).append(true).custom_flags(file::NO_WAITING);
    let file = store::locked(&path, &options)?;
    let content = file::content_or_null(&file, store::MAX_FILE_BYTES)?;
    let edit = edit(&entry::parse(&path, KeySource::User, &content, EntryFilter::names(&[name])));
    if !edit.is_empty() {
        put(&path, &file, &edit.apply(&content))?;
    }
    Ok(edit)
}

/// Puts a new file in the place of `old`.
fn put(path: &Path, old: &File, content: &[u8]) -> io::Result<()> {
    let mut random = [0; 8];
    aws_lc_rs::rand::fill(&mut random).map_err(|_| io::Error::other("there is no random number"))?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = path.with_file_name(format!(".{name}.{:016x}", u64::from_ne_bytes(random)));
    let written = write(&temporary, old, content).and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written
}

fn write(path: &Path, old: &File, content: &[u8]) -> io::Result<()> {
    let mut new = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    let (was, is) = (old.metadata()?, new.metadata()?);
    if (was.uid(), was.gid()) != (is.uid(), is.gid()) {
        fchown(&new, Some(was.uid()), Some(was.gid()))?;
    }
    new.set_permissions(Permissions::from_mode(was.mode() & 0o7777))?;
    new.write_all(content)?;
    // Before it takes the old one's place: a machine that stops now must not find it empty.
    new.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKu+ToaAxXqaf+OEG1rrtibRGVE3fgkDHehC2fyafmLh";

    fn key() -> HostKey {
        let (kind, base64) = A.split_once(' ').unwrap();
        HostKey::parse(kind, base64).unwrap()
    }

    #[test]
    fn other_lines_stay_as_they_are() {
        let new = vec![("h B".to_owned(), key())];
        for (gone, content, want) in [
            (vec![], "a\nb", "a\nb\nh B\n"),
            (vec![2], "a\nb\nc\n", "a\nc\nh B\n"),
            (vec![1, 2], "a\r\nb", "h B\n"),
            (vec![], "", "h B\n"),
            (vec![9], "\u{fffd}\n# x\n\n", "\u{fffd}\n# x\n\nh B\n"),
        ] {
            let edit = Edit { gone: gone.into_iter().map(|line| (line, key())).collect(), new: new.clone() };
            assert_eq!(String::from_utf8(edit.apply(content.as_bytes())).unwrap(), want, "{content:?}");
        }
    }

    #[test]
    fn replaced_file_keeps_mode_and_symlink() {
        let dir = tempfile::tempdir().unwrap();
        let (real, link) = (dir.path().join("real"), dir.path().join("link"));
        fs::write(&real, format!("h {A}\n")).unwrap();
        fs::set_permissions(&real, Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        let inode = fs::metadata(&real).unwrap().ino();
        let add = |entries: &[Entry]| Edit {
            gone: entries.iter().map(|entry| (entry.at.line, entry.key.clone())).collect(),
            new: vec![(format!("g {A}"), key())],
        };
        replace(&link, "h", add).unwrap();
        assert_eq!(fs::read_to_string(&real).unwrap(), format!("g {A}\n"));
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        let meta = fs::metadata(&real).unwrap();
        assert_eq!(meta.mode() & 0o7777, 0o640);
        assert_ne!(meta.ino(), inode, "another file is in its place");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2, "nothing is left beside it");
    }

    #[test]
    fn no_change_leaves_the_file_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        assert!(replace(&path, "h", |_| unreachable!()).unwrap().is_empty());
        fs::write(&path, "x").unwrap();
        let inode = fs::metadata(&path).unwrap().ino();
        assert!(replace(&path, "h", |_| Edit::default()).unwrap().is_empty());
        assert_eq!(fs::metadata(&path).unwrap().ino(), inode);
    }
}
