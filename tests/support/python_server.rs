//! Servers of the Python libraries asyncssh and paramiko, with every algorithm that those have.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::patience::{PATIENCE, within};
use crate::process::Process;
use crate::{keys, net};

/// The Python that Debian's packages are for.
const PYTHON: &str = "/usr/bin/python3";

/// One host key of each type.
const HOST_KEYS: [(&str, &[&str]); 5] = [
    ("ed25519", &["-t", "ed25519"]),
    ("ecdsa256", &["-t", "ecdsa", "-b", "256"]),
    ("ecdsa384", &["-t", "ecdsa", "-b", "384"]),
    ("ecdsa521", &["-t", "ecdsa", "-b", "521"]),
    ("rsa", &["-t", "rsa", "-b", "2048"]),
];

/// A running server; dropping it ends it.
pub struct PythonServer {
    /// Its port on 127.0.0.1.
    pub port: u16,
    /// A private key that it lets in.
    pub user_key: PathBuf,
    /// A known_hosts file with its host keys.
    pub known_hosts: PathBuf,
    dir: TempDir,
    _process: Process,
}

impl PythonServer {
    /// asyncssh, which connects wherever a client wants.
    pub fn asyncssh() -> Self {
        Self::start("asyncssh_server.py", None)
    }

    /// The same with other algorithms in one direction than in the other: see the script.
    pub fn asyncssh_by_direction(directions: &str) -> Self {
        Self::start("asyncssh_server.py", Some(directions))
    }

    /// paramiko, which says back what comes.
    pub fn paramiko() -> Self {
        Self::start("paramiko_server.py", None)
    }

    fn start(script: &str, directions: Option<&str>) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let user_key = keys::generate(dir.path(), "user_key", &[]);
        let (known_hosts, host_keys) = host_keys(dir.path());
        let port = net::free_port();
        let lines: Vec<String> =
            host_keys.iter().map(|key| format!("[127.0.0.1]:{port} {}\n", keys::public(key))).collect();
        std::fs::write(&known_hosts, lines.concat()).expect("known_hosts");
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("support/python").join(script);
        let mut command = Command::new(PYTHON);
        command.arg(script).arg(port.to_string()).arg(user_key.with_extension("pub")).args(directions).args(host_keys);
        let file = |name: &str| File::create(dir.path().join(name)).expect("a file for what it says");
        command.stdin(Stdio::null()).stdout(file("output")).stderr(file("errors"));
        let process = Process::spawn(&mut command);
        let server = Self { port, user_key, known_hosts, dir, _process: process };
        let listens = within(PATIENCE, || net::connect(port).ok());
        assert!(listens.is_some(), "it does not listen (is its Debian package there? see tests/setup): {server:?}");
        server
    }

    /// What it has said.
    pub fn output(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("output")).unwrap_or_default()
    }
}

impl std::fmt::Debug for PythonServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", std::fs::read_to_string(self.dir.path().join("errors")).unwrap_or_default())
    }
}

/// Makes them: known_hosts' path, and theirs.
pub(crate) fn host_keys(dir: &Path) -> (PathBuf, Vec<PathBuf>) {
    let keys = HOST_KEYS.iter().map(|(name, options)| keys::generate(dir, name, options)).collect();
    (dir.join("known_hosts"), keys)
}
