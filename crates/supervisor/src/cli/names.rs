//! `start`, `stop`, `restart`, `reset-failed`: an order for named tunnels. Silent when it is accepted, as systemctl.

use super::problem::Problem;
use super::talk::Daemon;
use crate::control::{Request, Response};
use crate::exit;

pub(super) fn run(daemon: &Daemon, order: Request) -> Result<u8, Problem> {
    let Response::Done = daemon.ask(order)? else { return Err(Problem::Misunderstood) };
    Ok(exit::OK)
}
