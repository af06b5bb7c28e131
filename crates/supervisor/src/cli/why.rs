//! `why`: one paragraph about one tunnel.

use tunnel_engine::clock;

use super::problem::{Problem, print};
use super::render;
use super::talk::Daemon;
use crate::control::{Request, Response};
use crate::exit;
use crate::supervise::snapshot::TunnelStatus;
use crate::troubleshooting;

pub(super) fn run(daemon: &Daemon, name: String) -> Result<u8, Problem> {
    let Response::Status { status, .. } = daemon.ask(Request::Why { name })? else {
        return Err(Problem::Misunderstood);
    };
    let now = clock::wall();
    let text: String = status.tunnels.iter().map(|tunnel| render::why(tunnel, now) + "\n" + &read_on(tunnel)).collect();
    print(&text).map(|()| exit::OK)
}

/// Where more is said about what keeps a tunnel from being ready.
fn read_on(tunnel: &TunnelStatus) -> String {
    let failure = tunnel.last_failure.as_ref().filter(|_| !tunnel.ready && tunnel.want == "up");
    let entry = failure.and_then(|failure| troubleshooting::entry(&failure.kind));
    entry.map(|entry| format!("More: {entry}\n")).unwrap_or_default()
}
