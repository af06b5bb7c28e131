//! Whether the daemon can read the file that `trust` writes into: it may run as another account.

use std::ffi::CString;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::unistd::{Gid, Uid, User, getgrouplist};

use crate::cli::account::other_of_daemon;
use crate::cli::args::GlobalArgs;
use crate::config::Desired;

/// The right to search a folder, and to read a file, of each class of st_mode.
const SEARCH: u32 = 0o1;
const READ: u32 = 0o4;

/// An account and its groups.
pub(super) struct Reader {
    user: User,
    groups: Vec<Gid>,
}

impl Reader {
    /// The daemon's account, where it is known and is another one than this process'.
    pub(super) fn of_daemon(global: &GlobalArgs, desired: Option<&Desired>) -> Option<Self> {
        let user = other_of_daemon(global, desired)?;
        let name = CString::new(user.name.as_str()).ok()?;
        let groups = getgrouplist(&name, user.gid).unwrap_or_else(|_| vec![user.gid]);
        Some(Self { user, groups })
    }

    /// What to tell where the account cannot read `file`: why, and the remedy.
    pub(super) fn warning(&self, file: &Path) -> Option<String> {
        let file = fs::canonicalize(file).ok()?;
        let (at, found) = self.obstacle(&file)?;
        let (name, file, shown) = (&self.user.name, file.display(), at.display());
        let owner = User::from_uid(Uid::from_raw(found.uid())).ok().flatten();
        let owner = owner.map_or_else(|| format!("user id {}", found.uid()), |owner| format!("`{}`", owner.name));
        let remedy = match at.starts_with(&self.user.dir) {
            true => format!("run `chown -R {name}: {shown}`"),
            false => format!("run it as `{name}`, or name a file with --file that `{name}` reads"),
        };
        Some(format!(
            "tunneld: `{name}`, which runs the daemon, cannot read `{file}`: `{shown}` belongs to {owner}, with mode {:04o}\n\
             hint: {remedy}\n",
            found.mode() & 0o7777
        ))
    }

    /// The first part of an absolute path that keeps the account from reading it, by owner and mode.
    fn obstacle(&self, file: &Path) -> Option<(PathBuf, Metadata)> {
        let mut parts: Vec<&Path> = file.ancestors().collect();
        parts.reverse();
        parts.into_iter().find_map(|part| {
            let found = fs::metadata(part).ok()?;
            let needed = if found.is_dir() { SEARCH } else { READ };
            let refused = !self.may(needed, (found.uid(), found.gid(), found.mode()));
            refused.then(|| (part.to_owned(), found))
        })
    }

    /// The rule of path_resolution(7): the first class that the account is in decides.
    fn may(&self, right: u32, (owner, group, mode): (u32, u32, u32)) -> bool {
        let class = if owner == self.user.uid.as_raw() {
            mode >> 6
        } else if self.groups.contains(&Gid::from_raw(group)) {
            mode >> 3
        } else {
            mode
        };
        self.user.uid.is_root() || class & right != 0
    }
}

#[cfg(test)]
mod tests {
    use nix::unistd::geteuid;

    use super::*;

    fn reader(uid: u32, groups: &[u32]) -> Reader {
        let root = User::from_uid(Uid::from_raw(0)).unwrap().unwrap();
        let user = User { uid: Uid::from_raw(uid), name: "svc".to_owned(), dir: "/home/svc".into(), ..root };
        Reader { user, groups: groups.iter().copied().map(Gid::from_raw).collect() }
    }

    #[test]
    fn first_class_of_the_account_decides() {
        for (uid, groups, owner, group, mode, may) in [
            (7, &[7][..], 7, 7, 0o400, true),
            (7, &[7], 7, 7, 0o044, false),
            (7, &[7, 9], 1, 9, 0o040, true),
            (7, &[7, 9], 1, 9, 0o604, false),
            (7, &[7], 1, 9, 0o604, true),
            (7, &[7], 0, 0, 0o600, false),
            (0, &[0], 7, 7, 0o000, true),
        ] {
            assert_eq!(reader(uid, groups).may(READ, (owner, group, mode)), may, "{uid} {groups:?} {owner} {mode:o}");
        }
    }

    #[test]
    fn warning_names_what_is_in_the_way() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().canonicalize().unwrap();
        let file = dir.join("known_hosts");
        fs::write(&file, "").unwrap();
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o711)).unwrap();
        let other = || reader(geteuid().as_raw() + 1, &[60_000]);
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        let warning = other().warning(&file).unwrap();
        assert!(warning.contains(&format!("`{}` belongs to", file.display())) && warning.contains("0600"), "{warning}");
        let at_home = Reader { user: User { dir: dir.clone(), ..other().user }, ..other() }.warning(&file).unwrap();
        assert!(at_home.contains(&format!("chown -R svc: {}", file.display())), "{at_home}");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(other().warning(&file), None);
    }
}
