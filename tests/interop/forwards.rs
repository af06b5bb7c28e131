//! Every kind of forward over a stock sshd.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use nix::sys::signal::Signal;
use support::net::{Service, Target, ask, connect, echoes, end_of, free_port};
use support::socks::{Version, request};
use support::traffic::count_after_half_close;
use support::{Daemon, Sshd, eventually, tunnel_toml};

#[test]
fn local_forwards_listen_on_both_loopback_families_and_reach_the_target() {
    let (sshd, echo, port) = (Sshd::start(), Target::start(Service::Echo), free_port());
    let daemon =
        Daemon::start(&tunnel_toml("t", &sshd, &format!("local_forward = [\"{port}:127.0.0.1:{}\"]", echo.port)));
    daemon.wait_ready("t");
    assert_eq!(ask(port, b"over four").expect("IPv4 loopback"), b"over four");
    let mut six = std::net::TcpStream::connect(("::1", port)).expect("IPv6 loopback");
    six.write_all(b"over six").expect("bytes go in");
    let mut answer = [0; 8];
    six.read_exact(&mut answer).expect("bytes come back");
    assert_eq!(&answer, b"over six");
}

#[test]
fn remote_forwards_listen_on_the_server_and_reach_a_target_here() {
    let (sshd, echo, port) = (Sshd::start(), Target::start(Service::Echo), free_port());
    let daemon =
        Daemon::start(&tunnel_toml("t", &sshd, &format!("remote_forward = [\"{port}:127.0.0.1:{}\"]", echo.port)));
    daemon.wait_ready("t");
    assert!(echoes(port));
}

#[test]
fn the_server_chooses_a_port_for_a_remote_forward_of_port_0_and_status_says_which() {
    let (sshd, echo) = (Sshd::start(), Target::start(Service::Echo));
    let daemon = Daemon::start(&tunnel_toml("t", &sshd, &format!("remote_forward = [\"0:127.0.0.1:{}\"]", echo.port)));
    let port = remote_port(&daemon.wait_ready("t"));
    assert_ne!(port, 0);
    assert!(echoes(port));
}

/// What the server chose, of the first forward.
fn remote_port(tunnel: &serde_json::Value) -> u16 {
    let listen = tunnel["forwards"][0]["listen"].as_str().expect("a listen address");
    listen.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port in the listen address")
}

/// sshd says yes to a port of which it gets only the IPv6 address.
#[test]
fn chosen_port_that_another_program_takes_is_changed_for_another() {
    let (mut sshd, echo) = (Sshd::start(), Target::start(Service::Echo));
    let daemon = Daemon::start(&tunnel_toml("t", &sshd, &format!("remote_forward = [\"0:127.0.0.1:{}\"]", echo.port)));
    let port = remote_port(&daemon.wait_ready("t"));
    sshd.crash();
    let holder = eventually("the port is free", || std::net::TcpListener::bind(("127.0.0.1", port)).ok());
    sshd.launch();
    let tunnel = daemon.wait_for("t", "ready again", |t| t["ready"] == true && t["starts"].as_u64() > Some(1));
    let another = remote_port(&tunnel);
    assert_ne!(another, port, "held: {tunnel}");
    assert!(echoes(another));
    drop(holder);
}

#[test]
fn a_proxy_listens_here_for_dynamic_and_on_the_server_for_a_bare_remote_port() {
    let (sshd, echo) = (Sshd::start(), Target::start(Service::Echo));
    let (here, there, dead) = (free_port(), free_port(), free_port());
    let lines = format!("dynamic_forward = [\"{here}\"]\nremote_forward = [\"{there}\"]");
    let daemon = Daemon::start(&tunnel_toml("t", &sshd, &lines));
    daemon.wait_ready("t");
    for proxy in [here, there] {
        for (version, yes) in [(Version::V4, 90), (Version::V4a, 90), (Version::V5, 0)] {
            let (mut stream, code) = request(proxy, version, echo.port).expect("the proxy answers");
            assert_eq!(code, yes, "{version:?}");
            stream.write_all(b"hello").expect("bytes go in");
            let mut answer = [0; 5];
            stream.read_exact(&mut answer).expect("bytes come back");
            assert_eq!(&answer, b"hello");
        }
        let (_, code) = request(proxy, Version::V5, dead).expect("the proxy answers");
        assert_eq!(code, 5, "SOCKS5 says: connection refused");
    }
    let mut nonsense = connect(here).expect("the proxy accepts");
    nonsense.write_all(b"GET / HTTP/1.1\r\n\r\n").expect("it reads");
    let mut answer = Vec::new();
    let _ = nonsense.read_to_end(&mut answer);
    assert!(answer.is_empty(), "nonsense is answered with nothing");
    assert!(request(here, Version::V5, echo.port).is_ok(), "and other peers are served");
}

