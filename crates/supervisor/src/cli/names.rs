//! `start`, `stop`, `restart`, `reset-failed`: an order for named tunnels. Silent when what it promises is true, as
//! systemctl; for `start` and `restart` that is a tunnel that is ready.

use tunnel_engine::clock;

use super::args::StartArgs;
use super::daemon::DaemonAddress;
use super::problem::{Problem, print};
use super::render;
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
    // The argument was checked to be below a year.
    let timeout_ms = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
    let Response::Waited { ready, status } = daemon.ask(Request::Wait { names, timeout_ms })? else {
        return Err(Problem::Misunderstood);
    };
    if ready {
        return Ok(exit::OK);
    }
    let now = clock::wall();
    let missing = status.tunnels.iter().filter(|tunnel| !tunnel.ready);
    let text: String = missing
        .map(|tunnel| format!("`{}` is {done}, but not ready. {}\n", tunnel.name, render::why(tunnel, now)))
        .collect();
    print(&text).map(|()| exit::NO)
}
