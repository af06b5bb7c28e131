//! `reload` and `plan`: the steps that were or would be taken.

use std::path::Path;

use super::args::GlobalArgs;
use super::daemon::DaemonAddress;
use super::problem::{Problem, print};
use super::render;
use crate::exit;
use crate::protocol::{Request, Response};

/// The daemon reads its own file again, whichever one is named: another one is refused, lest it seem to be applied.
pub(super) fn reload(daemon: &DaemonAddress, global: &GlobalArgs) -> Result<u8, Problem> {
    if let Some(named) = &global.config {
        let own = daemon.status(Vec::new())?.config;
        if !is_same_file(named, Path::new(&own)) {
            let named = named.display();
            return Err(Problem::Usage(format!(
                "the daemon runs `{own}`, and a reload reads that again, not `{named}`: `tunneld plan --config {named}` \
                 shows what would change, and a start applies it"
            )));
        }
    }
    show(daemon.ask(Request::Reload)?)
}

fn is_same_file(named: &Path, own: &Path) -> bool {
    let whole = |path: &Path| path.canonicalize().or_else(|_| std::path::absolute(path)).ok();
    whole(named) == whole(own)
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
