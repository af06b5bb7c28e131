//! What ssh would do for a host, as the keys of one `[[tunnel]]`.

use tunnel_engine::forward::BindOptions;
use tunnel_engine::spec::{
    AddressFamily, AgentSpec, AlgorithmKind, Destination, ForwardKind, IpQos, PermitRemoteOpen, RekeyLimit,
    StrictHostKeyChecking, TimingSpec, UpdateHostKeys,
};

use super::keys::{Hop, Keys};
use crate::config::{LONGEST, MOST_ALIVE_COUNT};
use crate::sshconfig::{HostsCommand, Resolved, System, Way, Wishes};

/// The keys that differ from the defaults, under this name, and comments for what has no key.
pub(super) fn tunnel(keys: &mut Keys, name: &str, resolved: &Resolved, facts: &System) {
    let agent = super::agent(facts);
    keys.text("name", name);
    destination_of(keys, resolved);
    let first = way(keys, resolved, &agent);
    session(keys, &resolved.wishes, &agent);
    source(keys, resolved, first);
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
    forwards(keys, resolved);
    if !resolved.passed_over.is_empty() {
        keys.remark(format!("without effect on a tunnel: {}", resolved.passed_over.join(", ")));
    }
    resolved.notes.iter().for_each(|note| keys.remark(note.to_string()));
}

fn destination_of(keys: &mut Keys, resolved: &Resolved) {
    host(keys, &resolved.host);
    if resolved.port != Destination::DEFAULT_PORT {
        keys.plain("port", resolved.port);
    }
    user(keys, &resolved.user);
}

/// `host` may hold a user and a port; a name that looks as if it did stands in brackets.
fn host(keys: &mut Keys, host: &str) {
    let bare = |text: &str| {
        Destination::parse_or(text, "-", 0).is_ok_and(|read| read.host == host && read.user == "-" && read.port == 0)
    };
    match [host.to_owned(), format!("[{host}]")].iter().find(|text| bare(text)) {
        Some(text) => keys.text("host", text),
        None => keys.remark(format!("not carried: `{host}` cannot be the `host` of a tunnel")),
    }
}

/// An account without a name has none to write down.
fn user(keys: &mut Keys, user: &str) {
    if user.starts_with('-') || user.chars().any(|c| c.is_whitespace() || c.is_control()) {
        keys.remark(format!("not carried: `{user}` cannot be the `user` of a tunnel"));
    } else if !user.is_empty() {
        keys.text("user", user);
    }
}

/// What is dialled first, where the tunnel's table has a say in its source address.
#[derive(Clone, Copy, PartialEq, Eq)]
enum First {
    Ours,
    OfAnother,
}

fn way(keys: &mut Keys, resolved: &Resolved, agent: &AgentSpec) -> First {
    match &resolved.way {
        Way::Direct => First::Ours,
        Way::Command(command) => {
            keys.text("proxy_command", &in_proxy_command(command));
            First::OfAnother
        }
        Way::Jump(last) => {
            let mut hops = Vec::new();
            let mut next = Some(last.as_ref());
            while let Some(hop) = next {
                hops.insert(0, jump(keys, hop, &resolved.wishes, agent));
                next = match &hop.way {
                    Way::Jump(before) => Some(before),
                    Way::Direct | Way::Command(_) => None,
                };
            }
            keys.hops("proxy_jump", &hops);
            if matches!(hops.first(), Some(Hop::Named(_))) { First::Ours } else { First::OfAnother }
        }
    }
}

/// In this key a percent sign begins a token.
fn in_proxy_command(command: &str) -> String {
    command.replace('%', "%%")
}

