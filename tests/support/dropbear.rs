//! A stock dropbear on loopback: the server of routers and rescue systems, with small windows and its own habits.

use std::path::PathBuf;
use std::process::{Command, Stdio};

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

/// One line in the user's authorized_keys, for as long as this lives.
struct AuthorizedKey {
    path: PathBuf,
    line: String,
}

impl AuthorizedKey {
    fn add(key: &str) -> Self {
        let user = nix::unistd::User::from_uid(nix::unistd::getuid()).ok().flatten().expect("the user has a home");
        let ssh = user.dir.join(".ssh");
        std::fs::create_dir_all(&ssh).expect("~/.ssh");
        let _ = std::fs::set_permissions(&ssh, std::os::unix::fs::PermissionsExt::from_mode(0o700));
        let added = Self { path: ssh.join("authorized_keys"), line: format!("{key} tunneld-test") };
        added.edit(|text| format!("{text}{}\n", added.line));
        added
    }

    fn edit(&self, change: impl FnOnce(String) -> String) {
        use nix::fcntl::{Flock, FlockArg};
        let options = std::fs::OpenOptions::new().create(true).append(true).read(true).open(&self.path);
        let file = options.expect("authorized_keys");
        // Tests run side by side; each edits the file whole.
        let _lock = Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, e)| e).expect("a lock on authorized_keys");
        let text = std::fs::read_to_string(&self.path).unwrap_or_default();
        std::fs::write(&self.path, change(text)).expect("authorized_keys");
        let _ = std::fs::set_permissions(&self.path, std::os::unix::fs::PermissionsExt::from_mode(0o600));
    }
}

impl Drop for AuthorizedKey {
    fn drop(&mut self) {
        self.edit(|text| text.lines().filter(|line| *line != self.line).map(|line| format!("{line}\n")).collect());
    }
}
