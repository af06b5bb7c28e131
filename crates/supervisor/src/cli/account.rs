//! The account that a verb works as: the daemon's, for what the daemon would read and write.

use nix::unistd::geteuid;

use super::args::GlobalArgs;
use super::problem::Problem;
use super::run::overrides;
use crate::config::{self, RootStart};
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
