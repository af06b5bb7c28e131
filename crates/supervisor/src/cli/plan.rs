//! `reload` and `plan`: the steps that were or would be taken.

use super::args::GlobalArgs;
use super::daemon::DaemonAddress;
use super::problem::{Problem, print};
use super::render;
use crate::exit;
use crate::protocol::{Request, Response};

pub(super) fn reload(daemon: &DaemonAddress) -> Result<u8, Problem> {
    show(daemon.ask(Request::Reload)?)
}

/// A config that is named is what the plan is about; otherwise it is the daemon's own.
pub(super) fn run(daemon: &DaemonAddress, global: &GlobalArgs) -> Result<u8, Problem> {
    let config = global.config.as_ref().map(std::path::absolute).transpose().map_err(Problem::Start)?;
    show(daemon.ask(Request::Plan { config })?)
}

fn show(response: Response) -> Result<u8, Problem> {
    let Response::Plan { plan } = response else { return Err(Problem::Misunderstood) };
    print(&render::plan(&plan)).map(|()| exit::OK)
}
