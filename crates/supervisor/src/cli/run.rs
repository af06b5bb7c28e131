//! `run`: the daemon. Everything that can refuse a start does so before anything is started.

use super::args::Global;
use super::problem::Problem;
use crate::config::{self, Overrides};

pub(super) fn run(global: &Global) -> Result<u8, Problem> {
    let _desired = config::load(&global.config_file(), &overrides(global)).map_err(Problem::Config)?;
    Err(Problem::Start(std::io::Error::other("the supervisor is being written")))
}

/// What the command line and the environment say instead of the config file.
pub(super) fn overrides(global: &Global) -> Overrides {
    Overrides {
        control_socket: global.control_socket.clone(),
        pid_file: global.pid_file.clone(),
        log_level: global.log_level.clone(),
    }
}
