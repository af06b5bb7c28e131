//! The bytes of a config file: a regular one, or a pipe that another program fills, and for root only such as no other user can
//! have written.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::statvfs::{FsFlags, statvfs};
use nix::unistd::{Uid, geteuid};
use tunnel_engine::{clock, file};

use crate::sshconfig::trusted_by;

/// Ten thousand tunnels with all their keys are a fifth of it. What is larger is something else, perhaps without an end.
const MAX_CONFIG_BYTES: u64 = 16 << 20;

/// How long the writer of a pipe may take: `tunneld check --config <(generate)`.
const PIPE_WITHIN: Duration = Duration::from_secs(1);

/// Which file it is that others can write, and how to correct that.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct WritableByOthers {
    pub(super) what: String,
    pub(super) hint: String,
}

/// The main file, which may also be a pipe: `/dev/stdin`, `<(…)`. It is empty when it is read again, so that a reload
/// of such a config is refused.
pub(super) fn read_main(path: &Path) -> io::Result<Vec<u8>> {
    let file = OpenOptions::new().read(true).custom_flags(file::NO_WAITING).open(path)?;
    match file.metadata()?.file_type().is_fifo() {
        true => read_pipe(&file, clock::now() + PIPE_WITHIN),
        false => file::content_or_null(&file, MAX_CONFIG_BYTES),
    }
}

/// An included file.
pub(super) fn read_included(path: &Path) -> io::Result<Vec<u8>> {
    file::read(path, MAX_CONFIG_BYTES)
}

/// For a client, which wants one key of it: the pipe that a daemon was started with is not emptied.
pub(super) fn read_regular(path: &Path) -> io::Result<Vec<u8>> {
    file::read_or_null(path, MAX_CONFIG_BYTES)
}

fn read_pipe(mut pipe: &File, deadline: Instant) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    let mut chunk = [0; 64 * 1024];
    loop {
        match pipe.read(&mut chunk) {
            Ok(0) if content.is_empty() => {
                return Err(io::Error::new(ErrorKind::UnexpectedEof, "it is a pipe that holds nothing"));
            }
            Ok(0) => return Ok(content),
            Ok(read) => content.extend_from_slice(&chunk[..read]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => wait_for(pipe, deadline)?,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        if content.len() as u64 > MAX_CONFIG_BYTES {
            return Err(io::Error::new(ErrorKind::FileTooLarge, "more comes through the pipe than a config holds"));
        }
        if clock::now() >= deadline {
            return Err(late());
        }
    }
}

fn wait_for(pipe: &File, deadline: Instant) -> io::Result<()> {
    let left = deadline.saturating_duration_since(clock::now());
    let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::ZERO);
    match poll(&mut [PollFd::new(pipe.as_fd(), PollFlags::POLLIN)], timeout) {
        Ok(0) => Err(late()),
        Ok(_) | Err(Errno::EINTR) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

fn late() -> io::Error {
    io::Error::new(ErrorKind::TimedOut, "it is a pipe whose writer does not come to an end")
}

/// Root runs what a config says (`proxy_command`, `known_hosts_command`, `on_change`, `Match exec`): for root, a file or the folder
/// of an include that others can write is refused, as ssh refuses its own. `None` where all is well, or where it cannot
/// be looked at: then it cannot be read either.
pub(super) fn exposed(path: &Path) -> Option<WritableByOthers> {
    let uid = geteuid();
    let metadata = std::fs::metadata(path).ok().filter(|_| uid.is_root())?;
    judge(uid, path, &metadata).filter(|_| !is_mounted_read_only(path))
}

/// Others could add a file to it, or put one in another's place.
pub(super) fn exposed_folder(of: &Path) -> Option<WritableByOthers> {
    let folder = of.parent().map_or_else(|| PathBuf::from("."), Path::to_owned);
    exposed(&folder)
}

/// As a ConfigMap of Kubernetes is, whose folder has mode 0777.
fn is_mounted_read_only(path: &Path) -> bool {
    statvfs(path).is_ok_and(|mount| mount.flags().contains(FsFlags::ST_RDONLY))
}

fn judge(uid: Uid, path: &Path, metadata: &Metadata) -> Option<WritableByOthers> {
    /// In such a folder, each file is its owner's.
    const STICKY: u32 = 0o1000;
    let kind = metadata.file_type();
    let sticky = kind.is_dir() && metadata.mode() & STICKY != 0;
    if !(kind.is_file() || kind.is_dir()) || sticky || trusted_by(uid, metadata) {
        return None;
    }
    let (mode, owner, name) = (metadata.mode() & 0o7777, metadata.uid(), path.display());
    let ours = owner == 0 || owner == uid.as_raw();
    let what = if ours {
        format!("others than root can write `{name}`: its mode is {mode:04o}")
    } else {
        format!("`{name}` belongs to user id {owner}: its mode is {mode:04o}")
    };
    let chown = if ours { String::new() } else { format!("chown root {name} && ") };
    Some(WritableByOthers { what, hint: format!("root runs the commands in it; run `{chown}chmod go-w {name}`") })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn with_mode(path: &Path, mode: u32) -> Metadata {
        std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
        std::fs::metadata(path).unwrap()
    }

    #[test]
    fn writable_files_are_reported_with_their_mode() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.toml");
        std::fs::write(&path, "").unwrap();
        let me = geteuid();
        for mode in [0o600, 0o644, 0o444] {
            assert_eq!(judge(me, &path, &with_mode(&path, mode)), None, "{mode:o}");
        }
        let exposed = judge(me, &path, &with_mode(&path, 0o646)).unwrap();
        let name = path.display();
        assert_eq!(exposed.what, format!("others than root can write `{name}`: its mode is 0646"));
        assert_eq!(exposed.hint, format!("root runs the commands in it; run `chmod go-w {name}`"));
        assert!(judge(me, dir.path(), &with_mode(dir.path(), 0o777)).is_some());
        assert_eq!(judge(me, dir.path(), &with_mode(dir.path(), 0o1777)), None);
        let other = Uid::from_raw(me.as_raw() + 1);
        let foreign = judge(other, &path, &with_mode(&path, 0o600));
        assert_eq!(foreign.is_none(), me.is_root(), "{foreign:?}");
    }

    #[test]
    fn pipe_is_read_to_its_end_within_a_bound() {
        let soon = || clock::now() + Duration::from_millis(50);
        let (read, write) = nix::unistd::pipe2(nix::fcntl::OFlag::O_NONBLOCK).unwrap();
        let (read, mut write) = (File::from(read), File::from(write));
        io::Write::write_all(&mut write, b"a = 1").unwrap();
        assert_eq!(read_pipe(&read, soon()).unwrap_err().kind(), ErrorKind::TimedOut);
        io::Write::write_all(&mut write, b"b = 2").unwrap();
        drop(write);
        assert_eq!(read_pipe(&read, soon()).unwrap(), b"b = 2");
        assert_eq!(read_pipe(&read, soon()).unwrap_err().to_string(), "it is a pipe that holds nothing");
    }
}
