//! The keys of a tunnel that are settings of its session, as they are set or not; and the session that they make
//! once every default is known.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tunnel_engine::session::check_algorithms;
use tunnel_engine::spec::{
    AddressFamily, AgentSpec, AlgorithmKind, AlgorithmList, AlgorithmSpec, AuthSpec, Destination, DialSpec,
    HostKeySpec, IdentitySpec, IpQos, IpQosError, KnownHostsCommand, RekeyLimit, SecretSource, SessionSpec,
    StrictHostKeyChecking, TimingSpec, UpdateHostKeys, Via,
};

use super::{Reader, defaults};
use crate::config::environment::Environment;
use crate::config::quantity::{LONGEST, duration, duration_in, size_in};
use crate::config::reader::path;
use crate::config::value::{Read, Value};
use crate::sshconfig::{self, HostsCommand, Wishes, command_words};

/// Below it no handshake is possible, and 0 would read as "none".
const SHORTEST_CONNECT: Duration = Duration::from_millis(100);
/// interval × (count + 1) stays far from what overflows a clock.
pub(crate) const MOST_ALIVE_COUNT: u32 = 10_000;
/// A second apart, they end with the connect timeout in any case.
const MOST_ATTEMPTS: u32 = 10_000;
/// Of the longest RSA keys that ssh-keygen makes.
const MOST_RSA_BITS: u32 = 16_384;
/// Two packets of 32 KiB: less would stop after every packet.
const SMALLEST_WINDOW: u32 = 64 << 10;
/// What one connection whose reader has stalled may cost in memory.
const LARGEST_WINDOW: u32 = 1 << 30;

/// What ssh_config has no words for: it is the tunnel's, whatever a Host block says.
#[derive(Clone)]
pub(super) struct Own {
    password: Option<SecretSource>,
    passphrase: Option<SecretSource>,
    receive_window: u32,
}

impl Default for Own {
    fn default() -> Self {
        Self { password: None, passphrase: None, receive_window: SessionSpec::RECEIVE_WINDOW }
    }
}

impl Own {
    /// A jump host is never offered the password: that is the server's, and a jump host that asked for it would
    /// learn it.
    pub(super) fn for_jump(&self) -> Self {
        Self { password: None, ..self.clone() }
    }
}

pub(super) fn own(reader: &mut Reader<'_>) -> Own {
    let window = |value: Value<'_>| size_in(value, SMALLEST_WINDOW..=LARGEST_WINDOW);
    Own {
        password: secret(reader, "password_file"),
        passphrase: secret(reader, "passphrase_file"),
        receive_window: reader.read("receive_window", window).unwrap_or(SessionSpec::RECEIVE_WINDOW),
    }
}

pub(super) fn wishes(reader: &mut Reader<'_>) -> Wishes {
    let families = [("any", AddressFamily::Any), ("inet", AddressFamily::Inet), ("inet6", AddressFamily::Inet6)];
    let named = |paths: Vec<_>| paths.into_iter().map(|path| IdentitySpec { path, explicit: true }).collect();
    Wishes {
        strict: strict(reader),
        user_known_hosts: reader.paths("user_known_hosts_file"),
        global_known_hosts: reader.paths("global_known_hosts_file"),
        revoked_host_keys: reader.paths("revoked_host_keys"),
        known_hosts_command: reader.read("known_hosts_command", known_hosts_command),
        update_host_keys: reader.read("update_host_keys", update_host_keys),
        updates_unasked: false,
        ca_signatures: algorithms(reader, AlgorithmKind::CaSignature),
        trust_loopback: reader.read("no_host_authentication_for_localhost", |value| value.boolean()),
        hash_known_hosts: reader.read("hash_known_hosts", |value| value.boolean()),
        host_key_alias: reader.read("host_key_alias", |value| value.word().map(str::to_owned)),
        identities: key_files(reader, "identity_file").map(named),
        certificates: key_files(reader, "certificate_file"),
        agent: agent(reader),
        accepted: algorithms(reader, AlgorithmKind::PublicKey),
        required_rsa_size: reader.read("required_rsa_size", |value| value.count(0..=MOST_RSA_BITS)),
        identities_only: reader.read("identities_only", |value| value.boolean()),
        algorithms: AlgorithmSpec {
            ciphers: algorithms(reader, AlgorithmKind::Cipher),
            kex: algorithms(reader, AlgorithmKind::Kex),
            macs: algorithms(reader, AlgorithmKind::Mac),
            host_keys: algorithms(reader, AlgorithmKind::HostKey),
        },
        connect_timeout: reader.read("connect_timeout", |value| duration_in(value, SHORTEST_CONNECT..=LONGEST)),
        server_alive_interval: reader.read("server_alive_interval", duration),
        server_alive_count_max: reader.read("server_alive_count_max", |value| value.count(0..=MOST_ALIVE_COUNT)),
        address_family: reader.read("address_family", |value| value.one_of(&families)),
        bind_address: reader.read("bind_address", |value| value.word().map(str::to_owned)),
        bind_interface: reader.read("bind_interface", |value| value.word().map(str::to_owned)),
        tcp_keep_alive: reader.read("tcp_keep_alive", |value| value.boolean()),
        ip_qos: ip_qos(reader),
        rekey_limit: rekey_limit(reader),
        compression: reader.read("compression", |value| value.boolean()),
        connection_attempts: reader.read("connection_attempts", |value| value.count(1..=MOST_ATTEMPTS)),
    }
}

