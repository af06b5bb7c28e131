//! Configs to compare: by hand, and at random from so few names and ports that they often meet.

use std::time::Duration;

use proptest::prelude::*;
use tunnel_engine::spec::{
    Bind, Connect, Destination, DeviceMode, DeviceUnit, Forward, ForwardKind, Listen, PermitRemoteOpen, SessionSpec,
};

use crate::config::{
    Confine, Desired, DuringOutage, Global, LogFormat, LogSpec, OnRemotePortBusy, ProbeSpec, ReadOptions, ShellCommand,
    TunnelSpec,
};

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(super) fn config(tunnels: Vec<TunnelSpec>) -> Desired {
    Desired {
        global: Global {
            config: "/etc/tunneld.toml".into(),
            pid_file: None,
            control_socket: "/run/tunneld/control.sock".into(),
            state_directory: None,
            stop_timeout: secs(10),
            user: None,
            no_new_privileges: true,
            confine: Confine::Off,
            reading: ReadOptions::default(),
            log: LogSpec { level: "info".into(), format: LogFormat::Auto },
            metrics: None,
        },
        tunnels,
    }
}

/// Its forwards are `[address:]port:host:port`, and local.
pub(super) fn tunnel(name: &str, forwards: &[&str]) -> TunnelSpec {
    let server = Destination { user: "me".to_owned(), host: "server".to_owned(), port: 22 };
    let mut spec = TunnelSpec::new(name.to_owned(), SessionSpec::to(server));
    spec.forwards = forwards.iter().map(|text| forward(text)).collect();
    spec
}

pub(super) fn forward(text: &str) -> Forward {
    Forward::parse(ForwardKind::Local, text).expect("a forward")
}

pub(super) fn configs() -> impl Strategy<Value = Desired> {
    let tunnels = proptest::collection::vec(tunnels(), 0..5);
    (tunnels, any::<bool>(), any::<bool>(), 1u64..3, any::<bool>()).prop_map(
        |(mut tunnels, pid_file, socket, stop, json)| {
            let mut names = std::collections::HashSet::new();
            tunnels.retain(|spec| names.insert(spec.name.clone()));
            let mut config = config(tunnels);
            config.global.pid_file = pid_file.then(|| "/run/tunneld.pid".into());
            config.global.control_socket = if socket { "/run/a.sock".into() } else { "/run/b.sock".into() };
            config.global.stop_timeout = secs(stop);
            config.global.log.format = if json { LogFormat::Json } else { LogFormat::Auto };
            config
        },
    )
}

fn tunnels() -> impl Strategy<Value = TunnelSpec> {
    let name = proptest::sample::select(vec!["a", "b", "c", "d", "e"]);
    let forwards = proptest::collection::vec(forwards(), 0..5);
    let server = proptest::sample::select(vec!["server", "elsewhere"]);
    let flags = any::<[bool; 4]>();
    (name, forwards, server, flags, 0u64..2, 0u32..2).prop_map(|(name, forwards, server, flags, number, count)| {
        let mut spec = tunnel(name, &[]);
        let [enabled, gateway_ports, fail, refuse] = flags;
        spec.enabled = enabled;
        spec.gateway_ports = gateway_ports;
        spec.stream_local_bind_mask = if fail { 0o117 } else { 0o177 };
        spec.stream_local_bind_unlink = gateway_ports;
        if refuse {
            spec.on_change = Some(ShellCommand::line("tell"));
            spec.permit_remote_open = PermitRemoteOpen::Only(Vec::new());
        }
        spec.exit_on_forward_failure = fail;
        spec.on_remote_port_busy = if fail { OnRemotePortBusy::Fail } else { OnRemotePortBusy::Retry };
        spec.outage.during_outage = if refuse { DuringOutage::Refuse } else { DuringOutage::Hold };
        spec.session.destination.host = server.to_owned();
        spec.session.timing.connect_timeout = secs(10 + number);
        spec.probe = if number == 0 { ProbeSpec::Auto } else { ProbeSpec::Off };
        spec.sessions = 1 + count;
        spec.session_lifetime = fail.then_some(secs(3600));
        if refuse {
            let mut fallback = spec.session.clone();
            fallback.destination.host = "fallback".to_owned();
            spec.fallbacks.push(fallback);
        }
        spec.first_poll = secs(600 + number);
        spec.policy.gate_time = secs(number);
        spec.max_connections = count;
        spec.forwards = unique(forwards);
        spec
    })
}

/// Listen addresses are unique, a port that the server chooses apart.
fn unique(mut forwards: Vec<Forward>) -> Vec<Forward> {
    let mut keys = std::collections::HashSet::new();
    forwards.retain(|forward| matches!(forward.listen, Listen::Tcp { port: 0, .. }) || keys.insert(forward.key()));
    forwards
}

fn forwards() -> impl Strategy<Value = Forward> {
    let kind = proptest::sample::select(vec![
        ForwardKind::Local,
        ForwardKind::Remote,
        ForwardKind::Dynamic,
        ForwardKind::TunnelDevice,
    ]);
    let bind = proptest::sample::select(vec![Bind::Default, Bind::Any, Bind::Address("::1".to_owned())]);
    let target = proptest::sample::select(vec!["x", "y"]);
    (kind, bind, 0u16..4, target, any::<bool>(), proptest::option::of(1u32..3)).prop_map(
        |(kind, bind, port, target, unix, max_connections)| {
            let port = if kind == ForwardKind::Remote { port } else { port.max(1) };
            let local = DeviceUnit::Number(port.into());
            let listen = if unix { Listen::Unix(format!("/run/{port}").into()) } else { Listen::Tcp { bind, port } };
            let connect = match kind {
                ForwardKind::Dynamic => Connect::Socks,
                ForwardKind::TunnelDevice => return Forward::device(DeviceMode::Ethernet, local, DeviceUnit::Any),
                ForwardKind::Local | ForwardKind::Remote => Connect::Tcp { host: target.to_owned(), port: 80 },
            };
            Forward { kind, listen, connect, max_connections }
        },
    )
}
