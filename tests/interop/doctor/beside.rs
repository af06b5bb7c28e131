//! A daemon that runs beside the doctor, and its tunnels, which notice nothing.

use std::io::{Read, Write};

use serde_json::Value;
use support::daemon::said;
use support::net::{Service, Target, connect, free_port};
use support::{Daemon, Sshd};

use super::{Diagnosis, own_tunnel};

#[test]
fn live_tunnels_and_their_connections_are_left_alone() {
    let (sshd, echo) = (Sshd::start(), Target::start(Service::Echo));
    let (local, remote, socks) = (free_port(), free_port(), free_port());
    let socket = sshd.dir().join("remote.sock");
    let lines = format!(
        "local_forward = [\"{local}:127.0.0.1:{0}\"]\ndynamic_forward = [\"{socks}\"]\n\
         remote_forward = [\"{remote}:127.0.0.1:{0}\", \"{1}:127.0.0.1:{0}\"]\non_remote_port_busy = \"takeover\"",
        echo.port,
        socket.display()
    );
    let daemon = Daemon::start(&own_tunnel(&sshd, &lines));
    let before = daemon.wait_ready("t");
    let mut streams = [local, remote].map(|port| connect(port).expect("a connection"));
    let mut is_alive = |what: &str| {
        for stream in &mut streams {
            let mut answer = [0; 4];
            stream.write_all(b"ping").and_then(|()| stream.read_exact(&mut answer)).expect(what);
            assert_eq!(&answer, b"ping", "{what}");
        }
    };
    is_alive("before");

    let config = daemon.config().display().to_string();
    let diagnosis = Diagnosis::of(daemon.cli(&["doctor", "--json", "--config", &config]));
    diagnosis.is_fine();
    diagnosis.says("PASS", "account", &["runs as the same user"]);
    diagnosis.says("PASS", "listen", &["-R", &remote.to_string(), "held by this tunnel's own session"]);
    diagnosis.says(
        "PASS",
        "listen",
        &["-L", &local.to_string(), "held by this tunnel itself", &daemon.pid().to_string()],
    );
    diagnosis.says("PASS", "auth", &["logged in"]);

    is_alive("after");
    let after = daemon.tunnel("t").expect("a status");
    let same = |field: fn(&Value) -> &Value| assert_eq!(field(&before), field(&after));
    same(|tunnel| &tunnel["session"]["connected_at"]);
    same(|tunnel| &tunnel["starts"]);
    same(|tunnel| &tunnel["since"]);
    assert_eq!(after["ready"], true);
    assert!(socket.exists());
    assert!(!daemon.log().contains("takeover"), "{}", daemon.log());
}

#[test]
fn listener_that_gateway_ports_narrows_is_found_beside_the_daemon_that_has_it() {
    let (sshd, echo) = (Sshd::with_config("GatewayPorts no"), Target::start(Service::Echo));
    let lines = format!("remote_forward = [\"*:{}:127.0.0.1:{}\"]", free_port(), echo.port);
    let daemon = Daemon::start(&own_tunnel(&sshd, &lines));
    daemon.wait_ready("t");
    let config = daemon.config().display().to_string();
    let diagnosis = Diagnosis::of(daemon.cli(&["doctor", "--json", "--config", &config]));
    diagnosis.fails_only("listen", &["on its loopback only", "GatewayPorts clientspecified"]);
    assert_eq!(echo.accepted(), 1, "by the check of the target alone");
}

#[test]
fn names_formats_and_exit_codes_are_those_of_the_other_verbs() {
    let sshd = Sshd::start();
    let daemon = Daemon::start(&own_tunnel(&sshd, &super::any_forward(&sshd)));
    let config = daemon.config().display().to_string();
    let doctor = |more: &[&str]| daemon.cli(&[&["doctor", "--config", &config], more].concat());
    let text = doctor(&["t"]);
    let shown = said(&text);
    assert_eq!(text.status.code(), Some(0), "{shown}");
    assert!(shown.starts_with("t  ") && shown.contains("\n  PASS  auth  "), "{shown}");
    assert!(shown.trim_end().lines().last().is_some_and(|line| line.contains(" 0 failed,")), "{shown}");
    let unknown = doctor(&["tt"]);
    assert_eq!(unknown.status.code(), Some(1));
    assert!(said(&unknown).contains("did you mean `t`?"), "{}", said(&unknown));
    daemon.write_config("nonsense = 1\n");
    assert_eq!(doctor(&[]).status.code(), Some(78));
}
