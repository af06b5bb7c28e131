//! The port of an earlier session of ours whose client is gone, on a stock sshd.

use std::process::{Command, Stdio};

use nix::sys::signal::Signal;
use serde_json::Value;
use support::net::{Service, Target, echoes, free_port};
use support::process::Process;
use support::{Daemon, Sshd, eventually, keys, tunnel_toml};

#[test]
fn a_session_whose_client_is_gone_is_ended_and_no_other() {
    let (sshd, echo, port) = (Sshd::start(), Target::start(Service::Echo), free_port());
    let config = config(&sshd, port, &echo);
    let gone = Daemon::start(&config);
    gone.wait_ready("t");
    // The server's end of it lives on: it hears nothing, as after a power cut.
    gone.signal(Signal::SIGSTOP);
    let mut others = [ssh(&sshd, &["-N"]), ssh(&sshd, &["sleep", "600"])];
    let before = eventually("three sessions", || Some(sshd.sessions()).filter(|sessions| sessions.len() == 3));
    let daemon = Daemon::start(&config);
    daemon.wait_ready("t");
    assert!(echoes(port), "the port is ours");
    assert!(daemon.log().contains("takeover="), "{}", daemon.log());
    let ended = eventually("the old session is gone", || {
        let now = sshd.sessions();
        let ended = before.iter().filter(|session| !now.contains(session)).count();
        (ended > 0).then_some(ended)
    });
    assert_eq!(ended, 1, "and no other session");
    assert!(others.iter_mut().all(|ssh| ssh.ended().is_none()), "two others of the same user live");
    gone.signal(Signal::SIGKILL);
}

#[test]
fn the_only_other_session_of_the_user_is_the_holder_without_a_mark_too() {
    let (sshd, echo, port) = (Sshd::start(), Target::start(Service::Echo), free_port());
    let forward = format!("{port}:127.0.0.1:1");
    let holder = ssh(&sshd, &["-N", "-R", &forward]);
    eventually("the port is held", || support::net::connect(port).ok());
    holder.signal(Signal::SIGSTOP);
    let daemon = Daemon::start(&config(&sshd, port, &echo));
    daemon.wait_ready("t");
    assert!(echoes(port), "{}", daemon.log());
    holder.signal(Signal::SIGKILL);
}

#[test]
fn a_program_of_the_same_user_is_named_and_not_ended() {
    let (sshd, echo) = (Sshd::start(), Target::start(Service::Echo));
    let program = Target::start(Service::Echo);
    let daemon = Daemon::start(&config(&sshd, program.port, &echo));
    let named = |tunnel: &Value| {
        let message = tunnel["forwards"][0]["message"].as_str().unwrap_or_default();
        message.contains(&format!("process {}", std::process::id()))
    };
    let tunnel = daemon.wait_for("t", "told who has the port", named);
    assert_eq!(tunnel["ready"], false);
    assert!(echoes(program.port));
}

#[test]
fn a_login_that_runs_only_its_own_command_is_said_to_have_no_takeover() {
    let sshd = Sshd::with_config("ForceCommand echo no shell for you");
    let (echo, port) = (Target::start(Service::Echo), free_port());
    let daemon = Daemon::start(&config(&sshd, port, &echo));
    daemon.wait_ready("t");
    eventually("it is said", || daemon.log().contains("no shell for you").then_some(()));
    assert!(echoes(port));
}

fn config(sshd: &Sshd, port: u16, echo: &Target) -> String {
    let lines = format!("remote_forward = [\"{port}:127.0.0.1:{}\"]\non_remote_port_busy = \"takeover\"", echo.port);
    tunnel_toml("t", sshd, &lines)
}

/// OpenSSH's client, as the same user.
fn ssh(sshd: &Sshd, arguments: &[&str]) -> Process {
    let mut command = Command::new("ssh");
    command.args(["-F", "none", "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes", "-o", "ExitOnForwardFailure=yes"]);
    command.arg("-o").arg(format!("UserKnownHostsFile={}", sshd.known_hosts.display()));
    command.arg("-i").arg(&sshd.user_key).arg("-p").arg(sshd.port.to_string());
    let (options, rest): (Vec<&str>, Vec<&str>) = match arguments.first() {
        Some(first) if first.starts_with('-') => (arguments.to_vec(), Vec::new()),
        _ => (Vec::new(), arguments.to_vec()),
    };
    command.args(options).arg(format!("{}@127.0.0.1", keys::user())).args(rest);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    Process::spawn(&mut command)
}
