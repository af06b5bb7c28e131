//! A key that root does not know, and the user who called sudo does.

use std::path::Path;

use nix::unistd::{User, geteuid};
use tunnel_engine::examine::{LoginStep, Noted};
use tunnel_engine::failure::{Failure, FailureKind};
use tunnel_engine::hostkey::lines_with_key;
use tunnel_engine::spec::SessionSpec;

use super::check::{Check, HOST_KEY};

/// Where the known_hosts of the user behind sudo is, from the home folder.
const FILE: &str = ".ssh/known_hosts";

/// Says that the host key is in the file of the user who called sudo.
pub(super) fn hint(spec: &SessionSpec, steps: &[Noted], failure: Option<&Failure>) -> Option<Check> {
    failure.filter(|failure| failure.kind() == FailureKind::HostKeyUnknown)?;
    let name = std::env::var("SUDO_USER").ok()?;
    let user = User::from_name(&name).ok().flatten().filter(|user| user.uid != geteuid())?;
    let server = spec.destination.host_port();
    let key = steps.iter().filter(|noted| noted.server == server).find_map(|noted| {
        let LoginStep::HostKey { key, .. } = &noted.step else { return None };
        Some(key)
    })?;
    in_file_of(&name, &user.dir.join(FILE), spec, key)
}

fn in_file_of(user: &str, file: &Path, spec: &SessionSpec, key: &str) -> Option<Check> {
    let at = lines_with_key(file, spec, key).ok()?.into_iter().next()?;
    let message =
        format!("`{at}`, of the user `{user}` who called sudo, holds this very key, and is not looked in here");
    let action = format!(
        "run it as `{user}` without sudo, set user_known_hosts_file = \"{}\", or have `tunneld trust` add the key for the \
         user that runs tunneld",
        file.display()
    );
    Some(Check::fail(HOST_KEY, file.display().to_string(), message, action))
}
