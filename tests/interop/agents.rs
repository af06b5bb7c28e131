//! What an agent holds and holds back: what the scripts agent and agent-restrict of OpenSSH's own tests check.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use support::daemon::said;
use support::net::{Service, Target, echoes, free_port};
use support::process::Process;
use support::{Daemon, Sshd, eventually, keys};

struct Agent {
    dir: tempfile::TempDir,
    _process: Process,
}

impl Agent {
    fn start() -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let socket = dir.path().join("socket");
        let mut command = Command::new("ssh-agent");
        command.arg("-D").arg("-a").arg(&socket).stdin(Stdio::null()).stdout(Stdio::null());
        let process = Process::spawn(&mut command);
        eventually("the agent listens", || socket.exists().then_some(()));
        let askpass = dir.path().join("askpass");
        std::fs::write(&askpass, "#!/bin/sh\necho secret\n").expect("a program that answers");
        std::fs::set_permissions(&askpass, std::fs::Permissions::from_mode(0o700)).expect("it may be run");
        Self { dir, _process: process }
    }

    #[track_caller]
    fn ssh_add(&self, arguments: &[&str]) {
        let mut command = Command::new("ssh-add");
        command.args(arguments).stdin(Stdio::null()).env("SSH_AUTH_SOCK", self.dir.path().join("socket"));
        command.env("SSH_ASKPASS", self.dir.path().join("askpass")).env("SSH_ASKPASS_REQUIRE", "force");
        let output = command.output().expect("ssh-add runs");
        assert!(output.status.success(), "{}", said(&output));
    }

    /// Adds a key and takes its private half away.
    fn keep(&self, key: &Path, options: &[&str]) {
        self.ssh_add(&[options, &["-q", &key.display().to_string()]].concat());
        std::fs::remove_file(key).expect("the private half");
    }
}

/// Starts a tunnel that has this agent and these lines: whether it comes up, and what is said if not.
fn logs_in(sshd: &Sshd, agent: &Agent, lines: &str) -> Result<(), String> {
    let (echo, port) = (Target::start(Service::Echo), free_port());
    let daemon = Daemon::start(&format!(
        "[[tunnel]]\nname = \"t\"\nhost = \"127.0.0.1\"\nport = {}\nuser = \"{}\"\nuser_known_hosts_file = \"{}\"\n\
         identity_agent = \"{}\"\nlocal_forward = [\"{port}:127.0.0.1:{}\"]\n{lines}\n",
        sshd.port,
        keys::user(),
        sshd.known_hosts.display(),
        agent.dir.path().join("socket").display(),
        echo.port
    ));
    let tunnel = daemon.wait_for("t", "settled", |t| t["ready"] == true || !t["last_failure"].is_null());
    if tunnel["ready"] != true {
        return Err(said(&daemon.cli(&["why", "t"])));
    }
    assert!(echoes(port));
    Ok(())
}

fn only(file: &Path) -> String {
    format!("identities_only = true\nidentity_file = \"{}\"", file.display())
}

#[test]
fn identity_file_may_be_a_certificate_whose_key_is_in_the_agent() {
    let (sshd, agent) = (Sshd::start(), Agent::start());
    let ca = keys::generate(sshd.dir(), "ca", &[]);
    sshd.authorize_only(&format!("cert-authority {}\n", keys::public(&ca)));
    for (name, options) in [("ed", &["-t", "ed25519"][..]), ("rsa", &["-t", "rsa", "-b", "2048"])] {
        let key = keys::generate(sshd.dir(), name, options);
        let certificate = keys::certify(&ca, &key, &["-I", "test", "-n", &keys::user()]);
        let why = logs_in(&sshd, &agent, &only(&certificate)).expect_err("the agent does not have its key yet");
        assert!(why.contains("no agent key has its private half"), "{why}");
        agent.keep(&key, &[]);
        logs_in(&sshd, &agent, &only(&certificate)).expect("let in");
    }
}

#[test]
fn locked_agent_is_told_as_what_it_may_be() {
    let (sshd, agent) = (Sshd::start(), Agent::start());
    let public = only(&sshd.user_key.with_extension("pub"));
    agent.keep(&sshd.user_key, &[]);
    agent.ssh_add(&["-x"]);
    for lines in ["", &public] {
        let why = logs_in(&sshd, &agent, lines).expect_err("the agent is locked");
        assert!(why.contains("ssh-add -X"), "{why}");
    }
    agent.ssh_add(&["-X"]);
    logs_in(&sshd, &agent, &public).expect("let in");
}

#[test]
fn key_that_the_agent_holds_for_another_host_is_not_used() {
    let (sshd, agent) = (Sshd::start(), Agent::start());
    let (elsewhere, other) = (keys::generate(sshd.dir(), "elsewhere", &[]), keys::generate(sshd.dir(), "other", &[]));
    sshd.authorize(&keys::public(&other));
    let here = keys::public(&sshd.dir().join("host_key"));
    let hosts = format!("here {here}\nelsewhere {}\n", keys::public(&elsewhere));
    std::fs::write(&sshd.known_hosts, hosts).expect("known_hosts");
    let hosts = sshd.known_hosts.display().to_string();
    agent.keep(&sshd.user_key, &["-H", &hosts, "-h", &format!("{}@here", keys::user())]);
    agent.keep(&other, &["-H", &hosts, "-h", "elsewhere"]);
    let with = |key: &Path| {
        let lines = only(&key.with_extension("pub"));
        logs_in(&sshd, &agent, &format!("{lines}\nhost_key_alias = \"here\""))
    };
    with(&sshd.user_key).expect("it is for this host");
    let why = with(&other).expect_err("it is for another host");
    assert!(why.contains("ssh-add -h"), "{why}");
}
