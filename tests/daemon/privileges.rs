//! What the running process has given up. Its change of user is in tests/systemd, which has a network of its own.

use std::os::unix::fs::PermissionsExt;

use support::Daemon;
use support::daemon::{said, tunneld};

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

/// Another user of this machine, whom root can become. For others a word on the terminal, and never with CI in the
/// environment.
fn other_user() -> Option<nix::unistd::User> {
    let is_root = nix::unistd::getuid().is_root();
    assert!(is_root || std::env::var_os("CI").is_none(), "another user is for root to become");
    if !is_root {
        // Not by a macro: the test harness would swallow it.
        let notice = b"\nNOT TESTED: another user is for root to become\n";
        let _ = std::io::Write::write_all(&mut std::io::stderr(), notice);
        return None;
    }
    nix::unistd::User::from_name("nobody").expect("the accounts")
}

#[test]
fn verbs_of_root_see_a_config_as_its_user_does() {
    let Some(user) = other_user() else { return };
    let (folder, home) = (tempfile::tempdir().expect("a folder"), user.dir.display().to_string());
    std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).expect("a mode");
    let path = folder.path().join("c.toml");
    let tunnel =
        "[[tunnel]]\nname = \"t\"\nhost = \"h.invalid\"\nidentity_file = \"~/k\"\nlocal_forward = [\"1:a:1\"]\n";
    let socket = folder.path().join("s.sock");
    let config = format!("user = \"nobody\"\ncontrol_socket = \"{}\"\n{tunnel}", socket.display());
    std::fs::write(&path, config).expect("a config");
    let verb = |words: &[&str]| said(&tunneld(&[words, &["--config", &path.display().to_string()]].concat()));
    let checked = verb(&["check", "--json"]);
    assert!(checked.contains("nobody@h.invalid:22") && checked.contains(&format!("{home}/k")), "{checked}");
    let authorized = verb(&["authorize", "t"]);
    assert!(authorized.contains("login `nobody`") && !authorized.contains("/root"), "{authorized}");
    let examined = verb(&["doctor"]);
    assert!(examined.contains("account        nobody"), "{examined}");
    let installed = verb(&["authorize", "t", "--install", "nobody@h.invalid"]);
    assert!(installed.contains("the tunnels run as `nobody`"), "{installed}");
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).expect("a mode");
    let unreadable = verb(&["check"]);
    assert!(unreadable.contains("cannot be read by user `nobody`"), "{unreadable}");
}
