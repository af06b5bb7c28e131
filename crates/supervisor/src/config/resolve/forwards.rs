//! `local_forward`, `remote_forward`, `dynamic_forward` and `tunnel_device`.

use std::path::PathBuf;

use tunnel_engine::spec::{Connect, Forward, ForwardKind, ForwardParseError, Listen, Side};

use super::TableReader;
use crate::config::environment::Environment;
use crate::config::keys;
use crate::config::value::{ReadResult, Table, Value};
use crate::spec::SourceSpan;
use crate::spec::settings::MAX_CONNECTIONS;
use crate::sshconfig::Resolved;

const KEYS: [(&str, ForwardKind); 3] = [
    ("local_forward", ForwardKind::Local),
    ("remote_forward", ForwardKind::Remote),
    ("dynamic_forward", ForwardKind::Dynamic),
];

/// The forwards in the order of `KEYS`, each with the place that asks for it.
/// Then those of the Host blocks that are not among them.
pub(super) fn forwards(
    reader: &mut TableReader<'_>,
    header: Option<&SourceSpan>,
    alias: Option<&Resolved>,
) -> Vec<(Forward, SourceSpan)> {
    let environment = reader.environment;
    let mut all: Vec<(Forward, SourceSpan)> = Vec::new();
    let mut asked = false;
    for (key, kind) in KEYS {
        let Some(value) = reader.value(key) else { continue };
        for item in value.items() {
            asked = true;
            all.extend(reader.note(forward(item, kind, environment)).map(|forward| (forward, item.span())));
        }
    }
    let device = reader.value("tunnel_device");
    if let Some(value) = device {
        let read = reader.note(device_of(value));
        // `none` takes back what the defaults or ssh_config say.
        asked |= !matches!(read, Some(None));
        all.extend(read.flatten().map(|forward| (forward, value.span())));
    }
    for (forward, span) in alias.iter().flat_map(|alias| &alias.forwards) {
        if forward.kind == ForwardKind::TunnelDevice && device.is_some() {
            continue;
        }
        asked = true;
        if !all.iter().any(|(known, _)| known == forward) {
            all.push((forward.clone(), span.clone()));
        }
    }
    // Forwards of a Host block that could not be read are not missing.
    let unknown =
        alias.is_none() && reader.value("ssh_config").is_some_and(|value| value.raw().as_bool() != Some(false));
    if !asked && !unknown {
        reader.miss(
            &["local_forward", "remote_forward", "dynamic_forward", "tunnel_device"],
            header,
            "the tunnel has no forwards",
            alias.and_then(none_in_files).unwrap_or_else(|| ADD_ONE.to_owned()),
        );
    }
    all
}

const ADD_ONE: &str = "add `local_forward`, `remote_forward`, `dynamic_forward` or `tunnel_device`, for example \
     `local_forward = [\"3307:127.0.0.1:3306\"]`";

/// Where forwards were looked for besides, whether the files are there or not.
fn none_in_files(alias: &Resolved) -> Option<String> {
    let files: Vec<_> = alias.files.iter().map(|path| format!("`{}`", path.display())).collect();
    let host = &alias.alias;
    (!files.is_empty()).then(|| format!("nothing for `{host}` in {} sets a forward; {ADD_ONE}", files.join(" or ")))
}

/// `None`: none is wanted.
fn device_of(value: Value<'_>) -> ReadResult<Option<Forward>> {
    match value.word()? {
        "none" => Ok(None),
        text => Forward::parse_device(text).map(Some).or_else(|error| refuse(value, &error)),
    }
}

fn forward(value: Value<'_>, kind: ForwardKind, environment: &Environment) -> ReadResult<Forward> {
    let forward = match value.raw().as_table() {
        Some(_) => of_table(&value.table()?, kind, environment)?,
        None => parse(value, environment, |text| Forward::parse(kind, text))?,
    };
    forward.with_paths(|path, side| unix_path(value, path, side, environment))
}

fn of_table(table: &Table<'_>, kind: ForwardKind, environment: &Environment) -> ReadResult<Forward> {
    let mut reader = TableReader::new(vec![table.clone()], environment);
    reader.check_keys(keys::FORWARD);
    let listen = reader.read("listen", |value| parse(value, environment, |text| Listen::parse(kind, text)));
    let connect = reader.read("connect", |value| match kind {
        ForwardKind::Dynamic | ForwardKind::TunnelDevice => refuse(value, &ForwardParseError::ConnectOfDynamic),
        ForwardKind::Local | ForwardKind::Remote => parse(value, environment, |text| Connect::parse(kind, text)),
    });
    let max_connections = reader.read("max_connections", |value| value.count(1..=MAX_CONNECTIONS));
    if table.get("listen").is_none() {
        reader.miss(
            &["listen"],
            Some(&table.span),
            "the forward does not say where it listens",
            "add `listen = \"[bind:]port\"`",
        );
    }
    if kind == ForwardKind::Local && table.get("connect").is_none() {
        reader.miss(
            &["connect"],
            Some(&table.span),
            "the forward does not say where it connects to",
            "add `connect = \"host:port\"`",
        );
    }
    match listen {
        Some(listen) if reader.errors.is_empty() => {
            Ok(Forward { kind, listen, connect: connect.unwrap_or(Connect::Socks), max_connections })
        }
        _ => Err(reader.errors),
    }
}

fn parse<T>(
    value: Value<'_>,
    environment: &Environment,
    parse: impl FnOnce(&str) -> Result<T, ForwardParseError>,
) -> ReadResult<T> {
    let text = value.string()?;
    if let Some(flag) = ["-L", "-R", "-D"].into_iter().find(|flag| text.starts_with(flag)) {
        return value
            .refuse(format!("`{flag}` is ssh's option, which the key stands for"), format!("leave `{flag}` out"));
    }
    let text = environment.expand(text).or_else(|error| value.refuse(error.to_string(), error.hint()))?;
    parse(&text).or_else(|error| refuse(value, &error))
}

fn refuse<T>(value: Value<'_>, error: &ForwardParseError) -> ReadResult<T> {
    value.refuse(error.to_string(), error.hint())
}

/// Paths on this machine are those of the config file; what a path means on the server is the server's business.
fn unix_path(value: Value<'_>, path: PathBuf, side: Side, environment: &Environment) -> ReadResult<PathBuf> {
    let Some(text) = path.to_str().filter(|_| side == Side::Here) else { return Ok(path) };
    let path = environment
        .path_without_variables(text.to_owned(), &value.source.folder)
        .or_else(|error| value.refuse(error.to_string(), error.hint()))?;
    if path.as_os_str().len() > Forward::MAX_UNIX_PATH {
        return refuse(value, &ForwardParseError::PathTooLong(path.display().to_string()));
    }
    Ok(path)
}
