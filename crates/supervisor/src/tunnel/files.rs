//! Looks at files while a tunnel is blocked: a person who mends a key or known_hosts should not have to tell us.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// How often: a person who saved the file looks at the screen next. Only blocked tunnels look.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(500);

/// How a set of files looked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Look(Vec<Option<Print>>);

/// What tells one version of a file from another. The inode changes when an editor replaces the file; the change time
/// changes with the mode too, which is what `chmod 600` mends.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Print {
    inode: u64,
    size: u64,
    mode: u32,
    modified: Option<SystemTime>,
    changed: (i64, i64),
}

impl Look {
    /// Blocking: file systems may be remote.
    pub(super) fn at(files: &[PathBuf]) -> Self {
        Self(files.iter().map(|path| print(path)).collect())
    }
}

fn print(path: &Path) -> Option<Print> {
    use std::os::unix::fs::MetadataExt;
    let meta = std::fs::metadata(path).ok()?;
    Some(Print {
        inode: meta.ino(),
        size: meta.len(),
        mode: meta.mode(),
        modified: meta.modified().ok(),
        changed: (meta.ctime(), meta.ctime_nsec()),
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_file_that_appears_grows_or_changes_its_mode_looks_different() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("id");
        let files = [path.clone()];
        let missing = Look::at(&files);
        assert_eq!(missing, Look::at(&files));
        std::fs::write(&path, "key").unwrap();
        let there = Look::at(&files);
        assert_ne!(missing, there);
        std::fs::write(&path, "longer key").unwrap();
        let longer = Look::at(&files);
        assert_ne!(there, longer);
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
        assert_ne!(longer, Look::at(&files));
    }
}
