//! A server of the Python library asyncssh, for what neither sshd nor russh says: that a password has to be changed.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::process::Process;
use crate::{eventually, keys, net};

/// The Python that Debian's packages are for.
const PYTHON: &str = "/usr/bin/python3";

/// A running server; dropping it ends it.
pub struct ExpiredPasswords {
    /// Its port on 127.0.0.1.
    pub port: u16,
    /// A known_hosts file with its host key.
    pub known_hosts: PathBuf,
    output: PathBuf,
    dir: TempDir,
    _process: Process,
}

impl ExpiredPasswords {
    /// A server that takes passwords by `method`, one of the script's, and wants each changed.
    pub fn start(method: &str) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let host_key = keys::generate(dir.path(), "host_key", &[]);
        let port = net::free_port();
        let known_hosts = dir.path().join("known_hosts");
        std::fs::write(&known_hosts, format!("[127.0.0.1]:{port} {}\n", keys::public(&host_key))).expect("known_hosts");
        let output = dir.path().join("output");
        let mut command = Command::new(PYTHON);
        command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/support/asyncssh/server.py"));
        command.arg(port.to_string()).arg(&host_key).arg(method).stdin(Stdio::null());
        command.stdout(File::create(&output).expect("a file for its output")).stderr(Stdio::null());
        let process = Process::spawn(&mut command);
        eventually("the server listens", || net::connect(port).ok());
        Self { port, known_hosts, output, dir, _process: process }
    }

    /// How many passwords it has seen.
    pub fn passwords_seen(&self) -> usize {
        std::fs::read_to_string(&self.output).unwrap_or_default().lines().count()
    }

    /// A folder that lives as long as the server.
    pub fn dir(&self) -> &std::path::Path {
        self.dir.path()
    }
}
