//! The pidfile: its lock is what keeps a second instance out, its text is what other programs read. Locked before
//! anything starts, written when the start succeeded, removed by its owner only.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, OFlag, fallocate};

use super::runtime_dir;

/// Readable by all users, as pidfiles are.
const MODE: u32 = 0o644;

/// Longer than any pid with its line end.
const PID_LENGTH: i64 = 16;

/// How often the file may be replaced by an owner that is just leaving, before we call it a fault.
const REPLACED_AT_MOST: usize = 16;

/// A pidfile that is ours. Dropping it removes the file.
#[derive(Debug)]
pub struct Pidfile {
    path: PathBuf,
    file: File,
}

/// Why the pidfile cannot be taken.
#[derive(Debug, thiserror::Error)]
pub enum PidfileError {
    /// Exit 69.
    #[error("another instance{} holds pidfile `{}`", pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default(), path.display())]
    Held {
        /// Path of the pidfile.
        path: PathBuf,
        /// Who holds it; unknown while it starts.
        pid: Option<u32>,
    },
    /// Exit 73.
    #[error("cannot create pidfile `{}`: {source}", path.display())]
    CannotCreate {
        /// Path of the pidfile.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
}

impl Pidfile {
    /// Makes the file ours, and empty: the pid of a dead process must not stand in it while we start. A file that holds
    /// something else is no pidfile, and is left alone.
    pub fn lock(path: &Path) -> Result<Self, PidfileError> {
        Self::lock_where(path, holds_no_more_than_a_pid)
    }

    /// The same, whatever the file holds: as autossh.
    pub fn lock_any(path: &Path) -> Result<Self, PidfileError> {
        Self::lock_where(path, |_| Ok(true))
    }

    fn lock_where(path: &Path, is_stale: impl Fn(&mut File) -> io::Result<bool>) -> Result<Self, PidfileError> {
        let cannot = |source| PidfileError::CannotCreate { path: path.to_owned(), source };
        runtime_dir::ensure_parent(path).map_err(cannot)?;
        for _ in 0..REPLACED_AT_MOST {
            let mut file = open(path).map_err(cannot)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    return Err(PidfileError::Held { path: path.to_owned(), pid: read_pid(&mut file) });
                }
                Err(TryLockError::Error(source)) => return Err(cannot(source)),
            }
            // The owner before us may have removed the file between our open and our lock.
            if is_at(&file, path) {
                if !is_stale(&mut file).map_err(cannot)? {
                    return Err(cannot(io::Error::other("it is no pidfile: it holds something else than a pid")));
                }
                // It is removed again where it cannot be used.
                let pidfile = Self { path: path.to_owned(), file };
                pidfile.file.set_len(0).and_then(|()| reserve(&pidfile.file)).map_err(cannot)?;
                return Ok(pidfile);
            }
        }
        Err(cannot(io::Error::other("the file is replaced again and again")))
    }

    /// Puts our pid into it: the start succeeded.
    pub fn write(&mut self) -> Result<(), PidfileError> {
        let text = format!("{}\n", std::process::id());
        let written = self.file.seek(SeekFrom::Start(0)).and_then(|_| self.file.write_all(text.as_bytes()));
        written.map_err(|source| PidfileError::CannotCreate { path: self.path.clone(), source })
    }
}

impl Drop for Pidfile {
    fn drop(&mut self) {
        if is_at(&self.file, &self.path)
            && let Err(error) = std::fs::remove_file(&self.path)
        {
            tracing::warn!(%error, path = %self.path.display(), "cannot remove the pidfile");
        }
    }
}

/// Follows no symlink: the file is written by root in a folder that others may write to.
fn open(path: &Path) -> io::Result<File> {
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(MODE)
        .custom_flags(flags.bits())
        .open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    // Of a file that has another name too, another program's content would be lost.
    if metadata.nlink() > 1 {
        return Err(io::Error::other("it is a hard link to a file that has another name, too"));
    }
    Ok(file)
}

