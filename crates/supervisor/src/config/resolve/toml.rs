//! What a table of TOML sets: each key by its row, into [`Settings`].

use std::path::PathBuf;
use std::time::Duration;

use tunnel_engine::session::check_algorithms;
use tunnel_engine::spec::{
    AgentSpec, AlgorithmKind, AlgorithmList, IdentitySpec, IpQos, KnownHostsCommand, PermitRemoteOpen, RekeyLimit,
    SecretSource, StrictHostKeyChecking, UpdateHostKeys,
};

use super::{TableReader, defaults, policy};
use crate::config::environment::Environment;
use crate::config::quantity::{duration_in, size_in};
use crate::config::reader::{path, paths};
use crate::config::value::{ReadResult, Value};
use crate::spec::settings::{
    ADDRESS_FAMILY, At, DURING_OUTAGE, Field, ON_REMOTE_PORT_BUSY, STRICT_HOST_KEY_CHECKING, SettingKey, Settings,
    TomlField,
};
use crate::spec::{MAX_DURATION, ShellCommand};
use crate::sshconfig::{self, command_words};

/// Reads these keys; notes what is wrong.
pub(super) fn settings<'k>(reader: &mut TableReader<'_>, keys: impl Iterator<Item = &'k SettingKey>) -> Settings {
    let mut settings = Settings::default();
    for key in keys {
        KeyRow { reader, key, settings: &mut settings }.read();
    }
    settings
}

/// A row, and where its value comes from and goes to.
struct KeyRow<'k, 'r, 'a> {
    key: &'k SettingKey,
    reader: &'r mut TableReader<'a>,
    settings: &'r mut Settings,
}

impl<'a> KeyRow<'_, '_, 'a> {
    fn read(self) {
        let environment = self.reader.environment;
        match self.key.field {
            Field::Apart => {}
            Field::Flag(at) => self.put(at, |value| value.boolean()),
            Field::Count(from, to, at) => self.put(at, |value| value.count(from..=to)),
            Field::Time(from, at) => self.put(at, |value| duration_in(value, from..=MAX_DURATION)),
            Field::Word(at) | Field::HostName(at) => {
                self.put(at, |value| value.word().map(|word| Some(word.to_owned())))
            }
            Field::Paths(at) => self.put(at, |value| paths(value, environment)),
            Field::Certificates(at) => self.put(at, |value| key_files(value, environment)),
            Field::Identities(at) => self.put(at, |value| {
                let named = |path| IdentitySpec { path, explicit: true };
                Ok(key_files(value, environment)?.into_iter().map(named).collect())
            }),
            Field::Agent(at) => self.put(at, |value| agent(value, environment)),
            Field::Algorithms(kind, at) => self.put(at, |value| algorithms(value, kind)),
            Field::Strict(at) => self.put(at, strict),
            Field::HostsCommand(at) => self.put(at, known_hosts_command),
            Field::UpdateHostKeys(at) => self.put(at, update_host_keys),
            Field::Family(at) => self.put(at, |value| value.one_of(ADDRESS_FAMILY)),
            Field::IpQos(at) => self.put(at, ip_qos),
            Field::RekeyLimit(at) => self.put(at, rekey_limit),
            Field::Mask(at) => self.put(at, mask),
            Field::PermitRemoteOpen(at) => self.put(at, permit_remote_open),
            Field::TomlOnly(field) => self.read_toml_only(field),
        }
    }

