//! What the daemon says: in its log, and of one tunnel when asked.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;

use serde_json::{Value, json};
use support::daemon::any_forward;
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
