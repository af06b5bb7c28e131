//! Listeners that survive the daemon: in the service manager's store, and back from it.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;

use nix::sys::signal::Signal;
use support::daemon::any_forward;
use support::net::{Service, Target, connect, end_of, free_port};
use support::notify::{Notify, Stored};
use support::{Daemon, Sshd, eventually, tunnel_toml};

fn start(notify: &Notify, config: &str) -> Daemon {
    let daemon = Daemon::with_environment(config, &[("NOTIFY_SOCKET", &notify.path())]);
    notify.until("READY=1");
    daemon
}

/// One that listens on both loopback addresses, as it comes.
fn forward(port: u16, target: &Target) -> String {
    format!("local_forward = [\"{port}:127.0.0.1:{}\"]", target.port)
}

/// What an echo says to a connection that may have waited.
fn answer(mut stream: TcpStream) -> String {
    stream.write_all(b"waited").expect("bytes go in");
    stream.shutdown(Shutdown::Write).expect("half-close");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}

#[test]
fn a_connection_made_after_kill_9_is_served_by_the_next_daemon_and_none_is_refused() {
    let (notify, sshd, echo, port) = (Notify::bind(), Sshd::start(), Target::start(Service::Echo), free_port());
    let mut daemon = start(&notify, &tunnel_toml("t", &sshd, &forward(port, &echo)));
    let names = [format!("tcp-127.0.0.1%3A{port}"), format!("tcp-[%3A%3A1]%3A{port}")];
    assert_eq!(notify.names(), names);
    daemon.wait_ready("t");
    daemon.kill();
    let waiting = [("127.0.0.1", port), ("::1", port)].map(|at| TcpStream::connect(at).expect("nothing is refused"));
    daemon.start_again(notify.stored());
    for stream in waiting {
        assert_eq!(answer(stream), "waited");
    }
    notify.until("READY=1");
    assert_eq!(notify.names(), names, "what is in the store is not stored again");
    assert_eq!(answer(connect(port).expect("it goes on")), "waited");
}

#[test]
fn a_restart_keeps_every_listener_and_the_file_of_a_unix_one() {
    let (notify, sshd, echo) = (Notify::bind(), Sshd::start(), Target::start(Service::Echo));
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("s");
    let lines = format!("local_forward = [\"{}:127.0.0.1:{}\"]", path.display(), echo.port);
    let mut daemon = start(&notify, &tunnel_toml("t", &sshd, &lines));
    daemon.signal(Signal::SIGTERM);
    assert!(daemon.wait().success());
    let mut waiting = UnixStream::connect(&path).expect("it listens between two daemons");
    daemon.start_again(notify.stored());
    waiting.write_all(b"unix").expect("bytes go in");
    let mut answer = [0; 4];
    waiting.read_exact(&mut answer).expect("an answer");
    assert_eq!(&answer, b"unix");
}

#[test]
fn what_the_next_config_does_not_want_is_closed_and_leaves_the_store() {
    let (notify, sshd, echo) = (Notify::bind(), Sshd::start(), Target::start(Service::Echo));
    let [old, new] = [free_port(), free_port()];
    let mut daemon = start(&notify, &tunnel_toml("t", &sshd, &forward(old, &echo)));
    daemon.kill();
    daemon.write_config(&tunnel_toml("t", &sshd, &forward(new, &echo)));
    let mut waiting = connect(old).expect("it queues");
    daemon.start_again(notify.stored());
    notify.until("READY=1");
    assert_eq!(notify.names(), [format!("tcp-127.0.0.1%3A{new}"), format!("tcp-[%3A%3A1]%3A{new}")]);
    assert!(connect(old).is_err(), "connections are refused, although the manager has the socket");
    assert!(end_of(&mut waiting).is_err(), "who waited is told");
}

