//! `container`: the environment of other images runs a tunnel, and only there.

use std::path::Path;
use std::process::{Command, Stdio};

use support::daemon::{command, said};
use support::net::{Service, Target, echoes, free_port};
use support::process::Process;
use support::{Sshd, eventually, keys};

fn container(arguments: &[&str], variables: &[(&str, &str)]) -> Command {
    let mut command = command();
    command.arg("container").args(arguments).envs(variables.iter().copied()).env_remove("TUNNELD_CONFIG");
    command.stdin(Stdio::null());
    command
}

/// A file of this name on the tester's machine is what such a container would run.
fn a_config_is_in_the_way() -> bool {
    Path::new("/etc/tunneld.toml").exists()
}

#[test]
fn variables_of_the_autossh_image_run_its_tunnel() {
    if a_config_is_in_the_way() {
        return;
    }
    let (sshd, echo, port) = (Sshd::start(), Target::start(Service::Echo), free_port());
    let dir = tempfile::tempdir().expect("a folder");
    let socket = dir.path().join("s").display().to_string();
    let (server, target, listen) = (sshd.port.to_string(), echo.port.to_string(), port.to_string());
    let (user, key, hosts) =
        (keys::user(), sshd.user_key.display().to_string(), sshd.known_hosts.display().to_string());
    let variables = [
        ("SSH_REMOTE_USER", user.as_str()),
        ("SSH_REMOTE_HOST", "127.0.0.1"),
        ("SSH_REMOTE_PORT", &server),
        ("SSH_MODE", "-L"),
        ("SSH_TUNNEL_PORT", &listen),
        ("SSH_TARGET_HOST", "127.0.0.1"),
        ("SSH_TARGET_PORT", &target),
        ("SSH_KEY_FILE", &key),
        ("SSH_KNOWN_HOSTS_FILE", &hosts),
        ("TUNNELD_CONTROL_SOCKET", &socket),
    ];
    let mut run = container(&[], &variables);
    let mut daemon = Process::spawn(run.stdout(Stdio::null()).stderr(Stdio::null()));
    eventually("an echo through the tunnel", || echoes(port).then_some(()));
    let ask = |verb: &str| command().arg(verb).env("TUNNELD_CONTROL_SOCKET", &socket).output().expect("tunneld runs");
    assert!(ask("status").status.success(), "{}", said(&ask("status")));
    let reload = ask("reload");
    assert!(reload.status.success() && echoes(port), "{}", said(&reload));
    daemon.kill();
}

#[test]
fn the_config_of_the_environment_is_printed() {
    if a_config_is_in_the_way() {
        return;
    }
    let variables = [("SSH_REMOTE_HOST", "relay.example"), ("SSH_KEY_FILE", "/dev/null"), ("SSH_TUNNEL_PORT", "2222")];
    let output = container(&["--print"], &variables).output().expect("tunneld runs");
    let said = said(&output);
    assert!(output.status.success(), "{said}");
    for wanted in
        ["as jnovack/autossh reads it", "relay.example", "127.0.0.1:2222:localhost:22", "any host key is believed"]
    {
        assert!(said.contains(wanted), "{wanted}: {said}");
    }
}

#[test]
fn wrong_variables_end_it_with_their_names() {
    let variables = [("SSH_REMOTE_HSOT", "hunter2"), ("SSH_REMOTE_PORT", "x")];
    let output = container(&[], &variables).output().expect("tunneld runs");
    let said = said(&output);
    assert_eq!(output.status.code(), Some(78), "{said}");
    for wanted in ["SSH_REMOTE_HSOT", "did you mean SSH_REMOTE_HOST?", "SSH_REMOTE_PORT: `x`", "/id_rsa"] {
        assert!(said.contains(wanted), "{wanted}: {said}");
    }
    assert!(!said.contains("hunter2"), "{said}");
}

#[test]
fn a_named_config_wins_and_its_errors_are_told() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("t.toml");
    std::fs::write(&file, "nonsense = 1\n").expect("a config");
    let mut command = container(&["--config"], &[("SSH_REMOTE_HOST", "relay.example")]);
    let output = command.arg(&file).output().expect("tunneld runs");
    assert_eq!(output.status.code(), Some(78));
    assert!(said(&output).contains("unknown key `nonsense`"), "{}", said(&output));
}
