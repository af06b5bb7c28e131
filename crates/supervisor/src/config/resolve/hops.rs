//! `proxy_jump` and `proxy_command`: the way to the server.

use tunnel_engine::spec::{Destination, Route, SessionSpec};

use super::{TableReader, defaults, session, toml};
use crate::config::environment::Environment;
use crate::config::keys;
use crate::config::value::{ReadResult, Value};
use crate::spec::settings::{Jump, Settings, tunnel_keys};

/// Far above real chains of jump hosts, and few enough that a handshake through all of them can end.
const MAX_JUMP_HOSTS: usize = 8;

pub(super) enum RouteKeys<'a> {
    Direct,
    /// The first is dialled directly, the last reaches the server.
    Jumps(Vec<JumpHostConfig>),
    Command(Value<'a>, &'a str),
}

pub(super) enum JumpHostConfig {
    /// By the tunnel's rules.
    Named(Destination),
    /// By its own. The first may have a command.
    Own { destination: Destination, settings: Box<Settings>, command: Option<String> },
}

pub(super) fn way<'a>(reader: &mut TableReader<'a>) -> ReadResult<RouteKeys<'a>> {
    match reader.rivals(["proxy_jump", "proxy_command"]) {
        [Some(jump), Some(_)] => jump.refuse("both `proxy_jump` and `proxy_command` are set", "leave one of them out"),
        [Some(jump), None] => jumps(jump, reader.environment),
        [None, Some(command)] => Ok(match command.command()? {
            "none" => RouteKeys::Direct,
            text => RouteKeys::Command(command, text),
        }),
        [None, None] => Ok(RouteKeys::Direct),
    }
}

fn jumps<'a>(value: Value<'a>, environment: &Environment) -> ReadResult<RouteKeys<'a>> {
    if value.raw().as_str() == Some("none") {
        return Ok(RouteKeys::Direct);
    }
    let (mut jumps, mut errors) = (Vec::new(), Vec::new());
    for item in value.items() {
        let read = match item.raw().is_table() {
            true => own(item, environment, jumps.is_empty()).map(|hop| vec![hop]),
            false => named(item, environment.user.as_deref()),
        };
        match read {
            Ok(hops) => jumps.extend(hops),
            Err(more) => errors.extend(more),
        }
    }
    if jumps.len() > MAX_JUMP_HOSTS {
        return value.refuse(format!("there are more than {MAX_JUMP_HOSTS} jump hosts"), "leave some of them out");
    }
    if errors.is_empty() && jumps.is_empty() {
        return value.refuse("the list of jump hosts is empty", "name one, or write \"none\"");
    }
    if errors.is_empty() { Ok(RouteKeys::Jumps(jumps)) } else { Err(errors) }
}

/// A jump's user is, as in ssh, the account that runs tunneld, not the user of the server behind it.
fn named(value: Value<'_>, user: Option<&str>) -> ReadResult<Vec<JumpHostConfig>> {
    const FORM: &str = "write `[user@]host[:port]`, several with commas, the one next to this machine first";
    let (mut hops, mut errors) = (Vec::new(), Vec::new());
    for hop in value.word()?.split(',').map(str::trim) {
        match Destination::parse(hop, user.unwrap_or_default()) {
            Ok(destination) => hops.push(JumpHostConfig::Named(destination)),
            Err(error) => errors.push(value.error(error.to_string(), FORM)),
        }
    }
    if errors.is_empty() { Ok(hops) } else { Err(errors) }
}

/// A table has the keys of a session, and nothing from the tunnel's: as a Host block of its own.
fn own(value: Value<'_>, environment: &Environment, first: bool) -> ReadResult<JumpHostConfig> {
    let mut reader = TableReader::new(vec![value.table()?], environment);
    reader.check_keys(&keys::JUMP);
    let header = reader.header();
    let destination = session::destination_of_jump(&mut reader, header.as_ref());
    let settings = toml::settings(&mut reader, tunnel_keys().filter(|key| key.jump != Jump::Never));
    let command = reader.read("proxy_command", |value| Ok((value, value.command()?)));
    if command.is_some() && !first {
        return value.refuse(
            "only the first jump host can have a `proxy_command`",
            "leave it out: this one is reached through the one before it",
        );
    }
    match destination {
        Some(destination) if reader.errors.is_empty() => {
            let command = command.map(|(value, text)| expand(value, text, &destination)).transpose()?;
            Ok(JumpHostConfig::Own { destination, settings: Box::new(settings), command })
        }
        _ => Err(reader.errors),
    }
}

/// The session to the server, reached that way.
pub(super) fn session(
    destination: Destination,
    settings: &Settings,
    way: &RouteKeys<'_>,
    environment: &Environment,
) -> ReadResult<SessionSpec> {
    let to = |destination, settings: &Settings, via| {
        settings.clone().session(defaults::tunnel(destination, environment), via)
    };
    let via = match way {
        RouteKeys::Direct => Route::Direct,
        RouteKeys::Command(value, text) => Route::Command(expand(*value, text, &destination)?),
        RouteKeys::Jumps(jumps) => jumps.iter().fold(Route::Direct, |via, hop| {
            let session = match hop {
                // A jump host is believed, and convinced, by the tunnel's rules, under its own name.
                JumpHostConfig::Named(destination) => to(destination.clone(), &settings.clone().of_jump_hosts(), via),
                JumpHostConfig::Own { destination, settings, command } => {
                    to(destination.clone(), settings, command.clone().map_or(via, Route::Command))
                }
            };
            Route::Jump(Box::new(session))
        }),
    };
    Ok(to(destination, settings, via))
}

/// The tokens of ssh_config's ProxyCommand.
fn expand(value: Value<'_>, text: &str, destination: &Destination) -> ReadResult<String> {
    let mut command = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (c, (c == '%').then(|| chars.next()).flatten()) {
            ('%', Some('%')) => command.push('%'),
            ('%', Some('h')) => command.push_str(&destination.canonical_host()),
            ('%', Some('n')) => command.push_str(&destination.host),
            ('%', Some('p')) => command.push_str(&destination.port.to_string()),
            ('%', Some('r')) => command.push_str(&destination.user),
            ('%', other) => {
                let token = other.map_or_else(|| "%".to_owned(), |other| format!("%{other}"));
                return value.refuse(
                    format!("`{token}` stands for nothing"),
                    "`%h` is the host, `%p` the port, `%r` the user, `%%` a percent sign",
                );
            }
            (c, _) => command.push(c),
        }
    }
    Ok(command)
}
