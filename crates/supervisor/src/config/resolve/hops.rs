//! `proxy_jump` and `proxy_command`: the way to the server.

use tunnel_engine::spec::{Destination, DialSpec, HostKeySpec, SessionSpec, Via};

use super::Reader;
use crate::config::value::{Read, Value};

/// More servers in a row than anybody has, few enough that a handshake through all of them can end.
const MOST_HOPS: usize = 8;

/// What the keys ask for.
pub(super) enum Way<'a> {
    Direct,
    /// The first is dialled directly, the last reaches the server.
    Jumps(Vec<Destination>),
    Command(Value<'a>, &'a str),
}

pub(super) fn way<'a>(reader: &mut Reader<'a>) -> Read<Way<'a>> {
    match reader.rivals(["proxy_jump", "proxy_command"]) {
        [Some(jump), Some(_)] => jump.refuse("both `proxy_jump` and `proxy_command` are set", "leave one of them out"),
        [Some(jump), None] => jumps(jump, reader.environment.user.as_deref()),
        [None, Some(command)] => Ok(match command.word()? {
            "none" => Way::Direct,
            text => Way::Command(command, text),
        }),
        [None, None] => Ok(Way::Direct),
    }
}

/// A jump's user is, as in ssh, whoever runs us, not the user of the server behind it.
fn jumps<'a>(value: Value<'a>, user: Option<&str>) -> Read<Way<'a>> {
    const FORM: &str = "write `[user@]host[:port]`, several with commas, the one next to this machine first";
    let text = value.word()?;
    if text == "none" {
        return Ok(Way::Direct);
    }
    let hops: Vec<&str> = text.split(',').map(str::trim).collect();
    if hops.len() > MOST_HOPS {
        return value.refuse(format!("there are more than {MOST_HOPS} jump hosts"), "leave some of them out");
    }
    let mut jumps = Vec::new();
    let mut errors = Vec::new();
    for hop in hops {
        match Destination::parse(hop, user.unwrap_or_default()) {
            Ok(destination) => jumps.push(destination),
            Err(error) => errors.push(value.error(error.to_string(), FORM)),
        }
    }
    if errors.is_empty() { Ok(Way::Jumps(jumps)) } else { Err(errors) }
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
            for destination in jumps.iter().cloned() {
                let dial = DialSpec {
                    via,
                    bind_address: bind_address.take(),
                    bind_interface: bind_interface.take(),
                    ..session.dial.clone()
                };
                via = Via::Jump(Box::new(jump(&session, destination, dial)));
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
/// password: that is the server's, and a jump host that asked for it would learn it.
fn jump(session: &SessionSpec, destination: Destination, dial: DialSpec) -> SessionSpec {
    let host_key = HostKeySpec { alias: None, ..session.host_key.clone() };
    let mut auth = session.auth.clone();
    auth.password = None;
    SessionSpec { destination, dial, host_key, auth, ..session.clone() }
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
