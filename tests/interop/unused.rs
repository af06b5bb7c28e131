//! sshd's timers for sessions and connections that nothing uses: what the scripts connection-timeout and
//! channel-timeout of OpenSSH's own tests check.

use std::io::Write as _;

use support::net::{Service, Target, connect, echoes, end_of, free_port};
use support::{Daemon, Sshd, tunnel_toml};

#[test]
fn session_that_sshd_ends_unused_is_told_as_that_and_comes_back() {
    let (sshd, echo) = (Sshd::with_config("UnusedConnectionTimeout 2"), Target::start(Service::Echo));
    let (idle, used) = (free_port(), free_port());
    let tunnel = |name: &str, port: u16| {
        tunnel_toml(name, &sshd, &format!("local_forward = [\"{port}:127.0.0.1:{}\"]", echo.port))
    };
    let daemon = Daemon::start(&format!("{}{}", tunnel("idle", idle), tunnel("used", used)));
    daemon.wait_ready("used");
    let mut connection = connect(used).expect("a connection");
    connection.write_all(b"x").expect("it carries");
    let tunnel = daemon.wait_for("idle", "back a second time", |t| t["ready"] == true && t["starts"] == 3);
    let failure = &tunnel["last_failure"];
    assert_eq!(failure["kind"], "closed_by_server");
    assert!(failure["hint"].as_str().is_some_and(|hint| hint.contains("UnusedConnectionTimeout")), "{failure}");
    assert!(echoes(idle));
    assert_eq!(daemon.tunnel("used").expect("a tunnel")["starts"], 1, "a connection is a use");
}

#[test]
fn connection_that_sshd_ends_idle_leaves_the_session() {
    let (sshd, echo) = (Sshd::with_config("ChannelTimeout direct-tcpip=1"), Target::start(Service::Echo));
    let port = free_port();
    let forward = format!("local_forward = [\"{port}:127.0.0.1:{}\"]", echo.port);
    let daemon = Daemon::start(&tunnel_toml("t", &sshd, &forward));
    daemon.wait_ready("t");
    let mut connection = connect(port).expect("a connection");
    end_of(&mut connection).expect("an end, not a reset");
    assert!(echoes(port));
    assert_eq!(daemon.wait_ready("t")["starts"], 1);
}