/// The session, dialled directly, with the defaults for what nobody set.
pub(super) fn session(destination: Destination, wishes: Wishes, own: Own, environment: &Environment) -> SessionSpec {
    let timing = TimingSpec::default();
    let update = match wishes.updates() {
        UpdateHostKeys::Yes => UpdateHostKeys::Yes,
        // There is nobody to ask.
        UpdateHostKeys::No | UpdateHostKeys::Ask => UpdateHostKeys::No,
    };
    SessionSpec {
        destination,
        dial: DialSpec {
            via: Via::Direct,
            bind_address: wishes.bind_address,
            bind_interface: wishes.bind_interface,
            address_family: wishes.address_family.unwrap_or_default(),
            tcp_keep_alive: wishes.tcp_keep_alive.unwrap_or(true),
            ip_qos: wishes.ip_qos.unwrap_or_default(),
            connection_attempts: wishes.connection_attempts.unwrap_or(1),
        },
        host_key: HostKeySpec {
            update,
            strict: wishes.strict.unwrap_or_default(),
            user_known_hosts: wishes.user_known_hosts.unwrap_or_else(|| defaults::user_known_hosts(environment)),
            global_known_hosts: wishes.global_known_hosts.unwrap_or_else(defaults::global_known_hosts),
            command: wishes.known_hosts_command.and_then(HostsCommand::run),
            revoked: wishes.revoked_host_keys.unwrap_or_default(),
            ca_signatures: wishes.ca_signatures,
            trust_loopback: wishes.trust_loopback.unwrap_or(false),
            alias: wishes.host_key_alias,
            hash_names: wishes.hash_known_hosts.unwrap_or(false),
            ask: None,
        },
        auth: AuthSpec {
            identities: wishes.identities.unwrap_or_else(|| defaults::identities(environment)),
            certificates: wishes.certificates.unwrap_or_default(),
            agent: wishes.agent.unwrap_or_else(|| defaults::agent(environment)),
            identities_only: wishes.identities_only.unwrap_or(false),
            accepted: wishes.accepted,
            required_rsa_size: wishes.required_rsa_size.unwrap_or_default(),
            password: own.password,
            // Whoever names a file with a password wants it to be used.
            without_password: false,
            without_interactive: false,
            passphrase: own.passphrase,
        },
        algorithms: wishes.algorithms,
        timing: TimingSpec {
            connect_timeout: wishes.connect_timeout.map_or(timing.connect_timeout, |time| time.min(LONGEST)),
            server_alive_interval: wishes.server_alive_interval.unwrap_or(timing.server_alive_interval).min(LONGEST),
            server_alive_count_max: wishes
                .server_alive_count_max
                .unwrap_or(timing.server_alive_count_max)
                .min(MOST_ALIVE_COUNT),
        },
        rekey_limit: wishes.rekey_limit.unwrap_or_default(),
        compression: wishes.compression.unwrap_or(false),
        receive_window: own.receive_window,
    }
}

fn strict(reader: &mut Reader<'_>) -> Option<StrictHostKeyChecking> {
    reader.read("strict_host_key_checking", |value| {
        if value.raw().as_str() == Some("ask") {
            return value.refuse(
                "a daemon has nobody to ask",
                "write \"yes\" and put the server's key into known_hosts, or \"accept-new\"",
            );
        }
        value.one_of(&[
            ("yes", StrictHostKeyChecking::Yes),
            ("accept-new", StrictHostKeyChecking::AcceptNew),
            ("no", StrictHostKeyChecking::No),
        ])
    })
}

