//! What ssh would do for a host, as the keys of one `[[tunnel]]`.

use tunnel_engine::spec::{AgentSpec, Destination, ForwardKind, Route, UpdateHostKeys};

use super::keys::{JumpHostValue, KeyLines, UniqueNames};
use crate::config::{self, ConfigErrors, Import, Jump, SettingKey, Settings, TunnelSpec};
use crate::spec::settings::Field;
use crate::sshconfig::{ConfigFiles, FileCache, ProxyRoute, Query, Resolved, System, resolve};

/// The tables of these hosts, in their order. Each may be typed as after `ssh`: `user@alias:port` too.
///
/// # Errors
/// Everything that is wrong in the files, for any of them.
pub fn hosts(hosts: &[String], files: &ConfigFiles, facts: &System) -> Result<String, ConfigErrors> {
    let library = FileCache::default();
    let (mut tables, mut names, mut errors) = (Vec::new(), UniqueNames::default(), Vec::new());
    for host in hosts {
        match Query::typed(host, files.clone()).and_then(|query| resolve(&query, &library, facts)) {
            Ok(resolved) => {
                let mut keys = KeyLines::default();
                keys.remark(format!("Host {host}"));
                tunnel(&mut keys, &names.of(&resolved.alias), &resolved, facts);
                tables.push(keys.write());
            }
            Err(more) => errors.extend(more),
        }
    }
    if errors.is_empty() { Ok(tables.join("\n")) } else { Err(ConfigErrors::new(errors)) }
}

/// The keys that differ from the defaults, under this name, and comments for what has no key.
pub(super) fn tunnel(keys: &mut KeyLines, name: &str, resolved: &Resolved, facts: &System) {
    let usual = config::usual(facts);
    keys.text("name", name);
    destination_of(keys, resolved);
    let first = way(keys, resolved, &usual);
    session(keys, &resolved.settings, &usual);
    source(keys, resolved, first, &usual);
    write(keys, &resolved.settings, &usual, |key| key.jump == Jump::Never);
    forwards(keys, resolved);
    if !resolved.passed_over.is_empty() {
        keys.remark(format!("without effect on a tunnel: {}", resolved.passed_over.join(", ")));
    }
    resolved.notes.iter().for_each(|note| keys.remark(note.to_string()));
}

fn destination_of(keys: &mut KeyLines, resolved: &Resolved) {
    host(keys, &resolved.host);
    if resolved.port != Destination::DEFAULT_PORT {
        keys.plain("port", resolved.port);
    }
    user(keys, &resolved.user);
}

/// `host` may hold a user and a port; a name that looks as if it did stands in brackets.
fn host(keys: &mut KeyLines, host: &str) {
    let bare = |text: &str| {
        Destination::parse_or(text, "-", 0).is_ok_and(|read| read.host == host && read.user == "-" && read.port == 0)
    };
    match [host.to_owned(), format!("[{host}]")].iter().find(|text| bare(text)) {
        Some(text) => keys.text("host", text),
        None => keys.remark(format!("not carried: `{host}` cannot be the `host` of a tunnel")),
    }
}

/// An account without a name has none to write down.
fn user(keys: &mut KeyLines, user: &str) {
    if user.starts_with('-') || user.chars().any(|c| c.is_whitespace() || c.is_control()) {
        keys.remark(format!("not carried: `{user}` cannot be the `user` of a tunnel"));
    } else if !user.is_empty() {
        keys.text("user", user);
    }
}

/// What is dialled first, where the tunnel's table has a say in its source address.
#[derive(Clone, Copy, PartialEq, Eq)]
enum FirstDialled {
    Ours,
    OfAnother,
}

fn way(keys: &mut KeyLines, resolved: &Resolved, usual: &TunnelSpec) -> FirstDialled {
    match &resolved.way {
        ProxyRoute::Direct => FirstDialled::Ours,
        ProxyRoute::Command(command) => {
            keys.text("proxy_command", &in_proxy_command(command));
            FirstDialled::OfAnother
        }
        ProxyRoute::Jump(last) => {
            let mut hops = Vec::new();
            let mut next = Some(last.as_ref());
            while let Some(hop) = next {
                hops.insert(0, jump(keys, hop, &resolved.settings, usual));
                next = match &hop.way {
                    ProxyRoute::Jump(before) => Some(before),
                    ProxyRoute::Direct | ProxyRoute::Command(_) => None,
                };
            }
            keys.hops("proxy_jump", &hops);
            if matches!(hops.first(), Some(JumpHostValue::Named(_))) {
                FirstDialled::Ours
            } else {
                FirstDialled::OfAnother
            }
        }
    }
}

/// In this key a percent sign begins a token.
fn in_proxy_command(command: &str) -> String {
    command.replace('%', "%%")
}

