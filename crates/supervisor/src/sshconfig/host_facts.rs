//! What ssh_config takes from around it: the account, the environment, files, commands. A trait, so that reading is a
//! function of its arguments, and a test brings its own machine.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use nix::unistd::{Gid, Group, Uid, User};
use tunnel_engine::{child, file};

use super::paths_matching::paths_matching;

/// A config is some kilobytes; what is larger is something else, perhaps without an end.
const LARGEST_FILE: u64 = 16 << 20;

/// How long a command of `Match exec` may take. ssh waits for ever, and a user ends it; here a reload waits for it, and
/// each reload after that.
const COMMAND_LIMIT: Duration = Duration::from_secs(10);
/// After so many that hung, no other is run: each of a thousand tunnels may have one.
const MAX_HUNG: u32 = 3;

/// The machine and the account that the configuration is read for.
pub trait HostFacts {
    /// Login name of the account (not of the destination).
    fn user(&self) -> Option<&str>;
    /// Home of the account by passwd: as ssh, not `$HOME`.
    fn home(&self) -> Option<&Path>;
    /// Of the account.
    fn uid(&self) -> u32;
    /// Home of another account, for `~name/`.
    fn home_of(&self, user: &str) -> Option<PathBuf>;
    /// An environment variable.
    fn variable(&self, name: &str) -> Option<&str>;
    /// What relative paths start from where ssh_config says nothing else.
    fn folder(&self) -> PathBuf;
    /// The name of this machine.
    fn hostname(&self) -> String;
    /// The addresses of this machine, for `Match localnetwork`.
    fn addresses(&self) -> Vec<IpAddr>;
    /// The text of a file.
    ///
    /// # Errors
    /// Those of the system; `NotFound` is often none to ssh.
    fn read(&self, path: &Path) -> io::Result<Text>;
    /// The files that a pattern names, in the order of their names.
    fn files(&self, pattern: &str) -> Vec<PathBuf>;
    /// Did the command end with 0? For `Match exec`.
    ///
    /// # Errors
    /// It could not be run.
    fn run(&self, command: &str) -> io::Result<bool>;
}

/// A file that was read.
#[derive(Debug, Clone)]
pub struct Text {
    /// What it holds. Bytes that are no UTF-8 are replaced.
    pub text: String,
    /// Only root and the account can have written it, the rule of ssh for `~/.ssh/config` and for included files.
    pub trusted: bool,
}

/// This machine.
#[derive(Debug, Clone)]
pub struct System {
    user: Option<String>,
    home: Option<PathBuf>,
    variables: HashMap<String, String>,
    folder: Option<PathBuf>,
    uid: Uid,
    /// Commands that did not end.
    hung: Arc<AtomicU32>,
}

impl System {
    /// With this account and this environment, in the folder of this process.
    pub fn new(user: Option<String>, home: Option<PathBuf>, variables: HashMap<String, String>) -> Self {
        Self { user, home, variables, folder: None, uid: Uid::effective(), hung: Arc::default() }
    }

    /// Of another account.
    #[must_use]
    pub fn of_account(self, user: &str, home: &Path) -> Self {
        let uid = User::from_name(user).ok().flatten().map_or(self.uid, |user| user.uid);
        Self { user: Some(user.to_owned()), home: Some(home.to_owned()), uid, ..self }
    }

    /// In another folder.
    #[must_use]
    pub fn in_folder(self, folder: PathBuf) -> Self {
        Self { folder: Some(folder), ..self }
    }

    pub(crate) const fn variables(&self) -> &HashMap<String, String> {
        &self.variables
    }

    /// Without any variable.
    #[must_use]
    pub fn without_variables(self) -> Self {
        Self { variables: HashMap::new(), ..self }
    }

    /// With more variables; of two of one name, the later counts.
    #[must_use]
    pub fn with(mut self, variables: impl IntoIterator<Item = (String, String)>) -> Self {
        self.variables.extend(variables);
        self
    }
}

impl HostFacts for System {
    fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    fn home(&self) -> Option<&Path> {
        self.home.as_deref()
    }

    fn uid(&self) -> u32 {
        self.uid.as_raw()
    }

    fn home_of(&self, user: &str) -> Option<PathBuf> {
        User::from_name(user).ok().flatten().map(|user| user.dir)
    }

    fn variable(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str)
    }

    fn folder(&self) -> PathBuf {
        self.folder.clone().unwrap_or_else(|| std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/")))
    }

    fn hostname(&self) -> String {
        nix::unistd::gethostname().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
    }

    fn addresses(&self) -> Vec<IpAddr> {
        let Ok(interfaces) = nix::ifaddrs::getifaddrs() else { return Vec::new() };
        interfaces
            .filter(|interface| interface.flags.contains(nix::net::if_::InterfaceFlags::IFF_UP))
            .filter_map(|interface| {
                let address = interface.address?;
                let v4 = address.as_sockaddr_in().map(|address| IpAddr::V4(address.ip()));
                v4.or_else(|| address.as_sockaddr_in6().map(|address| IpAddr::V6(address.ip())))
            })
            .collect()
    }

    fn read(&self, path: &Path) -> io::Result<Text> {
        let metadata = fs::metadata(path)?;
        // ssh reads a folder as an empty file: `Include conf.d/*` may meet one.
        if metadata.is_dir() {
            return Ok(Text { text: String::new(), trusted: true });
        }
        let bytes = file::read_or_null(path, LARGEST_FILE)?;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Ok(Text { text, trusted: trusted_by(self.uid, &metadata) })
    }

    fn files(&self, pattern: &str) -> Vec<PathBuf> {
        paths_matching(pattern).map(|paths| paths.filter_map(Result::ok).collect()).unwrap_or_default()
    }

    fn run(&self, command: &str) -> io::Result<bool> {
        let shell = self.variable("SHELL").filter(|shell| !shell.is_empty()).unwrap_or("/bin/sh");
        // What it prints would end up between our own lines.
        let mut shell = Command::new(shell);
        shell.arg("-c").arg(command).stdin(Stdio::null()).stdout(Stdio::null());
        if self.hung.load(Ordering::Relaxed) >= MAX_HUNG {
            return Err(io::Error::other("too many commands before it did not end"));
        }
        let ended = child::run(&mut shell, COMMAND_LIMIT);
        if ended.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::TimedOut) {
            self.hung.fetch_add(1, Ordering::Relaxed);
        }
        ended.map(|status| status.success())
    }
}

/// Whether only root and the account `uid` can have written a file, as ssh asks it.
pub(crate) fn trusted_by(uid: Uid, metadata: &fs::Metadata) -> bool {
    /// Others; and the group, unless it is the private group that many systems give each user.
    const OTHERS_WRITE: u32 = 0o002;
    const GROUP_WRITES: u32 = 0o020;
    let ours = metadata.uid() == 0 || metadata.uid() == uid.as_raw();
    let group = metadata.mode() & GROUP_WRITES == 0 || is_private(metadata.gid(), metadata.uid());
    ours && metadata.mode() & OTHERS_WRITE == 0 && group
}

/// A group that has the name of the file's owner and no other member, as Debian's ssh has it.
fn is_private(group: u32, owner: u32) -> bool {
    let group = Group::from_gid(Gid::from_raw(group)).ok().flatten();
    let owner = User::from_uid(Uid::from_raw(owner)).ok().flatten();
    match (group, owner) {
        (Some(group), Some(owner)) => {
            group.name == owner.name && owner.gid == group.gid && group.mem.iter().all(|member| *member == owner.name)
        }
        _ => false,
    }
}
