//! From a path to a [`Desired`]: reads the file and those it includes.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::unistd::{User, geteuid};
use tunnel_engine::spec::{Destination, SessionSpec};

use super::environment::Environment;
use super::file::{self, WritableByOthers};
use super::include::include;
use super::reader::TableReader;
use super::resolve::{self, Document};
use super::syntax::parse;
use super::value::Value;
use crate::spec::{ConfigError, ConfigErrors, Desired, Settings, SourceFile, SourceSpan, TunnelSpec};
use crate::sshconfig::{Resolved, System};

/// What the command line and the `TUNNELD_*` variables say instead of the file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Overrides {
    /// `--control-socket`.
    pub control_socket: Option<PathBuf>,
    /// `--pid-file`.
    pub pid_file: Option<PathBuf>,
    /// `--log-level`: a level or a filter, checked as `log.level` is.
    pub log_level: Option<String>,
    /// Stands for the folder of the credentials where there is none: for a verb that can do without keys.
    pub credentials: Option<PathBuf>,
}

/// Reads a config and everything it includes. Private keys, secrets and known_hosts are not looked at: they are read
/// when they are needed, and may change without the config.
///
/// # Errors
/// Everything that is wrong, in the order of the files.
pub fn load(path: &Path, overrides: &Overrides) -> Result<Desired, ConfigErrors> {
    let environment = Environment::of_this_process().or_credentials(overrides.credentials.as_deref());
    load_in(path, overrides, &environment)
}

/// The same for a text that is not in a file; `path` is what it is called. Relative paths start from its folder.
///
/// # Errors
/// As [`load`].
pub fn load_text(path: &Path, text: &str, overrides: &Overrides) -> Result<Desired, ConfigErrors> {
    load_text_in(path, text, overrides, &Environment::of_this_process())
}

/// The same for an account and an environment that need not be this process's.
///
/// # Errors
/// As [`load`].
pub fn load_text_for(path: &Path, text: &str, overrides: &Overrides, facts: &System) -> Result<Desired, ConfigErrors> {
    load_text_in(path, text, overrides, &Environment::of(facts))
}

/// What ssh_config is read with outside a config: this process's account, environment and files.
pub fn facts() -> System {
    Environment::of_this_process().facts()
}

/// The session that ssh_config alone comes to, without a config of ours. `defaults` hold where it says nothing, for
/// jump hosts too.
pub fn session_by_ssh_config(resolved: &Resolved, defaults: &Settings) -> SessionSpec {
    resolve::session_by_itself(resolved, defaults, &Environment::of_this_process())
}

/// A tunnel of which no source sets anything, with the defaults of this account. Its name and its server mean nothing.
pub(crate) fn usual(facts: &System) -> TunnelSpec {
    let nowhere = Destination { user: String::new(), host: String::new(), port: Destination::DEFAULT_PORT };
    resolve::without_settings(nowhere, &Environment::of(facts))
}

/// The config file when none is named.
pub fn default_config() -> PathBuf {
    Environment::of_this_process().default_config(geteuid().is_root(), Path::exists)
}

/// The config file that `init` writes when none is named: root's is the system's.
pub fn own_config() -> PathBuf {
    Environment::of_this_process().own_config(geteuid().is_root(), Path::exists)
}

/// The names of the tunnels in a config and the files that it includes, whatever else is wrong there; none where it
/// cannot be read. Resolves nothing, so no command of ssh_config runs.
pub fn names_in(path: &Path) -> Vec<String> {
    let Some(main) = readable(path) else { return Vec::new() };
    let (document, _) = parse(&main);
    let (included, _) = include(&document, &Environment::of_this_process());
    let others = included.iter().map(|source| parse(source).0);
    std::iter::once(document).chain(others).flat_map(|document| names_of(&document)).collect()
}

/// The main file for those who want a key or two of it, where it can be read.
fn readable(path: &Path) -> Option<Arc<SourceFile>> {
    read_readable(path).ok()
}

fn read_readable(path: &Path) -> io::Result<Arc<SourceFile>> {
    let text = String::from_utf8(file::read_regular(path)?).map_err(|_| io::Error::other("it is not UTF-8"))?;
    Ok(Arc::new(SourceFile::new(path, text, 0)))
}

