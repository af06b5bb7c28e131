//! A stock dropbear on loopback: the server of routers and rescue systems, with small windows and its own habits.

use std::fs::OpenOptions;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use nix::fcntl::{Flock, FlockArg};
use tempfile::TempDir;

use crate::process::Process;
use crate::{eventually, keys, net};

/// A running dropbear; dropping it ends it.
pub struct Dropbear {
    /// Its port on 127.0.0.1.
    pub port: u16,
    /// A private key that it lets in.
    pub user_key: PathBuf,
    /// A known_hosts file with its host key.
    pub known_hosts: PathBuf,
    /// What restores the user's authorized_keys, after the process has ended.
    _process: Process,
    _home: AuthorizedKey,
    _dir: TempDir,
}

impl Dropbear {
    /// Starts it. dropbear reads only the user's own `~/.ssh/authorized_keys`: a line is added there for the test's
    /// key and taken away afterwards.
    pub fn start() -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let user_key = keys::generate(dir.path(), "user_key", &[]);
        let home = AuthorizedKey::add(&keys::public(&user_key));
        let host_key = dir.path().join("host_key");
        let made = Command::new("dropbearkey").args(["-t", "ed25519", "-f"]).arg(&host_key).output();
        let made = made.expect("dropbearkey runs");
        let public = String::from_utf8_lossy(&made.stdout);
        let public = public.lines().find(|line| line.starts_with("ssh-ed25519")).expect("dropbearkey says the key");
        let public: Vec<_> = public.split_whitespace().take(2).collect();
        let port = net::free_port();
        let known_hosts = dir.path().join("known_hosts");
        std::fs::write(&known_hosts, format!("[127.0.0.1]:{port} {}\n", public.join(" "))).expect("known_hosts");
        let mut command = Command::new("dropbear");
        command.args(["-F", "-E", "-s", "-p", &format!("127.0.0.1:{port}"), "-r"]).arg(&host_key);
        command.arg("-P").arg(dir.path().join("pid"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let process = Process::spawn(&mut command);
        eventually("dropbear listens", || net::connect(port).ok());
        Self { port, user_key, known_hosts, _process: process, _home: home, _dir: dir }
    }
}

/// One line in the user's authorized_keys, for as long as this lives; what was there before is there again afterwards.
struct AuthorizedKey {
    path: PathBuf,
    /// Exactly what was appended.
    added: String,
}

impl AuthorizedKey {
    fn add(key: &str) -> Self {
        let user = nix::unistd::User::from_uid(nix::unistd::getuid()).ok().flatten().expect("the user has a home");
        let ssh = user.dir.join(".ssh");
        // The modes are for what is made here: dropbear wants them tight, and a user's own are not ours to change.
        let _ = std::fs::DirBuilder::new().mode(0o700).create(&ssh);
        let mut own = Self { path: ssh.join("authorized_keys"), added: String::new() };
        own.added = own.edit(|text| {
            // A last line without an end must not grow into ours.
            let gap = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
            let added = format!("{gap}{key} tunneld-test\n");
            (format!("{text}{added}"), added)
        });
        own
    }

    /// Changes the file as a whole, alone: tests run side by side.
    fn edit<T>(&self, change: impl FnOnce(&str) -> (String, T)) -> T {
        let options = OpenOptions::new().create(true).append(true).read(true).mode(0o600).open(&self.path);
        let lock = Flock::lock(options.expect("authorized_keys"), FlockArg::LockExclusive).map_err(|(_, error)| error);
        let _lock = lock.expect("a lock on authorized_keys");
        let (text, result) = change(&std::fs::read_to_string(&self.path).expect("authorized_keys"));
        std::fs::write(&self.path, text).expect("authorized_keys");
        result
    }
}

impl Drop for AuthorizedKey {
    fn drop(&mut self) {
        let empty = self.edit(|text| {
            let rest = text.replacen(&self.added, "", 1);
            let empty = rest.is_empty();
            (rest, empty)
        });
        // An empty file says as much as none; the folder goes when nothing else is in it.
        if empty && std::fs::remove_file(&self.path).is_ok() {
            let _ = self.path.parent().map(std::fs::remove_dir);
        }
    }
}
