//! Unix listening sockets: mode 0600 unless a mask says otherwise, stale files replaced, our own file removed at the
//! end.
//!
//! ssh leaves the file behind and then fails to bind at its next start, unless StreamLocalBindUnlink has it remove
//! whatever is there. Here a socket without a listener is replaced in any case, a living one where that was asked
//! for, and a file of another kind never.

use std::fs;
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::{Mode, fchmod, fstat};
use socket2::{Domain, SockAddr, Socket, Type};
use tokio::net::UnixListener;

use super::tcp::text;
use super::{BACKLOG, BindOptions, ListenAddress, Listener, SocketStore, holder};
use crate::failure::{Failure, FailureKind};
use crate::shortage;

/// Binds `path`. `known`: see [`super::Bound::take_or_bind`].
pub(super) async fn bind(
    path: &Path,
    options: BindOptions,
    store: &dyn SocketStore,
    known: Option<&Failure>,
) -> Result<Listener, Failure> {
    if let Some(listener) = Listener::take(store, &ListenAddress::Unix(path.to_owned())) {
        // Its permissions are those of its creator: perhaps a socket unit.
        return Ok(listener);
    }
    make_way(path, options.socket_unlink, known).await?;
    let mode = Mode::from_bits_truncate(!options.socket_mask & 0o777);
    let listener = listening(path, mode).map_err(|error| denied(path, &error))?;
    let file = SocketFile::of(&listener).map_err(|error| denied(path, &error))?;
    Ok(Listener::Unix(listener, file).keep(store))
}

/// Whether peers that connect to `path` come to `listener`, which was bound there once.
pub(super) fn leads_to(path: &Path, listener: &UnixListener) -> bool {
    let own = fstat(listener).ok().map(|found| found.st_ino);
    let another = || holder::listening_on(path).into_iter().any(|inode| Some(inode) != own);
    is_socket(path) && is_alive(path).unwrap_or(true) && !another()
}

fn is_socket(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket())
}

/// Removes a socket file that no program has bound; with `unlink`, one of a living program too.
async fn make_way(path: &Path, unlink: bool, known: Option<&Failure>) -> Result<(), Failure> {
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(denied(path, &error)),
    };
    let shown = path.display();
    if !found.file_type().is_socket() {
        return Err(not_a_socket(path));
    }
    match is_alive(path) {
        Ok(true) if unlink => {
            remove(path)?;
            let holder = holder_of(path).await;
            tracing::warn!(listen = %shown, "took the path of a socket that {holder} listens on: stream_local_bind_unlink is set");
            Ok(())
        }
        Ok(false) => remove(path),
        Ok(true) => {
            if let Some(known) = known.filter(|known| known.message().starts_with(&held_by(path))) {
                return Err(known.clone());
            }
            Err(held(path).await)
        }
        Err(error) => Err(denied(path, &error)),
    }
}

pub(super) fn not_a_socket(path: &Path) -> Failure {
    let message = format!("cannot listen on `{}`: it is not a socket", path.display());
    Failure::new(FailureKind::ListenInUse, message).with_hint("move the file away, or listen on another path")
}

fn held_by(path: &Path) -> String {
    format!("cannot listen on `{}`: it is held by ", path.display())
}

/// A living program listens on the path.
pub(super) async fn held(path: &Path) -> Failure {
    Failure::new(FailureKind::ListenInUse, held_by(path) + &holder_of(path).await)
        .with_hint("stop the program that holds it, or listen on another path")
}

/// Its owner may do so at the same time.
fn remove(path: &Path) -> Result<(), Failure> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(denied(path, &error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

pub(super) async fn holder_of(path: &Path) -> String {
    holder::of_path(path).await.unwrap_or_else(|| "another program".to_owned())
}

/// Whether a program has a socket bound to the file. A datagram socket cannot connect to a stream socket: the kernel
/// tells whether there is one, and the program that listens on it hears nothing of the question.
pub(super) fn is_alive(path: &Path) -> io::Result<bool> {
    let probe = Socket::new(Domain::UNIX, Type::DGRAM.nonblocking().cloexec(), None)?;
    match probe.connect(&SockAddr::unix(path)?) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(false),
        Err(error) if error.raw_os_error() == Some(Errno::EPROTOTYPE as i32) => Ok(true),
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

/// Gives our own socket's file this mode, whatever another process may put in its place meanwhile.
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
pub(super) fn denied(path: &Path, error: &io::Error) -> Failure {
    let shown = path.display();
    let message = format!("cannot listen on `{shown}`: {}", text(error));
    if let Some(hint) = shortage::hint(error) {
        return Failure::new(FailureKind::ResourceShortage, message).with_told_hint(hint);
    }
    let failure = Failure::new(FailureKind::ListenDenied, message);
    match error.kind() {
        io::ErrorKind::NotFound => failure.with_hint("create the directory"),
        io::ErrorKind::InvalidInput => failure.with_hint("a unix socket's path has at most 107 bytes"),
        io::ErrorKind::PermissionDenied => failure.with_hint("let the user that runs tunneld write to the directory"),
        io::ErrorKind::ReadOnlyFilesystem => failure.with_hint(
            "listen in a folder that may be written; tunneld's unit has few (docs/systemd.md, What the units forbid), and more \
             with the drop-in unix-sockets.conf",
        ),
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

    /// Why no peer reaches the socket by its path any more; `None` while it leads there.
    pub(super) fn lost(&self) -> Option<Failure> {
        let now = identity(&self.path);
        if self.identity.is_none() || now == self.identity {
            return None;
        }
        let what = if now.is_none() {
            "its socket file, or the directory, was removed"
        } else if is_socket(&self.path) {
            "another program has put its socket in the place of this one"
        } else {
            "a file that is no socket is in its place"
        };
        let message = format!("no peer can connect to `{}`: {what}", self.path.display());
        Some(Failure::new(FailureKind::ListenInUse, message).with_hint("it is bound again as soon as the path is free"))
    }

    /// It is not removed.
    pub(super) fn leave(&mut self) {
        self.identity = None;
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if self.identity.is_some() && identity(&self.path) == self.identity {
            // The directory may have been removed: then the file is gone, too.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    fs::symlink_metadata(path).ok().map(|found| (found.dev(), found.ino()))
}
