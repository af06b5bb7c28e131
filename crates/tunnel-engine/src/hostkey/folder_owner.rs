//! What root writes into the folder of another account is for that account: it is made by its rights, as its file. So it
//! can be read there, and no link that the account has laid leads root to another file.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::unistd::{Gid, Uid, geteuid, setfsgid, setfsuid};

/// The account of a folder, as `chown` takes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Account {
    uid: Uid,
    gid: Gid,
}

/// Runs `write`, which makes `path`, or the folder that it is in, or adds to the file there. As root in the folder of
/// another account, this thread has the rights of that account on files meanwhile, unless the file is root's already.
pub(super) fn as_owner_of_folder<T>(path: &Path, write: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    let Some(account) = foreign_owner(path).filter(|_| geteuid().is_root()) else { return write() };
    let _until_then = FileRights::of(account)?;
    write()
}

/// Whose folder `path` is in, or is to be in, where that is not root's. `None` too where the file is root's own: a folder
/// that belongs to another account may have it there on purpose.
fn foreign_owner(path: &Path) -> Option<Account> {
    let there = fs::symlink_metadata(path).ok();
    if there.is_some_and(|there| there.is_file() && Uid::from_raw(there.uid()).is_root()) {
        return None;
    }
    let folder = path.ancestors().skip(1).take(2).find_map(|folder| fs::metadata(or_here(folder)).ok())?;
    let account = Account { uid: Uid::from_raw(folder.uid()), gid: Gid::from_raw(folder.gid()) };
    (!account.uid.is_root()).then_some(account)
}

/// The folder of a bare file name is the working directory.
fn or_here(folder: &Path) -> &Path {
    if folder.as_os_str().is_empty() { Path::new(".") } else { folder }
}

/// setfsuid(2) of this thread alone, undone when it is dropped.
struct FileRights;

impl FileRights {
    fn of(account: Account) -> io::Result<Self> {
        let rights = Self;
        setfsgid(account.gid);
        setfsuid(account.uid);
        // Neither call says whether it was permitted; each gives what was set before.
        if setfsuid(account.uid) == account.uid && setfsgid(account.gid) == account.gid {
            return Ok(rights);
        }
        let why = format!("the folder belongs to user id {}, which root may not act for here", account.uid);
        Err(io::Error::new(io::ErrorKind::PermissionDenied, why))
    }
}

impl Drop for FileRights {
    fn drop(&mut self) {
        setfsuid(geteuid());
        setfsgid(nix::unistd::getegid());
    }
}
