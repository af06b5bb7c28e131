//! `start`, `stop`, `restart`, `reset-failed`: an order for named tunnels. Silent when what it promises is true, as
//! systemctl; for `start` and `restart` that is a tunnel that is ready.

use super::args::StartArgs;
use super::daemon::DaemonAddress;
use super::problem::Problem;
use super::{render, wait};
use crate::exit;
use crate::protocol::{Request, Response};

pub(super) fn run(daemon: &DaemonAddress, order: Request) -> Result<u8, Problem> {
    let Response::Done = daemon.ask(order)? else { return Err(Problem::Misunderstood) };
    Ok(exit::OK)
}

/// The order, then the wait for what it promises. The order stands whatever becomes of the wait.
pub(super) fn start(
    daemon: &DaemonAddress,
    done: &str,
    which: StartArgs,
    order: impl Fn(Vec<String>) -> Request,
) -> Result<u8, Problem> {
    let StartArgs { names, timeout, no_block } = which;
    run(daemon, order(names.clone()))?;
    if no_block {
        return Ok(exit::OK);
    }
    let answer = daemon.ask(wait::request(names.clone(), timeout))?;
    wait::report(answer, &names, |tunnel, now| {
        format!("`{}` is {done}, but not ready. {}", tunnel.name, render::why(tunnel, now))
    })
}
