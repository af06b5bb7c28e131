//! One host as one `[[tunnel]]`.

use tunnel_engine::forward::BindOptions;
use tunnel_engine::spec::{
    AddressFamily, AgentSpec, AlgorithmKind, Destination, ForwardKind, IpQos, PermitRemoteOpen, RekeyLimit,
    StrictHostKeyChecking, TimingSpec,
};

use super::keys::Keys;
use crate::sshconfig::{Resolved, Way, Wishes};

/// What a tunnel has where its table says nothing.
#[derive(Debug, Clone)]
pub struct Defaults {
    /// What SSH_AUTH_SOCK names.
    pub agent: AgentSpec,
}

/// The table for a host, under this name: the keys that differ from the defaults, and comments for what has no key.
pub fn tunnel(name: &str, resolved: &Resolved, defaults: &Defaults) -> String {
    let mut keys = Keys::default();
    keys.text("name", name);
    keys.text("host", &resolved.host);
    if resolved.port != Destination::DEFAULT_PORT {
        keys.plain("port", resolved.port);
    }
    keys.text("user", &resolved.user);
    way(&mut keys, resolved, defaults);
    session(&mut keys, &resolved.wishes, defaults);
    if let Some(wishes) = first_hop(resolved) {
        for (key, source) in [("bind_address", &wishes.bind_address), ("bind_interface", &wishes.bind_interface)] {
            if let Some(source) = source {
                keys.text(key, source);
            }
        }
    }
    if resolved.exit_on_forward_failure == Some(true) {
        keys.plain("exit_on_forward_failure", true);
    }
    if resolved.gateway_ports == Some(true) {
        keys.plain("gateway_ports", true);
    }
    if let Some(mask) = resolved.stream_local_bind_mask.filter(|mask| *mask != BindOptions::SOCKET_MASK) {
        keys.text("stream_local_bind_mask", &format!("{mask:04o}"));
    }
    if resolved.stream_local_bind_unlink == Some(true) {
        keys.plain("stream_local_bind_unlink", true);
    }
    if let Some(permit) = resolved.permit_remote_open.as_ref().filter(|permit| **permit != PermitRemoteOpen::Any) {
        match permit.words().as_slice() {
            [one] => keys.text("permit_remote_open", one),
            several => keys.texts("permit_remote_open", several),
        }
    }
    forwards(&mut keys, resolved);
    if !resolved.passed_over.is_empty() {
        keys.remark(format!("without effect on a tunnel: {}", resolved.passed_over.join(", ")));
    }
    keys.write()
}

fn way(keys: &mut Keys, resolved: &Resolved, defaults: &Defaults) {
    match &resolved.way {
        Way::Direct => {}
        // In this key a percent sign begins a token.
        Way::Command(command) => keys.text("proxy_command", &command.replace('%', "%%")),
        Way::Jump(last) => {
            let mut hops = Vec::new();
            let mut next = Some(last.as_ref());
            while let Some(hop) = next {
                let destination =
                    Destination { user: hop.user.clone(), host: hop.host.clone(), port: hop.port }.to_string();
                let own = differences(&hop.wishes, &resolved.wishes, defaults).join(", ");
                if !own.is_empty() {
                    keys.remark(format!(
                        "not carried: jump host {destination} has its own {own}; `ssh_config = true` keeps that"
                    ));
                }
                next = match &hop.way {
                    Way::Jump(before) => Some(before),
                    Way::Direct => None,
                    Way::Command(command) => {
                        keys.remark(format!(
                            "not carried: jump host {destination} is reached by `{command}`; `ssh_config = true` keeps it"
                        ));
                        None
                    }
                };
                hops.insert(0, destination);
            }
            keys.text("proxy_jump", &hops.join(","));
        }
    }
}

