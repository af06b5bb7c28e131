//! The real binary, with a config, a control socket and a log of its own.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output, Stdio};

use command_fds::{CommandFdExt, FdMapping};
use nix::sys::signal::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::notify::Stored;
use crate::process::Process;
use crate::{Dropbear, InProcess, PythonServer, Sshd, eventually, keys, net};

/// A running tunneld; dropping it ends it.
pub struct Daemon {
    process: Process,
    dir: TempDir,
    environment: Vec<(String, String)>,
}

impl Daemon {
    /// Starts it with this config (the control socket is added) and waits until it answers.
    pub fn start(config: &str) -> Self {
        Self::with_environment(config, &[])
    }

    /// As [`Daemon::start`], with more environment.
    pub fn with_environment(config: &str, environment: &[(&str, &str)]) -> Self {
        let daemon = Self::launch(config, environment);
        eventually("tunneld answers", || daemon.status());
        daemon
    }

    /// Starts it and waits for nothing: for configs that it refuses.
    pub fn launch(config: &str, environment: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let environment: Vec<_> = environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        write_config(dir.path(), config);
        let process = Process::spawn(&mut run(dir.path(), &environment));
        Self { process, dir, environment }
    }

    /// Kills it with SIGKILL.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts it again in the same folder, after it ended, with these sockets as LISTEN_FDS, and waits until it answers.
    pub fn start_again(&mut self, sockets: Vec<Stored>) {
        let mut command = with_sockets(&run(self.dir.path(), &self.environment), sockets);
        logging_to(self.dir.path(), &mut command);
        self.process = Process::spawn(&mut command);
        eventually("tunneld answers again", || self.status());
    }

    /// A folder that lives as long as the daemon.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Its config file.
    pub fn config(&self) -> PathBuf {
        self.dir.path().join("tunneld.toml")
    }

    /// Writes another config; the daemon is not told.
    pub fn write_config(&self, config: &str) {
        write_config(self.dir.path(), config);
    }

    /// Runs a client verb against it.
    pub fn cli(&self, arguments: &[&str]) -> Output {
        let mut command = command();
        command.args(arguments).arg("--control-socket").arg(self.dir.path().join("control.sock"));
        command.envs(self.environment.iter().cloned()).stdin(Stdio::null());
        command.output().expect("tunneld runs")
    }

    /// `status --json`, when it answers.
    pub fn status(&self) -> Option<Value> {
        serde_json::from_slice(&self.cli(&["status", "--json"]).stdout).ok()
    }

    /// One tunnel of the status.
    pub fn tunnel(&self, name: &str) -> Option<Value> {
        self.status()?["tunnels"].as_array()?.iter().find(|tunnel| tunnel["name"] == name).cloned()
    }

    /// Waits until the tunnel is as wanted.
    #[track_caller]
    pub fn wait_for(&self, name: &str, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let mut last = None;
        let found = crate::patience::within(crate::patience::PATIENCE, || {
            last = self.tunnel(name);
            last.clone().filter(&wanted)
        });
        found.unwrap_or_else(|| panic!("{name} is not {what}: {last:#?}\n{}", self.log()))
    }

    /// Waits until the tunnel is ready.
    #[track_caller]
    pub fn wait_ready(&self, name: &str) -> Value {
        self.wait_for(name, "ready", |tunnel| tunnel["ready"] == true)
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    /// Its pid.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Waits for its end.
    #[track_caller]
    pub fn wait(&mut self) -> ExitStatus {
        self.process.wait()
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }
}

/// The binary under test: `TUNNELD_BIN`, or the one beside the tests.
pub fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("TUNNELD_BIN") {
        return path.into();
    }
    // …/target/PROFILE/deps/TEST → …/target/PROFILE/tunneld
    let test = std::env::current_exe().expect("the test's own path");
    let path = test.parent().and_then(Path::parent).expect("tests live in target/PROFILE/deps").join("tunneld");
    assert!(path.exists(), "{} is not built: run `cargo build`, or the tests by `make test`", path.display());
    path
}

