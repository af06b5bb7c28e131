//! `check`: every error of the config, or what would run.

use std::borrow::Cow;
use std::fmt::Write;
use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use tunnel_engine::spec::{Connect, DeviceMode, DeviceUnit, Forward, ForwardKind, Listen, Route};

use super::args::GlobalArgs;
use super::problem::{Problem, pretty, print, print_answer, printable};
use super::run::overrides;
use crate::config::{self, Desired, OnRemotePortBusy, ProbeSpec, TunnelSpec};
use crate::exit;
use crate::http;
use crate::spec::on_route;

pub(super) fn run(global: &GlobalArgs, json: bool) -> Result<u8, Problem> {
    let result = config::load(&global.existing_config()?, &overrides(global));
    let desired = match (result, json) {
        (Ok(desired), _) => desired,
        (Err(errors), true) => return print_answer(&pretty(&errors.to_json())?, exit::CONFIG),
        (Err(errors), false) => return Err(Problem::Config(errors)),
    };
    let missing = missing(&desired);
    let text = if json { pretty(&to_json(&desired, &missing))? } else { printable(&to_text(&desired, &missing)) };
    print(&text).map(|()| exit::OK)
}

/// The identities that are named and not there. What is told is made of this and the config alone.
type Missing<'a> = [&'a Path];

fn missing(desired: &Desired) -> Vec<&Path> {
    let is_missing = |path: &&Path| std::fs::metadata(path).is_err_and(|error| error.kind() == ErrorKind::NotFound);
    desired.tunnels.iter().flat_map(identities).filter(is_missing).collect()
}

/// Those of all servers and jump hosts of a tunnel that its config names.
fn identities(tunnel: &TunnelSpec) -> impl Iterator<Item = &Path> {
    let all = tunnel.servers().flat_map(on_route).flat_map(|session| &session.auth.identities);
    all.filter(|identity| identity.explicit).map(|identity| identity.path.as_path())
}

fn to_text(desired: &Desired, missing: &Missing<'_>) -> String {
    let global = &desired.global;
    let mut text = format!("{}: fine, control socket {}\n", global.config.display(), global.control_socket.display());
    if let Some(listen) = &global.metrics {
        let _ = writeln!(text, "metrics on {}", http::shown(listen));
        if http::is_open(listen) {
            let _ = writeln!(text, "  note: {METRICS_OPEN}");
        }
    }
    for tunnel in &desired.tunnels {
        let state = if tunnel.enabled { "" } else { "  (not enabled)" };
        let _ =
            writeln!(text, "\n{}  {}{}{state}", tunnel.name, tunnel.session.destination, way(&tunnel.session.dial.via));
        for other in tunnel.servers().skip(1) {
            let _ = writeln!(text, "  else {}{}", other.destination, way(&other.dial.via));
        }
        for forward in &tunnel.forwards {
            let _ = writeln!(text, "  {} {forward}", forward.kind.option());
            if let Some(note) = note(tunnel, forward) {
                let _ = writeln!(text, "     note: {note}");
            }
            if let Some(interval) = probe_interval(tunnel, forward) {
                let (target, interval) = (&forward.connect, humantime::format_duration(interval));
                let _ = writeln!(
                    text,
                    "     note: `probe` connects to {target} every {interval} and says nothing: databases count that as an error"
                );
            }
        }
        for note in notes(tunnel, missing) {
            let _ = writeln!(text, "  note: {note}");
        }
    }
    text
}

const METRICS_OPEN: &str = "everyone who reaches this address over the network can read the metrics, the status and the page: there is no login";

/// What a device forward needs on this machine.
fn device_note(mode: DeviceMode, unit: DeviceUnit) -> String {
    let kind = mode.device_prefix();
    let (number, named) = match unit {
        DeviceUnit::Number(number) => (number, ""),
        DeviceUnit::Any => (0, " and its number in tunnel_device"),
    };
    format!(
        "it needs CAP_NET_ADMIN, or a device made beforehand with `ip tuntap add dev {kind}{number} mode {kind} user NAME`{named}; \
         addresses are for `ip` or systemd-networkd to set, on both sides; the server's sshd_config needs PermitTunnel"
    )
}

