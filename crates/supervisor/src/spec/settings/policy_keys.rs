//! When a forward is proven, when to start again, and what happens meanwhile.

use std::time::Duration;

use super::Field::{Count, Time, TomlOnly};
use super::SettingKey;
use super::TomlField::{Backoff, Command, DuringOutage, Lifetime, OnRemotePortBusy, Probe, Size, Starts};
use super::limits::{
    LARGEST_WINDOW, MAX_CONNECTIONS, MAX_HELD, MAX_SESSIONS, SHORTEST_POLL, SHORTEST_SESSION, SMALLEST_WINDOW,
};

pub(super) const KEYS: &[SettingKey] = &[
    SettingKey::of_tunnel("gate_time", Time(Duration::ZERO, |t| &mut t.policy.gate_time))
        .default("0")
        .doc("If not 0: the first start must come up and stay up this long, else the tunnel is failed."),
    SettingKey::of_tunnel("max_start", TomlOnly(Starts(|t| &mut t.policy.max_start)))
        .default("-1")
        .doc("Starts before the tunnel is failed; -1: no limit."),
    SettingKey::of_tunnel("max_lifetime", TomlOnly(Lifetime(Duration::ZERO, |t| &mut t.policy.max_lifetime)))
        .default("0")
        .doc("The tunnel ends after this long; 0: never."),
    SettingKey::of_tunnel("session_lifetime", TomlOnly(Lifetime(SHORTEST_SESSION, |t| &mut t.session_lifetime)))
        .default("0")
        .doc("Replace the session after this long, or up to a tenth more"),
    // The tables of a tunnel and of the defaults lie over one another, key by key.
    SettingKey::of_tunnel("backoff", TomlOnly(Backoff(|t| &mut t.policy.backoff)))
        .default(
            "{ kind = \"exponential\", min = \"250ms\", max = \"60s\", factor = 2, jitter = 0.2, reset_after = \"30s\" }",
        )
        .doc("The delay before the next start grows from min to max by factor, less a random share of up to jitter"),
    SettingKey::of_tunnel("during_outage", TomlOnly(DuringOutage(|t| &mut t.outage.during_outage)))
        .default("\"hold\"")
        .doc("What local listeners do meanwhile: hold connections until the session is back, or refuse them."),
    SettingKey::of_tunnel("hold_timeout", Time(Duration::ZERO, |t| &mut t.outage.hold_timeout))
        .default("\"30s\"")
        .doc("How long a held connection waits"),
    SettingKey::of_tunnel("hold_max", Count(1, MAX_HELD, |t| &mut t.outage.hold_max))
        .default("128")
        .doc("how many may wait at each forward."),
    SettingKey::of_tunnel("probe", TomlOnly(Probe(|t| &mut t.probe))).default("\"auto\"").doc("Prove that a forward carries."),
    SettingKey::of_tunnel("poll", Time(SHORTEST_POLL, |t| &mut t.policy.poll))
        .default("\"10m\"")
        .doc("How often, unless users prove it meanwhile"),
    SettingKey::of_tunnel("first_poll", Time(SHORTEST_POLL, |t| &mut t.first_poll))
        .default("\"10m\"")
        .doc("how long after the first proof."),
    SettingKey::of_tunnel("on_remote_port_busy", TomlOnly(OnRemotePortBusy(|t| &mut t.on_remote_port_busy)))
        .default("\"retry\"")
        .doc("What to do while another process holds a remote listen port"),
    SettingKey::of_tunnel("sessions", Count(1, MAX_SESSIONS, |t| &mut t.sessions))
        .default("1")
        .doc("SSH connections to one server: new connections of local forwards are spread over them."),
    SettingKey::of_tunnel("max_connections", Count(1, MAX_CONNECTIONS, |t| &mut t.max_connections))
        .default("4096")
        .doc("Connections at once through each forward; over it, accept waits."),
    SettingKey::of_session("receive_window", TomlOnly(Size(SMALLEST_WINDOW, LARGEST_WINDOW, |t| &mut t.session.receive_window)))
    .default("\"16MiB\"")
    .doc("What one connection may have in flight towards us; the larger, the faster over long paths."),
    SettingKey::of_tunnel("on_change", TomlOnly(Command(|t| &mut t.on_change)))
        .default("[]")
        .doc("A command to run when the tunnel becomes ready, and when it is ready no more"),
];
