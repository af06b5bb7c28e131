//! Servers that are stuck, whether or not they go on sending.

use std::io::{Read, Write};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use support::net::{Service, Target, ask, connect, echoes, free_port};
use support::{Daemon, OddServer, Sshd, eventually, tunnel_toml};

fn forward(interval: u32, count_max: u32) -> (u16, String) {
    let port = free_port();
    let lines = format!(
        "server_alive_interval = {interval}\nserver_alive_count_max = {count_max}\nlocal_forward = [\"{port}:x:1\"]"
    );
    (port, lines)
}

/// No forward of a tunnel is in a state that is not explained.
fn explained(tunnel: &Value) -> bool {
    let forwards = tunnel["forwards"].as_array().expect("forwards");
    forwards.iter().all(|forward| forward["state"] == "up" || forward["message"].is_string())
}

#[test]
fn stuck_server_that_goes_on_sending_is_replaced() {
    for fault in ["ignore", "chatter", "rekey"] {
        let mut server = OddServer::start(&[]);
        let (port, lines) = forward(3, 2);
        let daemon = Daemon::start(&server.tunnel(&lines));
        daemon.wait_ready("t");
        let mut open = connect(port).expect("the forward accepts");
        open.write_all(b"x").expect("bytes go in");
        open.read_exact(&mut [0; 1]).expect("bytes come back");
        server.order(fault);
        eventually("new connections get a session that works", || {
            daemon.log().contains("session replaced").then_some(())
        });
        assert_eq!(ask(port, b"hello").expect("an answer"), b"hello", "{fault}\n{}", daemon.log());
    }
}

#[test]
fn server_that_answers_but_opens_nothing_is_replaced() {
    let mut server = OddServer::start(&[]);
    let (port, lines) = forward(15, 3);
    let daemon = Daemon::start(&server.tunnel(&lines));
    daemon.wait_ready("t");
    server.order("deaf");
    let _hangs = connect(port).expect("the forward accepts");
    let replaced = || daemon.log().contains("session replaced").then_some(());
    eventually("a session that opens connections", replaced);
    assert!(daemon.log().contains("answers, but opens no connection any more"), "{}", daemon.log());
    assert_eq!(ask(port, b"hello").expect("an answer"), b"hello", "{}", daemon.log());
}

#[test]
fn stuck_server_without_a_successor_is_dead_in_time() {
    for fault in ["ignore", "chatter", "rekey"] {
        let mut server = OddServer::start(&[]);
        let (_, lines) = forward(1, 2);
        let daemon = Daemon::start(&server.tunnel(&lines));
        daemon.wait_ready("t");
        server.order("close");
        server.order(fault);
        let tunnel = daemon.wait_for("t", "without a session", |tunnel| {
            assert!(explained(tunnel), "{tunnel:#}");
            tunnel["session"].is_null()
        });
        assert_eq!(tunnel["ready"], false);
        assert!(daemon.log().contains("keepalive_timeout"), "{fault}\n{}", daemon.log());
    }
}

#[test]
fn server_that_does_not_know_keepalives_has_answered_them() {
    let server = OddServer::start(&["unknown"]);
    let (port, lines) = forward(1, 1);
    let daemon = Daemon::start(&server.tunnel(&format!("{lines}\nremote_forward = [\"7000:x:1\"]")));
    let has_answered = |tunnel: &Value| tunnel["session"]["rtt_ms"].is_number();
    let tunnel = daemon.wait_for("t", "up with an answer", has_answered);
    assert_eq!(tunnel["forwards"][1]["state"], "down", "{tunnel:#}");
    // Each question about the remote port is one more of these.
    daemon.wait_for("t", "refused again", |tunnel| tunnel["last_failure"]["kind"] == "remote_port_busy");
    assert_eq!(ask(port, b"hello").expect("an answer"), b"hello", "{}", daemon.log());
    assert_eq!(daemon.tunnel("t").expect("a status")["starts"], 1, "{}", daemon.log());
}

#[test]
fn stopped_sshd_is_doubted_with_a_short_interval() {
    let (sshd, echo, port) = (Sshd::start(), Target::start(Service::Echo), free_port());
    let lines = format!(
        "server_alive_interval = 1\nserver_alive_count_max = 20\nprobe = \"off\"\nlocal_forward = [\"{port}:127.0.0.1:{}\"]",
        echo.port
    );
    let daemon = Daemon::start(&tunnel_toml("t", &sshd, &lines));
    daemon.wait_ready("t");
    let stopped = sshd.sessions();
    for pid in &stopped {
        kill(Pid::from_raw(pid.cast_signed()), Signal::SIGSTOP).expect("a session of sshd");
    }
    eventually("the session is replaced", || daemon.log().contains("is in doubt").then_some(()));
    eventually("the forward carries", || echoes(port).then_some(()));
}

#[test]
fn another_host_key_in_a_rekey_ends_the_session() {
    let mut server = OddServer::start(&[]);
    let (_, lines) = forward(15, 3);
    let daemon = Daemon::start(&server.tunnel(&lines));
    daemon.wait_ready("t");
    server.order("exchange");
    let tunnel = daemon.wait_for("t", "blocked", |tunnel| tunnel["phase"] == "blocked");
    assert_eq!(tunnel["last_failure"]["kind"], "host_key_changed", "{tunnel:#}");
    assert!(explained(&tunnel), "{tunnel:#}");
}
