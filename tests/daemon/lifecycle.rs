//! Start, stop, pidfile, signals, exit codes.

use std::io::{Read, Write};

use nix::sys::signal::Signal;
use support::daemon::{any_forward, said, tunneld};
use support::net::{Service, Target, connect, echoes, free_port};
use support::{Daemon, Sshd, eventually, tunnel_toml};

#[test]
fn a_second_instance_exits_69_by_pidfile_and_by_socket_and_leaves_the_first_alone() {
    let (sshd, echo, port) = (Sshd::start(), Target::start(Service::Echo), free_port());
    let tunnel = tunnel_toml("t", &sshd, &format!("local_forward = [\"{port}:127.0.0.1:{}\"]", echo.port));
    let daemon = Daemon::start(&format!("pid_file = \"t.pid\"\n{tunnel}"));
    let pid_file = daemon.dir().join("t.pid");
    let ours = || std::fs::read_to_string(&pid_file).ok().filter(|pid| *pid == format!("{}\n", daemon.pid()));
    eventually("the pidfile is written", ours);
    daemon.wait_ready("t");

    let config = daemon.config().display().to_string();
    let at = |name: &str| daemon.dir().join(name).display().to_string();
    let by_pidfile = tunneld(&["--config", &config, "--control-socket", &at("other.sock")]);
    assert_eq!(by_pidfile.status.code(), Some(69), "{}", said(&by_pidfile));
    assert!(said(&by_pidfile).contains(&format!("(pid {})", daemon.pid())), "{}", said(&by_pidfile));
    let by_socket = tunneld(&["--config", &config, "--pid-file", &at("other.pid")]);
    assert_eq!(by_socket.status.code(), Some(69), "{}", said(&by_socket));
    assert!(!daemon.dir().join("other.pid").exists() && !daemon.dir().join("other.sock").exists());

    assert!(ours().is_some());
    assert!(daemon.status().is_some());
    assert!(echoes(port));
}

#[test]
fn a_stale_pidfile_and_a_stale_socket_are_replaced_and_both_go_at_stop() {
    let sshd = Sshd::start();
    let pid_file = sshd.dir().join("tunneld.pid");
    std::fs::write(&pid_file, "1\n").expect("a stale pidfile");
    let tunnel = tunnel_toml("t", &sshd, &any_forward(&sshd));
    let mut daemon = Daemon::start(&format!("pid_file = \"{}\"\n{tunnel}", pid_file.display()));
    eventually("our pid is in the file", || {
        (std::fs::read_to_string(&pid_file).ok()?.trim() == daemon.pid().to_string()).then_some(())
    });
    daemon.signal(Signal::SIGTERM);
    assert_eq!(daemon.wait().code(), Some(0));
    assert!(!pid_file.exists());
    assert!(!daemon.dir().join("control.sock").exists());
    assert_eq!(daemon.cli(&["status"]).status.code(), Some(3), "no daemon answers");
}

#[test]
fn a_config_with_errors_exits_78_and_starts_nothing() {
    let port = free_port();
    let config = format!(
        "[[tunnel]]\nname = \"good\"\nhost = \"127.0.0.1\"\nlocal_forward = [\"{port}:a:1\"]\n[[tunnel]]\nname = \"bad\"\nhosst = \"x\"\n"
    );
    let mut daemon = Daemon::launch(&config, &[]);
    assert_eq!(daemon.wait().code(), Some(78));
    assert!(daemon.log().contains("hosst"), "{}", daemon.log());
    assert!(connect(port).is_err());
}

#[test]
fn stop_lets_a_flowing_connection_finish_and_takes_no_new_one() {
    let (sshd, count, port) = (Sshd::start(), Target::start(Service::Count), free_port());
    let mut daemon =
        Daemon::start(&tunnel_toml("t", &sshd, &format!("local_forward = [\"{port}:127.0.0.1:{}\"]", count.port)));
    daemon.wait_ready("t");
    let mut flowing = connect(port).expect("the forward accepts");
    flowing.write_all(b"half of it").expect("bytes go in");
    daemon.wait_for("t", "carrying one", |tunnel| tunnel["forwards"][0]["opened"] == 1);
    daemon.signal(Signal::SIGTERM);
    eventually("nothing new is accepted", || connect(port).is_err().then_some(()));
    flowing.write_all(b", the rest").expect("what flows goes on");
    flowing.shutdown(std::net::Shutdown::Write).expect("half-close");
    let mut answer = String::new();
    flowing.read_to_string(&mut answer).expect("the answer");
    assert_eq!(answer, "20");
    assert_eq!(daemon.wait().code(), Some(0));
}