fn names_of(document: &Document<'_>) -> Vec<String> {
    let tunnels = document.table().get("tunnel").map(Value::items).unwrap_or_default();
    let tables = tunnels.into_iter().filter_map(|tunnel| tunnel.table().ok());
    tables.filter_map(|table| table.get("name")?.raw().as_str().map(str::to_owned)).collect()
}

/// Where a client finds the control socket when neither the command line nor a config says so: where a daemon started
/// from here would have it, or else where the system service has it.
pub fn default_control_socket() -> PathBuf {
    Environment::of_this_process().control_socket_of_daemon(Path::exists)
}

/// Where a client of the daemon that runs a config asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SocketOfConfig {
    /// The control socket.
    pub path: PathBuf,
    /// Why it is this one.
    pub because: SocketReason,
}

/// What of a config says where the control socket is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SocketReason {
    /// `control_socket` is set.
    Key,
    /// It is not set: the default holds.
    NoKey,
    /// The config cannot be read, for this reason: the default may hold.
    Unreadable(String),
}

/// Where the daemon that runs this config has its control socket. Reads that one key: a client must reach the daemon
/// also while the file has other errors, and where it may not read the file at all.
///
/// # Errors
/// The key is there, and wrong.
pub fn control_socket_of(path: &Path) -> Result<SocketOfConfig, ConfigErrors> {
    let by_default = |because| SocketOfConfig { path: default_control_socket(), because };
    let source = match read_readable(path) {
        Ok(source) => source,
        Err(error) => return Ok(by_default(SocketReason::Unreadable(error.to_string()))),
    };
    let (document, _) = parse(&source);
    let environment = Environment::of_this_process();
    let mut reader = TableReader::new(vec![document.table()], &environment);
    let socket = resolve::control_socket(&mut reader);
    if !reader.errors.is_empty() {
        return Err(ConfigErrors::new(reader.errors));
    }
    let by_key = |path| SocketOfConfig { path, because: SocketReason::Key };
    Ok(socket.map_or_else(|| by_default(SocketReason::NoKey), by_key))
}

/// What a daemon that starts as root needs to know before it reads its config as another user.
#[derive(Debug)]
pub struct RootStart {
    /// The account that it becomes.
    pub user: User,
    /// Where its pidfile and its control socket will be.
    pub runtime_files: Vec<PathBuf>,
}

/// Reads `user` and the paths of the runtime files, and nothing else. `None` without `user`, and for a pipe, which can
/// be read only once.
///
/// # Errors
/// The file may be written by others than root, or one of the keys is wrong.
pub fn root_start(path: &Path, overrides: &Overrides) -> Result<Option<RootStart>, ConfigErrors> {
    let Some(source) = readable(path) else { return Ok(None) };
    let (document, _) = parse(&source);
    let environment = Environment::of_this_process();
    let mut reader = TableReader::new(vec![document.table()], &environment);
    let Some(user) = resolve::account(&mut reader) else {
        return if reader.errors.is_empty() { Ok(None) } else { Err(ConfigErrors::new(reader.errors)) };
    };
    refuse_exposed(path)?;
    let socket = overrides.control_socket.clone().or_else(|| resolve::control_socket(&mut reader));
    let pid_file = overrides.pid_file.clone().or_else(|| reader.path("pid_file"));
    let socket = socket.unwrap_or_else(|| environment.control_socket());
    Ok(Some(RootStart { user, runtime_files: [Some(socket), pid_file].into_iter().flatten().collect() }))
}

pub(super) fn load_in(path: &Path, overrides: &Overrides, environment: &Environment) -> Result<Desired, ConfigErrors> {
    refuse_exposed(path)?;
    match file::read_main(path).map(|bytes| source(path, bytes, 0)) {
        Ok(Ok(source)) => load_source(&source, overrides, environment),
        Ok(Err(error)) => Err(ConfigErrors::new(vec![error])),
        Err(error) => {
            let what = format!("the config cannot be read{}: {error}", by_whom(&error));
            let hint = if error.kind() == io::ErrorKind::PermissionDenied {
                "let that user read the file and its folder, as with `chgrp` and `chmod 640`"
            } else if error.kind() == io::ErrorKind::NotFound {
                "name another one with `--config FILE`, or write a first one with `tunneld init`"
            } else {
                "name the config with `--config FILE`: a regular file, or a pipe that its writer ends"
            };
            Err(ConfigErrors::new(vec![ConfigError::of_file(path, what, hint)]))
        }
    }
}

