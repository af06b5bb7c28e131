//! One `[[tunnel]]` over `[defaults]`.

use super::{ParsedTunnel, TableReader, claims, forwards, session, toml};
use crate::config::keys;
use crate::spec::settings::{MAX_NAME, Settings, tunnel_keys};
use crate::spec::{ConfigError, SourceSpan, TunnelSpec};
use crate::sshconfig::FileCache;

pub(super) fn tunnel(reader: &mut TableReader<'_>, library: &FileCache, errors: &mut Vec<ConfigError>) -> ParsedTunnel {
    let header = reader.header();
    reader.check_keys(&keys::TUNNEL);
    let name = name(reader, header.as_ref());
    let settings = toml::settings(reader, tunnel_keys());
    let servers = session::sessions(reader, header.as_ref(), &settings, library);
    let alias = servers.as_ref().and_then(|servers| servers.alias.as_ref());
    let forwards = forwards::forwards(reader, header.as_ref(), alias);
    let settings = settings.or(alias.map(|alias| alias.settings.clone()).unwrap_or_default());
    let claims = claims::of(
        name.as_ref().map(|(name, _)| name),
        &forwards,
        settings.values().gateway_ports,
        servers.as_ref().map(|servers| &servers.first),
    );

    let sound = reader.errors.is_empty();
    errors.append(&mut reader.errors);
    let spec = match (&name, servers) {
        (Some((name, _)), Some(servers)) if sound => {
            let forwards = forwards.into_iter().map(|(forward, _)| forward).collect();
            Some(TunnelSpec {
                session: servers.first,
                fallbacks: servers.fallbacks,
                ssh_config_files: servers.files,
                ssh_config_notes: servers.notes,
                forwards,
                ..with(name.clone(), settings)
            })
        }
        _ => None,
    };
    ParsedTunnel { name, claims, spec }
}

/// The tunnel but for its servers and forwards.
fn with(name: String, settings: Settings) -> TunnelSpec {
    let mut spec = settings.values().clone();
    if !settings.has("first_poll") {
        spec.first_poll = spec.policy.poll;
    }
    TunnelSpec { name, ..spec }
}

fn name(reader: &mut TableReader<'_>, header: Option<&SourceSpan>) -> Option<(String, SourceSpan)> {
    const ALPHABET: &str = "a name is made of letters, digits, `.`, `_` and `-`";
    let Some(value) = reader.own_value("name") else {
        reader.miss(
            &["name"],
            header,
            "the tunnel has no name",
            "add `name = \"…\"`; status, logs and commands call it by that",
        );
        return None;
    };
    let read = value.string().and_then(|text| {
        let fine = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if text.is_empty() {
            value.refuse("the name is empty", ALPHABET)
        } else if text.len() > MAX_NAME {
            value.refuse(format!("the name is longer than {MAX_NAME} characters"), "every line of the log has it")
        } else if let Some(odd) = text.chars().find(|c| !fine(*c)) {
            value.refuse(format!("`{}` cannot be in the name of a tunnel", odd.escape_debug()), ALPHABET)
        } else {
            Ok((text.to_owned(), value.span()))
        }
    });
    reader.note(read)
}