#[test]
fn users_of_the_server_reach_only_what_permit_remote_open_lists() {
    let (sshd, listed, other) = (Sshd::start(), Target::start(Service::Echo), Target::start(Service::Echo));
    let there = free_port();
    let lines = format!("remote_forward = [\"{there}\"]\npermit_remote_open = [\"127.0.0.1:{}\"]", listed.port);
    let daemon = Daemon::start(&tunnel_toml("t", &sshd, &lines));
    daemon.wait_ready("t");
    let code = |port| request(there, Version::V5, port).expect("the proxy answers").1;
    assert_eq!((code(listed.port), code(other.port)), (0, 2), "SOCKS5 says: not allowed");
    assert_eq!(other.accepted(), 0);
    eventually("it is counted", || (daemon.tunnel("t")?["forwards"][0]["failed"] == 1).then_some(()));
    let refused = daemon.log();
    assert!(refused.contains("permit_remote_open") && refused.contains(&other.port.to_string()), "{refused}");

    // A reload is enough, and costs nothing.
    daemon.write_config(&tunnel_toml("t", &sshd, &format!("remote_forward = [\"{there}\"]")));
    assert!(daemon.cli(&["reload"]).status.success());
    eventually("everything is allowed", || (code(other.port) == 0).then_some(()));
    assert_eq!(daemon.tunnel("t").expect("a status")["starts"], 1);
}

#[test]
fn a_unix_socket_has_the_permissions_of_its_mask_and_takes_a_living_path_only_when_told() {
    let (sshd, echo) = (Sshd::start(), Target::start(Service::Echo));
    let path = sshd.dir().join("s");
    // There is none for the moment between the old socket and the new one.
    let mode = || {
        let metadata = std::fs::metadata(&path).ok()?;
        Some(std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o777)
    };
    let config = |more: &str| {
        tunnel_toml("t", &sshd, &format!("local_forward = [\"{}:127.0.0.1:{}\"]\n{more}", path.display(), echo.port))
    };
    let holder = std::os::unix::net::UnixListener::bind(&path).expect("a living socket");
    let daemon = Daemon::start(&config("stream_local_bind_mask = \"0117\""));
    daemon.wait_for("t", "not listening", |tunnel| tunnel["forwards"][0]["state"] == "down");
    daemon.write_config(&config("stream_local_bind_mask = \"0117\"\nstream_local_bind_unlink = true"));
    assert!(daemon.cli(&["reload"]).status.success());
    daemon.wait_ready("t");
    assert_eq!(mode(), Some(0o660));
    drop(holder);

    daemon.write_config(&config("stream_local_bind_unlink = true"));
    assert!(daemon.cli(&["reload"]).status.success());
    eventually("the socket is made anew", || (mode() == Some(0o600)).then_some(()));
    // It has its permissions from bind(2) on, and accepts from listen(2) on.
    let mut stream = eventually("the socket accepts", || UnixStream::connect(&path).ok());
    stream.write_all(b"hello").expect("bytes go in");
    let mut answer = [0; 5];
    stream.read_exact(&mut answer).expect("bytes come back");
}