/// The keys of the session that differ from the defaults.
fn session(keys: &mut Keys, wishes: &Wishes, defaults: &Defaults) {
    let timing = TimingSpec::default();
    if let Some(identities) = &wishes.identities {
        keys.paths("identity_file", &identities.iter().map(|identity| &identity.path).collect::<Vec<_>>());
    }
    if let Some(certificates) = wishes.certificates.as_ref().filter(|list| !list.is_empty()) {
        keys.paths("certificate_file", certificates);
    }
    match wishes.agent.as_ref().filter(|agent| **agent != defaults.agent) {
        Some(AgentSpec::None) => keys.text("identity_agent", "none"),
        Some(AgentSpec::Socket(path)) => keys.paths("identity_agent", &[path]),
        None => {}
    }
    if wishes.identities_only == Some(true) {
        keys.plain("identities_only", true);
    }
    match wishes.strict.unwrap_or_default() {
        StrictHostKeyChecking::Yes => {}
        StrictHostKeyChecking::AcceptNew => keys.text("strict_host_key_checking", "accept-new"),
        StrictHostKeyChecking::No => keys.text("strict_host_key_checking", "no"),
    }
    for (key, files) in
        [("user_known_hosts_file", &wishes.user_known_hosts), ("global_known_hosts_file", &wishes.global_known_hosts)]
    {
        if let Some(files) = files {
            keys.paths(key, files);
        }
    }
    if let Some(alias) = &wishes.host_key_alias {
        keys.text("host_key_alias", alias);
    }
    for (kind, list) in [
        (AlgorithmKind::Cipher, &wishes.algorithms.ciphers),
        (AlgorithmKind::Kex, &wishes.algorithms.kex),
        (AlgorithmKind::Mac, &wishes.algorithms.macs),
        (AlgorithmKind::HostKey, &wishes.algorithms.host_keys),
        (AlgorithmKind::PublicKey, &wishes.accepted),
    ] {
        keys.algorithms(kind.key(), list);
    }
    if let Some(time) = wishes.connect_timeout.filter(|time| *time != timing.connect_timeout) {
        keys.seconds("connect_timeout", time);
    }
    if let Some(time) = wishes.server_alive_interval.filter(|time| *time != timing.server_alive_interval) {
        keys.seconds("server_alive_interval", time);
    }
    if let Some(count) = wishes.server_alive_count_max.filter(|count| *count != timing.server_alive_count_max) {
        keys.plain("server_alive_count_max", count);
    }
    if wishes.tcp_keep_alive == Some(false) {
        keys.plain("tcp_keep_alive", false);
    }
    if let Some(bits) = wishes.required_rsa_size.filter(|bits| *bits != 0) {
        keys.plain("required_rsa_size", bits);
    }
    if wishes.compression == Some(true) {
        keys.plain("compression", true);
    }
    if let Some(limit) = wishes.rekey_limit.filter(|limit| *limit != RekeyLimit::default()) {
        keys.text("rekey_limit", &limit.to_string());
    }
    if let Some(class) = wishes.ip_qos.filter(|class| *class != IpQos::Unmarked) {
        keys.text("ip_qos", &class.to_string());
    }
    if let Some(attempts) = wishes.connection_attempts.filter(|attempts| *attempts != 1) {
        keys.plain("connection_attempts", attempts);
    }
    match wishes.address_family.unwrap_or_default() {
        AddressFamily::Any => {}
        AddressFamily::Inet => keys.text("address_family", "inet"),
        AddressFamily::Inet6 => keys.text("address_family", "inet6"),
    }
}

/// The source address is that of whatever is dialled directly: the server, or the first jump host.
fn first_hop(resolved: &Resolved) -> Option<&Wishes> {
    match &resolved.way {
        Way::Direct => Some(&resolved.wishes),
        Way::Jump(jump) => first_hop(jump),
        Way::Command(_) => None,
    }
}

fn forwards(keys: &mut Keys, resolved: &Resolved) {
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
}

/// The keys in which a jump host's Host blocks differ from what it would follow in the tunnel's table.
fn differences(jump: &Wishes, tunnel: &Wishes, defaults: &Defaults) -> Vec<String> {
    let lines = |wishes: &Wishes| {
        let mut keys = Keys::default();
        session(&mut keys, wishes, defaults);
        keys.lines()
    };
    let theirs = lines(jump);
    let ours = lines(&Wishes { host_key_alias: None, ..tunnel.clone() });
    let changed = theirs.iter().filter(|line| !ours.contains(line)).map(|(key, _)| key.clone());
    let missing =
        ours.iter().filter(|(key, _)| !theirs.iter().any(|(their, _)| their == key)).map(|(key, _)| key.clone());
    changed.chain(missing).collect()
}
