//! Walks the repository's own files.

use std::path::{Path, PathBuf};

/// The repository's root.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ is in the repository").to_owned()
}

/// Every file below `folder` whose name ends so. Panics when there is none: a walk that finds nothing tests nothing.
pub(crate) fn files(folder: &str, ends: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    walk(&root().join(folder), ends, &mut found);
    assert!(!found.is_empty(), "no {ends} file below {folder}");
    found.sort();
    found
}

/// A file's text.
pub(crate) fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn walk(folder: &Path, ends: &str, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display())).flatten() {
        let path = entry.path();
        if path.is_dir() {
            walk(&path, ends, found);
        } else if path.to_string_lossy().ends_with(ends) {
            found.push(path);
        }
    }
}
