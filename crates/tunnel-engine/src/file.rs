//! Files that a config names, which need not be what they should be: a FIFO without a writer holds its reader, a
//! device has no end, and what is too large fills the memory. The one place that opens and reads them.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::fcntl::OFlag;
use nix::sys::stat::{major, minor};

/// For `OpenOptions::custom_flags`: opening a FIFO does not wait for its writer, nor a tty for its line.
pub const NO_WAITING: i32 = OFlag::O_NONBLOCK.bits();

/// Opens a regular file for reading.
///
/// # Errors
/// Those of the system; or it is something else, which the error names.
pub fn open(path: &Path) -> io::Result<File> {
    open_where(path, |_| false)
}

/// As [`open`], but `/dev/null` is an empty file, as users write it for "none" (`UserKnownHostsFile /dev/null`).
///
/// # Errors
/// As [`open`].
pub fn open_or_null(path: &Path) -> io::Result<File> {
    open_where(path, is_null)
}

fn open_where(path: &Path, allowed: impl FnOnce(&Metadata) -> bool) -> io::Result<File> {
    // A folder can be opened, and says only at the first read that it is one.
    let file = OpenOptions::new().read(true).custom_flags(NO_WAITING).open(path).map_err(explain)?;
    check(&file, allowed)?;
    Ok(file)
}

/// The process opens fewer files from now on than its user may: what is refused for that is told.
pub fn note_confined() {
    CONFINED.store(true, Ordering::Relaxed);
}

static CONFINED: AtomicBool = AtomicBool::new(false);

/// Whether a missing permission may be due to [`note_confined`].
pub(crate) fn is_confined() -> bool {
    CONFINED.load(Ordering::Relaxed)
}

/// Whether the packaged unit hides this path from a service of this kind, by ProtectHome=.
pub(crate) fn is_hidden_by_unit(path: &Path) -> bool {
    is_in_homes(path) && std::env::var_os("NOTIFY_SOCKET").is_some() && !is_in_own_home(path)
}

fn is_in_homes(path: &Path) -> bool {
    ["/home", "/root", "/run/user"].iter().any(|folder| path.starts_with(folder))
}

/// A user's own service has no such limit.
fn is_in_own_home(path: &Path) -> bool {
    std::env::var_os("HOME").is_some_and(|home| path.starts_with(home))
}

fn explain(error: io::Error) -> io::Error {
    if error.kind() != ErrorKind::PermissionDenied || !is_confined() {
        return error;
    }
    let who = nix::unistd::getuid();
    let why = format!(
        "Permission denied: either user id {who}, which runs tunneld, may not read it, or it is outside of the folders that \
         tunneld is confined to since its start (restart it then)"
    );
    io::Error::new(ErrorKind::PermissionDenied, why)
}

fn check(file: &File, allowed: impl FnOnce(&Metadata) -> bool) -> io::Result<()> {
    let metadata = file.metadata()?;
    match kind(&metadata) {
        Some(other) if !allowed(&metadata) => {
            Err(io::Error::new(ErrorKind::InvalidInput, format!("it is {other}, not a regular file")))
        }
        Some(_) | None => Ok(()),
    }
}

/// All of a regular file of at most `max` bytes.
///
/// # Errors
/// As [`open`]; or it is longer.
pub fn read(path: &Path, max: u64) -> io::Result<Vec<u8>> {
    content(&open(path)?, max)
}

/// As [`read`], with [`open_or_null`].
///
/// # Errors
/// As [`read`].
pub fn read_or_null(path: &Path, max: u64) -> io::Result<Vec<u8>> {
    content(&open_or_null(path)?, max)
}

/// The same of a file that is open, from where it stands.
///
/// # Errors
/// As [`read`].
pub fn content_or_null(file: &File, max: u64) -> io::Result<Vec<u8>> {
    check(file, is_null)?;
    content(file, max)
}

/// From where it stands.
fn content(file: &File, max: u64) -> io::Result<Vec<u8>> {
    let too_large = || io::Error::new(ErrorKind::FileTooLarge, format!("it is larger than {}", size(max)));
    // Before the first byte is read: 100 GiB in a file without blocks take their time, too.
    let length = file.metadata()?.len();
    if length > max {
        return Err(too_large());
    }
    // Room for all of it and to see its end: what grows leaves copies behind, and a key may be among them.
    let mut content = Vec::with_capacity(length as usize + 1);
    // It may grow meanwhile, and files of /proc have no length.
    file.take(max + 1).read_to_end(&mut content)?;
    if content.len() as u64 > max { Err(too_large()) } else { Ok(content) }
}

/// What a file is that is no regular one: `a folder`, `a named pipe`.
fn kind(metadata: &Metadata) -> Option<&'static str> {
    let kind = metadata.file_type();
    if kind.is_file() {
        None
    } else if kind.is_dir() {
        Some("a folder")
    } else if kind.is_fifo() {
        Some("a pipe")
    } else if kind.is_socket() {
        Some("a socket")
    } else {
        Some("a device")
    }
}

/// `/dev/null`, under whatever name (null(4)).
fn is_null(metadata: &Metadata) -> bool {
    let device = metadata.rdev();
    metadata.file_type().is_char_device() && (major(device), minor(device)) == (1, 3)
}

/// `16 MiB`.
fn size(bytes: u64) -> String {
    match bytes >> 20 {
        0 => format!("{bytes} bytes"),
        mebibytes => format!("{mebibytes} MiB"),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    fn refused(path: &Path) -> String {
        read(path, 10).unwrap_err().to_string()
    }

    #[test]
    fn what_is_no_regular_file_is_named_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        nix::unistd::mkfifo(&at("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert_eq!(refused(&at("fifo")), "it is a pipe, not a regular file");
        assert_eq!(refused(dir.path()), "it is a folder, not a regular file");
        assert_eq!(refused(Path::new("/dev/zero")), "it is a device, not a regular file");
        assert_eq!(refused(Path::new("/dev/null")), "it is a device, not a regular file");
        let _socket = UnixListener::bind(at("socket")).unwrap();
        assert!(read(&at("socket"), 10).is_err());
        assert_eq!(read_or_null(Path::new("/dev/null"), 10).unwrap(), b"");
        assert!(read_or_null(Path::new("/dev/zero"), 10).is_err());
        assert!(read_or_null(&at("fifo"), 10).is_err());
    }

    #[test]
    fn file_may_have_the_allowed_length_exactly() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        std::fs::write(&path, "0123456789").unwrap();
        assert_eq!(read(&path, 10).unwrap(), b"0123456789");
        std::fs::write(&path, "0123456789a").unwrap();
        assert_eq!(refused(&path), "it is larger than 10 bytes");
        File::create(&path).unwrap().set_len(100 << 30).unwrap();
        assert_eq!(read(&path, 16 << 20).unwrap_err().to_string(), "it is larger than 16 MiB");
        assert!(!read(Path::new("/proc/self/status"), 1 << 20).unwrap().is_empty());
    }
}
