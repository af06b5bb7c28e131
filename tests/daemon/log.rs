//! What the daemon says: in its log, and of one tunnel when asked.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use support::daemon::{any_forward, said};
use support::net::free_port;
use support::socks::{self, Version};
use support::{Daemon, Sshd, eventually, tunnel_toml};

/// The last lines about a tunnel, as a client of the control socket gets them.
fn recent(daemon: &Daemon, name: &str) -> Value {
    let mut stream = UnixStream::connect(daemon.dir().join("control.sock")).expect("the control socket");
    let request = json!({ "version": 1, "request": { "verb": "log", "name": name } });
    writeln!(stream, "{request}").expect("it reads");
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).expect("it answers");
    serde_json::from_str::<Value>(&line).expect("JSON")["response"].take()
}

fn has(lines: &Value, level: &str, text: &str) -> bool {
    let lines = lines["lines"].as_array().into_iter().flatten();
    lines.filter(|line| line["level"] == level).any(|line| line["message"].as_str().is_some_and(|m| m.contains(text)))
}

#[test]
fn last_lines_of_a_tunnel_are_known_while_the_log_is_quiet() {
    let (mut sshd, other) = (Sshd::start(), Sshd::start());
    let broken = tunnel_toml("web-db", &sshd, &any_forward(&sshd));
    let config = format!("{broken}{}", tunnel_toml("other", &other, &any_forward(&other)));
    let daemon = Daemon::start(&format!("[log]\nlevel = \"error\"\n{config}"));
    daemon.wait_ready("web-db");
    daemon.wait_ready("other");
    sshd.crash();
    let lines = eventually("its loss is known", || {
        Some(recent(&daemon, "web-db")).filter(|lines| has(lines, "warn", "kind=connect_refused"))
    });
    assert!(
        has(&lines, "info", "ready") && has(&lines, "warn", "hint=") && has(&lines, "warn", "retry_in="),
        "{lines}"
    );
    assert!(!lines.to_string().contains("other"), "{lines}");
    assert!(!has(&recent(&daemon, "other"), "warn", ""), "{lines}");
    assert!(daemon.log().is_empty(), "{}", daemon.log());

    daemon.write_config(&tunnel_toml("other", &other, &any_forward(&other)));
    assert!(daemon.cli(&["reload"]).status.success());
    assert_eq!(recent(&daemon, "web-db")["code"], "no_such_tunnel");
    daemon.write_config(&tunnel_toml("web-db", &other, &any_forward(&other)));
    assert!(daemon.cli(&["reload"]).status.success());
    daemon.wait_ready("web-db");
    let lines = recent(&daemon, "web-db");
    assert!(has(&lines, "info", "ready") && !has(&lines, "warn", ""), "{lines}");
}

/// Each line of a log in JSON.
fn events(log: &str) -> Vec<Value> {
    let event = |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    log.lines().map(event).collect()
}

#[test]
fn every_json_line_has_its_tunnel_at_top_level() {
    let (mut sshd, port) = (Sshd::start(), free_port());
    let lines = format!("strict_host_key_checking = \"accept-new\"\ndynamic_forward = [\"{port}\"]\n");
    std::fs::write(&sshd.known_hosts, "").expect("a file that knows no server");
    let tunnel = tunnel_toml("t", &sshd, &lines);
    let mut daemon = Daemon::start(&format!("[log]\nformat = \"json\"\n{tunnel}"));
    daemon.wait_ready("t");
    // The engine tells of a connection that the server could not make.
    let (_, code) = socks::request(port, Version::V5, free_port()).expect("an answer");
    assert_ne!(code, 0, "nothing listens there");
    sshd.crash();
    daemon.wait_for("t", "waiting", |t| t["phase"] == "backoff");
    daemon.signal(Signal::SIGTERM);
    assert!(daemon.wait().success());
    let events = events(&daemon.log());
    for event in &events {
        let time = event["timestamp"].as_str().unwrap_or_default();
        assert!(time.len() == "2026-01-01T00:00:00.000000Z".len() && time.ends_with('Z'), "{event}");
        assert!(event["message"].is_string() && event["level"].is_string(), "{event}");
    }
    let of_tunnel = |wanted: &str| {
        let mut found = events.iter().filter(|event| event["tunnel"] == "t");
        found.find(|event| event["message"].as_str().is_some_and(|text| text.contains(wanted))).cloned()
    };
    for wanted in ["new host key", "ready", "was refused", "stopped"] {
        assert!(of_tunnel(wanted).is_some(), "{wanted}: {events:?}");
    }
    assert_eq!(of_tunnel("was refused").map(|event| event["forward"].clone()), Some(port.to_string().into()));
    let failed = events.iter().find(|event| event["kind"] == "connect_refused").expect("a failed start");
    assert!(failed["attempt"].as_u64() > Some(0) && failed["retry_in"].is_string(), "{failed}");
    assert_eq!(failed["tunnel"], "t");
}

#[test]
fn level_changes_by_reload_and_nothing_else_does() {
    let sshd = Sshd::start();
    let tunnel = tunnel_toml("t", &sshd, &any_forward(&sshd));
    let with_level = |level: &str| format!("[log]\nlevel = \"{level}\"\n{tunnel}");
    let daemon = Daemon::start(&with_level("warn"));
    daemon.wait_ready("t");
    assert!(!daemon.log().contains("ready"), "{}", daemon.log());
    let session =
        |daemon: &Daemon| daemon.tunnel("t").map(|t| (t["starts"].clone(), t["session"]["connected_at"].clone()));
    let before = session(&daemon);
    daemon.write_config(&with_level("debug"));
    daemon.signal(Signal::SIGHUP);
    eventually("the new level", || daemon.status().filter(|_| daemon.log().contains("DEBUG")));
    assert!(daemon.log().contains("log.level becomes `debug`"), "{}", daemon.log());
    daemon.write_config(&with_level("error"));
    let told = said(&daemon.cli(&["reload"]));
    assert!(told.contains("log.level becomes `error`"), "{told}");
    // A line of before may be written late; at `debug` each question is one.
    eventually("a question without a line", || {
        let length = daemon.log().len();
        (daemon.cli(&["status"]).status.success() && daemon.log().len() == length).then_some(())
    });
    assert_eq!(session(&daemon), before);
}

#[test]
fn a_level_of_the_environment_stays_and_the_reload_says_so() {
    let sshd = Sshd::start();
    let tunnel = tunnel_toml("t", &sshd, &any_forward(&sshd));
    let daemon = Daemon::with_environment(&tunnel, &[("TUNNELD_LOG_LEVEL", "info")]);
    daemon.wait_ready("t");
    daemon.write_config(&format!("[log]\nlevel = \"debug\"\n{tunnel}"));
    let told = said(&daemon.cli(&["reload"]));
    assert!(told.contains("log.level = `debug` has no effect") && told.contains("TUNNELD_LOG_LEVEL"), "{told}");
    assert!(!daemon.log().contains("DEBUG"), "{}", daemon.log());
}
