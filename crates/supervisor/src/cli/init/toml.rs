//! The text of a first config. Pure, but for the files of ssh_config.

use tunnel_engine::spec::{Destination, ForwardKind};

use super::InitTunnel;
use crate::import::{KeyLines, UniqueNames, comment};
use crate::sshconfig::{ConfigFiles, FileCache, ProxyRoute, Query, Resolved, System, resolve};

const HEAD: &str = "Written by `tunneld init`. `tunneld check` reads it, `tunneld reload` applies a change.";

/// The config with this one tunnel. What is wrong with a value is for the reader of the config to say.
pub(super) fn config(wanted: &InitTunnel, facts: &System) -> String {
    let mut keys = KeyLines::default();
    // Stands for what the text does not name; no user can write either.
    let typed = Destination::parse_or(&wanted.server, "-", 0).ok();
    let host = typed.as_ref().map_or(wanted.server.as_str(), |typed| typed.host.as_str());
    let name = wanted.name.clone().unwrap_or_else(|| UniqueNames::default().of(host));
    keys.text("name", &name);
    match &typed {
        Some(typed) => {
            // An IPv6 address has brackets here, as it may be followed by a port.
            let host = if typed.host.contains(':') { format!("[{}]", typed.host) } else { typed.host.clone() };
            keys.text("host", &host);
            if typed.port != 0 && typed.port != Destination::DEFAULT_PORT {
                keys.plain("port", typed.port);
            }
            if typed.user != "-" {
                keys.text("user", &typed.user);
            }
        }
        None => keys.text("host", &wanted.server),
    }
    if is_alias(host, facts) {
        keys.plain("ssh_config", true);
    }
    if let Some(identity) = &wanted.identity {
        keys.text("identity_file", identity);
    }
    for (key, kind) in [
        ("local_forward", ForwardKind::Local),
        ("remote_forward", ForwardKind::Remote),
        ("dynamic_forward", ForwardKind::Dynamic),
    ] {
        let of_kind = wanted.forwards.iter().filter(|(known, _)| *known == kind);
        let specs: Vec<String> = of_kind.map(|(_, spec)| spec.clone()).collect();
        keys.texts(key, &specs);
    }
    format!("{}\n{}", comment(HEAD), keys.write())
}

/// Does ssh_config say about this host how it is reached, or how to log in there?
fn is_alias(host: &str, facts: &System) -> bool {
    let ask = |files| resolve(&Query::new(host, files), &FileCache::default(), facts).ok();
    let matters = |resolved: Resolved| {
        let direct = matches!(resolved.way, ProxyRoute::Direct);
        let Resolved { host, user, port, settings, forwards, .. } = resolved;
        let login = ["identity_file", "certificate_file", "identity_agent", "host_key_alias", "user_known_hosts_file"];
        let settings = settings.only(&login);
        let forwards: Vec<_> = forwards.into_iter().map(|(forward, _)| forward).collect();
        (host, user, port, direct, settings, forwards)
    };
    match (ask(ConfigFiles::Usual), ask(ConfigFiles::None)) {
        (Some(with), Some(without)) => matters(with) != matters(without),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::{Overrides, TunnelSpec, load_text_for};

    /// A home with this `.ssh/config`, and what the written config comes to there.
    fn read_back(wanted: &InitTunnel, ssh_config: &str) -> (String, TunnelSpec) {
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir(home.path().join(".ssh")).unwrap();
        std::fs::write(home.path().join(".ssh/config"), ssh_config).unwrap();
        let facts = System::new(Some("me".into()), Some(home.path().to_owned()), Default::default());
        let text = config(wanted, &facts);
        let desired = load_text_for(Path::new("/etc/t.toml"), &text, &Overrides::default(), &facts);
        let mut desired = desired.unwrap_or_else(|errors| panic!("{errors}\n{text}"));
        (text, desired.tunnels.remove(0))
    }

    fn wanted(server: &str, forwards: &[(ForwardKind, &str)]) -> InitTunnel {
        let forwards = forwards.iter().map(|(kind, spec)| (*kind, (*spec).to_owned())).collect();
        InitTunnel { server: server.to_owned(), forwards, ..InitTunnel::default() }
    }

    #[test]
    fn what_is_asked_for_reads_back_as_the_tunnel() {
        let forwards = [
            (ForwardKind::Local, "3307:127.0.0.1:3306"),
            (ForwardKind::Remote, "/run/${x}.sock:localhost:22"),
            (ForwardKind::Dynamic, "[::1]:1080"),
        ];
        for (server, destination, name) in [
            ("u@relay.example.com:2222", "u@relay.example.com:2222", "relay.example.com"),
            ("relay", "me@relay:22", "relay"),
            ("u@[2001:db8::1]:2222", "u@[2001:db8::1]:2222", "2001-db8--1"),
            ("2001:db8::1", "me@[2001:db8::1]:22", "2001-db8--1"),
        ] {
            let (text, tunnel) = read_back(&wanted(server, &forwards), "");
            assert_eq!(
                (tunnel.session.destination.to_string(), tunnel.name),
                (destination.into(), name.into()),
                "{text}"
            );
            let read: Vec<_> = tunnel.forwards.iter().map(|forward| (forward.kind, forward.to_string())).collect();
            assert_eq!(read, forwards.map(|(kind, spec)| (kind, spec.to_owned())), "{text}");
            assert!(!text.contains("ssh_config"), "{text}");
        }
    }

    #[test]
    fn a_host_alias_is_followed() {
        let ssh_config = "Host db\n Hostname db.internal\n Port 2200\nHost *\n ServerAliveInterval 5\n";
        let forwards = [(ForwardKind::Local, "3307:127.0.0.1:3306")];
        let (_, tunnel) = read_back(&wanted("u@db", &forwards), ssh_config);
        assert_eq!(
            (tunnel.session.destination.to_string().as_str(), tunnel.name.as_str()),
            ("u@db.internal:2200", "db")
        );
        let (text, tunnel) = read_back(&wanted("other", &forwards), ssh_config);
        assert_eq!(tunnel.session.destination.to_string(), "me@other:22", "{text}");
    }
}