/// The binary with an environment in which nothing speaks for it: no flag's variable, no systemd.
pub fn command() -> Command {
    let mut command = Command::new(binary());
    for name in ["CONFIG", "CONFINE", "CONTROL_SOCKET", "LOG_LEVEL", "PID_FILE"] {
        command.env_remove(format!("TUNNELD_{name}"));
    }
    for name in ["NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"] {
        command.env_remove(name);
    }
    command
}

/// Runs the binary to its end, without a daemon.
pub fn tunneld(arguments: &[&str]) -> Output {
    command().args(arguments).stdin(Stdio::null()).output().expect("tunneld runs")
}

/// All that a command said, on both streams.
pub fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// The TOML of one tunnel through a server of ours, with more lines.
pub fn tunnel_toml(name: &str, server: &dyn Server, lines: &str) -> String {
    format!(
        "[[tunnel]]\nname = \"{name}\"\nhost = \"127.0.0.1\"\nport = {}\nuser = \"{}\"\nidentity_file = \"{}\"\n\
         user_known_hosts_file = \"{}\"\nidentity_agent = \"none\"\n{lines}\n",
        server.port(),
        keys::user(),
        server.user_key().display(),
        server.known_hosts().display()
    )
}

/// A local forward on a free port, for tests that need one and send nothing: its target, the server, accepts.
pub fn any_forward(server: &dyn Server) -> String {
    format!("local_forward = [\"{}:127.0.0.1:{}\"]", net::free_port(), server.port())
}

/// A test server that a tunnel can go through.
pub trait Server {
    /// Its port on 127.0.0.1.
    fn port(&self) -> u16;
    /// A key that it lets in.
    fn user_key(&self) -> &Path;
    /// A file that knows its host key.
    fn known_hosts(&self) -> &Path;
}

macro_rules! server {
    ($($server:ty),+) => {$(
        impl Server for $server {
            fn port(&self) -> u16 {
                self.port
            }
            fn user_key(&self) -> &Path {
                &self.user_key
            }
            fn known_hosts(&self) -> &Path {
                &self.known_hosts
            }
        }
    )+};
}
server!(Sshd, Dropbear, InProcess, PythonServer);

fn write_config(dir: &Path, config: &str) {
    let text = format!("control_socket = \"{}\"\n{config}", dir.join("control.sock").display());
    std::fs::write(dir.join("tunneld.toml"), text).expect("a config");
}

fn run(dir: &Path, environment: &[(String, String)]) -> Command {
    let mut command = command();
    command.arg("--config").arg(dir.join("tunneld.toml"));
    command.env("HOME", dir).envs(environment.iter().cloned());
    logging_to(dir, &mut command);
    command
}

fn logging_to(dir: &Path, command: &mut Command) {
    let log = std::fs::OpenOptions::new().create(true).append(true).open(dir.join("log")).expect("a log");
    command.stdin(Stdio::null()).stdout(log.try_clone().expect("a log")).stderr(log);
}

/// The same command, with sockets handed over as systemd does. Only a shell can name its own pid before it becomes the
/// program.
fn with_sockets(command: &Command, sockets: Vec<Stored>) -> Command {
    const FIRST: i32 = 3;
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", "LISTEN_PID=$$ exec \"$0\" \"$@\""]).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    let names: Vec<_> = sockets.iter().map(|stored| stored.name.as_str()).collect();
    shell.env("LISTEN_FDS", names.len().to_string()).env("LISTEN_FDNAMES", names.join(":"));
    let mapped = sockets.into_iter().zip(FIRST..);
    let mapped = mapped.map(|(stored, child_fd)| FdMapping { parent_fd: stored.socket, child_fd }).collect();
    shell.fd_mappings(mapped).expect("each socket has a number of its own");
    shell
}
