//! `check`: every error of the config, or what would run.

use std::fmt::Write;

use serde_json::{Value, json};
use tunnel_engine::spec::{Connect, Forward, ForwardKind, Listen, Via};

use super::args::Global;
use super::problem::{Problem, print};
use super::run::overrides;
use crate::config::{self, Desired, OnRemotePortBusy, TunnelSpec};
use crate::exit;

pub(super) fn run(global: &Global, json: bool) -> Result<u8, Problem> {
    let result = config::load(&global.config_file(), &overrides(global));
    match (result, json) {
        (Ok(desired), true) => print(&pretty(&to_json(&desired))?).map(|()| exit::OK),
        (Ok(desired), false) => print(&to_text(&desired)).map(|()| exit::OK),
        (Err(errors), true) => print(&pretty(&errors.to_json())?).map(|()| exit::CONFIG),
        (Err(errors), false) => Err(Problem::Config(errors)),
    }
}

fn pretty(value: &Value) -> Result<String, Problem> {
    serde_json::to_string_pretty(value).map(|text| text + "\n").map_err(|error| Problem::Output(error.into()))
}

fn to_text(desired: &Desired) -> String {
    let global = &desired.global;
    let mut text = format!("{}: fine, control socket {}\n", global.config.display(), global.control_socket.display());
    for tunnel in &desired.tunnels {
        let state = if tunnel.enabled { "" } else { "  (not enabled)" };
        let _ =
            writeln!(text, "\n{}  {}{}{state}", tunnel.name, tunnel.session.destination, way(&tunnel.session.dial.via));
        for forward in &tunnel.forwards {
            let _ = writeln!(text, "  {} {forward}", option(forward.kind));
            if let Some(note) = note(tunnel, forward) {
                let _ = writeln!(text, "     note: {note}");
            }
        }
    }
    text
}

/// What is fine here, and known to fail with a server as it is installed.
fn note(tunnel: &TunnelSpec, forward: &Forward) -> Option<&'static str> {
    let remote_path = forward.kind == ForwardKind::Remote && matches!(forward.listen, Listen::Unix(_));
    (remote_path && tunnel.on_remote_port_busy != OnRemotePortBusy::Takeover).then_some(
        "sshd leaves the socket file behind at the end of each session and does not listen there again: set \
         on_remote_port_busy = \"takeover\" here, or `StreamLocalBindUnlink yes` in the server's sshd_config; \
         AllowStreamLocalForwarding there must permit it",
    )
}

fn way(via: &Via) -> String {
    match via {
        Via::Direct => String::new(),
        Via::Jump(jump) => format!("  by jump host {}{}", jump.destination, way(&jump.dial.via)),
        Via::Command(command) => format!("  by `{command}`"),
    }
}

const fn option(kind: ForwardKind) -> &'static str {
    match kind {
        ForwardKind::Local => "-L",
        ForwardKind::Remote => "-R",
        ForwardKind::Dynamic => "-D",
    }
}

fn to_json(desired: &Desired) -> Value {
    let global = &desired.global;
    json!({
        "errors": [],
        "config": global.config.display().to_string(),
        "control_socket": global.control_socket.display().to_string(),
        "pid_file": global.pid_file.as_ref().map(|path| path.display().to_string()),
        "tunnels": desired.tunnels.iter().map(tunnel_json).collect::<Vec<_>>(),
    })
}

fn tunnel_json(tunnel: &TunnelSpec) -> Value {
    let identities = tunnel.session.auth.identities.iter().map(|identity| identity.path.display().to_string());
    json!({
        "name": tunnel.name,
        "enabled": tunnel.enabled,
        "server": tunnel.session.destination.to_string(),
        "proxy": proxy(&tunnel.session.dial.via),
        "identity_files": identities.collect::<Vec<_>>(),
        "forwards": tunnel.forwards.iter().map(|forward| forward_json(tunnel, forward)).collect::<Vec<_>>(),
    })
}

fn proxy(via: &Via) -> Value {
    match via {
        Via::Direct => Value::Null,
        Via::Jump(jump) => json!({ "jump": jump.destination.to_string(), "proxy": proxy(&jump.dial.via) }),
        Via::Command(command) => json!({ "command": command }),
    }
}

fn forward_json(tunnel: &TunnelSpec, forward: &Forward) -> Value {
    let connect = match &forward.connect {
        Connect::Socks => None,
        connect @ (Connect::Tcp { .. } | Connect::Unix(_)) => Some(connect.to_string()),
    };
    let note = note(tunnel, forward);
    json!({ "kind": forward.kind.as_str(), "listen": forward.listen.to_string(), "connect": connect, "note": note })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::{Overrides, load_text};

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
        assert_eq!(to_text(&example()), expected);
    }

    #[test]
    fn a_remote_unix_socket_is_noted_unless_its_file_is_taken_care_of() {
        let noted = |more: &str| {
            let text = format!(
                "[[tunnel]]\nname = \"t\"\nhost = \"h\"\nuser = \"u\"\nremote_forward = [\"/run/r.sock:127.0.0.1:1\"]\n{more}"
            );
            to_text(&load_text(Path::new("/etc/t.toml"), &text, &Overrides::default()).unwrap())
        };
        assert!(
            noted("").contains("  -R /run/r.sock:127.0.0.1:1\n     note: sshd leaves the socket file"),
            "{}",
            noted("")
        );
        assert!(!noted("on_remote_port_busy = \"takeover\"").contains("note:"));
    }

    #[test]
    fn the_json_names_every_tunnel_and_forward() {
        let value = to_json(&example());
        assert_eq!(value["errors"], json!([]));
        assert_eq!(
            value["tunnels"][0]["forwards"][1],
            json!({"kind": "dynamic", "listen": "1080", "connect": null, "note": null})
        );
        assert_eq!(value["tunnels"][0]["proxy"]["jump"], "b@bastion:22");
        assert_eq!(value["tunnels"][1]["enabled"], false);
    }
}
