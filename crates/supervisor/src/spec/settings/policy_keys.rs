//! When a forward is proven, when to start again, and what happens meanwhile.

use std::time::Duration;

use super::Field::{Count, Time, TomlOnly};
use super::Jump::{Inherited, Never};
use super::ReloadEffect::{NewSession, Retune};
use super::SettingKey;
use super::TomlField::{Backoff, Command, DuringOutage, Lifetime, OnRemotePortBusy, Probe, Size, Starts};
use super::limits::{
    LARGEST_WINDOW, MAX_CONNECTIONS, MAX_HELD, MAX_SESSIONS, SHORTEST_POLL, SHORTEST_SESSION, SMALLEST_WINDOW,
};

pub(super) const KEYS: &[SettingKey] = &[
    SettingKey::new("gate_time", Time(Duration::ZERO, |t| &mut t.policy.gate_time), Never, Retune)
        .default("0")
        .doc("If not 0: the first start must come up and stay up this long, else the tunnel is failed."),
    SettingKey::new("max_start", TomlOnly(Starts(|t| &mut t.policy.max_start)), Never, Retune)
        .default("-1")
        .doc("Starts before the tunnel is failed; -1: no limit."),
    SettingKey::new("max_lifetime", TomlOnly(Lifetime(Duration::ZERO, |t| &mut t.policy.max_lifetime)), Never, Retune)
        .default("0")
        .doc("The tunnel ends after this long; 0: never."),
    SettingKey::new("session_lifetime", TomlOnly(Lifetime(SHORTEST_SESSION, |t| &mut t.session_lifetime)), Never, Retune)
        .default("0")
        .doc("Replace the session after this long, or up to a tenth less"),
    // The tables of a tunnel and of the defaults lie over one another, key by key.
    SettingKey::new("backoff", TomlOnly(Backoff(|t| &mut t.policy.backoff)), Never, Retune)
        .default(
            "{ kind = \"exponential\", min = \"250ms\", max = \"60s\", factor = 2, jitter = 0.2, reset_after = \"30s\" }",
        )
        .doc("The delay before the next start grows from min to max by factor, less a random share of up to jitter"),
    SettingKey::new("during_outage", TomlOnly(DuringOutage(|t| &mut t.outage.during_outage)), Never, Retune)
        .default("\"hold\"")
        .doc("What local listeners do meanwhile: hold connections until the session is back, or refuse them."),
    SettingKey::new("hold_timeout", Time(Duration::ZERO, |t| &mut t.outage.hold_timeout), Never, Retune)
        .default("\"30s\"")
        .doc("How long a held connection waits"),
    SettingKey::new("hold_max", Count(1, MAX_HELD, |t| &mut t.outage.hold_max), Never, Retune)
        .default("128")
        .doc("how many may wait at each forward."),
    SettingKey::new("probe", TomlOnly(Probe(|t| &mut t.probe)), Never, Retune).default("\"auto\"").doc("Prove that a forward carries."),
    SettingKey::new("poll", Time(SHORTEST_POLL, |t| &mut t.policy.poll), Never, Retune)
        .default("\"10m\"")
        .doc("How often, unless users prove it meanwhile"),
    SettingKey::new("first_poll", Time(SHORTEST_POLL, |t| &mut t.first_poll), Never, Retune)
        .default("\"10m\"")
        .doc("how long after the first proof."),
    SettingKey::new("on_remote_port_busy", TomlOnly(OnRemotePortBusy(|t| &mut t.on_remote_port_busy)), Never, Retune)
        .default("\"retry\"")
        .doc("What to do while another process holds a remote listen port"),
    SettingKey::new("sessions", Count(1, MAX_SESSIONS, |t| &mut t.sessions), Never, Retune)
        .default("1")
        .doc("SSH connections to one server: new connections of local forwards are spread over them."),
    SettingKey::new("max_connections", Count(1, MAX_CONNECTIONS, |t| &mut t.max_connections), Never, Retune)
        .default("4096")
        .doc("Connections at once through each forward; over it, accept waits."),
    SettingKey::new(
        "receive_window",
        TomlOnly(Size(SMALLEST_WINDOW, LARGEST_WINDOW, |t| &mut t.session.receive_window)),
        Inherited,
        NewSession,
    )
    .default("\"16MiB\"")
    .doc("What one connection may have in flight towards us; the larger, the faster over long paths."),
    SettingKey::new("on_change", TomlOnly(Command(|t| &mut t.on_change)), Never, Retune)
        .default("[]")
        .doc("A command to run when the tunnel becomes ready, and when it is ready no more"),
];
