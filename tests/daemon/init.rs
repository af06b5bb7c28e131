//! The way to a first tunnel: no config, `init` by flags and on a terminal, and a user's own config as the default.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use support::daemon::{binary, command, said, tunneld};
use support::net::{Service, Target, echoes, free_port};
use support::process::{Process, wrapped};
use support::pty::Terminal;
use support::{Sshd, eventually, keys};

fn init(arguments: &[&str], output: &Path) -> std::process::Output {
    let mut command = command();
    command.arg("init").args(arguments).arg("--output").arg(output);
    // In a session of its own there is no terminal to ask at.
    wrapped(&command, "setsid", &["--wait"]).stdin(Stdio::null()).output().expect("setsid runs")
}

/// As a user that is not root, also where root runs the tests, with this folder for configs.
fn as_user(xdg: &Path, arguments: &[&str]) -> Command {
    let mut command = if nix::unistd::getuid().is_root() {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(binary());
        command
    } else {
        Command::new(binary())
    };
    command.args(arguments).env("XDG_CONFIG_HOME", xdg).env_remove("TUNNELD_CONFIG").stdin(Stdio::null());
    command
}

#[test]
fn no_config_names_the_commands_to_a_first_tunnel() {
    let dir = tempfile::tempdir().expect("a folder");
    std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o777)).expect("chmod");
    for verb in [&[][..], &["run"], &["check"]] {
        let output = as_user(dir.path(), verb).output().expect("tunneld runs");
        let said = said(&output);
        if Path::new("/etc/tunneld.toml").exists() {
            continue;
        }
        assert_eq!(output.status.code(), Some(78), "{said}");
        for wanted in ["tunneld init", "tunneld trust", "tunneld demo", "tunneld/config.toml", "/etc/tunneld.toml"] {
            assert!(said.contains(wanted), "{wanted}: {said}");
        }
    }
}

#[test]
fn init_writes_a_config_that_runs() {
    let (sshd, echo, port) = (Sshd::start(), Target::start(Service::Echo), free_port());
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("new/tunneld.toml");
    let (server, spec) =
        (format!("{}@127.0.0.1:{}", keys::user(), sshd.port), format!("{port}:127.0.0.1:{}", echo.port));
    let key = sshd.user_key.display().to_string();
    let output = init(&["--local", &spec, &server, "--identity", &key, "--name", "first"], &file);
    assert!(output.status.success(), "{}", said(&output));
    let told = said(&output);
    for wanted in ["tunneld trust 127.0.0.1", "tunneld authorize first", "--config", &file.display().to_string()] {
        assert!(told.contains(wanted), "{wanted}: {told}");
    }
    assert!(!told.contains("ssh-keygen"), "the key is there: {told}");
    assert_eq!(std::fs::metadata(&file).expect("a file").permissions().mode() & 0o777, 0o600);
    let checked = tunneld(&["check", "--config", &file.display().to_string()]);
    assert!(checked.status.success(), "{}", said(&checked));
    // The first login would ask the user's own known_hosts, which is not for tests to write.
    let known = format!("user_known_hosts_file = \"{}\"\n", sshd.known_hosts.display());
    let text = std::fs::read_to_string(&file).expect("a config");
    std::fs::write(&file, format!("{text}{known}")).expect("a config");
    let socket = dir.path().join("s");
    let mut run = command();
    run.arg("--config").arg(&file).arg("--control-socket").arg(&socket);
    let mut daemon = Process::spawn(run.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()));
    eventually("an echo through the tunnel", || echoes(port).then_some(()));
    daemon.kill();
}

#[test]
fn init_leaves_a_file_as_it_is_unless_forced_and_writes_no_bad_one() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("t.toml");
    let bad = init(&["--local", "nonsense", "host"], &file);
    assert_eq!(bad.status.code(), Some(78), "{}", said(&bad));
    assert!(said(&bad).contains("nonsense") && !file.exists());
    let missing = init(&["host"], &file);
    assert_eq!(missing.status.code(), Some(64), "{}", said(&missing));
    assert!(init(&["-D", "1080", "one"], &file).status.success());
    let again = init(&["-D", "1080", "two"], &file);
    assert_eq!(again.status.code(), Some(1), "{}", said(&again));
    assert!(std::fs::read_to_string(&file).expect("a config").contains("\"one\""));
    assert!(init(&["-D", "1080", "two", "--force"], &file).status.success());
    assert!(std::fs::read_to_string(&file).expect("a config").contains("\"two\""));
    assert_eq!(std::fs::read_dir(dir.path()).expect("a folder").count(), 1);
}

#[test]
fn init_asks_on_a_terminal_until_it_can_read_the_answer() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("t.toml");
    let mut command = command();
    command.arg("init").arg("--output").arg(&file);
    let mut terminal = Terminal::run(&command);
    terminal.answers("[user@]host[:port]: ", 1, "u@host:0");
    terminal.shows("`0` is not a port", 1);
    terminal.answers("[user@]host[:port]: ", 2, "u@relay.example.com:2222");
    terminal.answers("Forward: ", 1, "");
    terminal.answers("Forward: ", 2, "-L nonsense");
    terminal.answers("Forward: ", 3, "-L 3307:127.0.0.1:3306");
    terminal.answers("Forward: ", 4, "-D1080");
    terminal.answers("Forward: ", 5, "");
    terminal.answers("private key", 1, "/keys/tunnel");
    assert!(terminal.wait().success(), "{}", terminal.screen());
    terminal.shows("ssh-keygen -t ed25519 -N '' -f /keys/tunnel", 1);
    let checked = tunneld(&["check", "--config", &file.display().to_string()]);
    let shown = said(&checked);
    for wanted in ["relay.example.com  u@relay.example.com:2222", "-L 3307:127.0.0.1:3306", "-D 1080"] {
        assert!(shown.contains(wanted), "{wanted}: {shown}");
    }
}

#[test]
fn a_users_own_config_is_the_default() {
    let dir = tempfile::tempdir().expect("a folder");
    std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o777)).expect("chmod");
    let written = as_user(dir.path(), &["init", "-D", "1080", "u@mine.example"]).output().expect("tunneld runs");
    assert!(written.status.success(), "{}", said(&written));
    assert!(!said(&written).contains("--config"), "{}", said(&written));
    let checked = as_user(dir.path(), &["check"]).output().expect("tunneld runs");
    let file = dir.path().join("tunneld/config.toml");
    let said = said(&checked);
    assert!(said.contains(&file.display().to_string()) && said.contains("u@mine.example:22"), "{said}");
}
