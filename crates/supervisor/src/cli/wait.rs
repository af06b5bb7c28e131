//! `wait`: until the named tunnels are ready. Silent when they are; otherwise why those that are not are not.

use std::time::Duration;

use tunnel_engine::clock;

use super::problem::{Problem, print};
use super::render;
use super::talk::Daemon;
use crate::control::{Request, Response};
use crate::exit;

pub(super) fn run(daemon: &Daemon, names: Vec<String>, timeout: Duration) -> Result<u8, Problem> {
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
    let text: String = missing.map(|tunnel| render::why(tunnel, now) + "\n").collect();
    print(&text).map(|()| exit::NO)
}
