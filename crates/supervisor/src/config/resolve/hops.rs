//! `proxy_jump` and `proxy_command`: the way to the server.

use tunnel_engine::spec::{Destination, DialSpec, HostKeySpec, SessionSpec, Via};

use super::{Reader, session, wishes};
use crate::config::environment::Environment;
use crate::config::keys;
use crate::config::value::{Read, Value};

/// More servers in a row than anybody has, few enough that a handshake through all of them can end.
const MOST_HOPS: usize = 8;

/// What the keys ask for.
pub(super) enum Way<'a> {
    Direct,
    /// The first is dialled directly, the last reaches the server.
    Jumps(Vec<Hop>),
    Command(Value<'a>, &'a str),
}

/// A jump host.
pub(super) enum Hop {
    /// By the tunnel's rules.
    Named(Destination),
    /// By its own: all of the session but what it is reached through.
    Own(Box<SessionSpec>),
}

pub(super) fn way<'a>(reader: &mut Reader<'a>) -> Read<Way<'a>> {
    match reader.rivals(["proxy_jump", "proxy_command"]) {
        [Some(jump), Some(_)] => jump.refuse("both `proxy_jump` and `proxy_command` are set", "leave one of them out"),
        [Some(jump), None] => jumps(jump, reader.environment),
        [None, Some(command)] => Ok(match command.command()? {
            "none" => Way::Direct,
            text => Way::Command(command, text),
        }),
        [None, None] => Ok(Way::Direct),
    }
}

fn jumps<'a>(value: Value<'a>, environment: &Environment) -> Read<Way<'a>> {
    if value.raw().as_str() == Some("none") {
        return Ok(Way::Direct);
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
    if jumps.len() > MOST_HOPS {
        return value.refuse(format!("there are more than {MOST_HOPS} jump hosts"), "leave some of them out");
    }
    if errors.is_empty() && jumps.is_empty() {
        return value.refuse("the list of jump hosts is empty", "name one, or write \"none\"");
    }
    if errors.is_empty() { Ok(Way::Jumps(jumps)) } else { Err(errors) }
}

/// A jump's user is, as in ssh, whoever runs us, not the user of the server behind it.
fn named(value: Value<'_>, user: Option<&str>) -> Read<Vec<Hop>> {
    const FORM: &str = "write `[user@]host[:port]`, several with commas, the one next to this machine first";
    let (mut hops, mut errors) = (Vec::new(), Vec::new());
    for hop in value.word()?.split(',').map(str::trim) {
        match Destination::parse(hop, user.unwrap_or_default()) {
            Ok(destination) => hops.push(Hop::Named(destination)),
            Err(error) => errors.push(value.error(error.to_string(), FORM)),
        }
    }
    if errors.is_empty() { Ok(hops) } else { Err(errors) }
}

/// A table has the keys of a session, and nothing from the tunnel's: as a Host block of its own.
fn own(value: Value<'_>, environment: &Environment, first: bool) -> Read<Hop> {
    let mut reader = Reader::new(vec![value.table()?], environment);
    reader.check_keys(keys::JUMP);
    let header = reader.header();
    let destination = session::destination_of_jump(&mut reader, header.as_ref());
    let (wishes, own) = (wishes::wishes(&mut reader), wishes::own(&mut reader));
    let command = reader.read("proxy_command", |value| Ok((value, value.command()?)));
    if command.is_some() && !first {
        return value.refuse(
            "only the first jump host can have a `proxy_command`",
            "leave it out: this one is reached through the one before it",
        );
    }
    match destination {
        Some(destination) if reader.errors.is_empty() => {
            let session = wishes::session(destination, wishes, own, environment);
            let way = command.map_or(Way::Direct, |(value, text)| Way::Command(value, text));
            lay(session, &way).map(|session| Hop::Own(Box::new(session)))
        }
        _ => Err(reader.errors),
    }
}

/// The session to the server, reached that way.
pub(super) fn lay(mut session: SessionSpec, way: &Way<'_>) -> Read<SessionSpec> {
    match way {
        Way::Direct => {}
        Way::Command(value, text) => session.dial.via = Via::Command(expand(*value, text, &session.destination)?),
        Way::Jumps(jumps) => {
            let mut via = Via::Direct;
            // Only what is dialled directly has a source address to choose.
            let mut bind_address = session.dial.bind_address.take();
            let mut bind_interface = session.dial.bind_interface.take();
            for hop in jumps {
                let next = match hop {
                    Hop::Named(destination) => {
                        let dial = DialSpec { via, bind_address, bind_interface, ..session.dial.clone() };
                        jump(&session, destination.clone(), dial)
                    }
                    Hop::Own(own) => {
                        let mut next = own.as_ref().clone();
                        if via != Via::Direct {
                            next.dial.via = via;
                        }
                        keep_bind_address(&mut next.dial);
                        next
                    }
                };
                (bind_address, bind_interface) = (None, None);
                via = Via::Jump(Box::new(next));
            }
            session.dial.via = via;
        }
    }
    Ok(session)
}

/// Only what is dialled directly has a source address to choose.
pub(super) fn keep_bind_address(dial: &mut DialSpec) {
    if dial.via != Via::Direct {
        dial.bind_address = None;
        dial.bind_interface = None;
    }
}

/// A jump host is believed, and convinced, by the tunnel's rules, under its own name. It is never offered the
/// password: that is the server's, and a jump host that asked for it would learn it. What it carries is encrypted already,
/// and nothing can make that smaller.
fn jump(session: &SessionSpec, destination: Destination, dial: DialSpec) -> SessionSpec {
    let host_key = HostKeySpec { alias: None, ..session.host_key.clone() };
    let mut auth = session.auth.clone();
    auth.password = None;
    SessionSpec { destination, dial, host_key, auth, compression: false, ..session.clone() }
}

/// The tokens of ssh_config's ProxyCommand.
fn expand(value: Value<'_>, text: &str, destination: &Destination) -> Read<String> {
    let mut command = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (c, (c == '%').then(|| chars.next()).flatten()) {
            ('%', Some('%')) => command.push('%'),
            ('%', Some('h' | 'n')) => command.push_str(&destination.host),
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
