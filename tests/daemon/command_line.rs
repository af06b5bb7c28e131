//! The command line: exit codes, where the socket is found, and what keeps a second instance out.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use support::daemon::binary;
use support::{Daemon, eventually};

/// A tunnel whose server never answers: enough for a daemon that runs.
const TUNNEL: &str = "[[tunnel]]\nname = \"t\"\nhost = \"127.0.0.1\"\nport = 1\nuser = \"nobody\"\n\
    identity_agent = \"none\"\nremote_forward = [\"2222:localhost:22\"]\n";

fn tunneld(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = Command::new(binary());
    for name in ["TUNNELD_CONFIG", "TUNNELD_CONTROL_SOCKET", "TUNNELD_LOG_LEVEL", "TUNNELD_PID_FILE", "NOTIFY_SOCKET"] {
        command.env_remove(name);
    }
    command.args(arguments).envs(environment.iter().copied()).stdin(Stdio::null()).output().expect("tunneld runs")
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap_or(-1)
}

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path of plain text")
}

/// A folder with a config of this text.
fn config(toml: &str) -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path = dir.path().join("c.toml");
    std::fs::write(&path, toml).expect("a config");
    let path = text(&path).to_owned();
    (dir, path)
}

#[test]
fn help_and_version_are_fine() {
    for arguments in [&["--help"][..], &["--version"], &["status", "--help"]] {
        let output = tunneld(arguments, &[]);
        assert_eq!(code(&output), 0, "{arguments:?}");
        assert!(!output.stdout.is_empty(), "{arguments:?}");
    }
}

#[test]
fn wrong_usage_is_64() {
    for arguments in [&["frobnicate"][..], &["--nope"], &["why"], &["wait"], &["wait", "x", "--timeout", "soon"]] {
        assert_eq!(code(&tunneld(arguments, &[])), 64, "{arguments:?}");
    }
}

#[test]
fn without_a_daemon_every_client_verb_is_3_and_names_the_socket() {
    let verbs: &[&[&str]] = &[
        &["status"],
        &["status", "--json"],
        &["status", "--watch"],
        &["why", "x"],
        &["wait", "x"],
        &["start", "x"],
        &["stop", "x"],
        &["restart", "x"],
        &["reset-failed"],
        &["reload"],
        &["plan"],
    ];
    for verb in verbs {
        let output = tunneld(&[*verb, &["--control-socket", "/nonexistent/s"]].concat(), &[]);
        assert_eq!(code(&output), 3, "{verb:?}");
        assert!(errors(&output).contains("`/nonexistent/s`"), "{verb:?}: {}", errors(&output));
    }
}

#[test]
fn a_flag_wins_over_the_environment_and_that_over_the_file() {
    let (_dir, file) = config("control_socket = \"/nonexistent/file\"\n");
    let environment = [("TUNNELD_CONTROL_SOCKET", "/nonexistent/environment")];
    let asked = |arguments: &[&str], environment: &[(&str, &str)]| errors(&tunneld(arguments, environment));
    let by_file = asked(&["status", "--config", &file], &[]);
    assert!(by_file.contains("/nonexistent/file"), "{by_file}");
    let by_environment = asked(&["status", "--config", &file], &environment);
    assert!(by_environment.contains("/nonexistent/environment"), "{by_environment}");
    let by_config_variable = asked(&["status"], &[("TUNNELD_CONFIG", &file)]);
    assert!(by_config_variable.contains("/nonexistent/file"), "{by_config_variable}");
    for arguments in
        [["--control-socket", "/nonexistent/flag", "status"], ["status", "--control-socket", "/nonexistent/flag"]]
    {
        let by_flag = asked(&arguments, &environment);
        assert!(by_flag.contains("/nonexistent/flag"), "{arguments:?}: {by_flag}");
    }
}

#[test]
fn a_config_with_errors_is_78_with_all_of_them_and_starts_nothing() {
    let toml = "control_socket = \"s\"\n[[tunnel]]\nname = \"x\"\nhostt = \"q\"\nlocal_forward = [\"99999:a:b\"]\n";
    let (dir, file) = config(toml);
    for arguments in [&["check", "--config", &file][..], &["--config", &file], &["run", "-c", &file]] {
        let output = tunneld(arguments, &[]);
        assert_eq!(code(&output), 78, "{arguments:?}");
        let errors = errors(&output);
        assert!(errors.contains("hostt") && errors.contains("99999"), "{arguments:?}: {errors}");
        assert!(errors.contains(&format!("{file}:4:1")), "{arguments:?}: {errors}");
    }
    let json: serde_json::Value =
        serde_json::from_slice(&tunneld(&["check", "--json", "-c", &file], &[]).stdout).expect("JSON");
    assert!(json["errors"].as_array().is_some_and(|errors| errors.len() > 1), "{json}");
    assert!(!dir.path().join("s").exists());
}

#[test]
fn a_config_without_errors_is_checked_with_0() {
    let (_dir, file) = config(TUNNEL);
    let output = tunneld(&["check", "--config", &file], &[]);
    assert_eq!(code(&output), 0, "{}", errors(&output));
    assert!(String::from_utf8_lossy(&output.stdout).contains("-R 2222:localhost:22"));
}

#[test]
fn a_second_instance_is_69_by_pidfile_and_by_socket() {
    let daemon = Daemon::start(&format!("pid_file = \"t.pid\"\n{TUNNEL}"));
    let pidfile = daemon.dir().join("t.pid");
    eventually("the pidfile is written", || {
        std::fs::read_to_string(&pidfile).ok().filter(|pid| *pid == format!("{}\n", daemon.pid()))
    });
    let config = daemon.config();
    let other = daemon.dir().join("other.sock");
    let by_pidfile = tunneld(&["--config", text(&config), "--control-socket", text(&other)], &[]);
    assert_eq!(code(&by_pidfile), 69);
    assert!(errors(&by_pidfile).contains(&format!("(pid {})", daemon.pid())), "{}", errors(&by_pidfile));
    let other = daemon.dir().join("other.pid");
    assert_eq!(code(&tunneld(&["--config", text(&config), "--pid-file", text(&other)], &[])), 69);
    assert!(!other.exists());
    assert!(daemon.status().is_some());
}

#[test]
fn what_cannot_be_created_is_73() {
    let (_dir, file) = config(TUNNEL);
    for flag in ["--pid-file", "--control-socket"] {
        let output = tunneld(&["--config", &file, flag, "/nonexistent/folder/x"], &[]);
        assert_eq!(code(&output), 73, "{flag}: {}", errors(&output));
        assert!(errors(&output).contains("/nonexistent/folder/x"), "{flag}");
    }
}

#[test]
fn a_tunnel_that_nobody_knows_is_told_by_name() {
    let daemon = Daemon::start(TUNNEL);
    let output = daemon.cli(&["why", "nobody"]);
    assert_eq!(code(&output), 1);
    assert!(errors(&output).contains("`nobody`"), "{}", errors(&output));
}

#[test]
fn a_reader_that_leaves_early_is_no_error() {
    let daemon = Daemon::start(TUNNEL);
    let mut command = Command::new(binary());
    command.args(["status", "--watch", "--control-socket"]).arg(daemon.dir().join("control.sock"));
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("tunneld runs");
    drop(child.stdout.take());
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
}
