//! `include`: the files that a config names besides itself, by patterns as the shell has them.

use std::collections::HashSet;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use super::environment::Environment;
use super::file::{self, WritableByOthers};
use super::load::source;
use super::reader::path;
use super::resolve::Document;
use super::value::{ReadResult, Value};
use crate::spec::{ConfigError, Include, IncludeMatch, SourceFile};
use crate::sshconfig::paths_matching;

/// Reads the files that the main one includes: for each pattern in the order of their names, each file once.
pub(super) fn include(main: &Document<'_>, environment: &Environment) -> (Vec<Arc<SourceFile>>, Vec<ConfigError>) {
    let (mut sources, mut errors) = (Vec::new(), Vec::new());
    let own = identity(&main.source.path);
    let (mut seen, mut folders) = (HashSet::new(), HashSet::new());
    let patterns = main.table().get("include").map(Value::items).unwrap_or_default();
    for value in patterns {
        let files = match files_of(value, environment) {
            Ok(files) => files,
            Err(more) => {
                errors.extend(more);
                continue;
            }
        };
        for path in files {
            let identity = identity(&path);
            if identity == own {
                errors.push(value.error("the file includes itself", "keep included files in a folder of their own"));
                continue;
            }
            let folder = path.parent().map(Path::to_owned).filter(|folder| folders.insert(folder.clone()));
            let exposed = folder.and_then(|_| file::exposed_folder(&path));
            errors.extend(exposed.map(|WritableByOthers { what, hint }| value.error(what, hint)));
            if !seen.insert(identity) {
                continue;
            }
            if let Some(WritableByOthers { what, hint }) = file::exposed(&path) {
                errors.push(value.error(what, hint));
                continue;
            }
            match file::read_included(&path).map(|bytes| source(&path, bytes, seen.len())) {
                Ok(Ok(source)) => sources.push(source),
                Ok(Err(error)) => errors.push(error),
                Err(error) => {
                    let what = format!("`{}` cannot be read: {error}", path.display());
                    errors.push(value.error(what, "name a regular file that tunneld may read, or move it away"));
                }
            }
        }
    }
    (sources, errors)
}

/// A pattern may match nothing; a file that is named must be there.
fn files_of(value: Value<'_>, environment: &Environment) -> ReadResult<Vec<PathBuf>> {
    let pattern = path(value, environment)?;
    if !is_pattern(&pattern) {
        return Ok(vec![pattern]);
    }
    let text = pattern.display().to_string();
    let paths = match paths_matching(&text) {
        Ok(paths) => paths.collect::<Result<Vec<_>, _>>(),
        Err(error) => {
            let what = format!("`{text}` is not a pattern: {}", error.msg);
            return value.refuse(what, "write `*` for any characters");
        }
    };
    match paths {
        Ok(paths) => Ok(paths.into_iter().filter(|path| !path.is_dir()).collect()),
        Err(error) => {
            let what = format!("`{}` cannot be read: {}", error.path().display(), error.error());
            value.refuse(what, "give tunneld the right to read the folder")
        }
    }
}

/// What the patterns of the main file match, as far as they can be read: what is wrong with them is said where they are
/// opened.
pub(super) fn matches(main: &Document<'_>, environment: &Environment) -> Vec<Include> {
    let matched = |value: Value<'_>| {
        let pattern = path(value, environment).ok()?;
        let matched = match files_of(value, environment) {
            Ok(files) if !files.is_empty() => IncludeMatch::Files,
            _ if folder_of(&pattern).exists() => IncludeMatch::Nothing,
            _ => IncludeMatch::NoFolder,
        };
        Some(Include { pattern, matched })
    };
    let patterns = main.table().get("include").map(Value::items).unwrap_or_default();
    patterns.into_iter().filter_map(matched).collect()
}

/// The part of a pattern before the first that stands for many names.
pub fn folder_of(pattern: &Path) -> PathBuf {
    let plain = |part: &Component<'_>| !is_pattern(Path::new(part.as_os_str()));
    pattern.components().take_while(plain).collect()
}

fn is_pattern(path: &Path) -> bool {
    path.to_string_lossy().contains(['*', '?', '['])
}

/// One file under two names is one file.
fn identity(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}
