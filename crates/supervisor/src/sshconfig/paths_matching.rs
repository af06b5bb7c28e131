//! Patterns of paths, as a shell and ssh match them.

use std::ffi::OsStr;
use std::path::{Component, Path};

use glob::{GlobResult, MatchOptions, PatternError};

/// What matches, in the order of the names. A name that begins with a dot, as editors and copying programs give to what
/// is not finished, is matched only by a pattern that does.
pub(crate) fn paths_matching(pattern: &str) -> Result<impl Iterator<Item = GlobResult> + use<>, PatternError> {
    let wanted = Path::new(pattern).to_owned();
    // With a dot required, the library leaves such names out for any pattern.
    let options = MatchOptions {
        case_sensitive: true,
        require_literal_separator: true,
        require_literal_leading_dot: !wanted.components().any(|part| is_hidden(&part)),
    };
    let paths = glob::glob_with(pattern, options)?;
    Ok(paths.filter(move |found| found.as_ref().is_ok_and(|path| hides_alike(&wanted, path)) || found.is_err()))
}

fn hides_alike(pattern: &Path, path: &Path) -> bool {
    pattern.components().zip(path.components()).all(|(pattern, name)| is_hidden(&pattern) || !is_hidden(&name))
}

fn is_hidden(part: &Component<'_>) -> bool {
    matches!(part, Component::Normal(name) if starts_with_dot(name))
}

fn starts_with_dot(name: &OsStr) -> bool {
    name.as_encoded_bytes().first() == Some(&b'.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dot_is_matched_only_by_a_dot() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a", ".b", ".config/c", ".config/.d"] {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        let found = |pattern: &str| {
            let paths = paths_matching(&folder.path().join(pattern).display().to_string()).unwrap();
            let paths = paths.map(|path| path.unwrap().strip_prefix(folder.path()).unwrap().display().to_string());
            paths.collect::<Vec<_>>()
        };
        assert_eq!(found("*"), ["a"]);
        assert_eq!(found(".b*"), [".b"]);
        assert_eq!(found(".config/*"), [".config/c"]);
        assert_eq!(found(".c*/.d*"), [".config/.d"]);
        assert_eq!(found("*/*"), [""; 0]);
    }
}
