//! The socket's file: made for us alone from its first moment, a dead one replaced, a living one respected, and
//! taken away at the end only while it is still ours. `binding` binds another one where it is lost before.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use nix::sys::stat::{Mode, fchmod};
use socket2::{Domain, SockAddr, Socket, Type};

use crate::os::runtime_dir;

/// Connections that the kernel keeps while we are busy with another one.
const BACKLOG: i32 = 64;

/// Only the daemon's user (and root) may open it.
const MODE: u32 = 0o600;

/// A socket that listens, and its file.
#[derive(Debug)]
pub struct ControlSocket {
    pub(super) listener: UnixListener,
    pub(super) file: ControlSocketFile,
}

#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Exit 69.
    #[error("another instance answers on control socket `{}`", .0.display())]
    AlreadyRunning(PathBuf),
    /// Exit 73.
    #[error("cannot create control socket `{}`: {source}", path.display())]
    CannotCreate { path: PathBuf, source: io::Error },
}

impl ControlSocket {
    /// Listens on `path`. Needs no runtime, so that it can fail before anything is started.
    pub fn bind(path: &Path) -> Result<Self, BindError> {
        let cannot = |source| BindError::CannotCreate { path: path.to_owned(), source };
        runtime_dir::ensure_parent(path).map_err(cannot)?;
        let _turn = take_turn(path).map_err(cannot)?;
        let listener = match listen(path) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                remove_dead(path)?;
                listen(path)
            }
            result => result,
        };
        let listener = listener.map_err(cannot)?;
        let file = ControlSocketFile::of(path).map_err(cannot)?;
        Ok(Self { listener, file })
    }
}

/// A file that is removed at the end, if it is still the one that we made.
#[derive(Debug)]
pub(super) struct ControlSocketFile {
    path: PathBuf,
    identity: (u64, u64),
}

impl ControlSocketFile {
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Why no client reaches the socket any more; `None` while the path leads to it.
    pub(super) fn lost(&self) -> Option<&'static str> {
        let now = std::fs::symlink_metadata(&self.path);
        match now {
            Ok(meta) if (meta.dev(), meta.ino()) == self.identity => None,
            Ok(meta) if meta.file_type().is_socket() => {
                Some("another program has put its socket in the place of this one")
            }
            Ok(_) => Some("a file that is no socket is in its place"),
            Err(_) => Some("its file, or the folder, was removed"),
        }
    }

    fn of(path: &Path) -> io::Result<Self> {
        Ok(Self { path: path.to_owned(), identity: identity(path)? })
    }
}

impl Drop for ControlSocketFile {
    fn drop(&mut self) {
        // One that is lost waits for no lock.
        if self.lost().is_some() {
            return;
        }
        let _turn = take_turn(&self.path);
        if self.lost().is_none()
            && let Err(error) = std::fs::remove_file(&self.path)
        {
            tracing::warn!(%error, path = %self.path.display(), "cannot remove the control socket");
        }
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    std::fs::symlink_metadata(path).map(|meta| (meta.dev(), meta.ino()))
}

/// Two instances that start at once must not both find the same file dead: the folder is locked while one looks and
/// binds. Not where every user may write (and so lock): there, sockets of ours do not belong, and we must not hang.
fn take_turn(path: &Path) -> io::Result<Option<File>> {
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    let folder = File::open(folder)?;
    if folder.metadata()?.permissions().mode() & 0o022 != 0 {
        return Ok(None);
    }
    folder.lock()?;
    Ok(Some(folder))
}

fn listen(path: &Path) -> io::Result<UnixListener> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // On Linux, bind gives the file the mode of the socket itself: there is no moment with a wider one.
    fchmod(&socket, Mode::from_bits_truncate(MODE))?;
    socket.bind(&SockAddr::unix(path)?)?;
    if std::fs::symlink_metadata(path)?.permissions().mode() & 0o077 != 0 {
        std::fs::remove_file(path)?;
        return Err(io::Error::other("this system does not keep its mode at 0600"));
    }
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

fn remove_dead(path: &Path) -> Result<(), BindError> {
    let cannot = |source| BindError::CannotCreate { path: path.to_owned(), source };
    if !std::fs::symlink_metadata(path).map_err(cannot)?.file_type().is_socket() {
        return Err(cannot(io::Error::other("there is a file of this name, and it is not a socket")));
    }
    match try_connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            tracing::info!(path = %path.display(), "replacing a control socket on which no daemon listens");
            std::fs::remove_file(path).map_err(cannot)
        }
        // Answers, or is too busy to.
        Ok(()) => Err(BindError::AlreadyRunning(path.to_owned())),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(BindError::AlreadyRunning(path.to_owned())),
        Err(error) => Err(cannot(error)),
    }
}

fn try_connect(path: &Path) -> io::Result<()> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.connect(&SockAddr::unix(path)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().unwrap()
    }

    #[test]
    fn the_socket_is_for_its_owner_alone() {
        let dir = folder();
        let path = dir.path().join("s");
        let _socket = ControlSocket::bind(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_second_instance_is_told_and_harms_nothing() {
        let dir = folder();
        let path = dir.path().join("s");
        let socket = ControlSocket::bind(&path).unwrap();
        assert!(matches!(ControlSocket::bind(&path), Err(BindError::AlreadyRunning(_))));
        assert!(path.exists());
        drop(socket);
        assert!(!path.exists());
    }

    #[test]
    fn a_dead_socket_is_replaced() {
        let dir = folder();
        let path = dir.path().join("s");
        drop(UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        let _socket = ControlSocket::bind(&path).unwrap();
        assert!(try_connect(&path).is_ok());
    }

    #[test]
    fn a_file_that_is_not_a_socket_is_left_alone() {
        let dir = folder();
        let path = dir.path().join("s");
        std::fs::write(&path, "precious").unwrap();
        assert!(matches!(ControlSocket::bind(&path), Err(BindError::CannotCreate { .. })));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
    }

    #[test]
    fn a_folder_that_does_not_exist_is_not_made_up() {
        let dir = folder();
        let path = dir.path().join("missing/s");
        assert!(matches!(ControlSocket::bind(&path), Err(BindError::CannotCreate { .. })));
    }

    #[test]
    fn the_socket_of_a_successor_is_not_removed() {
        let dir = folder();
        let path = dir.path().join("s");
        let old = ControlSocket::bind(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let _new = ControlSocket::bind(&path).unwrap();
        drop(old);
        assert!(path.exists());
    }
}
