//! From a path to a [`Desired`]: reads the file and those it includes.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use toml::de::DeTable;

use super::desired::Desired;
use super::diagnostic::{ConfigError, ConfigErrors};
use super::environment::Environment;
use super::reader::{Reader, path};
use super::resolve::{self, Document};
use super::source::{Place, Source};
use super::value::{Read, Value};

/// What the command line and the `TUNNELD_*` variables say instead of the file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Overrides {
    /// `--control-socket`.
    pub control_socket: Option<PathBuf>,
    /// `--pid-file`.
    pub pid_file: Option<PathBuf>,
    /// `--log-level`: a level or a filter, checked as `log.level` is.
    pub log_level: Option<String>,
}

/// Reads a config and everything it includes. Private keys, secrets and known_hosts are not looked at: they are read
/// when they are needed, and may change without the config.
///
/// # Errors
/// Everything that is wrong, in the order of the files.
pub fn load(path: &Path, overrides: &Overrides) -> Result<Desired, ConfigErrors> {
    load_in(path, overrides, &Environment::of_this_process())
}

/// The same for a text that is not in a file; `path` is what it is called. Relative paths start from its folder.
///
/// # Errors
/// As [`load`].
pub fn load_text(path: &Path, text: &str, overrides: &Overrides) -> Result<Desired, ConfigErrors> {
    load_text_in(path, text, overrides, &Environment::of_this_process())
}

/// Where the control socket is when neither the command line nor a config says so.
pub fn default_control_socket() -> PathBuf {
    Environment::of_this_process().control_socket()
}

/// Where the daemon that runs this config has its control socket. Reads that one key: a client must reach the daemon
/// also while the file has other errors, and where it may not read the file at all.
///
/// # Errors
/// The key is there, and wrong.
pub fn control_socket_of(path: &Path) -> Result<PathBuf, ConfigErrors> {
    let environment = Environment::of_this_process();
    let Ok(text) = std::fs::read_to_string(path) else { return Ok(environment.control_socket()) };
    let source = Arc::new(Source::new(path, text, 0));
    let (document, _) = parse(&source);
    let mut reader = Reader::new(vec![document.table()], &environment);
    let socket = resolve::control_socket(&mut reader).unwrap_or_else(|| environment.control_socket());
    if reader.errors.is_empty() { Ok(socket) } else { Err(ConfigErrors::new(reader.errors)) }
}

pub(super) fn load_in(path: &Path, overrides: &Overrides, environment: &Environment) -> Result<Desired, ConfigErrors> {
    match read(path, 0) {
        Ok(source) => load_source(source, Vec::new(), overrides, environment),
        Err(Unread::NotUtf8(source, error)) => load_source(source, vec![error], overrides, environment),
        Err(Unread::Io(error)) => {
            let what = format!("the config cannot be read: {error}");
            Err(ConfigErrors::new(vec![ConfigError::of_file(path, what, "name another one with `--config FILE`")]))
        }
    }
}

pub(super) fn load_text_in(
    path: &Path,
    text: &str,
    overrides: &Overrides,
    environment: &Environment,
) -> Result<Desired, ConfigErrors> {
    load_source(Source::new(path, text.to_owned(), 0), Vec::new(), overrides, environment)
}

fn load_source(
    source: Source,
    mut errors: Vec<ConfigError>,
    overrides: &Overrides,
    environment: &Environment,
) -> Result<Desired, ConfigErrors> {
    let source = Arc::new(source);
    let (main, syntax) = parse(&source);
    errors.extend(syntax);
    let (included, more) = include(&main, environment);
    errors.extend(more);
    let mut documents = vec![main];
    for source in &included {
        let (document, syntax) = parse(source);
        documents.push(document);
        errors.extend(syntax);
    }
    // After a syntax error the parser may have lost lines: it can no longer be said what is not there.
    let lost_lines = !errors.is_empty();
    match resolve::resolve(&documents, overrides, environment) {
        Ok(desired) if errors.is_empty() => Ok(desired),
        Ok(_) => Err(ConfigErrors::new(errors)),
        Err(more) => {
            errors.extend(more.into_iter().filter(|error| !(lost_lines && error.absence)));
            Err(ConfigErrors::new(errors))
        }
    }
}

enum Unread {
    Io(std::io::Error),
    NotUtf8(Source, ConfigError),
}

fn read(path: &Path, rank: usize) -> Result<Source, Unread> {
    let bytes = std::fs::read(path).map_err(Unread::Io)?;
    let error = match String::from_utf8(bytes) {
        Ok(text) => return Ok(Source::new(path, text, rank)),
        Err(error) => error,
    };
    let at = error.utf8_error().valid_up_to();
    let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
    let place = Place { source: Arc::new(Source::new(path, text.clone(), rank)), span: at..at + 1 };
    let source = Source::new(path, text, rank);
    Err(Unread::NotUtf8(source, ConfigError::new(place, "the file is not UTF-8", "save it as UTF-8")))
}

/// What could be made of a file, and its syntax errors.
fn parse(source: &Arc<Source>) -> (Document<'_>, Vec<ConfigError>) {
    let (table, errors) = DeTable::parse_recoverable(&source.text);
    let errors = errors.iter().map(|error| {
        let span = error.span().unwrap_or(0..0);
        let key = source.text.get(span.clone()).unwrap_or_default();
        let (what, hint) = match error.message() {
            "duplicate key" => (format!("`{key}` is given twice"), "leave one of them out"),
            message => (message.to_owned(), "see https://toml.io for the syntax"),
        };
        ConfigError::new(Place { source: source.clone(), span }, what, hint)
    });
    let errors = errors.collect();
    (Document { source: source.clone(), table: table.into_inner() }, errors)
}

/// Reads the files that the main one includes: for each pattern in the order of their names, each file once.
fn include(main: &Document<'_>, environment: &Environment) -> (Vec<Arc<Source>>, Vec<ConfigError>) {
    let (mut sources, mut errors) = (Vec::new(), Vec::new());
    let mut seen = vec![identity(&main.source.path)];
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
            if identity(&path) == seen[0] {
                errors.push(value.error("the file includes itself", "keep included files in a folder of their own"));
                continue;
            }
            if seen.contains(&identity(&path)) {
                continue;
            }
            seen.push(identity(&path));
            let source = match read(&path, seen.len() - 1) {
                Ok(source) => source,
                Err(Unread::NotUtf8(source, error)) => {
                    errors.push(error);
                    source
                }
                Err(Unread::Io(error)) => {
                    let what = format!("`{}` cannot be read: {error}", path.display());
                    errors.push(value.error(what, "give tunneld the right to read it, or move it away"));
                    continue;
                }
            };
            sources.push(Arc::new(source));
        }
    }
    (sources, errors)
}

/// A pattern may match nothing; a file that is named must be there.
fn files_of(value: Value<'_>, environment: &Environment) -> Read<Vec<PathBuf>> {
    let pattern = path(value, environment)?;
    let text = pattern.display().to_string();
    if !text.contains(['*', '?', '[']) {
        return Ok(vec![pattern]);
    }
    // `glob` yields them in the order of their names.
    match glob::glob(&text) {
        Ok(paths) => Ok(paths.filter_map(Result::ok).filter(|path| !path.is_dir()).collect()),
        Err(error) => value.refuse(format!("`{text}` is not a pattern: {}", error.msg), "write `*` for any characters"),
    }
}

/// One file under two names is one file.
fn identity(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}