/// A jump host that differs from what it would follow in the tunnel's table has one of its own.
fn jump(keys: &mut KeyLines, hop: &Resolved, tunnel: &Settings, usual: &TunnelSpec) -> JumpHostValue {
    let destination = Destination { user: hop.user.clone(), host: hop.host.clone(), port: hop.port };
    let name = destination.to_string();
    let readable = !name.contains(',') && Destination::parse(&name, "").is_ok_and(|read| read == destination);
    let plain_way = !matches!(hop.way, ProxyRoute::Command(_));
    if readable && plain_way && follows(&hop.settings, tunnel, usual) {
        return JumpHostValue::Named(name);
    }
    let mut table = KeyLines::default();
    destination_of(&mut table, hop);
    if let ProxyRoute::Command(command) = &hop.way {
        table.text("proxy_command", &in_proxy_command(command));
    }
    session(&mut table, &hop.settings, usual);
    if let ProxyRoute::Direct = &hop.way {
        bind(&mut table, &hop.settings, usual);
    }
    JumpHostValue::Own(keys.inline(table))
}

/// The keys of the session but for the source address.
fn session(keys: &mut KeyLines, settings: &Settings, usual: &TunnelSpec) {
    write(keys, settings, usual, |key| matches!(key.jump, Jump::Own | Jump::Inherited));
}

/// Those of these keys that their rows say.
fn write(keys: &mut KeyLines, settings: &Settings, usual: &TunnelSpec, these: impl Fn(&SettingKey) -> bool) {
    for key in config::tunnel_keys().filter(|key| these(key)) {
        let written = match key.import {
            Import::Different => settings.is_different(key),
            Import::Set => settings.has(key.name),
        };
        if matches!(key.field, Field::UpdateHostKeys(_)) {
            // Unset, too: ssh's default is not always ours.
            if settings.updates() == UpdateHostKeys::Yes {
                keys.plain(key.name, true);
            }
        } else if written && !(matches!(key.field, Field::Agent(_)) && is_agent_of(usual, settings.values())) {
            keys.setting(key, settings.values());
        }
    }
}

/// No agent at all is said on purpose: the environment of the daemon may name one.
fn is_agent_of(usual: &TunnelSpec, tunnel: &TunnelSpec) -> bool {
    let agent = &tunnel.session.auth.agent;
    *agent != AgentSpec::None && *agent == usual.session.auth.agent
}

/// The source address is that of whatever is dialled directly: the server, or the first jump host.
fn source(keys: &mut KeyLines, resolved: &Resolved, first: FirstDialled, usual: &TunnelSpec) {
    if let Some(settings) = first_hop(resolved).filter(|_| first == FirstDialled::Ours) {
        bind(keys, settings, usual);
    }
    let dial = &resolved.settings.values().session.dial;
    for (name, source) in [("BindAddress", &dial.bind_address), ("BindInterface", &dial.bind_interface)] {
        if let Some(source) = source.as_ref().filter(|_| !matches!(resolved.way, ProxyRoute::Direct)) {
            keys.remark(format!("without effect: {name} {source}, because the server is not dialled directly"));
        }
    }
}

fn bind(keys: &mut KeyLines, settings: &Settings, usual: &TunnelSpec) {
    write(keys, settings, usual, |key| key.jump == Jump::FirstHop);
}

fn first_hop(resolved: &Resolved) -> Option<&Settings> {
    match &resolved.way {
        ProxyRoute::Direct => Some(&resolved.settings),
        ProxyRoute::Jump(jump) => first_hop(jump),
        ProxyRoute::Command(_) => None,
    }
}

fn forwards(keys: &mut KeyLines, resolved: &Resolved) {
    if resolved.forwards.is_empty() {
        keys.remark("there is no LocalForward, RemoteForward or DynamicForward for this host: add a forward");
        keys.remark("for example `local_forward = [\"3307:127.0.0.1:3306\"]`");
    }
    for (key, kind) in [
        ("local_forward", ForwardKind::Local),
        ("remote_forward", ForwardKind::Remote),
        ("dynamic_forward", ForwardKind::Dynamic),
    ] {
        let of_kind = resolved.forwards.iter().map(|(forward, _)| forward).filter(|forward| forward.kind == kind);
        let texts: Vec<String> = of_kind.map(ToString::to_string).collect();
        if !texts.is_empty() {
            keys.texts(key, &texts);
        }
    }
    let device = resolved.forwards.iter().find(|(forward, _)| forward.kind == ForwardKind::TunnelDevice);
    if let Some((device, _)) = device {
        keys.text("tunnel_device", &device.to_string());
    }
}

/// Are a jump host's keys those that it would follow in the tunnel's table?
fn follows(jump: &Settings, tunnel: &Settings, usual: &TunnelSpec) -> bool {
    let session = |settings: &Settings| {
        let mut session = settings.clone().session(usual.clone(), Route::Direct);
        // Written apart, for the first jump host.
        (session.dial.bind_address, session.dial.bind_interface) = (None, None);
        session
    };
    session(jump) == session(&tunnel.clone().of_jump_hosts())
}
