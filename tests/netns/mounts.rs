//! A program that has a disk of its own: mounted for it alone, in a mount namespace. Needs root.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use support::process::wrapped;

/// Where a disk is mounted for a program.
pub(crate) struct Disk {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) path: PathBuf,
}

impl Disk {
    /// An empty folder in a folder of its own. `None`, with a notice, where nothing can be mounted.
    pub(crate) fn new() -> Option<Self> {
        if !nix::unistd::getuid().is_root() {
            assert!(std::env::var_os("CI").is_none(), "mount namespaces are not permitted here");
            let _ = std::io::Write::write_all(&mut std::io::stderr(), b"\nNOT TESTED: a disk of its own needs root\n");
            return None;
        }
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("disk");
        std::fs::create_dir(&path).expect("a folder");
        Some(Self { dir, path })
    }

    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Mounts a tmpfs with these options on it, and goes on with `then`, a shell's, whose last part is `"$0" "$@"`: the
    /// command.
    pub(crate) fn under(&self, command: &Command, options: &str, then: &str) -> Command {
        let script = format!("mount -t tmpfs -o {options} none {} && {then}", self.path.display());
        let mut run = wrapped(command, "unshare", &["--mount", "/bin/sh", "-c", &script]);
        run.stdin(Stdio::null());
        run
    }

    /// One without room, with a file `all`.
    pub(crate) fn full(&self, command: &Command, then: &str) -> Command {
        self.under(
            command,
            "size=4096",
            &format!("head -c 4096 /dev/zero > {} && {then}", self.path.join("all").display()),
        )
    }
}

/// The command and nothing after it.
pub(crate) const RUN: &str = "exec \"$0\" \"$@\"";
