//! One `[[tunnel]]` over `[defaults]`.

use tunnel_engine::forward::BindOptions;
use tunnel_engine::spec::PermitRemoteOpen;

use super::{Candidate, Reader, claims, forwards, policy, session};
use crate::config::desired::{OnRemotePortBusy, ShellCommand, TunnelSpec};
use crate::config::diagnostic::ConfigError;
use crate::config::keys;
use crate::config::source::Place;
use crate::sshconfig::{Library, Resolved};

/// A connection costs two file descriptors; more than this is beyond any process's limit.
pub(super) const MOST_CONNECTIONS: u32 = 1 << 20;

/// More logins than this at one server are no longer for throughput; OpenSSH takes ten at once by default.
const MOST_SESSIONS: u32 = 16;

const MAX_CONNECTIONS: u32 = 4096;

pub(super) fn tunnel(reader: &mut Reader<'_>, library: &Library, errors: &mut Vec<ConfigError>) -> Candidate {
    let header = reader.header();
    reader.check_keys(keys::TUNNEL);
    let name = name(reader, header.as_ref());
    let enabled = reader.read("enabled", |value| value.boolean()).unwrap_or(true);
    let servers = session::sessions(reader, header.as_ref(), library);
    let alias = servers.as_ref().and_then(|servers| servers.alias.as_ref());
    let gateway_ports = reader
        .read("gateway_ports", |value| value.boolean())
        .or(alias.and_then(|alias| alias.gateway_ports))
        .unwrap_or(false);
    let sockets = sockets(reader, alias);
    let permit_remote_open = permit_remote_open(reader)
        .or_else(|| alias.and_then(|alias| alias.permit_remote_open.clone()))
        .unwrap_or_default();
    let exit_on_forward_failure = reader
        .read("exit_on_forward_failure", |value| value.boolean())
        .or(alias.and_then(|alias| alias.exit_on_forward_failure))
        .unwrap_or(false);
    let max_connections =
        reader.read("max_connections", |value| value.count(1..=MOST_CONNECTIONS)).unwrap_or(MAX_CONNECTIONS);
    let (policy, first_poll) = policy::policy(reader);
    let probe = policy::probe(reader);
    let sessions = reader.read("sessions", |value| value.count(1..=MOST_SESSIONS)).unwrap_or(1);
    let session_lifetime = policy::session_lifetime(reader);
    let outage = policy::outage(reader);
    let on_change = on_change(reader);
    let on_remote_port_busy = reader
        .read("on_remote_port_busy", |value| {
            let words = [
                ("retry", OnRemotePortBusy::Retry),
                ("takeover", OnRemotePortBusy::Takeover),
                ("fail", OnRemotePortBusy::Fail),
            ];
            value.one_of(&words)
        })
        .unwrap_or_default();
    let forwards = forwards::forwards(reader, header.as_ref(), alias);
    let claims = claims::of(
        name.as_ref().map(|(name, _)| name),
        &forwards,
        gateway_ports,
        servers.as_ref().map(|servers| &servers.first),
    );

    let sound = reader.errors.is_empty();
    errors.append(&mut reader.errors);
    let spec = match (&name, servers) {
        (Some((name, _)), Some(servers)) if sound => Some(TunnelSpec {
            name: name.clone(),
            enabled,
            session: servers.first,
            fallbacks: servers.fallbacks,
            ssh_config_files: servers.files,
            ssh_config_notes: servers.notes,
            sessions,
            session_lifetime,
            forwards: forwards.into_iter().map(|(forward, _)| forward).collect(),
            gateway_ports,
            stream_local_bind_mask: sockets.0,
            stream_local_bind_unlink: sockets.1,
            permit_remote_open,
            exit_on_forward_failure,
            on_remote_port_busy,
            probe,
            first_poll,
            max_connections,
            outage,
            on_change,
            policy,
        }),
        _ => None,
    };
    Candidate { name, claims, spec }
}

/// What takes bits away from the mode of our unix sockets, and whether they take the path of a living one.
fn sockets(reader: &mut Reader<'_>, alias: Option<&Resolved>) -> (u32, bool) {
    let mask = reader.read("stream_local_bind_mask", |value| {
        let text = value.string()?;
        let mask = u32::from_str_radix(text, 8).ok().filter(|mask| *mask <= 0o777);
        mask.map_or_else(|| value.refuse(format!("`{text}` is not a mask"), "write an octal number, as \"0177\""), Ok)
    });
    let unlink = reader.read("stream_local_bind_unlink", |value| value.boolean());
    (
        mask.or(alias.and_then(|alias| alias.stream_local_bind_mask)).unwrap_or(BindOptions::SOCKET_MASK),
        unlink.or(alias.and_then(|alias| alias.stream_local_bind_unlink)).unwrap_or(false),
    )
}

/// A string for the shell, or a list; an empty list takes back what the defaults say.
fn on_change(reader: &mut Reader<'_>) -> Option<ShellCommand> {
    reader
        .read("on_change", |value| match value.raw().as_array() {
            Some(_) => value.each(|item| item.command().map(str::to_owned)).map(ShellCommand::list),
            None => value.command().map(|line| Some(ShellCommand::line(line))),
        })
        .flatten()
}

fn permit_remote_open(reader: &mut Reader<'_>) -> Option<PermitRemoteOpen> {
    reader.read("permit_remote_open", |value| {
        let words = value.each(|item| item.word())?;
        PermitRemoteOpen::parse(&words).or_else(|error| {
            value.refuse(error.to_string(), "write \"any\", \"none\", or a list of `host:port`, with `*` for all")
        })
    })
}

fn name(reader: &mut Reader<'_>, header: Option<&Place>) -> Option<(String, Place)> {
    const ALPHABET: &str = "a name is made of letters, digits, `.`, `_` and `-`";
    let Some(value) = reader.own_value("name") else {
        reader.miss(header, "the tunnel has no name", "add `name = \"…\"`; status, logs and commands call it by that");
        return None;
    };
    let read = value.string().and_then(|text| {
        let fine = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if text.is_empty() {
            value.refuse("the name is empty", ALPHABET)
        } else if let Some(odd) = text.chars().find(|c| !fine(*c)) {
            value.refuse(format!("`{}` cannot be in the name of a tunnel", odd.escape_debug()), ALPHABET)
        } else {
            Ok((text.to_owned(), value.place()))
        }
    });
    reader.note(read)
}
