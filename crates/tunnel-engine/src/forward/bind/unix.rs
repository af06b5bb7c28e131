//! Unix listening sockets: mode 0600 unless a mask says otherwise, stale files replaced, our own file removed at the end.
//!
//! ssh leaves the file behind and then fails to bind at its next start, unless StreamLocalBindUnlink has it remove
//! whatever is there. Here a socket that nobody answers on is replaced in any case, a living one where that was asked
//! for, and a file of another kind never.

use std::fs;
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use nix::fcntl::{OFlag, open};
use nix::sys::socket::{getsockopt, sockopt};
use nix::sys::stat::{Mode, fchmod};
use socket2::{Domain, SockAddr, Socket, Type};
use tokio::net::UnixListener;

use super::tcp::text;
use super::{BACKLOG, BindOptions, ListenAddress, Listener, SocketStore, holder};
use crate::failure::{Failure, FailureKind};

/// Binds `path`.
pub(super) fn bind(path: &Path, options: BindOptions, store: &dyn SocketStore) -> Result<Listener, Failure> {
    if let Some(listener) = Listener::take(store, &ListenAddress::Unix(path.to_owned())) {
        // Its permissions are what whoever made it gave it: perhaps a socket unit.
        return Ok(listener);
    }
    make_way(path, options.socket_unlink)?;
    let mode = Mode::from_bits_truncate(!options.socket_mask & 0o777);
    let listener = listening(path, mode).map_err(|error| denied(path, &error))?;
    let file = SocketFile::of(&listener).map_err(|error| denied(path, &error))?;
    Ok(Listener::Unix(listener, file).keep(store))
}

/// Whether there is a socket's file.
pub(super) fn is_socket(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket())
}

/// Removes a socket file that nobody answers on; with `unlink`, a living one too.
fn make_way(path: &Path, unlink: bool) -> Result<(), Failure> {
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
        Ok(Some(holder)) if unlink => {
            tracing::warn!(listen = %shown, "took the path of a socket that {holder} listens on: stream_local_bind_unlink is set");
            fs::remove_file(path).map_err(|error| denied(path, &error))
        }
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

fn listening(path: &Path, mode: Mode) -> io::Result<UnixListener> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM.nonblocking().cloexec(), None)?;
    // On Linux the file takes the unbound socket's mode. A umask would do the same to every file that another thread
    // creates meanwhile, and a chmod afterwards comes too late.
    fchmod(&socket, mode)?;
    socket.bind(&SockAddr::unix(path)?)?;
    // What our umask took away of it: ssh replaces the umask.
    permit(path, mode)?;
    socket.listen(BACKLOG)?;
    UnixListener::from_std(socket.into())
}

/// Gives our own socket's file this mode, whatever somebody may put in its place meanwhile.
fn permit(path: &Path, mode: Mode) -> io::Result<()> {
    let file = open(path, OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC, Mode::empty())?;
    let opened = format!("/proc/self/fd/{}", file.as_raw_fd());
    let found = fs::metadata(&opened)?;
    if !found.file_type().is_socket() || found.mode() & 0o777 == mode.bits() {
        return Ok(());
    }
    fs::set_permissions(opened, fs::Permissions::from_mode(mode.bits()))
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
