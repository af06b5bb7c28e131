//! The service behind a local forward is left alone: nothing connects to it but users.

use std::net::{IpAddr, TcpStream, UdpSocket};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use nix::sys::signal::Signal;
use serde_json::Value;
use support::net::{Service, Target, echoes, free_port};
use support::process::Process;
use support::{Daemon, Sshd, eventually, keys, tunnel_toml};

/// How often each way to another session is gone.
const ROUNDS: u64 = 2;

/// Connections that say nothing, after which the MariaDB below blocks their address.
const MAX_CONNECT_ERRORS: u32 = 3;

#[test]
fn target_counts_no_connection_but_the_users() {
    let (sshd, target) = (Sshd::start(), Target::start(Service::Echo));
    let (port, socket) = (free_port(), sshd.dir().join("unix.sock"));
    let config = |lines: &str| {
        let forwards = format!(
            "local_forward = [\"{port}:127.0.0.1:{0}\", \"{1}:127.0.0.1:{0}\"]\ndynamic_forward = [\"{2}\"]\n\
             poll = 1\nfirst_poll = 1\n{lines}",
            target.port,
            socket.display(),
            free_port()
        );
        tunnel_toml("t", &sshd, &forwards)
    };
    let daemon = Daemon::start(&config(""));
    daemon.wait_ready("t");
    through_other_sessions(&daemon, &sshd, &config);
    assert_eq!(target.accepted(), 0, "{}", daemon.log());
    assert!(echoes(port));
    assert_eq!(target.accepted(), 1);
}

#[test]
fn mariadb_never_blocks_the_address_of_the_relay() {
    let (sshd, database) = (Sshd::start(), Database::start());
    let port = free_port();
    let config = |lines: &str| {
        let Database { address, port: to, .. } = &database;
        let lines = format!("local_forward = [\"{port}:{address}:{to}\"]\npoll = 1\nfirst_poll = 1\n{lines}");
        tunnel_toml("t", &sshd, &lines)
    };
    let daemon = Daemon::start(&config(""));
    daemon.wait_ready("t");
    through_other_sessions(&daemon, &sshd, &config);
    let answer = database.query(port);
    assert!(answer.status.success(), "{}\n{}", String::from_utf8_lossy(&answer.stderr), daemon.log());
    assert_eq!(database.connect_errors(), "0");
    // What a probe would do.
    for _ in 0..=MAX_CONNECT_ERRORS {
        drop(TcpStream::connect((database.address, database.port)).expect("MariaDB listens"));
    }
    eventually("MariaDB blocks the address", || {
        String::from_utf8_lossy(&database.query(port).stderr).contains("1129").then_some(())
    });
}

/// Loses, replaces and restarts sessions, reloads, hurries and lets some polls pass.
fn through_other_sessions(daemon: &Daemon, sshd: &Sshd, config: &dyn Fn(&str) -> String) {
    let starts = |more: u64| move |tunnel: &Value| tunnel["ready"] == true && tunnel["starts"].as_u64() >= Some(more);
    for round in 0..ROUNDS {
        sshd.kill_sessions();
        let tunnel = daemon.wait_for("t", "back", starts(round + 2));
        let before = tunnel["starts"].as_u64().expect("a count");
        assert!(daemon.cli(&["restart", "t"]).status.success());
        daemon.wait_for("t", "restarted", starts(before + 1));
        daemon.signal(Signal::SIGUSR1);
        // Another way to the same server, and two sessions instead of one: the session is replaced.
        daemon.write_config(&config(&format!("sessions = 2\ncompression = {}", round % 2 == 0)));
        assert!(daemon.cli(&["reload"]).status.success(), "{}", daemon.log());
        let replaced = || daemon.log().matches("session replaced").count() as u64;
        eventually("the session is replaced", || (replaced() > round).then_some(()));
        daemon.wait_ready("t");
    }
}

/// A MariaDB of our own that blocks an address after [`MAX_CONNECT_ERRORS`].
struct Database {
    /// Not loopback, which it never blocks.
    address: IpAddr,
    port: u16,
    dir: tempfile::TempDir,
    _server: Process,
}

impl Database {
    fn start() -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let (data, address, port) = (dir.path().join("data"), own_address(), free_port());
        let user = format!("--user={}", keys::user());
        let mut install = Command::new("mariadb-install-db");
        install.args(["--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db"]).arg(&user);
        install.arg(format!("--datadir={}", data.display())).stdout(Stdio::null()).stderr(Stdio::null());
        assert!(install.status().expect("mariadb-install-db runs").success());
        let mut server = Command::new("/usr/sbin/mariadbd");
        server.args(["--no-defaults", "--skip-log-bin", "--performance-schema=ON", "--innodb-buffer-pool-size=8M"]);
        server.arg(format!("--bind-address={address}")).arg(format!("--max-connect-errors={MAX_CONNECT_ERRORS}"));
        server.arg(&user);
        server.arg(format!("--datadir={}", data.display())).arg(format!("--port={port}"));
        server.arg(format!("--socket={}", socket(dir.path())));
        server.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let started = Self { address, port, _server: Process::spawn(&mut server), dir };
        eventually("MariaDB answers", || started.ask(&["-e", "SELECT 1"]).status.success().then_some(()));
        let granted = started.ask(&["-e", "CREATE USER app@'%'"]);
        assert!(granted.status.success(), "{}", String::from_utf8_lossy(&granted.stderr));
        started
    }

    /// As a user of the tunnel, who comes from the address of the SSH server.
    fn query(&self, port: u16) -> Output {
        let mut client = Command::new("mariadb");
        client.args(["--no-defaults", "-h", "127.0.0.1", "-u", "app", "-P"]).arg(port.to_string());
        client.args(["-e", "SELECT 1"]).stdin(Stdio::null()).output().expect("mariadb runs")
    }

    /// The errors that it counted, for all addresses together.
    fn connect_errors(&self) -> String {
        let query = "SELECT COALESCE(SUM(SUM_CONNECT_ERRORS), 0) FROM performance_schema.host_cache";
        String::from_utf8_lossy(&self.ask(&["-N", "-e", query]).stdout).trim().to_owned()
    }

    fn ask(&self, arguments: &[&str]) -> Output {
        let mut client = Command::new("mariadb");
        client.arg("--no-defaults").arg(format!("--socket={}", socket(self.dir.path()))).args(["-u", "root"]);
        client.args(arguments).stdin(Stdio::null()).output().expect("mariadb runs")
    }
}

/// The one that this machine would take to go to another; nothing is sent.
fn own_address() -> IpAddr {
    let socket = UdpSocket::bind("0.0.0.0:0").expect("a socket");
    socket
        .connect("198.51.100.1:9")
        .expect("a default route: MariaDB never blocks loopback, so it needs another address");
    socket.local_addr().expect("a bound socket has an address").ip()
}

fn socket(dir: &Path) -> String {
    dir.join("db.sock").display().to_string()
}
