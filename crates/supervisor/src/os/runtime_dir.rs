//! The folder of a pidfile or socket: made when it is one that vanishes at boot, and no other.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use nix::unistd::{User, geteuid};

/// Makes the folder of `path` if it is missing and is `$RUNTIME_DIRECTORY`, or stands directly in
/// `$XDG_RUNTIME_DIR` or `/run`. A missing folder anywhere else is a mistake that the caller's open reports.
pub fn ensure_parent(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) if ours_to_make(folder, &Roots::from_env()) => make(folder),
        _ => Ok(()),
    }
}

/// The same for a daemon that becomes `user`: a folder that is made belongs to it, so that it can remove what it makes there.
pub fn ensure_parent_of(path: &Path, user: &User) -> io::Result<()> {
    let Some(folder) = path.parent().filter(|folder| !folder.exists()) else { return Ok(()) };
    ensure_parent(path)?;
    match folder.exists() {
        true => std::os::unix::fs::lchown(folder, Some(user.uid.as_raw()), Some(user.gid.as_raw())),
        false => Ok(()),
    }
}

struct Roots {
    /// Made as such.
    exact: Vec<PathBuf>,
    /// Their direct children are made.
    parents: Vec<PathBuf>,
}

impl Roots {
    fn from_env() -> Self {
        let exact = match std::env::var_os("RUNTIME_DIRECTORY") {
            Some(list) => std::env::split_paths(&list).collect(),
            None => Vec::new(),
        };
        let mut parents = vec![PathBuf::from("/run")];
        parents.extend(std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from));
        Self { exact, parents }
    }
}

fn ours_to_make(folder: &Path, roots: &Roots) -> bool {
    let child = folder.parent().is_some_and(|parent| roots.parents.iter().any(|root| root == parent));
    child || roots.exact.iter().any(|root| root == folder)
}

fn make(folder: &Path) -> io::Result<()> {
    // Others may read root's pidfile; a user's folder is the user's.
    let mode = if geteuid().is_root() { 0o755 } else { 0o700 };
    match DirBuilder::new().mode(mode).create(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_folders_of_the_runtime_are_made() {
        let roots = Roots { exact: vec!["/srv/rt".into()], parents: vec!["/run".into(), "/run/user/7".into()] };
        for folder in ["/run/tunneld", "/run/user/7/tunneld", "/srv/rt"] {
            assert!(ours_to_make(Path::new(folder), &roots), "{folder}");
        }
        for folder in ["/run/a/b", "/nonexistent/x", "/srv", "relative", "/", ""] {
            assert!(!ours_to_make(Path::new(folder), &roots), "{folder}");
        }
    }

    #[test]
    fn making_a_folder_twice_is_fine() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("tunneld");
        make(&folder).unwrap();
        make(&folder).unwrap();
        assert!(folder.is_dir());
    }
}