/// ssh_config's KnownHostsCommand: one string, or its words. `none` runs nothing.
fn known_hosts_command(value: Value<'_>) -> Read<HostsCommand> {
    const FORM: &str = "write the absolute path of a program, and its arguments";
    let words = match value.raw().as_str() {
        Some("none") => return Ok(HostsCommand::None),
        Some(text) => match command_words(text) {
            Some(words) => words,
            None => return value.refuse("a quote is not closed", FORM),
        },
        None => value.each(|word| word.string().map(str::to_owned))?,
    };
    KnownHostsCommand::new(words).map(HostsCommand::Run).or_else(|error| value.refuse(error.to_string(), FORM))
}

fn update_host_keys(value: Value<'_>) -> Read<UpdateHostKeys> {
    if value.raw().as_str() == Some("ask") {
        return value.refuse("a daemon has nobody to ask", "write `true` or `false`");
    }
    value.boolean().map(|yes| if yes { UpdateHostKeys::Yes } else { UpdateHostKeys::No })
}

/// ssh_config's IdentityAgent: a path, `none`, `SSH_AUTH_SOCK`, or `$NAME` for the variable of that name.
fn agent(reader: &mut Reader<'_>) -> Option<AgentSpec> {
    let environment = reader.environment;
    reader.read("identity_agent", |value| {
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
    })
}

fn secret(reader: &mut Reader<'_>, key: &str) -> Option<SecretSource> {
    let environment = reader.environment;
    reader.read(key, |value| credential_or_path(value, environment).map(SecretSource::File))
}

/// Files or credentials, one or a list; `none` stands for an empty list, as in ssh_config.
fn key_files(reader: &mut Reader<'_>, key: &str) -> Option<Vec<PathBuf>> {
    let environment = reader.environment;
    reader.read(key, |value| match value.raw().as_str() {
        Some("none") => Ok(Vec::new()),
        _ => value.each(|item| credential_or_path(item, environment)),
    })
}

/// A file, or `credential:NAME`, which systemd puts into `$CREDENTIALS_DIRECTORY`.
fn credential_or_path(value: Value<'_>, environment: &Environment) -> Read<PathBuf> {
    let Some(name) = value.string()?.strip_prefix("credential:") else {
        return path(value, environment);
    };
    if name.is_empty() || name.contains('/') || name.starts_with('.') {
        return value.refuse(format!("`{name}` is not the name of a credential"), "write `credential:NAME`");
    }
    match environment.variable("CREDENTIALS_DIRECTORY") {
        Some(folder) => Ok(Path::new(folder).join(name)),
        None => value.refuse(
            "there are no credentials: `CREDENTIALS_DIRECTORY` is not set",
            format!("add `LoadCredential={name}:/path` to the unit, or name a file"),
        ),
    }
}

fn algorithms(reader: &mut Reader<'_>, kind: AlgorithmKind) -> AlgorithmList {
    let list = reader.read(kind.key(), |value| {
        // A list is the same as its names with commas.
        let text = value.each(|item| item.word())?.join(",");
        let list = AlgorithmList::parse(&text).and_then(|list| check_algorithms(kind, &list).map(|()| list));
        list.or_else(|error| value.refuse(error.to_string(), "write names with commas, or `+`, `-` or `^` and names"))
    });
    list.unwrap_or_default()
}

/// As ssh_config has it, for there bytes and time are one value.
fn rekey_limit(reader: &mut Reader<'_>) -> Option<RekeyLimit> {
    reader.read("rekey_limit", |value| {
        let text = value.string()?;
        let words: Vec<&str> = text.split_whitespace().collect();
        let hint = "write bytes in one direction, and perhaps a time, as in \"1G\", \"1G 1h\" or \"default 1h\"";
        sshconfig::rekey_limit(&words).map_or_else(|| value.refuse(format!("`{text}` is not a limit"), hint), Ok)
    })
}

fn ip_qos(reader: &mut Reader<'_>) -> Option<IpQos> {
    reader.read("ip_qos", |value| {
        value.word()?.parse().or_else(|error: IpQosError| {
            value.refuse(error.to_string(), "write a class such as \"af21\", \"cs1\", \"ef\", or \"none\"")
        })
    })
}
