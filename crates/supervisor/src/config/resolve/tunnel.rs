//! One `[[tunnel]]` over `[defaults]`.

use super::{Candidate, Reader, claims, forwards, policy, session};
use crate::config::desired::{OnRemotePortBusy, TunnelSpec};
use crate::config::diagnostic::ConfigError;
use crate::config::keys;
use crate::config::source::Place;
use crate::sshconfig::Library;

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
            sessions,
            session_lifetime,
            forwards: forwards.into_iter().map(|(forward, _)| forward).collect(),
            gateway_ports,
            exit_on_forward_failure,
            on_remote_port_busy,
            probe,
            first_poll,
            max_connections,
            outage,
            policy,
        }),
        _ => None,
    };
    Candidate { name, claims, spec }
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
