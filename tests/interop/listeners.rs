//! Local listeners whose addresses are taken, lost and free again.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixStream;

use serde_json::Value;
use support::net::{Service, Target, connect, echoes, free_port};
use support::{Daemon, Sshd, eventually, tunnel_toml};

fn forward(tunnel: &Value) -> (&str, &str) {
    let forward = &tunnel["forwards"][0];
    (forward["state"].as_str().unwrap_or_default(), forward["message"].as_str().unwrap_or_default())
}

#[test]
fn one_family_in_use_is_told_with_its_holder_and_taken_when_it_is_free() {
    for strict in [false, true] {
        let (sshd, echo, port) = (Sshd::start(), Target::start(Service::Echo), free_port());
        let holder = TcpListener::bind(("127.0.0.1", port)).expect("the port is free");
        let lines = format!("exit_on_forward_failure = {strict}\nlocal_forward = [\"{port}:127.0.0.1:{}\"]", echo.port);
        let daemon = Daemon::start(&tunnel_toml("t", &sshd, &lines));
        let held = format!("`127.0.0.1:{port}` is held by pid {}", std::process::id());
        let tunnel = daemon.wait_for("t", "up, and told of the holder", |tunnel| {
            tunnel["phase"] == "up" && forward(tunnel).0 == "down" && forward(tunnel).1.contains(&held)
        });
        assert_eq!(
            (&tunnel["ready"], &tunnel["starts"]),
            (&Value::from(false), &Value::from(1)),
            "one family is enough for ssh"
        );
        assert_eq!(tunnel["last_failure"]["kind"], "listen_in_use");
        let mut six = std::net::TcpStream::connect(("::1", port)).expect("the other family serves");
        six.write_all(b"six").expect("bytes go in");
        six.read_exact(&mut [0; 3]).expect("bytes come back");
        drop(holder);
        daemon.wait_ready("t");
        assert!(echoes(port));
        assert_eq!(daemon.tunnel("t").expect("a status")["starts"], 1, "the session is the same");
    }
}

#[test]
fn a_port_that_is_taken_during_an_outage_is_told_and_taken_back() {
    let (mut sshd, echo, port) = (Sshd::start(), Target::start(Service::Echo), free_port());
    let lines = format!("during_outage = \"refuse\"\nlocal_forward = [\"127.0.0.1:{port}:127.0.0.1:{}\"]", echo.port);
    let daemon = Daemon::start(&tunnel_toml("t", &sshd, &lines));
    daemon.wait_ready("t");
    sshd.crash();
    let holder = eventually("the port is given up", || TcpListener::bind(("127.0.0.1", port)).ok());
    sshd.launch();
    let tunnel = daemon.wait_for("t", "told of the holder", |tunnel| {
        tunnel["phase"] == "up" && forward(tunnel).1.contains(&format!("held by pid {}", std::process::id()))
    });
    assert_eq!(
        (&tunnel["ready"], &tunnel["last_failure"]["kind"]),
        (&Value::from(false), &Value::from("listen_in_use"))
    );
    drop(holder);
    daemon.wait_ready("t");
    assert!(echoes(port));
}

#[test]
fn a_socket_file_that_is_removed_is_made_again_and_a_missing_directory_is_told() {
    let (sshd, echo) = (Sshd::start(), Target::start(Service::Echo));
    let folder = sshd.dir().join("run");
    let path = folder.join("s");
    std::fs::create_dir(&folder).expect("a directory");
    let lines = format!("local_forward = [\"{}:127.0.0.1:{}\"]", path.display(), echo.port);
    let daemon = Daemon::start(&tunnel_toml("t", &sshd, &lines));
    daemon.wait_ready("t");
    let answers = || {
        let mut stream = UnixStream::connect(&path).ok()?;
        let mut answer = [0; 5];
        stream.write_all(b"hello").ok()?;
        stream.read_exact(&mut answer).ok()
    };
    std::fs::remove_file(&path).expect("removed");
    eventually("the socket is there again", answers);
    assert!(daemon.log().contains("was removed"), "{}", daemon.log());

    std::fs::remove_dir_all(&folder).expect("removed");
    let tunnel =
        daemon.wait_for("t", "told of the directory", |tunnel| forward(tunnel).1.contains("create the directory"));
    assert_eq!(tunnel["ready"], false);
    std::fs::create_dir(&folder).expect("a directory");
    daemon.wait_ready("t");
    eventually("the socket is there again", answers);
}

#[test]
fn a_listener_that_another_program_shut_down_is_bound_again() {
    let (sshd, echo, port) = (Sshd::start(), Target::start(Service::Echo), free_port());
    let notify = support::notify::Notify::bind();
    let lines = format!("local_forward = [\"127.0.0.1:{port}:127.0.0.1:{}\"]", echo.port);
    let daemon = Daemon::with_environment(&tunnel_toml("t", &sshd, &lines), &[("NOTIFY_SOCKET", &notify.path())]);
    notify.until("READY=1");
    daemon.wait_ready("t");
    // The service manager's duplicates are what another program can have.
    for stored in notify.stored() {
        nix::sys::socket::shutdown(std::os::fd::AsRawFd::as_raw_fd(&stored.socket), nix::sys::socket::Shutdown::Both)
            .expect("it is shut down");
    }
    eventually("it listens again", || connect(port).ok());
    assert!(echoes(port));
    assert!(daemon.log().contains("shut it down"), "{}", daemon.log());
}
