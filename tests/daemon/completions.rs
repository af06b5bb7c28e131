//! Completion in real shells: verbs, and the names of the running daemon's tunnels.

use std::os::unix::fs::symlink;
use std::process::Command;

use support::daemon::{binary, command, tunneld};
use support::pty::Terminal;
use support::{Daemon, eventually};

/// Tunnels whose servers never answer: enough for names.
const TUNNELS: &str = "[[tunnel]]\nname = \"web-db\"\nhost = \"127.0.0.1\"\nport = 1\nuser = \"u\"\n\
    identity_agent = \"none\"\nremote_forward = [\"2222:localhost:22\"]\n[[tunnel]]\nname = \"mail\"\nhost = \"127.0.0.1\"\n\
    port = 1\nuser = \"u\"\nidentity_agent = \"none\"\nremote_forward = [\"2223:localhost:22\"]\n";

/// A folder where `tunneld` is the binary under test, and the script of a shell in it.
fn folder(shell: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a folder");
    symlink(binary(), dir.path().join("tunneld")).expect("a link");
    let script = tunneld(&["completions", shell]);
    assert!(script.status.success());
    std::fs::write(dir.path().join("script"), script.stdout).expect("the script");
    dir
}

fn with(shell: &mut Command, dir: &tempfile::TempDir, daemon: &Daemon) {
    let path = std::env::var("PATH").unwrap_or_default();
    shell.env("PATH", format!("{}:{path}", dir.path().display())).env("HOME", dir.path()).env("TERM", "dumb");
    shell.env("TUNNELD_CONTROL_SOCKET", daemon.dir().join("control.sock"));
}

/// Types `tunneld why we`, the tab key and return: the daemon is then asked about the whole name.
fn types_a_name(mut shell: Command, set_up: &str) {
    let dir = folder(shell.get_program().to_str().unwrap_or_default());
    let daemon = Daemon::start(TUNNELS);
    with(&mut shell, &dir, &daemon);
    let mut terminal = Terminal::run(&shell);
    terminal.types(&format!("{set_up}source {}; echo read''y", dir.path().join("script").display()));
    terminal.shows("ready", 1);
    terminal.types("tunneld why we\t");
    eventually(&format!("the answer on\n{}", terminal.screen()), || {
        terminal.screen().replace("why we", "").contains("`web-db`").then_some(())
    });
    terminal.types("exit");
}

#[test]
fn bash_completes_names_of_tunnels() {
    let mut bash = Command::new("bash");
    bash.args(["--norc", "--noprofile", "-i"]);
    types_a_name(bash, "");
}

#[test]
fn zsh_completes_names_of_tunnels() {
    let mut zsh = Command::new("zsh");
    zsh.args(["-f", "-i"]);
    types_a_name(zsh, "autoload -U compinit; compinit -u -D; ");
}

#[test]
fn fish_completes_names_of_tunnels() {
    let (dir, daemon) = (folder("fish"), Daemon::start(TUNNELS));
    let mut fish = Command::new("fish");
    with(&mut fish, &dir, &daemon);
    let script = dir.path().join("script").display().to_string();
    fish.args(["--no-config", "-c", &format!("source {script}; complete -C 'tunneld status we'")]);
    let output = fish.output().expect("fish runs");
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "web-db");
}

#[test]
fn without_a_daemon_names_are_those_of_the_config() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("c.toml");
    // What else is wrong with it does not matter here.
    std::fs::write(&file, format!("{TUNNELS}nonsense = 1\n")).expect("a config");
    let mut command = command();
    command.env("TUNNELD_CONFIG", &file).env("TUNNELD_CONTROL_SOCKET", dir.path().join("s"));
    let output = command.args(["complete", "--", "status", ""]).output().expect("tunneld runs");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "web-db\nmail\n");
    let broken = tunneld(&["complete", "--", "status", "--config", "/nonexistent", ""]);
    assert!(broken.status.success() && broken.stderr.is_empty());
}
