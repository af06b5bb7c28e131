//! When it is dialled again: what the logs of real servers say of our logins, and of the waits between them.

use std::io::{Read, Write};

use support::daemon::said;
use support::net::{Service, Target, connect, echoes, free_port};
use support::{Daemon, OddServer, Sshd, eventually, keys, tunnel_toml};

use crate::ways::know_both;

/// Logins that a server has accepted.
fn logins(sshd: &Sshd) -> usize {
    sshd.log().matches("Accepted publickey").count()
}

/// The tunnel's log says that a start was waited for only while no server was found.
fn no_wait_but_for_an_absence(daemon: &Daemon) {
    let log = daemon.log();
    for line in log.lines().filter(|line| line.contains("retry_in")) {
        assert!(line.contains("connect_refused"), "waited although the server was there: {line}\n{log}");
    }
}

#[test]
fn sessions_cut_after_an_outage_are_replaced_at_once() {
    let (mut sshd, echo, remote) = (Sshd::start(), Target::start(Service::Echo), free_port());
    let lines = format!("remote_forward = [\"127.0.0.1:{remote}:127.0.0.1:{}\"]", echo.port);
    let daemon = Daemon::start(&tunnel_toml("t", &sshd, &lines));
    daemon.wait_ready("t");
    sshd.crash();
    daemon.wait_for("t", "after several starts that found no server", |t| t["starts"].as_u64() >= Some(5));
    sshd.launch();
    for _ in 0..4 {
        let starts = daemon.wait_ready("t")["starts"].as_u64();
        sshd.kill_sessions();
        daemon.wait_for("t", "started again", |t| t["starts"].as_u64() > starts);
    }
    daemon.wait_ready("t");
    no_wait_but_for_an_absence(&daemon);
}

#[test]
fn server_that_throws_us_out_sees_growing_waits() {
    let server = OddServer::that_throws_out();
    let lines =
        format!("backoff = {{ min = \"100ms\", max = \"1h\" }}\nlocal_forward = [\"{}:127.0.0.1:1\"]", free_port());
    let daemon = Daemon::start(&server.tunnel(&lines));
    let tunnel = daemon.wait_for("t", "waiting for long", |t| t["next_start_ms"].as_u64() > Some(1700));
    // At once twice, then after 0.1, 0.2, 0.4, 0.8, 1.6 and 3.2 s, each a fifth less at most.
    let starts = tunnel["starts"].as_u64().expect("a number");
    assert!((6..=9).contains(&starts), "{starts} starts: {tunnel}\n{}", daemon.log());
    assert!(daemon.log().contains("session is up"), "it let us in:\n{}", daemon.log());
}

#[test]
fn proven_session_that_dies_young_is_redialled_at_once_five_times_a_minute() {
    let (sshd, echo, port) = (Sshd::start(), Target::start(Service::Echo), free_port());
    // Longer than any test waits: a redial that is not at once never comes.
    let backoff = "backoff = { min = \"10m\", max = \"1h\" }";
    let lines = format!("{backoff}\nlocal_forward = [\"{port}:127.0.0.1:{}\"]", echo.port);
    let daemon = Daemon::start(&tunnel_toml("t", &sshd, &lines));
    let mut start = 0;
    let tunnel = loop {
        start += 1;
        let tunnel = daemon.wait_for("t", &format!("ready, start {start}, or waiting"), |t| {
            t["phase"] == "backoff" || (t["ready"] == true && t["starts"].as_u64() == Some(start))
        });
        if tunnel["phase"] == "backoff" {
            break tunnel;
        }
        // The answer to the first question is known before these bytes are.
        assert!(echoes(port));
        sshd.kill_sessions();
    };
    assert!(tunnel["next_start_ms"].as_u64() > Some(60_000), "{tunnel}");
    assert_eq!(tunnel["starts"].as_u64(), Some(6), "{tunnel}");
}

