//! What the running process has given up. Its change of user is in tests/systemd, which has a network of its own.

use support::Daemon;

fn of_proc(daemon: &Daemon, file: &str) -> String {
    std::fs::read_to_string(format!("/proc/{}/{file}", daemon.pid())).expect("the daemon runs")
}

fn value(status: &str, key: &str) -> String {
    status.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default().trim().to_owned()
}

#[test]
fn daemon_takes_no_new_privileges_and_dumps_no_core() {
    let daemon = Daemon::start("");
    assert_eq!(value(&of_proc(&daemon, "status"), "NoNewPrivs:"), "1");
    let limits = value(&of_proc(&daemon, "limits"), "Max core file size");
    assert_eq!(limits.split_whitespace().collect::<Vec<_>>(), ["0", "0", "bytes"]);
}

#[test]
fn new_privileges_of_commands_can_be_allowed() {
    let daemon = Daemon::start("no_new_privileges = false\n");
    assert_eq!(value(&of_proc(&daemon, "status"), "NoNewPrivs:"), "0");
}
