//! The daemon's own keys.

use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::unistd::User;
use tunnel_engine::spec::{Forward, ForwardKind, ForwardParseError, Listen};

use super::claims::{self, Claim};
use super::{Document, TableReader};
use crate::config::include;
use crate::config::keys;
use crate::config::load::Overrides;
use crate::config::log_filter::{LogFilterError, log_filter};
use crate::config::obstacle::obstacle;
use crate::config::quantity;
use crate::config::reader::path;
use crate::spec::{ConfigError, Confine, Desired, Global, LogFormat, LogLevelSpec, LogSpec, ReadOptions};

const METRICS_HINT: &str =
    "write an address and a port such as \"127.0.0.1:9469\", or \"unix:/run/tunneld/metrics.sock\"";
/// What holds where the config says nothing: the packaged unit sets it.
const CONFINE: &str = "TUNNELD_CONFINE";
const STOP_TIMEOUT: Duration = Duration::from_secs(10);
/// A wrong flag was refused before the config was read.
const LOG_LEVEL_VARIABLE: &str = "TUNNELD_LOG_LEVEL";
const LOG_LEVEL: &str = "info";

pub(super) fn global(
    top: &mut TableReader<'_>,
    main: &Document<'_>,
    overrides: &Overrides,
    claims: &mut Vec<Claim>,
) -> Option<Global> {
    let stop_timeout = top.read("stop_timeout", quantity::duration).unwrap_or(STOP_TIMEOUT);
    let user = account(top).map(|account| account.name);
    let no_new_privileges = top.read("no_new_privileges", |value| value.boolean()).unwrap_or(true);
    let confine = confine(top);
    let includes = include::matches(main, top.environment);
    let blank = main.table.is_empty();
    let metrics = metrics(top, claims);
    let log = log(top, overrides);
    let pid_file = top.path("pid_file");
    let state_directory = top.path("state_directory").or_else(|| top.environment.state_directory());
    let control_socket_of_file = control_socket(top);
    let control_socket =
        overrides.control_socket.clone().or(control_socket_of_file).unwrap_or_else(|| top.environment.control_socket());
    if is_too_long(&control_socket) {
        // By the command line or the environment: what the file says is looked at where it is read.
        top.errors.push(ConfigError::of_option("control_socket", LONG_SOCKET.0, LONG_SOCKET.1));
    }
    Some(Global {
        config: std::path::absolute(&main.source.path).ok()?,
        pid_file: overrides.pid_file.clone().or(pid_file),
        control_socket,
        state_directory,
        stop_timeout,
        user,
        no_new_privileges,
        confine,
        // Whether commands are run is known when all tunnels are read.
        reading: ReadOptions { includes, blank, match_exec: None },
        log,
        metrics,
    })
}

/// `user`: an account of this machine that is not root's.
pub(in crate::config) fn account(top: &mut TableReader<'_>) -> Option<User> {
    top.read("user", |value| {
        let name = value.word()?;
        match User::from_name(name) {
            Ok(Some(user)) if user.uid.is_root() => {
                value.refuse("tunneld would stay root", "name another account, or leave the key out")
            }
            Ok(Some(user)) => Ok(user),
            Ok(None) => value.refuse(
                format!("there is no user `{name}` on this machine"),
                "make the account, for example with `useradd --system`, or name another one",
            ),
            Err(errno) => value.refuse(format!("the user `{name}` cannot be looked up: {errno}"), "try again"),
        }
    })
}

/// What the file says, or else what the unit file does.
fn confine(top: &mut TableReader<'_>) -> Confine {
    const WORDS: [(&str, Confine); 3] = [("off", Confine::Off), ("auto", Confine::Auto), ("on", Confine::On)];
    if top.value("confine").is_some() {
        return top.read("confine", |value| value.one_of(&WORDS)).unwrap_or_default();
    }
    let Some(word) = top.environment.variable(CONFINE) else { return Confine::default() };
    let known = WORDS.iter().find(|(name, _)| *name == word).map(|(_, confine)| *confine);
    if known.is_none() {
        let what = format!("`{word}` is none of off, auto, on");
        top.errors.push(ConfigError::of_option(CONFINE, what, "write one of them where the variable is set"));
    }
    known.unwrap_or_default()
}