/// What is fine here, and known to fail with a server as it is installed.
fn note(tunnel: &TunnelSpec, forward: &Forward) -> Option<Cow<'static, str>> {
    if let Listen::Device { mode, unit } = forward.listen {
        return Some(device_note(mode, unit).into());
    }
    let remote_path = forward.kind == ForwardKind::Remote && matches!(forward.listen, Listen::Unix(_));
    (remote_path && tunnel.on_remote_port_busy != OnRemotePortBusy::Takeover).then_some(
        "sshd leaves the socket file behind at the end of each session and does not listen there again: set \
         on_remote_port_busy = \"takeover\" here, or `StreamLocalBindUnlink yes` in the server's sshd_config; \
         AllowStreamLocalForwarding there must permit it"
            .into(),
    )
}

/// How often the target is connected to without a user; `None`: never.
fn probe_interval(tunnel: &TunnelSpec, forward: &Forward) -> Option<Duration> {
    match tunnel.probe {
        ProbeSpec::Auto | ProbeSpec::Off => None,
        ProbeSpec::Tcp | ProbeSpec::Expect(_) => {
            matches!(forward.connect, Connect::Tcp { .. } | Connect::Unix(_)).then_some(tunnel.policy.poll)
        }
    }
}

fn way(via: &Route) -> String {
    match via {
        Route::Direct => String::new(),
        Route::Jump(jump) => format!("  by jump host {}{}", jump.destination, way(&jump.dial.via)),
        Route::Command(command) => format!("  by `{command}`"),
    }
}

fn to_json(desired: &Desired, missing: &Missing<'_>) -> Value {
    let global = &desired.global;
    json!({
        "errors": [],
        "config": global.config.display().to_string(),
        "control_socket": global.control_socket.display().to_string(),
        "metrics": global.metrics.as_ref().map(http::shown),
        "pid_file": global.pid_file.as_ref().map(|path| path.display().to_string()),
        "tunnels": desired.tunnels.iter().map(|tunnel| tunnel_json(tunnel, missing)).collect::<Vec<_>>(),
    })
}

fn tunnel_json(tunnel: &TunnelSpec, missing: &Missing<'_>) -> Value {
    let identities = tunnel.session.auth.identities.iter().map(|identity| identity.path.display().to_string());
    json!({
        "name": tunnel.name,
        "enabled": tunnel.enabled,
        "server": tunnel.session.destination.to_string(),
        "servers": tunnel.servers().map(|server| server.destination.to_string()).collect::<Vec<_>>(),
        "proxy": proxy(&tunnel.session.dial.via),
        "identity_files": identities.collect::<Vec<_>>(),
        "forwards": tunnel.forwards.iter().map(|forward| forward_json(tunnel, forward)).collect::<Vec<_>>(),
        "notes": notes(tunnel, missing),
    })
}

/// Those of the tunnel, and the identities that are not there: a login goes on without them.
fn notes(tunnel: &TunnelSpec, missing: &Missing<'_>) -> Vec<String> {
    let mut notes = tunnel.notes();
    for identity in identities(tunnel).filter(|identity| missing.contains(identity)) {
        let note = format!("the identity_file `{}` is not there: logins go on without it", identity.display());
        if !notes.contains(&note) {
            notes.push(note);
        }
    }
    notes
}

fn proxy(via: &Route) -> Value {
    match via {
        Route::Direct => Value::Null,
        Route::Jump(jump) => json!({ "jump": jump.destination.to_string(), "proxy": proxy(&jump.dial.via) }),
        Route::Command(command) => json!({ "command": command }),
    }
}

