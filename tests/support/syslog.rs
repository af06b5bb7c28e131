//! A syslog of our own, at the path where every program looks for it: in a mount namespace. Needs root.

use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use crate::patience::PATIENCE;
use crate::process::wrapped;

/// Lays the folder over /dev, with the devices that programs cannot do without, and becomes the rest of the words.
const SCRIPT: &str = "set -e; dev=$1; shift; \
    for name in null zero random urandom tty; do : > $dev/$name; mount --bind /dev/$name $dev/$name; done; \
    mount --rbind $dev /dev; exec \"$@\"";

/// A datagram socket that programs in its namespace see as /dev/log.
pub struct Syslog {
    dir: TempDir,
    socket: UnixDatagram,
}

impl Syslog {
    /// `None` for a user who may not mount, after a word on the terminal; root, and a run with CI in the environment,
    /// must be able to.
    pub fn start() -> Option<Self> {
        let tried = Command::new("unshare").args(["--mount", "--propagation", "private", "true"]).output();
        if !tried.expect("unshare of util-linux runs").status.success() {
            let must = nix::unistd::getuid().is_root() || std::env::var_os("CI").is_some();
            assert!(!must, "mount namespaces are not permitted here");
            // Not by a macro: the test harness would swallow it.
            let notice = b"\nNOT TESTED: mount namespaces need root\n";
            let _ = std::io::Write::write_all(&mut std::io::stderr(), notice);
            return None;
        }
        let dir = tempfile::tempdir().expect("a temporary folder");
        let socket = UnixDatagram::bind(dir.path().join("log")).expect("a datagram socket");
        socket.set_read_timeout(Some(PATIENCE)).expect("a read timeout");
        Some(Self { dir, socket })
    }

    /// The command, for which this is /dev/log.
    pub fn heard_by(&self, command: &Command) -> Command {
        let dev = self.path();
        let dev = dev.to_str().expect("a path of ours");
        let words = ["--mount", "--propagation", "private", "sh", "-c", SCRIPT, "sh", dev];
        wrapped(command, "unshare", &words)
    }

    /// The next message.
    #[track_caller]
    pub fn next(&self) -> String {
        let mut buffer = [0; 2048];
        let length = self.socket.recv(&mut buffer).expect("a message");
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    }

    /// What was said by a program that has ended.
    pub fn rest(&self) -> Vec<String> {
        self.socket.set_nonblocking(true).expect("a socket");
        let mut buffer = [0; 2048];
        let messages = std::iter::from_fn(|| {
            let length = self.socket.recv(&mut buffer).ok()?;
            Some(String::from_utf8_lossy(&buffer[..length]).into_owned())
        });
        let messages = messages.collect();
        self.socket.set_nonblocking(false).expect("a socket");
        messages
    }

    fn path(&self) -> PathBuf {
        self.dir.path().to_owned()
    }
}
