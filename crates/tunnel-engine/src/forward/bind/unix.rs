//! Unix listening sockets: mode 0600, stale files replaced, our own file removed at the end.
//!
//! ssh leaves the file behind and then fails to bind at its next start. Here a file that nobody answers on is
//! replaced, and everything else (a living socket, a file of another kind) is left alone and reported.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use nix::sys::socket::{getsockopt, sockopt};
use nix::sys::stat::{Mode, fchmod};
use socket2::{Domain, SockAddr, Socket, Type};
use tokio::net::UnixListener;

use super::tcp::text;
use super::{BACKLOG, ListenAddress, Listener, SocketStore, holder};
use crate::failure::{Failure, FailureKind};

/// Binds `path`.
pub(super) fn bind(path: &Path, store: &dyn SocketStore) -> Result<Listener, Failure> {
    if let Some(listener) = Listener::take(store, &ListenAddress::Unix(path.to_owned())) {
        return Ok(listener);
    }
    make_way(path)?;
    let listener = listening(path).map_err(|error| denied(path, &error))?;
    let file = SocketFile::of(&listener).map_err(|error| denied(path, &error))?;
    Ok(Listener::Unix(listener, file).keep(store))
}

/// Whether there is a socket's file.
pub(super) fn is_socket(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket())
}

/// Removes a socket file that nobody answers on.
fn make_way(path: &Path) -> Result<(), Failure> {
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(denied(path, &error)),
    };
    let shown = path.display();
    if !found.file_type().is_socket() {
        return Err(Failure::new(FailureKind::ListenInUse, format!("cannot listen on `{shown}`: it is not a socket"))
            .with_hint("move the file away, or listen on another path"));
    }
    match who_answers(path) {
        Ok(None) => fs::remove_file(path).map_err(|error| denied(path, &error)),
        Ok(Some(holder)) => {
            let message = format!("cannot listen on `{shown}`: it is held by {holder}");
            Err(Failure::new(FailureKind::ListenInUse, message)
                .with_hint("stop the program that holds it, or listen on another path"))
        }
        Err(error) => Err(denied(path, &error)),
    }
}

/// `None` when the socket is nobody's any more.
fn who_answers(path: &Path) -> io::Result<Option<String>> {
    let probe = Socket::new(Domain::UNIX, Type::STREAM.nonblocking().cloexec(), None)?;
    match probe.connect(&SockAddr::unix(path)?) {
        Ok(()) => {
            let pid = getsockopt(&probe, sockopt::PeerCredentials).map(|peer| peer.pid()).ok();
            Ok(Some(pid.map_or_else(|| "another program".to_owned(), holder::describe)))
        }
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(None),
        // Its queue is full, so somebody owns it.
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Some("another program".to_owned())),
        Err(error) => Err(error),
    }
}

fn listening(path: &Path) -> io::Result<UnixListener> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM.nonblocking().cloexec(), None)?;
    // On Linux the file takes the unbound socket's mode. A umask would do the same to every file that another thread
    // creates meanwhile, and a chmod afterwards comes too late.
    fchmod(&socket, Mode::S_IRUSR | Mode::S_IWUSR)?;
    socket.bind(&SockAddr::unix(path)?)?;
    socket.listen(BACKLOG)?;
    UnixListener::from_std(socket.into())
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the list of kinds is open, and these have a cure that can be named"
)]
fn denied(path: &Path, error: &io::Error) -> Failure {
    let shown = path.display();
    let failure = Failure::new(FailureKind::ListenDenied, format!("cannot listen on `{shown}`: {}", text(error)));
    match error.kind() {
        io::ErrorKind::NotFound => failure.with_hint("create the directory"),
        io::ErrorKind::InvalidInput => failure.with_hint("a unix socket's path has at most 107 bytes"),
        io::ErrorKind::PermissionDenied => failure.with_hint("let the user that runs tunneld write to the directory"),
        _ => failure,
    }
}

/// The file of a bound socket. Removed on drop, if it is still the one that was bound.
pub(in crate::forward) struct SocketFile {
    path: PathBuf,
    identity: Option<(u64, u64)>,
}

impl SocketFile {
    pub(super) fn of(listener: &UnixListener) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let path = address.as_pathname().ok_or(io::ErrorKind::InvalidInput)?.to_owned();
        let identity = identity(&path);
        Ok(Self { path, identity })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// It is not removed.
    pub(super) fn leave(&mut self) {
        self.identity = None;
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if self.identity.is_some() && identity(&self.path) == self.identity {
            // Somebody may have removed the directory: then the file is gone, too.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    fs::symlink_metadata(path).ok().map(|found| (found.dev(), found.ino()))
}