    fn read_toml_only(self, field: TomlField) {
        let environment = self.reader.environment;
        match field {
            TomlField::Size(from, to, at) => self.put(at, |value| size_in(value, from..=to)),
            TomlField::Lifetime(from, at) => self.put(at, |value| lifetime(value, from)),
            TomlField::Starts(at) => self.put(at, starts),
            TomlField::Secret(at) => {
                self.put(at, |value| credential_or_path(value, environment).map(|path| Some(SecretSource::File(path))))
            }
            TomlField::OnRemotePortBusy(at) => self.put(at, |value| value.one_of(ON_REMOTE_PORT_BUSY)),
            TomlField::DuringOutage(at) => self.put(at, |value| value.one_of(DURING_OUTAGE)),
            TomlField::Backoff(at) => {
                // Read whole: its tables lie over one another, key by key.
                let backoff = policy::backoff(self.reader, self.key.name);
                self.put(at, |_| Ok(backoff));
            }
            TomlField::Probe(at) => self.put(at, |value| policy::probe(value, environment)),
            TomlField::Command(at) => self.put(at, on_change),
        }
    }

    fn put<T>(self, at: At<T>, read: impl FnOnce(Value<'a>) -> ReadResult<T>) {
        if let Some(value) = self.reader.read(self.key.name, read) {
            self.settings.set(self.key.name, at, value);
        }
    }
}

/// 0: none.
fn lifetime(value: Value<'_>, shortest: Duration) -> ReadResult<Option<Duration>> {
    let lifetime = duration_in(value, Duration::ZERO..=MAX_DURATION)?;
    if !lifetime.is_zero() && lifetime < shortest {
        return value.refuse("a session that short would be a login every few seconds", "write \"1m\" or more");
    }
    Ok(Some(lifetime).filter(|lifetime| !lifetime.is_zero()))
}

/// -1, as autossh writes it: no limit.
fn starts(value: Value<'_>) -> ReadResult<Option<u32>> {
    match value.integer(-1..=i64::from(u32::MAX))? {
        0 => value.refuse("no start is allowed", "to keep the tunnel down, write `enabled = false`"),
        starts => Ok(u32::try_from(starts).ok()),
    }
}

fn strict(value: Value<'_>) -> ReadResult<StrictHostKeyChecking> {
    if value.raw().as_str() == Some("ask") {
        return value.refuse(
            "a daemon cannot ask a user",
            "write \"yes\" and put the server's key into known_hosts, or \"accept-new\"",
        );
    }
    value.one_of(STRICT_HOST_KEY_CHECKING)
}

/// ssh_config's IPQoS: one class or two, in a string or a list.
fn ip_qos(value: Value<'_>) -> ReadResult<IpQos> {
    const FORM: &str = "write a class such as \"af21\", \"cs1\", \"ef\" or \"none\", or two as ssh_config has them";
    let texts = value.each(|item| item.word())?;
    let words: Vec<_> = texts.iter().flat_map(|text| text.split_whitespace()).collect();
    if words.len() > 2 {
        return value.refuse("there are more than two traffic classes", FORM);
    }
    match sshconfig::ip_qos(words) {
        Ok(Some(class)) => Ok(class),
        Ok(None) => value.refuse("the list is empty", FORM),
        Err(error) => value.refuse(error.to_string(), FORM),
    }
}

/// ssh_config's KnownHostsCommand: one string, or its words. `none` runs nothing.
fn known_hosts_command(value: Value<'_>) -> ReadResult<Option<KnownHostsCommand>> {
    const FORM: &str = "write the absolute path of a program, and its arguments";
    let words = match value.raw().as_str() {
        Some("none") => return Ok(None),
        Some(text) => match command_words(text) {
            Some(words) => words,
            None => return value.refuse("a quote is not closed", FORM),
        },
        None => value.each(|word| word.string().map(str::to_owned))?,
    };
    KnownHostsCommand::new(words).map(Some).or_else(|error| value.refuse(error.to_string(), FORM))
}

fn update_host_keys(value: Value<'_>) -> ReadResult<UpdateHostKeys> {
    if value.raw().as_str() == Some("ask") {
        return value.refuse("a daemon cannot ask a user", "write `true` or `false`");
    }
    value.boolean().map(|yes| if yes { UpdateHostKeys::Yes } else { UpdateHostKeys::No })
}

/// ssh_config's IdentityAgent: a path, `none`, `SSH_AUTH_SOCK`, or `$NAME` for the variable of that name.
fn agent(value: Value<'_>, environment: &Environment) -> ReadResult<AgentSpec> {
    let text = value.string()?;
    match (text, text.strip_prefix('$').filter(|name| !name.starts_with('{'))) {
        ("none", _) => Ok(AgentSpec::None),
        ("SSH_AUTH_SOCK", _) => Ok(defaults::agent(environment)),
        (_, Some(name)) => match environment.variable(name) {
            Some(socket) => Ok(AgentSpec::Socket(socket.into())),
            None => value.refuse(
                format!("the environment variable `{name}` is not set"),
                "name the agent's socket, or write \"none\"",
            ),
        },
        (_, None) => path(value, environment).map(AgentSpec::Socket),
    }
}

/// Files or credentials, one or a list; `none` stands for an empty list, as in ssh_config.
fn key_files(value: Value<'_>, environment: &Environment) -> ReadResult<Vec<PathBuf>> {
    match value.raw().as_str() {
        Some("none") => Ok(Vec::new()),
        _ => value.each(|item| credential_or_path(item, environment)),
    }
}

/// A file, or `credential:NAME`, which systemd puts into `$CREDENTIALS_DIRECTORY`.
fn credential_or_path(value: Value<'_>, environment: &Environment) -> ReadResult<PathBuf> {
    let Some(name) = value.string()?.strip_prefix("credential:") else {
        return path(value, environment);
    };
    if name.is_empty() || name.contains('/') || name.starts_with('.') {
        return value.refuse(format!("`{name}` is not the name of a credential"), "write `credential:NAME`");
    }
    match environment.credentials() {
        Some(folder) => Ok(folder.join(name)),
        None => value.refuse(
            "there are no credentials: `CREDENTIALS_DIRECTORY` is not set",
            format!(
                "add `LoadCredential={name}:/path` to the unit, or name a file; on a terminal root has them while the service \
                 runs"
            ),
        ),
    }
}

/// A list is the same as its names with commas.
fn algorithms(value: Value<'_>, kind: AlgorithmKind) -> ReadResult<AlgorithmList> {
    let text = value.each(|item| item.word())?.join(",");
    let list = AlgorithmList::parse(&text).and_then(|list| check_algorithms(kind, &list).map(|()| list));
    list.or_else(|error| value.refuse(error.to_string(), error.hint()))
}

/// As ssh_config has it, for there bytes and time are one value.
fn rekey_limit(value: Value<'_>) -> ReadResult<RekeyLimit> {
    let text = value.string()?;
    let words: Vec<&str> = text.split_whitespace().collect();
    let hint = "write bytes in one direction, and perhaps a time, as in \"1G\", \"1G 1h\" or \"default 1h\"";
    sshconfig::rekey_limit(&words).map_or_else(|| value.refuse(format!("`{text}` is not a limit"), hint), Ok)
}

/// What takes bits away from the mode of our unix sockets.
fn mask(value: Value<'_>) -> ReadResult<u32> {
    let text = value.string()?;
    sshconfig::mask(text)
        .map_or_else(|| value.refuse(format!("`{text}` is not a mask"), "write an octal number, as \"0177\""), Ok)
}

fn permit_remote_open(value: Value<'_>) -> ReadResult<PermitRemoteOpen> {
    let words = value.each(|item| item.word())?;
    PermitRemoteOpen::parse(&words).or_else(|error| {
        value.refuse(error.to_string(), "write \"any\", \"none\", or a list of `host:port`, with `*` for all")
    })
}

/// A string for the shell, or a list; an empty list takes back what the defaults say.
fn on_change(value: Value<'_>) -> ReadResult<Option<ShellCommand>> {
    match value.raw().as_array() {
        Some(_) => value.each(|item| item.command().map(str::to_owned)).map(ShellCommand::list),
        None => value.command().map(|line| Some(ShellCommand::line(line))),
    }
}