/// `confine = "on"` beside what cannot be confined.
pub(super) fn confine_refused(top: &TableReader<'_>, desired: &Desired) -> Option<ConfigError> {
    let reason = obstacle(desired).filter(|_| desired.global.confine == Confine::On)?;
    let what = format!("`confine = \"on\"` cannot be done: {reason}");
    let hint = "write \"auto\" to be confined only where nothing stands in the way, or leave the program out";
    Some(match top.value("confine") {
        Some(value) => value.error(what, hint),
        None => ConfigError::of_option(CONFINE, what, hint),
    })
}

/// `[metrics]`. Its address is claimed as a forward's is.
fn metrics(top: &mut TableReader<'_>, claims: &mut Vec<Claim>) -> Option<Listen> {
    let environment = top.environment;
    let mut metrics = top.inner("metrics");
    metrics.check_keys(keys::METRICS);
    let listen = metrics.read("listen", |value| {
        let text = value.word()?;
        let listen = match text.strip_prefix("unix:") {
            Some(path) => environment
                .path(path, &value.source.folder)
                .map(Listen::Unix)
                .or_else(|error| value.refuse(error.to_string(), error.hint()))?,
            None if text.starts_with('/') => return value.refuse("a path is written with `unix:`", METRICS_HINT),
            None => match Listen::parse(ForwardKind::Local, text) {
                Ok(listen) => listen,
                Err(ForwardParseError::ListenPortZero) => {
                    return value.refuse("the metrics cannot be served at port 0", METRICS_HINT);
                }
                Err(error) => return value.refuse(error.to_string(), METRICS_HINT),
            },
        };
        let too_long = matches!(&listen, Listen::Unix(path) if path.as_os_str().len() > Forward::MAX_UNIX_PATH);
        if too_long {
            return value.refuse(LONG_SOCKET.0, LONG_SOCKET.1);
        }
        Ok((listen, value.span()))
    });
    top.errors.extend(metrics.errors);
    let (listen, span) = listen?;
    claims.extend(claims::of_metrics(&listen, span));
    Some(listen)
}

/// A path, and what to do.
const LONG_SOCKET: (&str, &str) = ("the path is too long for a unix socket", "name a shorter one");

/// What the file says about it, if anything.
pub(in crate::config) fn control_socket(top: &mut TableReader<'_>) -> Option<PathBuf> {
    let environment = top.environment;
    top.read("control_socket", |value| {
        let socket = path(value, environment)?;
        if is_too_long(&socket) {
            return value.refuse(LONG_SOCKET.0, LONG_SOCKET.1);
        }
        Ok(socket)
    })
}

fn is_too_long(socket: &Path) -> bool {
    socket.as_os_str().len() > Forward::MAX_UNIX_PATH
}

fn log(top: &mut TableReader<'_>, overrides: &Overrides) -> LogSpec {
    let mut log = top.inner("log");
    log.check_keys(keys::LOG);
    let level = log.read("level", |value| {
        let text = value.word()?;
        match log_filter(text) {
            Ok(_) => Ok(text.to_owned()),
            Err(LogFilterError { what, hint }) => value.refuse(what, hint),
        }
    });
    let formats = [("auto", LogFormat::Auto), ("text", LogFormat::Text), ("json", LogFormat::Json)];
    let format = log.read("format", |value| value.one_of(&formats)).unwrap_or_default();
    top.errors.extend(log.errors);
    if let Some(level) = &overrides.log_level
        && let Err(LogFilterError { what, hint }) = log_filter(level)
    {
        top.errors.push(ConfigError::of_option(LOG_LEVEL_VARIABLE, what, hint));
    }
    let level = match &overrides.log_level {
        Some(filter) => LogLevelSpec { filter: filter.clone(), overridden: level.filter(|level| level != filter) },
        None => level.as_deref().unwrap_or(LOG_LEVEL).into(),
    };
    LogSpec { level, format }
}
