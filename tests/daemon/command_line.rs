//! The command line where no daemon runs: usage, check, exit codes, and where the socket is found.

use std::path::Path;
use std::process::{Output, Stdio};

use support::Daemon;
use support::daemon::{command, said, tunneld};

/// A tunnel whose server never answers: enough for a daemon that runs.
const TUNNEL: &str = "[[tunnel]]\nname = \"t\"\nhost = \"127.0.0.1\"\nport = 1\nuser = \"nobody\"\n\
    identity_agent = \"none\"\nremote_forward = [\"2222:localhost:22\"]\n";

/// Two mistakes, in lines 4 and 5.
const TWO_MISTAKES: &str =
    "control_socket = \"s\"\n[[tunnel]]\nname = \"x\"\nhostt = \"q\"\nlocal_forward = [\"99999:a:b\"]\n";

fn code(output: &Output) -> i32 {
    output.status.code().unwrap_or(-1)
}

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn json(output: &Output) -> serde_json::Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {}", said(output)))
}

/// A folder with a config of this text.
fn config(toml: &str) -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path = dir.path().join("c.toml");
    std::fs::write(&path, toml).expect("a config");
    let path = path.display().to_string();
    (dir, path)
}

#[test]
fn verbose_version_names_the_build_and_its_algorithms() {
    let output = tunneld(&["--version", "--verbose"]);
    let text = String::from_utf8_lossy(&output.stdout);
    let value =
        |key: &str| text.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_else(|| panic!("{key}: {text}"));
    assert_eq!(code(&output), 0, "{}", said(&output));
    assert!(text.starts_with("tunneld ") && !value("commit: ").is_empty() && !value("profile: ").is_empty(), "{text}");
    assert!(value("compiler: ").starts_with("rustc "), "{text}");
    assert!(value("ciphers: ").contains("aes128-gcm@openssh.com"), "{text}");
    assert!(value("host_key_algorithms, where a config names them: ").contains("ssh-rsa"), "{text}");
}

#[test]
fn help_and_version_are_fine() {
    for arguments in [&["--help"][..], &["--version"], &["status", "--help"]] {
        let output = tunneld(arguments);
        assert_eq!(code(&output), 0, "{arguments:?}");
        assert!(!output.stdout.is_empty(), "{arguments:?}");
    }
}

#[test]
fn wrong_usage_is_64() {
    let calls: &[&[&str]] =
        &[&["frobnicate"], &["stat"], &["--nope"], &["why"], &["wait"], &["wait", "x", "--timeout", "soon"]];
    for arguments in calls {
        assert_eq!(code(&tunneld(arguments)), 64, "{arguments:?}");
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
        let output = tunneld(&[*verb, &["--control-socket", "/nonexistent/s"]].concat());
        assert_eq!(code(&output), 3, "{verb:?}");
        assert!(errors(&output).contains("`/nonexistent/s`"), "{verb:?}: {}", errors(&output));
    }
}

#[test]
fn a_flag_wins_over_the_environment_and_that_over_the_file() {
    let (_dir, file) = config("control_socket = \"/nonexistent/file\"\n");
    let asked = |arguments: &[&str], environment: &[(&str, &str)]| {
        errors(&command().args(arguments).envs(environment.iter().copied()).output().expect("tunneld runs"))
    };
    let environment = [("TUNNELD_CONTROL_SOCKET", "/nonexistent/environment")];
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
    let (dir, file) = config(TWO_MISTAKES);
    for arguments in [&["check", "--config", &file][..], &["--config", &file], &["run", "-c", &file]] {
        let output = tunneld(arguments);
        assert_eq!(code(&output), 78, "{arguments:?}");
        let errors = errors(&output);
        assert!(errors.contains("hostt") && errors.contains("99999"), "{arguments:?}: {errors}");
        assert!(errors.contains(&format!("{file}:4:1")), "{arguments:?}: {errors}");
    }
    assert!(!dir.path().join("s").exists());
}

#[test]
fn check_shows_every_error_at_its_place_with_the_line_a_caret_and_a_hint() {
    let (_dir, file) = config(TWO_MISTAKES);
    let output = tunneld(&["check", "--config", &file]);
    let said = said(&output).replace(&file, "FILE");
    for wanted in ["FILE:4:1", "hostt = \"q\"", "`host`", "^", "FILE:5:", "99999", "hint"] {
        assert!(said.contains(wanted), "{wanted} is not in\n{said}");
    }
    let output = tunneld(&["check", "--json", "-c", &file]);
    assert_eq!(code(&output), 78);
    let json = json(&output);
    assert!(json["errors"].as_array().is_some_and(|errors| errors.len() > 1), "{json}");
}

