//! `tunneld doctor` against a real sshd: what people get wrong, seeded one by one, and the diagnosis of each.

mod beside;
mod forwards;
mod login;
mod server;

use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use support::daemon::{command, said};
use support::{Sshd, keys};

/// What the doctor said about one config.
struct Diagnosis {
    checks: Vec<Value>,
    output: Output,
}

/// Examines the tunnels of a config, with no daemon.
fn examine(config: &str) -> Diagnosis {
    examine_by(config, |doctor| doctor)
}

/// The same, with a command that was changed before it is run.
fn examine_by(config: &str, change: impl FnOnce(Command) -> Command) -> Diagnosis {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("tunneld.toml");
    let socket = folder.path().join("no-daemon.sock");
    std::fs::write(&path, format!("control_socket = \"{}\"\n{config}", socket.display())).expect("a config");
    let mut doctor = command();
    doctor.args(["doctor", "--json", "--config"]).arg(&path).stdin(Stdio::null());
    Diagnosis::of(change(doctor).output().expect("tunneld runs"))
}

impl Diagnosis {
    fn of(output: Output) -> Self {
        let report: Value =
            serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", said(&output)));
        let tunnels = report["tunnels"].as_array().expect("tunnels").clone();
        let checks = tunnels.iter().flat_map(|tunnel| tunnel["checks"].as_array().expect("checks").clone()).collect();
        Self { checks, output }
    }

    /// One check of this name and verdict holds all of these words, in its subject, message or action.
    #[track_caller]
    fn says(&self, verdict: &str, check: &str, words: &[&str]) {
        let holds = |found: &&Value| {
            let text = [&found["subject"], &found["message"], &found["action"]].map(|part| part.as_str().unwrap_or(""));
            found["verdict"] == verdict
                && found["check"] == check
                && words.iter().all(|word| text.join(" ").contains(word))
        };
        assert!(
            self.checks.iter().any(|found| holds(&found)),
            "no {verdict} of {check} with {words:?} in {:#?}",
            self.checks
        );
    }

    /// It fails by this, and by nothing that is called otherwise; every failure says what to do.
    #[track_caller]
    fn fails_only(&self, check: &str, words: &[&str]) {
        self.says("FAIL", check, words);
        let failed: Vec<&Value> = self.checks.iter().filter(|found| found["verdict"] == "FAIL").collect();
        assert!(failed.iter().all(|found| found["check"] == check), "{failed:#?}");
        assert!(
            failed.iter().all(|found| found["action"].as_str().is_some_and(|text| !text.is_empty())),
            "{failed:#?}"
        );
        assert_eq!(self.output.status.code(), Some(1));
    }

    #[track_caller]
    fn is_fine(&self) {
        let failed: Vec<&Value> = self.checks.iter().filter(|found| found["verdict"] == "FAIL").collect();
        assert!(failed.is_empty(), "{failed:#?}");
        assert_eq!(self.output.status.code(), Some(0));
    }
}

/// A tunnel of a user to a server of ours, by this key.
fn tunnel(sshd: &Sshd, user: &str, key: &Path, lines: &str) -> String {
    format!(
        "[[tunnel]]\nname = \"t\"\nhost = \"127.0.0.1\"\nport = {}\nuser = \"{user}\"\nidentity_file = \"{}\"\n\
         user_known_hosts_file = \"{}\"\nglobal_known_hosts_file = []\nidentity_agent = \"none\"\n{lines}\n",
        sshd.port,
        key.display(),
        sshd.known_hosts.display()
    )
}

/// The same, of the user who runs the tests, by the key that the server takes.
fn own_tunnel(sshd: &Sshd, lines: &str) -> String {
    tunnel(sshd, &keys::user(), &sshd.user_key, lines)
}

/// A forward whose target, the server itself, takes connections.
fn any_forward(sshd: &Sshd) -> String {
    support::daemon::any_forward(sshd)
}

/// Another user of this machine, who has no shell; only a server that root runs lets one in. `None` after a word on the
/// terminal: never for root, nor with CI in the environment.
fn other_user() -> Option<&'static str> {
    let is_root = nix::unistd::getuid().is_root();
    assert!(is_root || std::env::var_os("CI").is_none(), "logins of other users need root");
    if !is_root {
        // Not by a macro: the test harness would swallow it.
        let notice = b"\nNOT TESTED: logins of other users need root\n";
        let _ = std::io::Write::write_all(&mut std::io::stderr(), notice);
    }
    is_root.then_some("nobody")
}

/// `doctor` as if `file` held `text`, in a mount namespace of its own.
fn with_file(doctor: &Command, file: &str, text: &Path) -> Command {
    let script = "mount --bind \"$1\" \"$2\" && shift 2 && exec \"$@\"";
    let text = text.to_str().expect("a path in UTF-8");
    let words = ["--mount", "--propagation", "private", "sh", "-c", script, "sh", text, file];
    support::process::wrapped(doctor, "unshare", &words)
}
