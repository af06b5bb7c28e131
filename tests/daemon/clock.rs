//! The calendar's clock is set back: what waits, waits no longer than it would have; what is told stays in order.

use std::path::{Path, PathBuf};

use support::net::{Service, Target, echoes, free_port};
use support::{Daemon, Sshd, eventually, tunnel_toml};

/// Two days.
const BACK: &str = "-172800";

/// A program's clock of the calendar is moved by a file, while its others are left alone (libfaketime, of Debian's faketime).
fn library() -> PathBuf {
    let folders = std::fs::read_dir("/usr/lib").expect("/usr/lib").flatten();
    let found = folders.map(|folder| folder.path().join("faketime/libfaketimeMT.so.1")).find(|path| path.exists());
    found.expect("libfaketime, of Debian's package faketime: run tests/setup")
}

fn set(file: &Path, offset: &str) {
    std::fs::write(file, offset).expect("the clock's file");
}

#[test]
fn clock_that_is_set_back_stops_no_tunnel_and_loses_no_history() {
    let (mut sshd, echo, port) = (Sshd::start(), Target::start(Service::Echo), free_port());
    let dir = tempfile::tempdir().expect("a folder");
    let (clock, state) = (dir.path().join("clock"), dir.path().join("state"));
    std::fs::create_dir(&state).expect("a folder");
    set(&clock, "+0");
    let forward = format!("local_forward = [\"127.0.0.1:{port}:127.0.0.1:{}\"]", echo.port);
    let config = format!("state_directory = \"{}\"\n{}", state.display(), tunnel_toml("t", &sshd, &forward));
    let (library, file) = (library().display().to_string(), clock.display().to_string());
    let environment = [
        ("LD_PRELOAD", library.as_str()),
        ("FAKETIME_TIMESTAMP_FILE", &file),
        ("FAKETIME_NO_CACHE", "1"),
        ("DONT_FAKE_MONOTONIC", "1"),
    ];
    let mut daemon = Daemon::with_environment(&config, &environment);
    let before = daemon.wait_ready("t")["since"].as_str().map(str::to_owned);
    sshd.crash();
    daemon.wait_for("t", "down", |tunnel| tunnel["ready"] == false);
    set(&clock, BACK);
    sshd.launch();
    daemon.wait_ready("t");
    eventually("it carries", || echoes(port).then_some(()));

    // What is told can be read, whatever order the calendar gives it: no time below zero, no share above one.
    let why = daemon.cli(&["why", "t"]);
    assert!(why.status.success(), "{why:?}");
    let events = daemon.cli(&["events", "--json"]);
    let text = String::from_utf8_lossy(&events.stdout).into_owned();
    let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert!(lines.len() > 3, "{text}");
    let status = daemon.tunnel("t").expect("a status");
    assert_eq!(status["ready"], true);
    assert!(status["since"].as_str() < before.as_deref(), "the clock was not set back: {status:#}");
    let told = String::from_utf8_lossy(&why.stdout).into_owned();
    let (_, share) = told.split_once("ready ").and_then(|_| told.rsplit_once(": ready ")).expect("a share");
    let share: f64 = share.split_whitespace().next().and_then(|share| share.parse().ok()).expect("a number");
    assert!((0.0..=100.0).contains(&share), "{told}");

    // The next daemon reads what this one wrote, and goes on.
    daemon.kill();
    daemon.start_again(Vec::new());
    daemon.wait_ready("t");
    let again = String::from_utf8_lossy(&daemon.cli(&["why", "t"]).stdout).into_owned();
    assert!(told.contains("1 outage") && again.contains("outage"), "{told}\n{again}");
    let log = daemon.log();
    assert!(!log.contains("panicked") && !log.contains("history.jsonl is not"), "{log}");
    // And forward again.
    set(&clock, "+0");
    assert!(daemon.cli(&["restart", "t"]).status.success());
    daemon.wait_ready("t");
    eventually("it carries", || echoes(port).then_some(()));
}
