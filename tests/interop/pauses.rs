//! Time in which the daemon does not run counts for nothing.

use std::io::{Read, Write};
use std::time::Duration;

use nix::sys::signal::Signal;
use support::autossh::{self, Autossh, words};
use support::net::{Service, Target, connect, free_port};
use support::patience::last;
use support::{Daemon, Sshd, eventually, tunnel_toml};

#[test]
fn sessions_and_connections_survive_a_stopped_daemon() {
    let (sshd, echo, port) = (Sshd::start(), Target::start(Service::Echo), free_port());
    let lines = format!(
        "server_alive_interval = 2\nserver_alive_count_max = 1\nlocal_forward = [\"{port}:127.0.0.1:{}\"]",
        echo.port
    );
    let daemon = Daemon::start(&tunnel_toml("t", &sshd, &lines));
    daemon.wait_ready("t");
    let mut user = connect(port).expect("the forward accepts");
    let mut echoes = || {
        user.write_all(b"x").expect("bytes go in");
        user.read_exact(&mut [0; 1]).expect("bytes come back");
    };
    echoes();
    // The alive limit is 4 s.
    daemon.signal(Signal::SIGSTOP);
    last(Duration::from_secs(6));
    daemon.signal(Signal::SIGCONT);
    // Longer than the limit again, in which it is judged by the answers.
    for _ in 0..5 {
        last(Duration::from_secs(1));
        echoes();
    }
    let tunnel = daemon.wait_ready("t");
    assert_eq!(tunnel["starts"], 1, "{}", daemon.log());
    assert!(!daemon.log().contains("keepalive_timeout") && !daemon.log().contains("in doubt"), "{}", daemon.log());
}

/// Its process does not wake up to notice pauses: the question that comes late shows this one.
#[test]
fn session_survives_a_stopped_autossh() {
    let (sshd, echo, port) = (Sshd::start(), Target::start(Service::Echo), free_port());
    let alive = "-o ServerAliveInterval=2 -o ServerAliveCountMax=1";
    let forward = format!("-L {port}:127.0.0.1:{}", echo.port);
    let autossh = Autossh::new();
    let line = format!("-M 0 -N {alive} {forward} {} {}", autossh::options(&sshd), autossh::host());
    let running = autossh.start(&words(&line));
    autossh::carries(port);
    // At rest, and past the first question.
    last(Duration::from_secs(3));
    running.signal(Signal::SIGSTOP);
    last(Duration::from_secs(6));
    running.signal(Signal::SIGCONT);
    last(Duration::from_secs(5));
    autossh::carries(port);
    assert!(!autossh.log().contains("(count 2)"), "{}", autossh.log());
}

/// The login waits for a program that goes on while the daemon does not.
#[test]
fn stopped_daemon_gives_a_program_the_time_that_it_missed() {
    let (sshd, echo) = (Sshd::start(), Target::start(Service::Echo));
    let (script, asked) = (sshd.dir().join("hosts.sh"), sshd.dir().join("asked"));
    let once = format!("[ -e {0} ] || {{ touch {0}; sleep 10; }}", asked.display());
    std::fs::write(&script, once).expect("a script");
    let lines = format!(
        "connect_timeout = 8\nknown_hosts_command = \"/bin/sh {}\"\nlocal_forward = [\"{}:127.0.0.1:{}\"]",
        script.display(),
        free_port(),
        echo.port
    );
    let daemon = Daemon::start(&tunnel_toml("t", &sshd, &lines));
    eventually("the program runs", || asked.exists().then_some(()));
    daemon.signal(Signal::SIGSTOP);
    last(Duration::from_secs(9));
    daemon.signal(Signal::SIGCONT);
    let tunnel = daemon.wait_ready("t");
    assert_eq!(tunnel["starts"], 1, "{}", daemon.log());
}
