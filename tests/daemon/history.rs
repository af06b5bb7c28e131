//! The history of the last 24 hours over the ends of a daemon.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;

use nix::sys::signal::Signal;
use serde_json::Value;
use support::daemon::any_forward;
use support::{Daemon, Sshd, eventually, tunnel_toml};

/// What the daemon answers to a request for the history of its one tunnel.
fn history(daemon: &Daemon) -> Option<Value> {
    let mut stream = UnixStream::connect(daemon.dir().join("control.sock")).ok()?;
    stream.write_all(b"{\"version\":1,\"request\":{\"verb\":\"history\"}}\n").ok()?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).ok()?;
    let answer: Value = serde_json::from_str(&line).ok()?;
    answer["response"]["tunnels"].as_array()?.first().cloned()
}

fn outages(history: &Value) -> Vec<Value> {
    history["outages"].as_array().expect("a list").clone()
}

#[test]
fn history_survives_kill_9_a_torn_line_and_a_stop() {
    let sshd = Sshd::start();
    let tunnel = tunnel_toml("t", &sshd, &any_forward(&sshd));
    let mut daemon = Daemon::start(&format!("state_directory = \"state\"\n{tunnel}"));
    daemon.wait_ready("t");
    sshd.kill_sessions();
    daemon.wait_for("t", "back", |tunnel| tunnel["ready"] == true && tunnel["starts"] == 2);
    let before = history(&daemon).expect("an answer");
    assert_eq!(outages(&before).len(), 1, "{before}");
    assert!(before["availability"].as_f64().is_some_and(|share| share > 0.0 && share <= 1.0), "{before}");
    let file = daemon.dir().join("state/history.jsonl");
    let of_ready = || fs::read_to_string(&file).ok().filter(|text| text.matches("\"ready\"").count() >= 2);
    eventually("the changes are written", of_ready);

    daemon.kill();
    let mut torn = fs::OpenOptions::new().append(true).open(&file).expect("the file");
    torn.write_all(b"{\"line\":\"state\",\"tunnel\":\"t\",\"a").expect("room");
    daemon.start_again(Vec::new());
    daemon.wait_ready("t");
    let after = history(&daemon).expect("an answer");
    let kinds: Vec<_> = outages(&after).iter().map(|outage| outage["kind"].clone()).collect();
    assert_eq!(kinds.first().and_then(Value::as_str), Some("not_running"), "{after}");
    assert_eq!(outages(&after)[1], outages(&before)[0], "the one before is kept");

    daemon.signal(Signal::SIGTERM);
    assert!(daemon.wait().success());
    let text = fs::read_to_string(&file).expect("the file");
    assert!(text.ends_with("}\n") && text.lines().last().is_some_and(|line| line.contains("\"stopped\"")), "{text}");
    assert!(text.contains("\"sample\""), "the samples of an unfinished time are kept: {text}");
    daemon.start_again(Vec::new());
    daemon.wait_ready("t");
    let stopped = history(&daemon).expect("an answer");
    assert_eq!(outages(&stopped), outages(&after), "a stop is no outage");
}

#[test]
fn foreign_file_or_a_second_daemon_there_stops_no_daemon() {
    let sshd = Sshd::start();
    let state = tempfile::tempdir().expect("a folder");
    fs::write(state.path().join("history.jsonl"), "a shopping list\n").expect("a file");
    let config = || {
        let tunnel = tunnel_toml("t", &sshd, &any_forward(&sshd));
        format!("state_directory = \"{}\"\n{tunnel}", state.path().display())
    };
    let daemon = Daemon::start(&config());
    daemon.wait_ready("t");
    assert_eq!(fs::read_to_string(state.path().join("history.jsonl.damaged")).expect("kept"), "a shopping list\n");
    assert_eq!(daemon.log().matches("is moved to").count(), 1, "{}", daemon.log());

    let second = Daemon::start(&config());
    second.wait_ready("t");
    assert_eq!(second.log().matches("it is in memory only").count(), 1, "{}", second.log());
    assert!(history(&second).is_some());
}
