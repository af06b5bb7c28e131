//! A tunnel as TOML: every key that is not the default, in the order of the documentation. Pure.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use tunnel_engine::spec::{
    AddressFamily, AgentSpec, AlgorithmList, Destination, Forward, ForwardKind, IpQos, SessionSpec,
    StrictHostKeyChecking, Via,
};

use crate::config::{BackoffKind, DuringOutage, TunnelSpec};

/// What to print.
pub struct Rendered<'a> {
    /// Of the tunnel.
    pub name: String,
    /// A line each, before it.
    pub comments: Vec<String>,
    /// The tunnel.
    pub spec: &'a TunnelSpec,
    /// One with every default.
    pub base: &'a TunnelSpec,
}

/// The text of one `[[tunnel]]`.
pub fn render(rendered: &Rendered<'_>) -> String {
    let Rendered { name, comments, spec, base } = rendered;
    let mut table = Table::default();
    table.string("name", name);
    session(&mut table, &spec.session, &base.session);
    forwards(&mut table, spec, base);
    policy(&mut table, spec, base);
    let mut text = String::new();
    for comment in comments.iter().chain(&table.comments) {
        // A comment must not end in the middle.
        let _ = writeln!(text, "# {}", comment.replace(char::is_control, " "));
    }
    text + "[[tunnel]]\n" + &table.lines
}

#[derive(Default)]
struct Table {
    lines: String,
    comments: Vec<String>,
}

impl Table {
    fn raw(&mut self, key: &str, value: &str) {
        let _ = writeln!(self.lines, "{key} = {value}");
    }

    fn string(&mut self, key: &str, value: &str) {
        self.raw(key, &quoted(value));
    }

    fn list(&mut self, key: &str, values: &[String]) {
        let values: Vec<String> = values.iter().map(|value| quoted(value)).collect();
        self.raw(key, &format!("[{}]", values.join(", ")));
    }

    fn paths(&mut self, key: &str, paths: &[PathBuf]) {
        // A path is text to a config; `${` in it would be a variable, and is no file's name.
        let paths: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
        self.list(key, &paths);
    }

    fn time(&mut self, key: &str, value: Duration) {
        match value.subsec_nanos() {
            0 => self.raw(key, &value.as_secs().to_string()),
            _ => self.string(key, &humantime::format_duration(value).to_string()),
        }
    }
}

fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

fn session(table: &mut Table, spec: &SessionSpec, base: &SessionSpec) {
    let Destination { user, host, port } = &spec.destination;
    // An address with colons is taken as it is; only `user@` and `:port` would need brackets.
    table.string("host", host);
    if *port != Destination::DEFAULT_PORT {
        table.raw("port", &port.to_string());
    }
    table.string("user", user);
    way(table, spec);
    if let Some(address) = &spec.dial.bind_address {
        table.string("bind_address", address);
    }
    if let Some(interface) = &spec.dial.bind_interface {
        table.string("bind_interface", interface);
    }
    if spec.dial.ip_qos != IpQos::Unmarked {
        table.string("ip_qos", &spec.dial.ip_qos.to_string());
    }
    if spec.dial.connection_attempts != 1 {
        table.raw("connection_attempts", &spec.dial.connection_attempts.to_string());
    }
    match spec.dial.address_family {
        AddressFamily::Any => {}
        AddressFamily::Inet => table.string("address_family", "inet"),
        AddressFamily::Inet6 => table.string("address_family", "inet6"),
    }
    if !spec.dial.tcp_keep_alive {
        table.raw("tcp_keep_alive", "false");
    }
    auth(table, spec, base);
    trust(table, spec, base);
    for (key, list) in [
        ("ciphers", &spec.algorithms.ciphers),
        ("kex_algorithms", &spec.algorithms.kex),
        ("macs", &spec.algorithms.macs),
        ("host_key_algorithms", &spec.algorithms.host_keys),
        ("pubkey_accepted_algorithms", &spec.auth.accepted),
    ] {
        if let Some(text) = algorithms(list) {
            table.string(key, &text);
        }
    }
    if spec.auth.required_rsa_size != base.auth.required_rsa_size {
        table.raw("required_rsa_size", &spec.auth.required_rsa_size.to_string());
    }
    if spec.compression != base.compression {
        table.raw("compression", &spec.compression.to_string());
    }
    if spec.rekey_limit != base.rekey_limit {
        table.string("rekey_limit", &spec.rekey_limit.to_string());
    }
    let (timing, default) = (&spec.timing, &base.timing);
    if timing.connect_timeout != default.connect_timeout {
        table.time("connect_timeout", timing.connect_timeout);
    }
    if timing.server_alive_interval != default.server_alive_interval {
        table.time("server_alive_interval", timing.server_alive_interval);
    }
    if timing.server_alive_count_max != default.server_alive_count_max {
        table.raw("server_alive_count_max", &timing.server_alive_count_max.to_string());
    }
}

