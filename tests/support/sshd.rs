//! A stock OpenSSH server on loopback, on a high port, with keys of its own. Root is not needed.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::process::{Process, children_of, kill_pid};
use crate::{eventually, keys, net};

/// The server's program, where Debian and most others have it; sshd wants to be called by its full path.
const SSHD: &str = "/usr/sbin/sshd";

/// A running sshd; dropping it ends it and its sessions.
pub struct Sshd {
    /// Its port on 127.0.0.1.
    pub port: u16,
    /// A private key that it lets in.
    pub user_key: PathBuf,
    /// A known_hosts file with its host key.
    pub known_hosts: PathBuf,
    dir: TempDir,
    process: Option<Process>,
}

impl Sshd {
    /// A stock server.
    pub fn start() -> Self {
        Self::with_config("")
    }

    /// A server with more lines in its sshd_config; they come first, so they win.
    pub fn with_config(lines: &str) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let host_key = keys::generate(dir.path(), "host_key", &[]);
        let user_key = keys::generate(dir.path(), "user_key", &[]);
        let port = net::free_port();
        std::fs::copy(user_key.with_extension("pub"), dir.path().join("authorized_keys")).expect("authorized_keys");
        let known_hosts = dir.path().join("known_hosts");
        write_known_hosts(&known_hosts, port, &host_key);
        let mut server = Self { port, user_key, known_hosts, dir, process: None };
        server.write_config(lines);
        server.launch();
        server
    }

    /// A folder that lives as long as the server: for more keys and files.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Adds a line to authorized_keys.
    pub fn authorize(&self, line: &str) {
        let path = self.dir.path().join("authorized_keys");
        let mut text = std::fs::read_to_string(&path).expect("authorized_keys");
        let _ = writeln!(text, "{line}");
        std::fs::write(&path, text).expect("authorized_keys");
    }

    /// Lets in only by these lines, in place of every line of authorized_keys.
    pub fn authorize_only(&self, lines: &str) {
        std::fs::write(self.dir.path().join("authorized_keys"), lines).expect("authorized_keys");
    }

    /// Puts another first line into sshd_config, for the next [`Sshd::launch`].
    pub fn set_first_line(&self, line: &str) {
        let path = self.dir.path().join("sshd_config");
        let config = std::fs::read_to_string(&path).expect("sshd_config");
        let rest = config.split_once('\n').map(|(_, rest)| rest).unwrap_or_default();
        std::fs::write(&path, format!("{line}\n{rest}")).expect("sshd_config");
    }

    /// Adds lines to the end of sshd_config, where a Match block may be, and starts it again with them.
    pub fn launch_with(&mut self, lines: &str) {
        let path = self.dir.path().join("sshd_config");
        let config = std::fs::read_to_string(&path).expect("sshd_config");
        std::fs::write(&path, format!("{config}{lines}")).expect("sshd_config");
        self.crash();
        self.launch();
    }

    /// Gives the server another host key (used by the next [`Sshd::launch`]); known_hosts is left as it is.
    pub fn change_host_key(&self) {
        for name in ["host_key", "host_key.pub"] {
            let _ = std::fs::remove_file(self.dir.path().join(name));
        }
        keys::generate(self.dir.path(), "host_key", &[]);
    }

    /// Starts it (again, on the same port) and waits until it answers.
    pub fn launch(&mut self) {
        if nix::unistd::getuid().is_root() {
            // sshd's privilege separation folder, which a package's start script would make.
            let _ = std::fs::create_dir_all("/run/sshd");
        }
        let mut command = Command::new(SSHD);
        command.arg("-D").arg("-f").arg(self.dir.path().join("sshd_config"));
        command.arg("-E").arg(self.log_path());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        self.process = Some(Process::spawn(&mut command));
        eventually("sshd listens", || net::connect(self.port).ok());
    }

    /// Kills the listener and every session: a crash.
    pub fn crash(&mut self) {
        let sessions = self.sessions();
        if let Some(mut process) = self.process.take() {
            process.kill();
        }
        sessions.into_iter().for_each(kill_session);
    }

    /// Kills every session; the listener stays.
    pub fn kill_sessions(&self) {
        self.sessions().into_iter().for_each(kill_session);
    }

    /// Pids of the processes that serve one connection each.
    pub fn sessions(&self) -> Vec<u32> {
        self.process.as_ref().map(|process| children_of(process.pid())).unwrap_or_default()
    }

    /// What it has logged, at VERBOSE.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    fn log_path(&self) -> PathBuf {
        self.dir.path().join("sshd.log")
    }

    fn write_config(&self, lines: &str) {
        let dir = self.dir.path().display();
        let port = self.port;
        let config = format!(
            "{lines}\nPort {port}\nListenAddress 127.0.0.1\nHostKey {dir}/host_key\n\
             AuthorizedKeysFile {dir}/authorized_keys\nPidFile {dir}/sshd.pid\nStrictModes no\nUsePAM no\n\
             PermitRootLogin yes\nLogLevel VERBOSE\n"
        );
        std::fs::write(self.dir.path().join("sshd_config"), config).expect("sshd_config");
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        self.crash();
    }
}

fn write_known_hosts(path: &Path, port: u16, host_key: &Path) {
    let line = format!("[127.0.0.1]:{port} {}\n", keys::public(host_key));
    std::fs::write(path, line).expect("known_hosts");
}

/// A session is a privileged process and its unprivileged child.
fn kill_session(pid: u32) {
    let below = children_of(pid);
    kill_pid(pid);
    below.into_iter().for_each(kill_pid);
}
