//! Why a tunnel is not ready, what happens next, and what would fix it: the lines below it in the table.

use std::time::Duration;

use super::spans::short;
use crate::lifecycle::{ForwardPhase, Phase, Want};
use crate::protocol::status::{ForwardStatus, TunnelStatus};

/// Empty where there is nothing to know.
pub(in crate::cli) fn cause(tunnel: &TunnelStatus) -> Vec<String> {
    if tunnel.want != Want::Up {
        return stopped(tunnel).into_iter().collect();
    }
    let mut lines = Vec::new();
    match (&tunnel.last_failure, tunnel.phase.known()) {
        // A living session: the failure that is kept is that of an older one.
        (_, Some(Phase::Up)) => lines.extend(forwards(tunnel)),
        (Some(failure), _) => {
            lines.push(format!("{}: {}", failure.kind, failure.message));
            lines.push(format!("hint: {}", failure.hint));
        }
        (None, _) => {}
    }
    lines.extend(next(tunnel));
    lines
}

fn forwards(tunnel: &TunnelStatus) -> Vec<String> {
    let lines: Vec<String> = tunnel.forwards.iter().filter_map(forward).collect();
    if lines.is_empty() && !tunnel.ready && tunnel.waits_for.is_none() {
        return vec!["a new session is on its way: the config changed, or this one is in doubt".to_owned()];
    }
    lines
}

/// What is to be known about a forward.
fn forward(forward: &ForwardStatus) -> Option<String> {
    let (what, state) = (forward.what(), &forward.state);
    match (state.known(), forward.message.as_deref()) {
        (Some(ForwardPhase::Up), None) => None,
        (Some(ForwardPhase::Up), Some(but)) => Some(format!("{what} is up, but {but}")),
        (_, why) => Some(format!("{what} is {state}: {}", why.unwrap_or("not in place yet"))),
    }
}

/// What a start waits for, or when the next one is.
pub(super) fn next(tunnel: &TunnelStatus) -> Option<String> {
    let waits_for = tunnel.waits_for.as_deref();
    let due = tunnel.next_start_ms.map(|ms| short(Duration::from_millis(ms)));
    match (tunnel.phase.known(), due) {
        (Some(Phase::Connecting), _) => waits_for.map(|what| format!("waits for {what}")),
        (Some(Phase::Failed), _) => Some("no start follows by itself".to_owned()),
        (Some(Phase::Blocked), Some(due)) => Some(format!(
            "looked at again in {due}, and at once when a key, certificate or known_hosts file changes, when a reload changes its config, or by `tunneld restart {}`",
            tunnel.name
        )),
        (_, Some(due)) => {
            let meanwhile = waits_for.map(|what| format!("; {what}")).unwrap_or_default();
            Some(format!("next start in {due}{meanwhile}"))
        }
        (_, None) => waits_for.map(str::to_owned),
    }
}

/// The config wants it up, and an operator does not.
fn stopped(tunnel: &TunnelStatus) -> Option<String> {
    (tunnel.enabled && tunnel.phase == Phase::Stopped)
        .then(|| format!("stopped by an operator: `tunneld start {}` starts it", tunnel.name))
}