fn way(table: &mut Table, spec: &SessionSpec) {
    match &spec.dial.via {
        Via::Direct => {}
        Via::Command(command) => table.string("proxy_command", &command.replace('%', "%%")),
        Via::Jump(_) => {
            let mut hops = Vec::new();
            let mut next = &spec.dial.via;
            while let Via::Jump(jump) = next {
                hops.insert(0, jump.destination.to_string());
                if jump.auth.identities != spec.auth.identities {
                    table.comments.push(format!(
                        "{}: a jump host is logged in to with the tunnel's own identity_file",
                        jump.destination
                    ));
                }
                next = &jump.dial.via;
            }
            table.string("proxy_jump", &hops.join(","));
        }
    }
}

fn auth(table: &mut Table, spec: &SessionSpec, base: &SessionSpec) {
    let (auth, default) = (&spec.auth, &base.auth);
    if auth.identities != default.identities {
        let paths: Vec<PathBuf> = auth.identities.iter().map(|identity| identity.path.clone()).collect();
        table.paths("identity_file", &paths);
    }
    if auth.certificates != default.certificates {
        table.paths("certificate_file", &auth.certificates);
    }
    // Only the named keys: then the agent is there for their sake alone.
    let agent = if auth.identities_only && auth.agent == default.agent { &AgentSpec::None } else { &auth.agent };
    if *agent != default.agent {
        match agent {
            AgentSpec::None => table.string("identity_agent", "none"),
            AgentSpec::Socket(socket) => table.string("identity_agent", &socket.display().to_string()),
        }
    }
    if auth.identities_only && auth.agent != AgentSpec::None {
        let text = "IdentitiesOnly: said by identity_agent = \"none\"; a key with a passphrase needs passphrase_file";
        table.comments.push(text.to_owned());
    }
}

fn trust(table: &mut Table, spec: &SessionSpec, base: &SessionSpec) {
    let (host_key, default) = (&spec.host_key, &base.host_key);
    match host_key.strict {
        StrictHostKeyChecking::Yes => {}
        StrictHostKeyChecking::AcceptNew => table.string("strict_host_key_checking", "accept-new"),
        StrictHostKeyChecking::No => table.string("strict_host_key_checking", "no"),
    }
    if host_key.user_known_hosts != default.user_known_hosts {
        table.paths("user_known_hosts_file", &host_key.user_known_hosts);
    }
    if host_key.global_known_hosts != default.global_known_hosts {
        table.paths("global_known_hosts_file", &host_key.global_known_hosts);
    }
    if let Some(alias) = &host_key.alias {
        table.string("host_key_alias", alias);
    }
}

fn algorithms(list: &AlgorithmList) -> Option<String> {
    let (prefix, names) = match list {
        AlgorithmList::Default => return None,
        AlgorithmList::Replace(names) => ("", names),
        AlgorithmList::Append(names) => ("+", names),
        AlgorithmList::Remove(names) => ("-", names),
        AlgorithmList::Prepend(names) => ("^", names),
    };
    Some(format!("{prefix}{}", names.join(",")))
}

fn forwards(table: &mut Table, spec: &TunnelSpec, base: &TunnelSpec) {
    if spec.exit_on_forward_failure != base.exit_on_forward_failure {
        table.raw("exit_on_forward_failure", &spec.exit_on_forward_failure.to_string());
    }
    if spec.gateway_ports != base.gateway_ports {
        table.raw("gateway_ports", &spec.gateway_ports.to_string());
    }
    if spec.stream_local_bind_mask != base.stream_local_bind_mask {
        table.string("stream_local_bind_mask", &format!("{:04o}", spec.stream_local_bind_mask));
    }
    if spec.stream_local_bind_unlink != base.stream_local_bind_unlink {
        table.raw("stream_local_bind_unlink", &spec.stream_local_bind_unlink.to_string());
    }
    if spec.permit_remote_open != base.permit_remote_open {
        table.list("permit_remote_open", &spec.permit_remote_open.words());
    }
    for (key, kind) in [
        ("local_forward", ForwardKind::Local),
        ("remote_forward", ForwardKind::Remote),
        ("dynamic_forward", ForwardKind::Dynamic),
    ] {
        let of_kind = spec.forwards.iter().filter(|forward| forward.kind == kind);
        let texts: Vec<String> = of_kind.map(Forward::to_string).collect();
        if !texts.is_empty() {
            table.list(key, &texts);
        }
    }
}

fn policy(table: &mut Table, spec: &TunnelSpec, base: &TunnelSpec) {
    let (policy, default) = (&spec.policy, &base.policy);
    if policy.gate_time != default.gate_time {
        table.time("gate_time", policy.gate_time);
    }
    if let Some(starts) = policy.max_start {
        table.raw("max_start", &starts.to_string());
    }
    if let Some(lifetime) = policy.max_lifetime {
        table.time("max_lifetime", lifetime);
    }
    if policy.backoff.kind == BackoffKind::Autossh {
        table.raw("backoff", "{ kind = \"autossh\" }");
    }
    if spec.outage.during_outage == DuringOutage::Refuse {
        table.string("during_outage", "refuse");
    }
    if policy.poll != default.poll {
        table.time("poll", policy.poll);
    }
    if spec.first_poll != policy.poll {
        table.time("first_poll", spec.first_poll);
    }
}
