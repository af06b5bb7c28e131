//! Destination, the way there, host key policy, credentials, algorithms and timing of a tunnel.

use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use tunnel_engine::session::check_algorithms;
use tunnel_engine::spec::{
    AddressFamily, AgentSpec, AlgorithmKind, AlgorithmList, AlgorithmSpec, AuthSpec, Destination, DialSpec,
    HostKeySpec, IdentitySpec, SecretSource, SessionSpec, StrictHostKeyChecking, TimingSpec,
};

use super::{Reader, defaults, hops};
use crate::config::quantity::{LONGEST, duration, duration_in, size_in};
use crate::config::reader::path;
use crate::config::source::Place;
use crate::config::value::{Read, Value};

/// More servers than anybody has for one purpose; each may cost a `connect_timeout` before the next is tried.
const MOST_HOSTS: usize = 16;
/// Below it no handshake is possible, and 0 would read as "none".
const SHORTEST_CONNECT: Duration = Duration::from_millis(100);
/// interval × (count + 1) stays far from what overflows a clock.
const MOST_ALIVE_COUNT: u32 = 10_000;
/// Two packets of 32 KiB: less would stop after every packet.
const SMALLEST_WINDOW: u32 = 64 << 10;
/// What one connection whose reader has stalled may cost in memory.
const LARGEST_WINDOW: u32 = 1 << 30;

/// A session to each of the hosts, in order of preference: they differ in the destination, and what follows from it.
pub(super) fn sessions(reader: &mut Reader<'_>, header: Option<&Place>) -> Option<(SessionSpec, Vec<SessionSpec>)> {
    let destinations = destinations(reader, header);
    let host_key = host_key(reader);
    let auth = auth(reader);
    let algorithms = AlgorithmSpec {
        ciphers: algorithms(reader, AlgorithmKind::Cipher),
        kex: algorithms(reader, AlgorithmKind::Kex),
        macs: algorithms(reader, AlgorithmKind::Mac),
        host_keys: algorithms(reader, AlgorithmKind::HostKey),
    };
    let timing = timing(reader);
    let window = |value: Value<'_>| size_in(value, SMALLEST_WINDOW..=LARGEST_WINDOW);
    let receive_window = reader.read("receive_window", window).unwrap_or(SessionSpec::RECEIVE_WINDOW);
    let dial = DialSpec {
        via: tunnel_engine::spec::Via::Direct,
        address_family: address_family(reader),
        bind_address: bind_address(reader),
        tcp_keep_alive: reader.read("tcp_keep_alive", |value| value.boolean()).unwrap_or(true),
    };
    let way = hops::way(reader);
    let way = reader.note(way)?;
    let mut sessions = Vec::new();
    for destination in destinations? {
        let (dial, host_key, auth, algorithms) = (dial.clone(), host_key.clone(), auth.clone(), algorithms.clone());
        let direct = SessionSpec { destination, dial, host_key, auth, algorithms, timing, receive_window };
        sessions.push(reader.note(hops::lay(direct, &way))?);
    }
    let mut sessions = sessions.into_iter();
    sessions.next().map(|first| (first, sessions.collect()))
}

fn destinations(reader: &mut Reader<'_>, header: Option<&Place>) -> Option<Vec<Destination>> {
    let port = reader.read("port", |value| value.integer(1..=i64::from(u16::MAX)).map(|port| port as u16));
    let user = reader.read("user", |value| user(value));
    let hosts = match reader.rivals(["host", "hosts"]) {
        [Some(host), Some(_)] => {
            reader.errors.push(host.error("both `host` and `hosts` are set", "leave one of them out"));
            return None;
        }
        [Some(host), None] => vec![host],
        [None, Some(hosts)] => {
            let items = hosts.items();
            if items.is_empty() {
                reader.errors.push(hosts.error("the list of hosts is empty", "name a server"));
                return None;
            }
            if items.len() > MOST_HOSTS {
                reader
                    .errors
                    .push(hosts.error(format!("there are more than {MOST_HOSTS} hosts"), "leave some of them out"));
                return None;
            }
            items
        }
        [None, None] => {
            reader.miss(header, "the tunnel has no host", "add `host = \"…\"`, the SSH server's name or address");
            return None;
        }
    };
    let mut destinations: Vec<Destination> = Vec::new();
    for host in hosts {
        let destination = destination(reader, host, user.as_deref(), port)?;
        if destinations.contains(&destination) {
            reader.errors.push(host.error(format!("`{destination}` is named twice"), "leave it out here"));
            return None;
        }
        destinations.push(destination);
    }
    Some(destinations)
}

