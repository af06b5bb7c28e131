//! From paths to the folders that the kernel gets. Where a path really is, is asked through an argument.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use super::paths::{Access, NamedPath, paths};
use crate::config::Desired;
use crate::os::runtime_dir;

/// A folder and all below it, or a single file. The path has no symbolic link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) path: PathBuf,
    pub(super) access: Access,
}

/// What name lookups, accounts and services are found by. They are replaced by renames, some are links into /run.
const NAME_SERVICE: &[&str] = &[
    "/etc/resolv.conf",
    "/etc/hosts",
    "/etc/nsswitch.conf",
    "/etc/passwd",
    "/etc/services",
    "/etc/localtime",
    "/etc/ssl/openssl.cnf",
];

/// Programs' own files, and what modules of the name service keep: those of systemd, sssd, extrausers, libvirt and the
/// `db` module. What does not exist is passed over.
const SYSTEM_FOLDERS: &[&str] = &[
    "/usr",
    "/lib",
    "/lib64",
    "/nix/store",
    "/gnu/store",
    "/run/systemd",
    "/run/NetworkManager",
    "/run/resolvconf",
    "/run/netconfig",
    "/run/connman",
    "/run/dhcpcd",
    "/run/nscd",
    "/var/lib/sss",
    "/var/lib/extrausers",
    "/var/lib/libvirt/dnsmasq",
    "/var/db",
    "/dev/urandom",
    "/dev/random",
];

/// Who holds a busy address is read here. Root would read the kernel's memory and every process's here.
const PROCESSES: &str = "/proc";

const NULL: &str = "/dev/null";

/// The rules, and what none of them reaches: a path with no folder but `/`, all of which is never opened.
pub(super) fn of(named: &[NamedPath], real: impl Fn(&Path) -> Option<PathBuf>) -> (Vec<Rule>, Vec<NamedPath>) {
    let (mut rules, mut unreachable) = (Vec::new(), Vec::new());
    for one in named {
        let found = folders(one, &real);
        // A device that is not there may be open already, or its forward says so.
        if found.is_empty() && one.access != Access::Control {
            unreachable.push(one.clone());
        }
        for path in found {
            add(&mut rules, Rule { path, access: one.access });
        }
    }
    (rules, unreachable)
}

/// What every process needs besides.
pub(super) fn add_those_of_system(rules: &mut Vec<Rule>, is_root: bool, real: impl Fn(&Path) -> Option<PathBuf>) {
    let files: Vec<_> =
        NAME_SERVICE.iter().map(|path| NamedPath::file(Path::new(path), Access::Read, "the system")).collect();
    let processes = (!is_root).then_some(PROCESSES);
    let folders = SYSTEM_FOLDERS.iter().copied().chain(processes).filter_map(|path| real(Path::new(path)));
    let read = folders.map(|path| Rule { path, access: Access::Read });
    let null = Rule { path: NULL.into(), access: Access::Write };
    for rule in of(&files, &real).0.into_iter().chain(read).chain([null]) {
        add(rules, rule);
    }
}

/// Where a path is reached: in its folder, or the nearest one above it that is there, and in the folder that symbolic
/// links lead to. Something in `/` itself is reached alone.
pub(super) fn folders(named: &NamedPath, real: impl Fn(&Path) -> Option<PathBuf>) -> Vec<PathBuf> {
    let leads_to = real(&named.path);
    if named.access == Access::Control {
        return leads_to.into_iter().collect();
    }
    let folder = if named.is_folder { Some(named.path.as_path()) } else { named.path.parent() };
    let above = folder.and_then(|folder| folder.ancestors().find_map(&real));
    let beyond = if named.is_folder { None } else { leads_to.as_deref().and_then(Path::parent).map(Path::to_owned) };
    let is_root = |path: &PathBuf| path.parent().is_none();
    let mut found: Vec<PathBuf> = above.into_iter().chain(beyond).filter(|path| !is_root(path)).collect();
    if found.is_empty() {
        found.extend(leads_to.filter(|path| !is_root(path)));
    }
    found.dedup();
    found
}

/// Keeps the shortest list that says the same.
fn add(rules: &mut Vec<Rule>, rule: Rule) {
    if !rules.iter().any(|known| known.covers(&rule.path, rule.access)) {
        rules.retain(|known| !rule.covers(&known.path, known.access));
        rules.push(rule);
    }
}

impl Rule {
    pub(super) fn covers(&self, path: &Path, access: Access) -> bool {
        self.access >= access && path.starts_with(&self.path)
    }
}

/// Folders that the daemon would make later itself, each in a folder that is there: after the start it could only do so
/// if all of that were open to it. Errors are reported where the folder is needed.
pub(super) fn make_folders(desired: &Desired) {
    const MODE: u32 = 0o700;
    for file in [Some(&desired.global.control_socket), desired.global.pid_file.as_ref()].into_iter().flatten() {
        let _ = runtime_dir::ensure_parent(file);
    }
    for one in paths(desired).iter().filter(|one| one.access == Access::Write && one.makes_folder(desired)) {
        let folder = if one.is_folder { Some(one.path.as_path()) } else { one.path.parent() };
        let _ = folder.map(|folder| DirBuilder::new().mode(MODE).create(folder));
    }
}

impl NamedPath {
    /// The state directory and the folder of known_hosts are made by the daemon, those of sockets are not.
    fn makes_folder(&self, desired: &Desired) -> bool {
        let known_hosts = desired.tunnels.iter().flat_map(|tunnel| tunnel.servers());
        self.is_folder || known_hosts.into_iter().any(|server| server.host_key.user_known_hosts.contains(&self.path))
    }
}

/// As the log says it.
pub(super) fn summary(rules: &[Rule]) -> String {
    let write: Vec<_> =
        rules.iter().filter(|rule| rule.access == Access::Write && rule.path != Path::new(NULL)).map(shown).collect();
    let read = rules.iter().filter(|rule| rule.access == Access::Read).count();
    let write = if write.is_empty() { "nothing".to_owned() } else { write.join(", ") };
    format!("reads {read} folders, writes {write}, runs no program")
}

fn shown(rule: &Rule) -> String {
    format!("`{}`", rule.path.display())
}