#[test]
fn a_forward_that_goes_and_comes_back_leaves_the_store_and_comes_back_to_it() {
    let (notify, sshd, echo) = (Notify::bind(), Sshd::start(), Target::start(Service::Echo));
    let [stays, goes] = [free_port(), free_port()];
    let target = echo.port;
    let both =
        format!("local_forward = [\"127.0.0.1:{stays}:127.0.0.1:{target}\", \"127.0.0.1:{goes}:127.0.0.1:{target}\"]");
    let one = format!("local_forward = [\"127.0.0.1:{stays}:127.0.0.1:{target}\"]");
    let daemon = start(&notify, &tunnel_toml("t", &sshd, &both));
    for _ in 0..2 {
        daemon.write_config(&tunnel_toml("t", &sshd, &one));
        assert!(daemon.cli(&["reload"]).status.success());
        notify.until("FDSTOREREMOVE=1");
        assert_eq!(notify.names(), [format!("tcp-127.0.0.1%3A{stays}")]);
        eventually("its socket is closed", || connect(goes).is_err().then_some(()));
        daemon.write_config(&tunnel_toml("t", &sshd, &both));
        assert!(daemon.cli(&["reload"]).status.success());
        notify.until("FDSTORE=1");
        assert_eq!(answer(connect(goes).expect("it listens again")), "waited");
    }
}

#[test]
fn a_stopped_tunnel_leaves_the_store() {
    let (notify, sshd, echo, port) = (Notify::bind(), Sshd::start(), Target::start(Service::Echo), free_port());
    let daemon = start(&notify, &tunnel_toml("t", &sshd, &forward(port, &echo)));
    assert!(daemon.cli(&["stop", "t"]).status.success());
    eventually("no listener", || connect(port).is_err().then_some(()));
    while !notify.names().is_empty() {
        notify.until("FDSTOREREMOVE=1");
    }
    assert!(daemon.cli(&["start", "t"]).status.success());
    notify.until("FDSTORE=1");
    assert_eq!(answer(connect(port).expect("it listens again")), "waited");
}

#[test]
fn a_socket_units_listener_is_served_and_never_ours_to_close() {
    let (sshd, echo) = (Sshd::start(), Target::start(Service::Echo));
    let unit = std::net::TcpListener::bind("127.0.0.1:0").expect("a listener");
    let port = unit.local_addr().expect("its address").port();
    let lent =
        || vec![Stored { name: "tunneld.socket".to_owned(), socket: unit.try_clone().expect("a duplicate").into() }];
    let lines = format!("local_forward = [\"127.0.0.1:{port}:127.0.0.1:{}\"]", echo.port);
    let config = tunnel_toml("t", &sshd, &lines);
    let without = tunnel_toml("t", &sshd, &any_forward(&sshd));
    let mut daemon = Daemon::start(&without);
    daemon.signal(Signal::SIGTERM);
    assert!(daemon.wait().success());
    daemon.write_config(&config);
    daemon.start_again(lent());
    assert_eq!(answer(connect(port).expect("it listens")), "waited");
    daemon.write_config(&without);
    assert!(daemon.cli(&["reload"]).status.success());
    eventually("the forward is gone", || {
        daemon.tunnel("t").filter(|t| t["forwards"][0]["listen"] != format!("127.0.0.1:{port}"))
    });
    let waiting = connect(port).expect("the unit listens on");
    daemon.write_config(&config);
    assert!(daemon.cli(&["reload"]).status.success());
    assert_eq!(answer(waiting), "waited");
    daemon.signal(Signal::SIGTERM);
    assert!(daemon.wait().success());
    connect(port).expect("the unit listens still");
}

#[test]
fn without_a_service_manager_a_stop_frees_the_port() {
    let (sshd, echo, port) = (Sshd::start(), Target::start(Service::Echo), free_port());
    let mut daemon = Daemon::start(&tunnel_toml("t", &sshd, &forward(port, &echo)));
    daemon.wait_ready("t");
    daemon.signal(Signal::SIGTERM);
    assert!(daemon.wait().success());
    assert!(connect(port).is_err());
}