fn destination(
    reader: &mut Reader<'_>,
    host: Value<'_>,
    wished_user: Option<&str>,
    port: Option<u16>,
) -> Option<Destination> {
    let user = wished_user.map(str::to_owned).or_else(|| reader.environment.user.clone());
    let read = host.word().and_then(|text| {
        let Some(user) = user.or_else(|| text.contains('@').then(String::new)) else {
            return host
                .refuse("there is no user to log in as: the account that runs tunneld has no name", "add `user`");
        };
        Destination::parse_or(text, &user, port.unwrap_or(Destination::DEFAULT_PORT)).or_else(|error| {
            host.refuse(
                error.to_string(),
                "write a name or an address, as in `bastion.example.com` or `user@[::1]:2222`",
            )
        })
    });
    let destination = reader.note(read)?;
    let clashes =
        [port.is_some_and(|port| port != destination.port), wished_user.is_some_and(|user| user != destination.user)];
    check_once(reader, host, clashes);
    Some(destination)
}

/// `host` may hold a user and a port; beside other ones in the same table it cannot be said which were meant.
fn check_once(reader: &mut Reader<'_>, host: Value<'_>, clashes: [bool; 2]) {
    for (key, _) in ["port", "user"].into_iter().zip(clashes).filter(|(_, clash)| *clash) {
        if reader.own_value(key).is_some() && reader.own_value("host").is_some() {
            reader
                .errors
                .push(host.error(format!("`host` and `{key}` name different {key}s"), "leave one of them out"));
        }
    }
}

fn user(value: Value<'_>) -> Read<String> {
    let text = value.word()?;
    if text.starts_with('-') || text.chars().any(char::is_whitespace) {
        return value.refuse(format!("`{text}` is not a user name"), "write the login name on the server");
    }
    Ok(text.to_owned())
}

fn host_key(reader: &mut Reader<'_>) -> HostKeySpec {
    let strict = reader.read("strict_host_key_checking", |value| {
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
    });
    HostKeySpec {
        strict: strict.unwrap_or_default(),
        user_known_hosts: reader
            .paths("user_known_hosts_file")
            .unwrap_or_else(|| defaults::user_known_hosts(reader.environment)),
        global_known_hosts: reader.paths("global_known_hosts_file").unwrap_or_else(defaults::global_known_hosts),
        alias: reader.read("host_key_alias", |value| value.word().map(str::to_owned)),
    }
}

fn auth(reader: &mut Reader<'_>) -> AuthSpec {
    let named = |paths: Vec<_>| paths.into_iter().map(|path| IdentitySpec { path, explicit: true }).collect();
    AuthSpec {
        identities: reader.paths("identity_file").map_or_else(|| defaults::identities(reader.environment), named),
        certificates: reader.paths("certificate_file").unwrap_or_default(),
        agent: agent(reader),
        identities_only: false,
        password: secret(reader, "password_file"),
        passphrase: secret(reader, "passphrase_file"),
    }
}

/// ssh_config's IdentityAgent: a path, `none`, `SSH_AUTH_SOCK`, or `$NAME` for the variable of that name.
fn agent(reader: &mut Reader<'_>) -> AgentSpec {
    let environment = reader.environment;
    let agent = reader.read("identity_agent", |value| {
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
    });
    agent.unwrap_or_else(|| defaults::agent(environment))
}

/// A file, or `credential:NAME`, which systemd puts into `$CREDENTIALS_DIRECTORY`.
fn secret(reader: &mut Reader<'_>, key: &str) -> Option<SecretSource> {
    let environment = reader.environment;
    reader.read(key, |value| {
        let Some(name) = value.string()?.strip_prefix("credential:") else {
            return path(value, environment).map(SecretSource::File);
        };
        if name.is_empty() || name.contains('/') || name.starts_with('.') {
            return value.refuse(format!("`{name}` is not the name of a credential"), "write `credential:NAME`");
        }
        match environment.variable("CREDENTIALS_DIRECTORY") {
            Some(folder) => Ok(SecretSource::File(Path::new(folder).join(name))),
            None => value.refuse(
                "there are no credentials: `CREDENTIALS_DIRECTORY` is not set",
                format!("add `LoadCredential={name}:/path` to the unit, or name a file"),
            ),
        }
    })
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

fn timing(reader: &mut Reader<'_>) -> TimingSpec {
    let default = TimingSpec::default();
    TimingSpec {
        connect_timeout: reader
            .read("connect_timeout", |value| duration_in(value, SHORTEST_CONNECT..=LONGEST))
            .unwrap_or(default.connect_timeout),
        server_alive_interval: reader.read("server_alive_interval", duration).unwrap_or(default.server_alive_interval),
        server_alive_count_max: reader
            .read("server_alive_count_max", |value| value.count(0..=MOST_ALIVE_COUNT))
            .unwrap_or(default.server_alive_count_max),
    }
}

fn address_family(reader: &mut Reader<'_>) -> AddressFamily {
    let families = [("any", AddressFamily::Any), ("inet", AddressFamily::Inet), ("inet6", AddressFamily::Inet6)];
    reader.read("address_family", |value| value.one_of(&families)).unwrap_or_default()
}

fn bind_address(reader: &mut Reader<'_>) -> Option<IpAddr> {
    reader.read("bind_address", |value| {
        let text = value.string()?;
        text.parse().or_else(|_| {
            value.refuse(format!("`{text}` is not an IP address"), "write an address of this machine, without brackets")
        })
    })
}