/// The daemon may have become another user than the one who started it.
fn by_whom(error: &io::Error) -> String {
    if error.kind() != io::ErrorKind::PermissionDenied {
        return String::new();
    }
    let user = geteuid();
    let name = User::from_uid(user).ok().flatten().map(|user| user.name);
    format!(" by user `{}`", name.unwrap_or_else(|| user.to_string()))
}

fn refuse_exposed(path: &Path) -> Result<(), ConfigErrors> {
    let refuse = |WritableByOthers { what, hint }| ConfigErrors::new(vec![ConfigError::of_file(path, what, hint)]);
    file::exposed(path).map_or(Ok(()), |exposed| Err(refuse(exposed)))
}

pub(super) fn load_text_in(
    path: &Path,
    text: &str,
    overrides: &Overrides,
    environment: &Environment,
) -> Result<Desired, ConfigErrors> {
    load_source(&Arc::new(SourceFile::new(path, text.to_owned(), 0)), overrides, environment)
}

fn load_source(
    source: &Arc<SourceFile>,
    overrides: &Overrides,
    environment: &Environment,
) -> Result<Desired, ConfigErrors> {
    let (main, mut syntax) = parse(source);
    let (included, mut errors) = include(&main, environment);
    let mut documents = vec![main];
    for source in &included {
        let (document, more) = parse(source);
        documents.push(document);
        syntax.extend(more);
    }
    match resolve::resolve(&documents, overrides, environment) {
        Ok(desired) if errors.is_empty() && syntax.is_empty() => return Ok(desired),
        Ok(_) => {}
        Err(more) => errors.extend(more.into_iter().filter(|error| sure(error, &syntax, source))),
    }
    errors.extend(syntax);
    Err(ConfigErrors::new(errors))
}

/// Where the syntax is wrong, it cannot be said what a line means, nor what is not there: in that file, and in any
/// file where it is the main one, which has the defaults. Below a wrong header it cannot be said what a key belongs to.
fn sure(error: &ConfigError, syntax: &[ConfigError], main: &SourceFile) -> bool {
    syntax.iter().all(|broken| {
        let same_file = broken.file() == error.file();
        let hides_absence = same_file || Path::new(&broken.file()) == main.path;
        let lost_header = same_file
            && broken.span().zip(error.span()).is_some_and(|(broken, error)| {
                broken.source.below_header(broken.span.start).is_some_and(|table| table.contains(&error.span.start))
            });
        broken.file_and_line() != error.file_and_line() && !lost_header && !(error.absence && hides_absence)
    })
}

/// The text, or the one error that tells that it can be no config.
pub(super) fn source(path: &Path, bytes: Vec<u8>, rank: usize) -> Result<Arc<SourceFile>, ConfigError> {
    /// Of what cannot be read, to be shown.
    const SHOWN: usize = 200;
    let error = match String::from_utf8(bytes) {
        Ok(text) => {
            let source = Arc::new(SourceFile::new(path, text, rank));
            return if source.is_private_key() { Err(private_key(path)) } else { Ok(source) };
        }
        Err(error) => error,
    };
    let bytes = error.as_bytes();
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        return Err(ConfigError::of_file(path, "the file is UTF-16, not UTF-8", "save it as UTF-8"));
    }
    let at = error.utf8_error().valid_up_to();
    // The rest may be megabytes of anything.
    let shown = bytes.get(..bytes.len().min(at + SHOWN)).unwrap_or_default();
    let source = Arc::new(SourceFile::new(path, String::from_utf8_lossy(shown).into_owned(), rank));
    Err(ConfigError::new(SourceSpan { source, span: at..at + 1 }, "the file is not UTF-8", "save it as UTF-8"))
}

/// Nothing of it is shown.
fn private_key(path: &Path) -> ConfigError {
    ConfigError::of_file(
        path,
        "the file is a private key, not a config",
        "name the config, and the key in its `identity_file`",
    )
}