/// Takes the room for the pid: a full disk must be reported before anything starts.
fn reserve(file: &File) -> io::Result<()> {
    match fallocate(file, FallocateFlags::FALLOC_FL_KEEP_SIZE, 0, PID_LENGTH) {
        // Some file systems cannot; there, the write tells.
        Ok(()) | Err(Errno::EOPNOTSUPP | Errno::ENOSYS) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

fn is_at(file: &File, path: &Path) -> bool {
    match (file.metadata(), std::fs::symlink_metadata(path)) {
        (Ok(ours), Ok(there)) => (ours.dev(), ours.ino()) == (there.dev(), there.ino()),
        _ => false,
    }
}

/// Zeros are what a crash of the machine may leave.
fn holds_no_more_than_a_pid(file: &mut File) -> io::Result<bool> {
    let mut text = Vec::new();
    file.take(PID_LENGTH.unsigned_abs()).read_to_end(&mut text)?;
    let known = |byte: &u8| byte.is_ascii_digit() || byte.is_ascii_whitespace() || *byte == 0;
    Ok(text.iter().all(known) && file.metadata()?.len() <= PID_LENGTH.unsigned_abs())
}

fn read_pid(file: &mut File) -> Option<u32> {
    // Whatever else the file holds is not read.
    let mut text = String::new();
    file.take(PID_LENGTH.unsigned_abs()).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().unwrap()
    }

    #[test]
    fn pid_is_written_after_the_lock() {
        let dir = folder();
        let path = dir.path().join("t.pid");
        let mut pidfile = Pidfile::lock(&path).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "");
        pidfile.write().unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), format!("{}\n", std::process::id()));
        drop(pidfile);
        assert!(!path.exists());
    }

    #[test]
    fn a_second_instance_hears_who_holds_it() {
        let dir = folder();
        let path = dir.path().join("t.pid");
        let mut pidfile = Pidfile::lock(&path).unwrap();
        pidfile.write().unwrap();
        let error = Pidfile::lock(&path).unwrap_err();
        assert!(error.to_string().contains(&format!("(pid {})", std::process::id())), "{error}");
        assert!(path.exists());
    }

    #[test]
    fn a_stale_pidfile_is_replaced() {
        let dir = folder();
        let path = dir.path().join("t.pid");
        std::fs::write(&path, "4194304\n  \n").unwrap();
        let mut pidfile = Pidfile::lock(&path).unwrap();
        pidfile.write().unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), format!("{}\n", std::process::id()));
    }

    #[test]
    fn file_that_holds_no_pid_is_left_alone() {
        let dir = folder();
        let path = dir.path().join("notes");
        for text in ["precious", "42 and more", "4711\n/var/lib/postgresql\n", &"1".repeat(17), "\u{ff}"] {
            std::fs::write(&path, text).unwrap();
            let error = Pidfile::lock(&path).unwrap_err();
            assert!(matches!(error, PidfileError::CannotCreate { .. }), "{error}");
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        }
        for stale in ["", "\n", "4711", "\0\0\0\0\0"] {
            std::fs::write(&path, stale).unwrap();
            drop(Pidfile::lock(&path).unwrap());
        }
        std::fs::write(&path, "precious").unwrap();
        drop(Pidfile::lock_any(&path).unwrap());
    }

    #[test]
    fn the_pidfile_of_a_successor_is_not_removed() {
        let dir = folder();
        let path = dir.path().join("t.pid");
        let old = Pidfile::lock(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let _new = Pidfile::lock(&path).unwrap();
        drop(old);
        assert!(path.exists());
    }

    #[test]
    fn a_place_that_cannot_be_written_is_an_error() {
        let dir = folder();
        std::os::unix::fs::symlink("/etc/passwd", dir.path().join("link")).unwrap();
        std::fs::write(dir.path().join("file"), "precious").unwrap();
        std::fs::hard_link(dir.path().join("file"), dir.path().join("hard")).unwrap();
        nix::unistd::mkfifo(&dir.path().join("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        let in_folder = |name: &str| dir.path().join(name);
        for path in ["missing/t.pid", "", "link", "hard", "fifo"].map(in_folder) {
            assert!(matches!(Pidfile::lock(&path), Err(PidfileError::CannotCreate { .. })), "{}", path.display());
        }
        assert_eq!(std::fs::read_to_string(in_folder("file")).unwrap(), "precious");
    }
}
