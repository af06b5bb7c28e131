//! The command line without a daemon: check, usage, exit codes.

use std::process::{Command, Output};

use support::daemon::binary;

fn tunneld(arguments: &[&str]) -> Output {
    Command::new(binary()).args(arguments).output().expect("tunneld runs")
}

fn check(config: &str, json: bool) -> (Option<i32>, String) {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path = dir.path().join("c.toml");
    std::fs::write(&path, config).expect("a config");
    let path = path.display().to_string();
    let output = tunneld(if json { &["check", "--json", "--config", &path] } else { &["check", "--config", &path] });
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (output.status.code(), said.replace(&path, "FILE"))
}

#[test]
fn check_reports_every_error_at_its_place_with_a_caret_and_a_hint() {
    let config = "[[tunnel]]\nname = \"a\"\nhostt = \"q\"\nlocal_forward = [\"99999:a:b\"]\n";
    let (code, said) = check(config, false);
    assert_eq!(code, Some(78));
    for wanted in ["FILE:3:1", "hostt", "host", "^", "FILE:4:", "99999", "hint"] {
        assert!(said.contains(wanted), "{wanted} is not in\n{said}");
    }
}

#[test]
fn check_shows_the_resolved_tunnels() {
    let config =
        "[[tunnel]]\nname = \"a\"\nhost = \"example.invalid\"\nuser = \"u\"\nlocal_forward = [\"8080:db:80\"]\n";
    let (code, said) = check(config, false);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("u@example.invalid:22") && said.contains("8080"), "{said}");
    let (code, said) = check(config, true);
    assert_eq!(code, Some(0), "{said}");
    assert!(serde_json::from_str::<serde_json::Value>(&said).is_ok(), "{said}");
}

#[test]
fn wrong_usage_exits_64_and_no_daemon_exits_3() {
    assert_eq!(tunneld(&["stat"]).status.code(), Some(64));
    assert_eq!(tunneld(&["why"]).status.code(), Some(64));
    assert_eq!(tunneld(&["--version"]).status.code(), Some(0));
    assert_eq!(tunneld(&["status", "--control-socket", "/nowhere/control.sock"]).status.code(), Some(3));
}

#[test]
fn a_missing_config_exits_78_and_names_the_file() {
    let output = tunneld(&["check", "--config", "/nowhere/tunneld.toml"]);
    assert_eq!(output.status.code(), Some(78));
    assert!(String::from_utf8_lossy(&output.stderr).contains("/nowhere/tunneld.toml"));
}
