//! The file of a first config: whose it is, and how it gets there whole or not at all.

use std::fs::{DirBuilder, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, chown};
use std::path::Path;

use nix::unistd::{Uid, User, geteuid};
use tempfile::Builder;

use crate::config;
use crate::sshconfig::{HostFacts, System};

/// Whom the packaged unit runs the daemon as.
const SERVICE_USER: &str = "tunneld";
/// The config file of the packaged unit.
const SERVICE_CONFIG: &str = "/etc/tunneld.toml";

/// The account that will run tunneld with the file.
pub(super) enum ServiceAccount {
    /// The one that wrote it.
    Own,
    /// The packaged service's, with a home of its own.
    Service(Box<User>),
}

impl ServiceAccount {
    pub(super) fn that_runs(path: &Path) -> Self {
        let service = User::from_name(SERVICE_USER).ok().flatten();
        match service.filter(|_| geteuid().is_root() && path == Path::new(SERVICE_CONFIG)) {
            Some(user) => Self::Service(Box::new(user)),
            None => Self::Own,
        }
    }

    pub(super) fn is_service(&self) -> bool {
        matches!(self, Self::Service(_))
    }

    /// The facts that its config is resolved with.
    pub(super) fn facts(&self) -> System {
        match self {
            Self::Own => config::facts(),
            Self::Service(user) => config::facts().of_account(&user.name, &user.dir),
        }
    }

    pub(super) fn home(&self) -> Option<std::path::PathBuf> {
        self.facts().home().map(Path::to_owned)
    }
}

/// Writes it so that no other user can change it, and none but the service can read it. A file that is there is only
/// replaced when that is asked for, also one that came into being meanwhile.
pub(super) fn write(path: &Path, text: &str, replace: bool, account: &ServiceAccount) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let mut file =
        Builder::new().prefix(".tunneld-init").permissions(Permissions::from_mode(0o600)).tempfile_in(folder)?;
    file.write_all(text.as_bytes())?;
    if let ServiceAccount::Service(user) = account {
        chown(file.path(), Some(Uid::current().as_raw()), Some(user.gid.as_raw()))?;
        file.as_file().set_permissions(Permissions::from_mode(0o640))?;
    }
    file.as_file().sync_all()?;
    let written = if replace { file.persist(path) } else { file.persist_noclobber(path) };
    written.map(drop).map_err(|error| error.error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_private_and_replaced_only_when_asked() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("new/folder/config.toml");
        write(&path, "one", false, &ServiceAccount::Own).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(write(&path, "two", false, &ServiceAccount::Own).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "one");
        write(&path, "two", true, &ServiceAccount::Own).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "two");
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing else is left behind");
    }
}
