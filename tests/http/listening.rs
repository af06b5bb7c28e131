//! Where it listens, and what a reload does with it.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;

use support::daemon::said;
use support::http::{get, get_unix};
use support::net::{connect, echoes, free_port};
use support::{Daemon, Sshd, eventually, tunnel_toml};

use crate::{Served, metrics};

#[test]
fn nothing_is_served_unless_the_config_says_so() {
    let (sshd, port) = (Sshd::start(), free_port());
    let tunnel = tunnel_toml("t", &sshd, &format!("local_forward = [\"{port}:127.0.0.1:{}\"]", sshd.port));
    let (first, second) = (free_port(), free_port());
    let daemon = Daemon::start(&tunnel);
    daemon.wait_ready("t");
    let reload = |config: &str| {
        daemon.write_config(config);
        let reload = daemon.cli(&["reload"]);
        assert!(reload.status.success(), "{reload:?}");
        said(&reload)
    };
    assert!(connect(first).is_err());
    let plan = reload(&format!("{}{tunnel}", metrics(first)));
    assert!(plan.contains(&format!("metrics are served on `127.0.0.1:{first}`")), "{plan}");
    eventually("it serves", || get(first, "/ready").filter(|answer| answer.code == 200));
    reload(&format!("{}{tunnel}", metrics(second)));
    eventually("it has moved", || (connect(first).is_err() && get(second, "/ready").is_some()).then_some(()));
    let plan = reload(&tunnel);
    assert!(plan.contains("metrics are no longer served"), "{plan}");
    eventually("it has ended", || connect(second).is_err().then_some(()));
    assert_eq!(daemon.tunnel("t").expect("a status")["starts"], 1);
}

#[test]
fn busy_port_is_told_and_taken_once_it_is_free() {
    let holder = TcpListener::bind("127.0.0.1:0").expect("a port");
    let http = holder.local_addr().expect("an address").port();
    let (sshd, port) = (Sshd::start(), free_port());
    let forward = format!("local_forward = [\"{port}:127.0.0.1:{}\"]", sshd.port);
    let daemon = Daemon::start(&format!("{}{}", metrics(http), tunnel_toml("t", &sshd, &forward)));
    daemon.wait_ready("t");
    let line = eventually("the holder is told", || {
        daemon.log().lines().find(|line| line.contains("metrics are not served")).map(str::to_owned)
    });
    assert!(line.contains(&format!("pid {}", std::process::id())) && line.contains("WARN"), "{line}");
    drop(holder);
    eventually("it serves", || get(http, "/ready").filter(|answer| answer.code == 200));
}

#[test]
fn unix_socket_is_for_the_group_and_a_stale_one_is_replaced() {
    let (sshd, port, dir) = (Sshd::start(), free_port(), tempfile::tempdir().expect("a folder"));
    let path = dir.path().join("metrics.sock");
    drop(UnixListener::bind(&path).expect("a stale socket"));
    let forward = format!("local_forward = [\"{port}:127.0.0.1:{}\"]", sshd.port);
    let config = format!("[metrics]\nlisten = \"unix:{}\"\n{}", path.display(), tunnel_toml("t", &sshd, &forward));
    let mut daemon = Daemon::start(&config);
    daemon.wait_ready("t");
    let answer = eventually("it serves", || get_unix(&path, "/ready"));
    assert_eq!(answer.code, 200, "any name leads to a unix socket: {answer:?}");
    assert_eq!(std::fs::metadata(&path).expect("the socket").permissions().mode() & 0o777, 0o660);
    std::fs::remove_file(&path).expect("a cleaner of old files removes it");
    eventually("it serves again", || get_unix(&path, "/ready"));
    daemon.signal(nix::sys::signal::Signal::SIGTERM);
    daemon.wait();
    assert!(!path.exists());
}

#[test]
fn open_address_is_warned_about() {
    let http = free_port();
    let config = format!("[metrics]\nlisten = \"0.0.0.0:{http}\"\n");
    let served = Served::with("");
    served.daemon.write_config(&config);
    let check = served.daemon.cli(&["check", "--config", &served.daemon.config().display().to_string()]);
    assert!(said(&check).contains("there is no login"), "{}", said(&check));
    assert!(served.daemon.cli(&["reload"]).status.success());
    eventually("the log says so", || served.daemon.log().contains("there is no login").then_some(()));
    assert!(!echoes(served.port), "the tunnel is gone");
}
