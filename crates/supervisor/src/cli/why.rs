//! `why`: one paragraph about one tunnel.

use tunnel_engine::clock;

use super::problem::{Problem, print};
use super::render;
use super::talk::Daemon;
use crate::control::{Request, Response};
use crate::exit;

pub(super) fn run(daemon: &Daemon, name: String) -> Result<u8, Problem> {
    let Response::Status { status, .. } = daemon.ask(Request::Why { name })? else {
        return Err(Problem::Misunderstood);
    };
    let now = clock::wall();
    let text: String = status.tunnels.iter().map(|tunnel| render::why(tunnel, now) + "\n").collect();
    print(&text).map(|()| exit::OK)
}
