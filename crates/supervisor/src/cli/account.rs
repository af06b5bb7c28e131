//! The account that a verb works as: the daemon's, for what the daemon would read and write.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};

use nix::unistd::{Uid, User, geteuid};

use super::args::GlobalArgs;
use super::daemon::DaemonAddress;
use super::problem::Problem;
use super::run::overrides;
use crate::config::{self, Desired, RootStart};
use crate::os::privileges::become_user;

/// For a verb that root runs with a config that has `user`: becomes that user for good, as the daemon does. `~`, the default
/// login and the rights to files are then the daemon's, and root reads, runs and writes nothing that the config names. The
/// config stays the one that root meant. To be called before there are threads.
pub(super) fn as_the_daemon(global: GlobalArgs) -> Result<GlobalArgs, Problem> {
    if !geteuid().is_root() {
        return Ok(global);
    }
    let config = std::path::absolute(global.config_file()).map_err(Problem::Start)?;
    let start = config::root_start(&config, &overrides(&global)).map_err(Problem::Config)?;
    let Some(RootStart { user, .. }) = start else { return Ok(global) };
    become_user(&user).map_err(Problem::Start)?;
    Ok(GlobalArgs { config: Some(config), ..global })
}

/// Whom the daemon runs as, where that is known and is another account than this process': `user` of the config, else the
/// owner of the control socket.
pub(super) fn other_of_daemon(global: &GlobalArgs, desired: Option<&Desired>) -> Option<User> {
    let named = desired.and_then(|desired| desired.global.user.as_deref());
    let user = match named {
        Some(name) => User::from_name(name),
        None => {
            let socket = fs::metadata(DaemonAddress::find(global).ok()?.socket()).ok()?;
            User::from_uid(Uid::from_raw(socket.file_type().is_socket().then_some(socket.uid())?))
        }
    };
    user.ok().flatten().filter(|user| user.uid != geteuid())
}
