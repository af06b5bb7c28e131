//! The server goes away and comes back.

use std::cell::RefCell;
use std::io::{ErrorKind, Read, Write};

use support::net::{Service, Target, ask, connect, echoes, end_of, free_port};
use support::{Daemon, Sshd, eventually, tunnel_toml};

#[test]
fn a_server_that_was_killed_and_is_back_carries_everything_again() {
    let (mut sshd, echo) = (Sshd::start(), Target::start(Service::Echo));
    let (local, remote) = (free_port(), free_port());
    let lines = format!(
        "local_forward = [\"{local}:127.0.0.1:{0}\"]\nremote_forward = [\"{remote}:127.0.0.1:{0}\"]",
        echo.port
    );
    let daemon = Daemon::start(&tunnel_toml("t", &sshd, &lines));
    daemon.wait_ready("t");
    let mut open = connect(local).expect("the forward accepts");
    // One that has not reached its target yet would be held for the next session.
    open.write_all(b"x").expect("bytes go in");
    open.read_exact(&mut [0; 1]).expect("bytes come back");
    sshd.crash();
    let error = end_of(&mut open).expect_err("a connection that lost its session is reset: no clean end");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    daemon.wait_for("t", "without a session", |tunnel| tunnel["session"].is_null() && tunnel["ready"] == false);
    let failure = daemon.tunnel("t").expect("a status")["last_failure"].clone();
    assert_eq!(failure["permanent"], false, "{failure}");
    sshd.launch();
    let tunnel = daemon.wait_ready("t");
    assert!(tunnel["starts"].as_u64() > Some(1));
    assert!(echoes(local));
    assert!(echoes(remote));
}

#[test]
fn a_connection_made_during_the_outage_is_held_and_served() {
    let (mut sshd, echo, port) = (Sshd::start(), Target::start(Service::Echo), free_port());
    let daemon =
        Daemon::start(&tunnel_toml("t", &sshd, &format!("local_forward = [\"{port}:127.0.0.1:{}\"]", echo.port)));
    daemon.wait_ready("t");
    sshd.crash();
    daemon.wait_for("t", "without a session", |tunnel| tunnel["session"].is_null());
    let held = std::thread::spawn(move || ask(port, b"I can wait"));
    daemon.wait_for("t", "holding one", |tunnel| tunnel["forwards"][0]["held"] == 1);
    sshd.launch();
    let answer = held.join().expect("the asker ends");
    let answer = answer.unwrap_or_else(|error| panic!("held, then served: {error}\n{}", daemon.log()));
    assert_eq!(answer, b"I can wait");
}

#[test]
fn a_killed_session_is_replaced_at_once() {
    let (sshd, echo, port) = (Sshd::start(), Target::start(Service::Echo), free_port());
    let daemon =
        Daemon::start(&tunnel_toml("t", &sshd, &format!("local_forward = [\"{port}:127.0.0.1:{}\"]", echo.port)));
    daemon.wait_ready("t");
    sshd.kill_sessions();
    daemon.wait_for("t", "up by a second start", |tunnel| tunnel["starts"] == 2 && tunnel["ready"] == true);
    eventually("the forward carries", || echoes(port).then_some(()));
    assert!(!daemon.log().contains("retry_in"), "the first start after a loss waits for nothing\n{}", daemon.log());
}

#[test]
fn nothing_is_refused_from_before_a_server_goes_until_after_it_is_back() {
    let (mut sshd, echo, port) = (Sshd::start(), Target::start(Service::Echo), free_port());
    let daemon =
        Daemon::start(&tunnel_toml("t", &sshd, &format!("local_forward = [\"{port}:127.0.0.1:{}\"]", echo.port)));
    daemon.wait_ready("t");
    let waiting = RefCell::new(Vec::new());
    let come = || waiting.borrow_mut().push(connect(port).expect("the listener accepts"));
    sshd.crash();
    come();
    daemon.wait_for("t", "without a session", |tunnel| {
        come();
        tunnel["session"].is_null()
    });
    sshd.launch();
    daemon.wait_for("t", "ready", |tunnel| {
        come();
        tunnel["ready"] == true
    });
    // Those that the dying session had taken are reset; who came after is served.
    let mut last = waiting.borrow_mut().pop().expect("at least one came");
    last.write_all(b"x").expect("bytes go in");
    last.read_exact(&mut [0; 1]).expect("bytes come back");
}

#[test]
fn a_forward_that_refuses_in_an_outage_listens_again_with_the_session() {
    let (mut sshd, echo, port) = (Sshd::start(), Target::start(Service::Echo), free_port());
    let lines = format!("local_forward = [\"{port}:127.0.0.1:{}\"]\nduring_outage = \"refuse\"", echo.port);
    let daemon = Daemon::start(&tunnel_toml("t", &sshd, &lines));
    daemon.wait_ready("t");
    assert!(echoes(port));
    sshd.crash();
    eventually("peers are refused", || {
        connect(port).err().filter(|error| error.kind() == ErrorKind::ConnectionRefused)
    });
    sshd.launch();
    eventually("it carries again", || echoes(port).then_some(()));
}
