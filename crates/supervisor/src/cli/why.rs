//! `why`: one paragraph about one tunnel, its outages, and the lines of the log that tell of trouble.

use tunnel_engine::clock;

use super::daemon::DaemonAddress;
use super::problem::{Problem, print};
use super::render;
use super::status::output_style;
use crate::exit;
use crate::history::TunnelHistory;
use crate::lifecycle::Want;
use crate::protocol::status::TunnelStatus;
use crate::protocol::{Request, Response};
use crate::troubleshooting;

/// So many outages are listed; `status NAME` has more.
const OUTAGES: usize = 3;

pub(super) fn run(daemon: &DaemonAddress, name: String) -> Result<u8, Problem> {
    let Response::Status { status, .. } = daemon.ask(Request::Why { name })? else {
        return Err(Problem::Misunderstood);
    };
    let (now, output) = (clock::wall(), output_style());
    let histories = daemon.histories(&status);
    let paragraphs = status.tunnels.iter().map(|tunnel| {
        let outage = histories.iter().find(|history| history.name == tunnel.name).and_then(running_outage);
        let paragraph = render::paragraph(&render::why_in_outage(tunnel, outage, now), 0, output);
        paragraph + &read_on(tunnel)
    });
    let mut text: String = paragraphs.collect();
    for history in &histories {
        text += &(String::from("\n") + &render::outages(history, OUTAGES, now, 0, output));
    }
    for tunnel in &status.tunnels {
        let lines = render::trouble(&daemon.log(&tunnel.name), output);
        if !lines.is_empty() {
            text += &format!("\nfrom the log:\n{lines}");
        }
    }
    print(&text).map(|()| exit::OK)
}

/// Since when it lasts.
fn running_outage(history: &TunnelHistory) -> Option<&str> {
    history.outages.iter().find(|outage| outage.until.is_none()).map(|outage| outage.from.as_str())
}

/// Where more is said about what keeps a tunnel from being ready.
fn read_on(tunnel: &TunnelStatus) -> String {
    let failure = tunnel.last_failure.as_ref().filter(|_| !tunnel.ready && tunnel.want == Want::Up);
    let entry = failure.and_then(|failure| failure.kind.known()).map(troubleshooting::entry);
    entry.map(|entry| format!("More: {entry}\n")).unwrap_or_default()
}