#[test]
fn int_stops_too_and_usr2_writes_the_table_into_the_log() {
    let sshd = Sshd::start();
    let mut daemon = Daemon::start(&tunnel_toml("table-me", &sshd, &any_forward(&sshd)));
    daemon.wait_ready("table-me");
    let before = daemon.log().len();
    daemon.signal(Signal::SIGUSR2);
    eventually("the table is in the log", || daemon.log()[before..].contains("table-me").then_some(()));
    daemon.signal(Signal::SIGINT);
    assert_eq!(daemon.wait().code(), Some(0));
}

#[test]
fn usr1_ends_a_backoff_wait_and_keeps_a_healthy_session() {
    let (mut sshd, echo, port) = (Sshd::start(), Target::start(Service::Echo), free_port());
    let lines = format!(
        "local_forward = [\"{port}:127.0.0.1:{}\"]\nbackoff = {{ min = \"1h\", max = \"1h\", jitter = 0 }}",
        echo.port
    );
    let daemon = Daemon::start(&tunnel_toml("t", &sshd, &lines));
    daemon.wait_ready("t");
    let rtt = |tunnel: &serde_json::Value| tunnel["session"]["rtt_ms"].as_f64();
    let first = daemon.wait_for("t", "measured", |t| rtt(t).is_some());
    eventually("the session is asked again", || {
        daemon.signal(Signal::SIGUSR1);
        daemon.tunnel("t").filter(|t| rtt(t) != rtt(&first))
    });
    assert!(echoes(port));
    assert_eq!(daemon.tunnel("t").expect("a status")["starts"], 1);
    sshd.crash();
    daemon.wait_for("t", "waiting", |t| t["phase"] == "backoff" && t["next_start_ms"].as_u64() > Some(60_000));
    sshd.launch();
    daemon.signal(Signal::SIGUSR1);
    daemon.wait_ready("t");
}

#[test]
fn the_log_is_one_json_object_a_line_when_asked_and_tells_no_secret() {
    let sshd = Sshd::start();
    let tunnel = tunnel_toml("t", &sshd, &any_forward(&sshd));
    let mut daemon = Daemon::start(&format!("[log]\nformat = \"json\"\nlevel = \"trace\"\n{tunnel}"));
    daemon.wait_ready("t");
    daemon.signal(Signal::SIGTERM);
    assert!(daemon.wait().success());
    let log = daemon.log();
    let event = |line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
    let events: Vec<serde_json::Value> = log.lines().map(event).collect();
    assert!(events.iter().any(|event| event["level"] == "INFO" && event["tunnel"] == "t"), "{log}");
    let key = std::fs::read_to_string(&sshd.user_key).expect("the private key");
    for line in key.lines().filter(|line| !line.starts_with('-')) {
        assert!(!log.contains(line), "a line of the private key is in the log");
    }
}

#[test]
fn a_pidfile_that_became_somebody_elses_is_left_alone_at_stop() {
    let sshd = Sshd::start();
    let dir = tempfile::tempdir().expect("a temporary folder");
    let pid_file = dir.path().join("t.pid");
    let environment = [("TUNNELD_PID_FILE", &*pid_file.display().to_string())];
    let mut daemon = Daemon::with_environment(&tunnel_toml("t", &sshd, &any_forward(&sshd)), &environment);
    eventually("the pidfile is written", || std::fs::read_to_string(&pid_file).ok().filter(|pid| pid.ends_with('\n')));
    std::fs::remove_file(&pid_file).expect("the pidfile is removed");
    std::fs::write(&pid_file, "1\n").expect("and writes an own one");
    daemon.signal(Signal::SIGTERM);
    assert_eq!(daemon.wait().code(), Some(0));
    assert_eq!(std::fs::read_to_string(&pid_file).expect("still there"), "1\n");
}
