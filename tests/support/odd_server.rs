//! An SSH server with the faults that no stock server has: see `odd_server.py`, which this drives.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use tempfile::TempDir;

use crate::keys;

/// Debian's, because python3-paramiko is for that one.
const PYTHON: &str = "/usr/bin/python3";

/// A running server that accepts every login and echoes; dropping it ends it.
pub struct OddServer {
    /// Its port on 127.0.0.1.
    pub port: u16,
    /// A known_hosts file with its first host key.
    pub known_hosts: PathBuf,
    dir: TempDir,
    child: Child,
    output: BufReader<ChildStdout>,
}

impl OddServer {
    /// A server that takes each login and ends the connection before it has answered anything.
    pub fn that_throws_out() -> Self {
        Self::start(&["throw"])
    }

    /// A server that says nothing in UTF-8 during a login, and much of it.
    pub fn with_unreadable_logins() -> Self {
        Self::start(&["login"])
    }

    /// A server that says something that is not UTF-8: its `banner`, a `prompt`, why it `refuse`s a channel, and in
    /// which encoding (Latin-1); or nothing.
    pub fn start(says: &[&str]) -> Self {
        Self::with_second_key(says, &["-t", "rsa", "-b", "2048"])
    }

    fn with_second_key(says: &[&str], second: &[&str]) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let first = keys::generate(dir.path(), "first", &[]);
        let second = keys::generate(dir.path(), "second", second);
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("support/odd_server.py");
        let mut command = Command::new(PYTHON);
        command.arg(script).args([&first, &second]).args(says);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("python3 runs");
        let mut line = String::new();
        let mut output = BufReader::new(child.stdout.take().expect("its output"));
        output.read_line(&mut line).expect("its port");
        let port = line.trim().parse().expect("a port: is python3-paramiko installed?");
        let known_hosts = dir.path().join("known_hosts");
        std::fs::write(&known_hosts, format!("[127.0.0.1]:{port} {}\n", keys::public(&first))).expect("known_hosts");
        Self { port, known_hosts, dir, child, output }
    }

    /// Gives all its sessions an order of the script's. Returns when it is taken.
    pub fn order(&mut self, word: &str) {
        let input = self.child.stdin.as_mut().expect("its input");
        writeln!(input, "{word}").expect("the server listens");
        self.output.read_line(&mut String::new()).expect("the server answers");
    }

    /// A tunnel `t` to it, with more lines.
    pub fn tunnel(&self, lines: &str) -> String {
        let secret = self.dir.path().join("secret");
        std::fs::write(&secret, "secret\n").expect("a secret");
        let (port, known_hosts) = (self.port, self.known_hosts.display());
        format!(
            "[[tunnel]]\nname = \"t\"\nhost = \"127.0.0.1\"\nport = {port}\nuser = \"u\"\n\
             user_known_hosts_file = \"{known_hosts}\"\nidentity_agent = \"none\"\nidentity_file = []\n\
             password_file = \"{}\"\nprobe = \"off\"\n{lines}\n",
            secret.display()
        )
    }
}

impl Drop for OddServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
