//! The binary under the name of autossh, with a folder, a log file and an environment of its own.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::net::echoes;
use crate::process::Process;
use crate::{Sshd, daemon, eventually, keys};

/// A folder with a link `autossh` to the binary.
pub struct Autossh {
    dir: TempDir,
    environment: Vec<(String, String)>,
}

/// One that runs.
pub struct Running {
    process: Process,
    log: PathBuf,
}

/// The real one, as Debian installs it below its script of the same name.
const ORIGINAL: &str = "/usr/lib/autossh/autossh";

impl Autossh {
    /// Logs to a file of its own; no gate time.
    pub fn new() -> Self {
        Self::linked_to(&daemon::binary())
    }

    /// The real autossh 1.4g, with the same environment.
    pub fn original() -> Self {
        assert!(Path::new(ORIGINAL).exists(), "{ORIGINAL} is missing: run tests/setup");
        Self::linked_to(Path::new(ORIGINAL))
    }

    fn linked_to(program: &Path) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        std::os::unix::fs::symlink(program, dir.path().join("autossh")).expect("a link");
        let log = dir.path().join("log").display().to_string();
        let pid = dir.path().join("pid").display().to_string();
        let environment = [("AUTOSSH_LOGFILE", log.as_str()), ("AUTOSSH_PIDFILE", &pid), ("AUTOSSH_GATETIME", "0")];
        Self { dir, environment: environment.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec() }
    }

    /// With a variable.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.environment.retain(|(known, _)| known != name);
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With several.
    #[must_use]
    pub fn with_all(self, variables: &[(&str, &str)]) -> Self {
        variables.iter().fold(self, |autossh, (name, value)| autossh.with(name, value))
    }

    /// Without a variable.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.environment.retain(|(known, _)| known != name);
        self
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The command with these words.
    pub fn command(&self, words: &[String]) -> Command {
        // A shell that runs the tests in the background has them ignore INT and QUIT, which is inherited.
        let mut command = Command::new("env");
        command.arg("--default-signal=INT,QUIT").arg(self.dir.path().join("autossh"));
        for (name, _) in std::env::vars() {
            if name.starts_with("AUTOSSH_") || name.starts_with("TUNNELD_") || name == "NOTIFY_SOCKET" {
                command.env_remove(name);
            }
        }
        command.args(words).envs(self.environment.iter().cloned()).current_dir(self.dir.path());
        command.stdin(Stdio::null());
        command
    }

    /// Starts it in the foreground. What it says goes to the file `said`.
    pub fn start(&self, words: &[String]) -> Running {
        let said = std::fs::File::create(self.dir.path().join("said")).expect("a file");
        let mut command = self.command(words);
        command.stdout(said.try_clone().expect("a file")).stderr(said);
        Running { process: Process::spawn(&mut command), log: self.dir.path().join("log") }
    }

    /// What it said on the terminal.
    pub fn said(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("said")).unwrap_or_default()
    }

    /// Its log.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// Waits for a text in the log.
    #[track_caller]
    pub fn wait_log(&self, text: &str) {
        eventually(&format!("`{text}` in the log"), || self.log().contains(text).then_some(()));
    }

    /// The pid in its pidfile, once there is one.
    #[track_caller]
    pub fn pid(&self) -> u32 {
        let path = self.dir.path().join("pid");
        eventually("a pidfile", || std::fs::read_to_string(&path).ok()?.trim().parse().ok())
    }
}

impl Default for Autossh {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Autossh {
    /// One that went to the background is no child of ours.
    fn drop(&mut self) {
        if let Ok(text) = std::fs::read_to_string(self.dir.path().join("pid"))
            && let Ok(pid) = text.trim().parse()
        {
            let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
        }
    }
}

impl Running {
    /// Its pid.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    /// Waits for its end.
    #[track_caller]
    pub fn wait(&mut self) -> ExitStatus {
        self.process.wait()
    }

    /// Its log file.
    pub fn log(&self) -> &Path {
        &self.log
    }
}

/// What has to be said beside the line that people write: which key the server takes, and that nothing of this
/// machine's own counts.
pub fn options(sshd: &Sshd) -> String {
    format!(
        "-F none -p {} -o IdentityAgent=none -o IdentitiesOnly=yes -o UserKnownHostsFile={} -i {}",
        sshd.port,
        sshd.known_hosts.display(),
        sshd.user_key.display()
    )
}

/// The destination.
pub fn host() -> String {
    format!("{}@127.0.0.1", keys::user())
}

/// Waits until a connection to the port is carried to an echo service.
#[track_caller]
pub fn carries(port: u16) {
    eventually("the forward carries", || echoes(port).then_some(()));
}

/// Words as a shell cuts them: blanks part them, single quotes keep them together.
pub fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (at, part) in line.split('\'').enumerate() {
        if at % 2 == 1 {
            words.push(part.to_owned());
        } else {
            words.extend(part.split_whitespace().map(str::to_owned));
        }
    }
    words
}