/// A jump host that differs from what it would follow in the tunnel's table has one of its own.
fn jump(keys: &mut Keys, hop: &Resolved, tunnel: &Wishes, agent: &AgentSpec) -> Hop {
    let destination = Destination { user: hop.user.clone(), host: hop.host.clone(), port: hop.port };
    let name = destination.to_string();
    let readable = !name.contains(',') && Destination::parse(&name, "").is_ok_and(|read| read == destination);
    let plain_way = !matches!(hop.way, Way::Command(_));
    if readable && plain_way && follows(&hop.wishes, tunnel, agent) {
        return Hop::Named(name);
    }
    let mut table = Keys::default();
    destination_of(&mut table, hop);
    if let Way::Command(command) = &hop.way {
        table.text("proxy_command", &in_proxy_command(command));
    }
    session(&mut table, &hop.wishes, agent);
    if let Way::Direct = &hop.way {
        bind(&mut table, &hop.wishes);
    }
    Hop::Own(keys.inline(table))
}

/// The keys of the session that differ from the defaults.
fn session(keys: &mut Keys, wishes: &Wishes, agent: &AgentSpec) {
    let timing = TimingSpec::default();
    if let Some(identities) = &wishes.identities {
        keys.paths("identity_file", &identities.iter().map(|identity| &identity.path).collect::<Vec<_>>());
    }
    if let Some(certificates) = wishes.certificates.as_ref().filter(|list| !list.is_empty()) {
        keys.paths("certificate_file", certificates);
    }
    match &wishes.agent {
        // Said on purpose: whoever starts the daemon may have one.
        Some(AgentSpec::None) => keys.text("identity_agent", "none"),
        Some(named @ AgentSpec::Socket(path)) if named != agent => keys.paths("identity_agent", &[path]),
        Some(AgentSpec::Socket(_)) | None => {}
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
    if let Some(lists) = wishes.revoked_host_keys.as_ref().filter(|lists| !lists.is_empty()) {
        keys.paths("revoked_host_keys", lists);
    }
    if let Some(HostsCommand::Run(command)) = &wishes.known_hosts_command {
        keys.texts("known_hosts_command", &command.words());
    }
    if wishes.updates() == UpdateHostKeys::Yes {
        keys.plain("update_host_keys", true);
    }
    if wishes.hash_known_hosts == Some(true) {
        keys.plain("hash_known_hosts", true);
    }
    if wishes.trust_loopback == Some(true) {
        keys.plain("no_host_authentication_for_localhost", true);
    }
    keys.algorithms(AlgorithmKind::CaSignature.key(), &wishes.ca_signatures);
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
        keys.time("connect_timeout", time.min(LONGEST));
    }
    if let Some(time) = wishes.server_alive_interval.filter(|time| *time != timing.server_alive_interval) {
        keys.time("server_alive_interval", time.min(LONGEST));
    }
    if let Some(count) = wishes.server_alive_count_max.filter(|count| *count != timing.server_alive_count_max) {
        keys.plain("server_alive_count_max", count.min(MOST_ALIVE_COUNT));
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
fn source(keys: &mut Keys, resolved: &Resolved, first: First) {
    if let Some(wishes) = first_hop(resolved).filter(|_| first == First::Ours) {
        bind(keys, wishes);
    }
    let Wishes { bind_address, bind_interface, .. } = &resolved.wishes;
    for (name, source) in [("BindAddress", bind_address), ("BindInterface", bind_interface)] {
        if let Some(source) = source.as_ref().filter(|_| !matches!(resolved.way, Way::Direct)) {
            keys.remark(format!("without effect: {name} {source}, because the server is not dialled directly"));
        }
    }
}

fn bind(keys: &mut Keys, wishes: &Wishes) {
    for (key, source) in [("bind_address", &wishes.bind_address), ("bind_interface", &wishes.bind_interface)] {
        if let Some(source) = source {
            keys.text(key, source);
        }
    }
}

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

/// Are a jump host's keys those that it would follow in the tunnel's table?
fn follows(jump: &Wishes, tunnel: &Wishes, agent: &AgentSpec) -> bool {
    let lines = |wishes: &Wishes| {
        let mut keys = Keys::default();
        session(&mut keys, wishes, agent);
        keys.lines()
    };
    lines(jump) == lines(&Wishes { host_key_alias: None, ..tunnel.clone() })
}