#[test]
fn a_server_behind_a_jump_host_is_found_again_without_further_logins() {
    let (mut server, jump, echo) = (Sshd::start(), Sshd::start(), Target::start(Service::Echo));
    let (known, port) = (know_both(&server, &jump), free_port());
    let lines = format!(
        "proxy_jump = \"{}@127.0.0.1:{}\"\nlocal_forward = [\"{port}:127.0.0.1:{}\"]",
        keys::user(),
        jump.port,
        echo.port
    );
    let config = tunnel_toml("t", &server, &lines);
    let daemon = Daemon::start(&config.replace(&server.known_hosts.display().to_string(), &known));
    daemon.wait_ready("t");
    let before = logins(&jump);
    server.crash();
    daemon.wait_for("t", "waiting", |t| t["phase"] == "backoff");
    // Seven and more questions: each was a login.
    let asked = || jump.log().matches("failed").count();
    let asked_before = asked();
    eventually("it is asked for again and again", || (asked() >= asked_before + 7).then_some(()));
    server.launch();
    daemon.wait_ready("t");
    assert!(echoes(port));
    let cost = logins(&jump) - before;
    assert!(cost <= 2, "{cost} logins: the start that failed, and the one that asks\n{}", jump.log());
}

#[test]
fn a_start_beside_a_drain_begins_at_once_and_both_carry() {
    let (sshd, echo) = (Sshd::start(), Target::start(Service::Echo));
    let (local, remote) = (free_port(), free_port());
    let lines = format!(
        "local_forward = [\"{local}:127.0.0.1:{0}\"]\nremote_forward = [\"127.0.0.1:{remote}:127.0.0.1:{0}\"]",
        echo.port
    );
    let daemon = Daemon::start(&format!("stop_timeout = \"10m\"\n{}", tunnel_toml("t", &sshd, &lines)));
    daemon.wait_ready("t");
    let mut open: Vec<_> = [local, remote].map(|port| connect(port).expect("the forward accepts")).into();
    let mut say = |stream: &mut std::net::TcpStream| {
        stream.write_all(b"x").expect("bytes go in");
        stream.read_exact(&mut [0; 1]).expect("bytes come back");
    };
    open.iter_mut().for_each(&mut say);
    for round in 1..=2 {
        assert!(daemon.cli(&["stop", "t", "--no-block"]).status.success());
        let started = daemon.cli(&["start", "t"]);
        assert!(started.status.success(), "round {round}: {}\n{}", said(&started), daemon.log());
        assert_eq!(daemon.tunnel("t").map(|t| t["ready"] == true), Some(true), "start returns when it is ready");
        assert!(echoes(local) && echoes(remote), "round {round}: the new session serves the listeners");
        open.iter_mut().for_each(&mut say);
        assert_eq!(sshd.sessions().len(), 2, "the old session goes on with its connections, and no other");
    }
}

#[test]
fn start_and_restart_say_what_is_waited_for() {
    let (mut sshd, echo, port) = (Sshd::start(), Target::start(Service::Echo), free_port());
    let lines = format!("local_forward = [\"{port}:127.0.0.1:{}\"]", echo.port);
    let daemon = Daemon::start(&tunnel_toml("t", &sshd, &lines));
    daemon.wait_ready("t");
    let restarted = daemon.cli(&["restart", "t"]);
    assert_eq!(restarted.status.code(), Some(0));
    assert_eq!(daemon.tunnel("t").map(|t| t["ready"] == true), Some(true), "restart returns when it is ready");
    sshd.crash();
    let restarted = daemon.cli(&["restart", "t", "--timeout", "100ms"]);
    let told = said(&restarted);
    assert_eq!(restarted.status.code(), Some(1), "{told}");
    assert!(told.contains("`t` is restarted, but not ready") && told.contains("refused"), "{told}");
    assert_eq!(daemon.cli(&["start", "t", "--no-block"]).status.code(), Some(0), "the order alone");
    std::fs::write(sshd.dir().join("authorized_keys"), "").expect("authorized_keys");
    sshd.launch();
    // Long before its time is up: nothing changes by itself.
    let started = daemon.cli(&["restart", "t", "--timeout", "10m"]);
    let told = said(&started);
    assert_eq!(started.status.code(), Some(1), "{told}");
    assert!(told.contains("blocked"), "{told}");
}