#[test]
fn unix_sockets_are_forwarded_both_ways() {
    let (sshd, echo) = (Sshd::start(), Target::start(Service::Echo));
    let path = |name: &str| sshd.dir().join(name).display().to_string();
    let (here, there) = (path("here.sock"), path("there.sock"));
    // here.sock → (server) there.sock → (back here) the echo.
    let lines = format!("local_forward = [\"{here}:{there}\"]\nremote_forward = [\"{there}:127.0.0.1:{}\"]", echo.port);
    let mut daemon = Daemon::start(&tunnel_toml("t", &sshd, &lines));
    daemon.wait_ready("t");
    let mut stream = UnixStream::connect(&here).expect("the local socket accepts");
    stream.write_all(b"through two sockets").expect("bytes go in");
    let mut answer = [0; 19];
    stream.read_exact(&mut answer).expect("bytes come back");
    assert_eq!(&answer, b"through two sockets");
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&here).expect("the socket").permissions());
    assert_eq!(mode & 0o777, 0o600, "as StreamLocalBindMask has it");
    drop(stream);
    daemon.signal(Signal::SIGTERM);
    assert!(daemon.wait().success(), "{}", daemon.log());
    assert!(!std::path::Path::new(&here).exists(), "our own socket is removed at stop");
}

#[test]
fn half_close_reaches_the_target_and_the_answer_comes_back() {
    let (sshd, count) = (Sshd::start(), Target::start(Service::Count));
    let (local, remote) = (free_port(), free_port());
    let lines = format!(
        "local_forward = [\"{local}:127.0.0.1:{0}\"]\nremote_forward = [\"{remote}:127.0.0.1:{0}\"]",
        count.port
    );
    let daemon = Daemon::start(&tunnel_toml("t", &sshd, &lines));
    daemon.wait_ready("t");
    for port in [local, remote] {
        assert_eq!(count_after_half_close(port, 8 << 20), (8 << 20).to_string());
    }
}

#[test]
fn a_refused_target_resets_its_peer_and_nothing_else() {
    let (sshd, echo) = (Sshd::start(), Target::start(Service::Echo));
    let (good, local, remote, dead) = (free_port(), free_port(), free_port(), free_port());
    let lines = format!(
        "local_forward = [\"{good}:127.0.0.1:{}\", \"{local}:127.0.0.1:{dead}\"]\nremote_forward = [\"{remote}:127.0.0.1:{dead}\"]",
        echo.port
    );
    let daemon = Daemon::start(&tunnel_toml("t", &sshd, &lines));
    // Forwards with a dead target are up until their first user.
    let all = |tunnel: &serde_json::Value, states: [&str; 3]| {
        let forwards = tunnel["forwards"].as_array().map(Vec::as_slice).unwrap_or_default();
        forwards.len() == 3 && forwards.iter().zip(states).all(|(forward, state)| forward["state"] == state)
    };
    daemon.wait_for("t", "ready", |tunnel| tunnel["ready"] == true && all(tunnel, ["up", "up", "up"]));
    // The reset may be here before `connect` has returned.
    let outcome = |port| connect(port).and_then(|mut refused| end_of(&mut refused));
    let error = outcome(local).expect_err("a reset, not a clean end");
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    // How it ends is the server's choice; that it does is ours.
    let _ = outcome(remote);
    let tunnel = eventually("both are counted as failed", || {
        let tunnel = daemon.tunnel("t")?;
        let failed = |listen: u16| {
            let forwards = tunnel["forwards"].as_array()?;
            let ends = format!(":{listen}");
            forwards.iter().find(|f| f["listen"].as_str().is_some_and(|l| l.ends_with(&ends)))?["failed"].as_u64()
        };
        (failed(local)? > 0 && failed(remote)? > 0).then(|| tunnel.clone())
    });
    let told = daemon.wait_for("t", "honest", |tunnel| all(tunnel, ["up", "down", "down"]));
    assert_eq!((&told["ready"], &told["phase"]), (&false.into(), &"up".into()));
    let message = told["forwards"][1]["message"].as_str().unwrap_or_default();
    assert!(message.contains(&format!("127.0.0.1:{dead}")), "{message}");
    assert_eq!(tunnel["phase"], "up");
    assert_eq!(tunnel["starts"], 1);
    assert!(echoes(good));
}