#[test]
fn check_shows_the_resolved_tunnels() {
    let (_dir, file) = config(&format!(
        "{TUNNEL}[[tunnel]]\nname = \"a\"\nhost = \"example.invalid\"\nuser = \"u\"\nlocal_forward = [\"8080:db:80\"]\n"
    ));
    let output = tunneld(&["check", "--config", &file]);
    assert_eq!(code(&output), 0, "{}", errors(&output));
    let shown = String::from_utf8_lossy(&output.stdout);
    for wanted in ["nobody@127.0.0.1:1", "-R 2222:localhost:22", "u@example.invalid:22", "8080"] {
        assert!(shown.contains(wanted), "{wanted} is not in\n{shown}");
    }
    let output = tunneld(&["check", "--json", "--config", &file]);
    assert_eq!(code(&output), 0, "{}", errors(&output));
    assert_eq!(json(&output)["tunnels"].as_array().map(Vec::len), Some(2), "{}", said(&output));
}

#[test]
fn a_missing_config_is_78_and_named() {
    for arguments in [&["check", "--config", "/nowhere/tunneld.toml"][..], &["--config", "/nowhere/tunneld.toml"]] {
        let output = tunneld(arguments);
        assert_eq!(code(&output), 78, "{arguments:?}");
        assert!(errors(&output).contains("/nowhere/tunneld.toml"), "{arguments:?}: {}", errors(&output));
    }
}

#[test]
fn what_cannot_be_created_is_73() {
    let (_dir, file) = config(TUNNEL);
    for flag in ["--pid-file", "--control-socket"] {
        let output = tunneld(&["--config", &file, flag, "/nonexistent/folder/x"]);
        assert_eq!(code(&output), 73, "{flag}: {}", errors(&output));
        assert!(errors(&output).contains("/nonexistent/folder/x"), "{flag}");
    }
    let (_dir, file) = config(&format!("pid_file = \"/nowhere/at/all.pid\"\n{TUNNEL}"));
    let output = tunneld(&["--config", &file]);
    assert_eq!(code(&output), 73, "{}", errors(&output));
    assert!(errors(&output).contains("/nowhere/at/all.pid"), "{}", errors(&output));
    assert!(!Path::new("/nowhere").exists());
}

#[test]
fn a_reader_that_leaves_early_is_no_error() {
    let daemon = Daemon::start(TUNNEL);
    let mut command = command();
    command.args(["status", "--watch", "--control-socket"]).arg(daemon.dir().join("control.sock"));
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("tunneld runs");
    drop(child.stdout.take());
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
}

#[test]
fn import_of_what_is_no_tunnel_is_wrong_usage() {
    for line in ["autossh -M 0 -N --bogus h", "autossh -M 0", "ssh h"] {
        let words: Vec<&str> = ["import", "autossh", "--"].into_iter().chain(line.split(' ')).collect();
        let output = tunneld(&words);
        assert_eq!(output.status.code(), Some(64), "{line}: {}", said(&output));
    }
    let dir = tempfile::tempdir().expect("a folder");
    let unit = |name: &str| dir.path().join(name).display().to_string();
    std::fs::write(unit("a@.service"), "[Service]\nExecStart=ssh -N -L 1:%i:2 h\n").expect("a template");
    std::fs::write(unit("b.service"), "[Service]\nExecStart=/bin/true\n").expect("a unit");
    for name in ["a@.service", "b.service", "nonexistent.service"] {
        let output = tunneld(&["import", "unit", &unit(name)]);
        assert_eq!(output.status.code(), Some(64), "{name}: {}", said(&output));
    }
}

#[test]
fn control_characters_of_names_and_paths_are_not_printed() {
    let daemon = Daemon::start(TUNNEL);
    let calls: &[&[&str]] = &[&["why", "\u{1b}[2J"], &["status", "a\u{7}"], &["restart", "\u{9b}x"]];
    let outputs = calls.iter().map(|arguments| daemon.cli(arguments));
    let (_dir, file) = config("[[tunnel]]\n\"\\u001b[2J\" = 1\n");
    let others: &[&[&str]] = &[
        &["status", "--control-socket", "/nonexistent/\u{1b}[2J"],
        &["check", "--config", "/nonexistent/\u{1b}[2J"],
        &["check", "--config", "/nonexistent/\u{202e}"],
        &["check", "--config", &file],
        &["import", "unit", "/nonexistent/\u{1b}[2J"],
        &["\u{1b}[2J"],
    ];
    for output in outputs.chain(others.iter().map(|arguments| tunneld(arguments))) {
        let text = said(&output);
        assert!(
            !text.is_empty() && !text.contains(|c: char| c.is_control() && c != '\n' || c == '\u{202e}'),
            "{text:?}"
        );
    }
}