fn forward_json(tunnel: &TunnelSpec, forward: &Forward) -> Value {
    let connect = match &forward.connect {
        Connect::Socks => None,
        connect @ (Connect::Tcp { .. } | Connect::Unix(_) | Connect::Device(_)) => Some(connect.to_string()),
    };
    json!({
        "kind": forward.kind.as_str(),
        "listen": forward.listen.to_string(),
        "connect": connect,
        "note": note(tunnel, forward),
        "probe_interval_s": probe_interval(tunnel, forward).map(|interval| interval.as_secs_f64()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Overrides, load_text};

    fn text_of(desired: &Desired) -> String {
        to_text(desired, &[])
    }

    fn json_of(desired: &Desired) -> Value {
        to_json(desired, &[])
    }

    fn example() -> Desired {
        let text = r#"
            control_socket = "/run/x.sock"
            [[tunnel]]
            name = "web-db"
            host = "relay.example"
            port = 2222
            user = "evgeniy"
            proxy_jump = "b@bastion:22"
            local_forward = ["3307:127.0.0.1:3306"]
            dynamic_forward = ["1080"]
            [[tunnel]]
            name = "off"
            host = "h"
            user = "u"
            enabled = false
            remote_forward = ["2222:localhost:22"]
        "#;
        load_text(Path::new("/etc/t.toml"), text, &Overrides::default()).unwrap()
    }

    #[test]
    fn a_config_without_errors_is_told_as_it_would_run() {
        let expected = "\
/etc/t.toml: fine, control socket /run/x.sock

web-db  evgeniy@relay.example:2222  by jump host b@bastion:22
  -L 3307:127.0.0.1:3306
  -D 1080

off  u@h:22  (not enabled)
  -R 2222:localhost:22
";
        assert_eq!(text_of(&example()), expected);
    }

    #[test]
    fn each_of_several_hosts_is_told() {
        let text = "control_socket = '/run/x.sock'\n[[tunnel]]\nname = 'a'\nhosts = ['first', 'second:2200']\nuser = 'u'\n\
                    dynamic_forward = '1080'\n";
        let desired = load_text(Path::new("/etc/t.toml"), text, &Overrides::default()).unwrap();
        let told = text_of(&desired);
        assert!(told.contains("\na  u@first:22\n  else u@second:2200\n  -D 1080\n"), "{told}");
        let tunnel = &json_of(&desired)["tunnels"][0];
        assert_eq!(
            (&tunnel["server"], &tunnel["servers"]),
            (&json!("u@first:22"), &json!(["u@first:22", "u@second:2200"]))
        );
    }

    #[test]
    fn metrics_open_to_the_network_are_noted() {
        let metrics = |listen: &str| {
            let text = format!(
                "[metrics]\nlisten = '{listen}'\n[[tunnel]]\nname = 't'\nhost = 'h'\nuser = 'u'\ndynamic_forward = '1'\n"
            );
            text_of(&load_text(Path::new("/etc/t.toml"), &text, &Overrides::default()).unwrap())
        };
        let open = metrics("*:9469");
        assert!(open.contains("metrics on *:9469\n  note: everyone who reaches this address"), "{open}");
        let closed = metrics("127.0.0.1:9469");
        assert!(closed.contains("metrics on 127.0.0.1:9469\n") && !closed.contains("note:"), "{closed}");
        assert!(metrics("unix:/run/m.sock").contains("metrics on unix:/run/m.sock\n"));
    }

    #[test]
    fn remote_unix_socket_without_file_handling_is_noted() {
        let noted = |more: &str| {
            let text = format!(
                "[[tunnel]]\nname = \"t\"\nhost = \"h\"\nuser = \"u\"\nremote_forward = [\"/run/r.sock:127.0.0.1:1\"]\n{more}"
            );
            text_of(&load_text(Path::new("/etc/t.toml"), &text, &Overrides::default()).unwrap())
        };
        assert!(
            noted("").contains("  -R /run/r.sock:127.0.0.1:1\n     note: sshd leaves the socket file"),
            "{}",
            noted("")
        );
        assert!(!noted("on_remote_port_busy = \"takeover\"").contains("note:"));
    }

    #[test]
    fn probing_connections_to_targets_are_noted() {
        let mut desired = example();
        desired.tunnels[0].probe = ProbeSpec::Tcp;
        let text = text_of(&desired);
        let note = "  -L 3307:127.0.0.1:3306\n     note: `probe` connects to 127.0.0.1:3306 every 10m and says nothing";
        assert!(text.contains(note), "{text}");
        assert_eq!(text.matches("note:").count(), 1, "the proxy has no target, and the other tunnel asks for nothing");
        let forwards = &json_of(&desired)["tunnels"][0]["forwards"];
        assert_eq!((&forwards[0]["probe_interval_s"], &forwards[1]["probe_interval_s"]), (&json!(600.0), &Value::Null));
    }

    #[test]
    fn algorithms_that_are_passed_over_get_a_note() {
        let text = "control_socket = '/run/x.sock'\n[[tunnel]]\nname = 'a'\nhost = 'h'\nuser = 'u'\n\
                    macs = 'hmac-md5,hmac-sha2-256'\ndynamic_forward = '1080'\n";
        let desired = load_text(Path::new("/etc/t.toml"), text, &Overrides::default()).expect("a config");
        let note = "`macs` goes on without `hmac-md5`: MD5 is broken";
        assert!(text_of(&desired).contains(&format!("  note: {note}")), "{}", text_of(&desired));
        let notes = &json_of(&desired)["tunnels"][0]["notes"];
        assert!(notes[0].as_str().is_some_and(|line| line.starts_with(note)), "{notes}");
    }

    #[test]
    fn settings_without_effect_are_noted() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("ssh");
        let hosts =
            "Host h\n ProxyJump j\n RemoteCommand top\n DynamicForward 1080\nHost j\n MACs hmac-md5,hmac-sha2-256\n";
        std::fs::write(&path, hosts).expect("a file");
        let text = format!("[[tunnel]]\nname = 'a'\nhost = 'h'\nuser = 'u'\nssh_config = '{}'\n", path.display());
        let desired = load_text(Path::new("/etc/t.toml"), &text, &Overrides::default()).expect("a config");
        let notes: Vec<String> =
            serde_json::from_value(json_of(&desired)["tunnels"][0]["notes"].clone()).expect("notes");
        let place = format!("{}:3:16: RemoteCommand `top` is not run", path.display());
        assert!(notes.len() == 2 && notes[0].starts_with(&place), "{notes:?}");
        assert!(notes[1].starts_with("jump host ") && notes[1].contains("goes on without `hmac-md5`"), "{notes:?}");
        let text = text_of(&desired);
        assert!(notes.iter().all(|note| text.contains(&format!("  note: {note}\n"))), "{text}");
    }

    #[test]
    fn identity_that_is_not_there_gets_a_note() {
        let text = "[[tunnel]]\nname = 'a'\nhost = 'h'\nuser = 'u'\nproxy_jump = 'j'\n\
                    identity_file = ['/k/gone', '/k/there']\ndynamic_forward = '1080'\n";
        let desired = load_text(Path::new("/etc/t.toml"), text, &Overrides::default()).expect("a config");
        assert!(!text_of(&desired).contains("note:"), "{}", text_of(&desired));
        let missing = [Path::new("/k/gone"), Path::new("/k/of-another")];
        let note = "the identity_file `/k/gone` is not there: logins go on without it";
        let told = to_text(&desired, &missing);
        assert_eq!(told.matches("note:").count(), 1, "{told}");
        assert!(told.contains(&format!("  note: {note}\n")), "{told}");
        assert_eq!(to_json(&desired, &missing)["tunnels"][0]["notes"], json!([note]));
    }

    #[test]
    fn only_named_identities_are_looked_for() {
        let text = "[[tunnel]]\nname = 'a'\nhost = 'h'\nuser = 'u'\n\
                    identity_file = ['/nonexistent/key', '/dev/null']\ndynamic_forward = '1080'\n\
                    [[tunnel]]\nname = 'b'\nhost = 'h'\nuser = 'u'\ndynamic_forward = '1081'\n";
        let desired = load_text(Path::new("/etc/t.toml"), text, &Overrides::default()).expect("a config");
        assert_eq!(missing(&desired), [Path::new("/nonexistent/key")]);
    }

    #[test]
    fn the_json_names_every_tunnel_and_forward() {
        let value = json_of(&example());
        assert_eq!(value["errors"], json!([]));
        let dynamic =
            json!({"kind": "dynamic", "listen": "1080", "connect": null, "note": null, "probe_interval_s": null});
        assert_eq!(value["tunnels"][0]["forwards"][1], dynamic);
        assert_eq!(value["tunnels"][0]["proxy"]["jump"], "b@bastion:22");
        assert_eq!(value["tunnels"][1]["enabled"], false);
    }

    #[test]
    fn device_to_make_beforehand_is_this_machines() {
        let note = device_note(DeviceMode::Ethernet, DeviceUnit::Number(3));
        assert!(note.contains("`ip tuntap add dev tap3 mode tap user NAME`;"), "{note}");
        assert!(
            device_note(DeviceMode::PointToPoint, DeviceUnit::Any).contains("dev tun0 mode tun user NAME` and its")
        );
    }
}
