//! STATUS= of the service manager: counts, and the first problem. Pure.

use crate::lifecycle::{ForwardPhase, Phase, Want};
use crate::protocol::status::{ForwardStatus, TunnelStatus};
use crate::tunnel::TunnelView;

/// What is asked of every tunnel.
#[derive(Debug, Clone, Copy)]
pub(super) struct TunnelSummary {
    /// [`TunnelStatus::counts`].
    pub(super) counts: bool,
    pub(super) ready: bool,
    pub(super) phase: Phase,
}

impl TunnelSummary {
    pub(super) fn of(view: &TunnelView, counts: bool) -> Self {
        Self { counts, ready: view.ready, phase: view.phase }
    }
}

/// Such as `39/40 ready; db: blocked: host_key_changed: …`. Only the one that is told of is read whole, by its place.
pub(super) fn status_line(
    tunnels: impl Iterator<Item = TunnelSummary>,
    whole: impl FnOnce(usize) -> Option<TunnelStatus>,
) -> String {
    let (mut all, mut ready) = (0usize, 0usize);
    let mut first: Option<(u8, usize)> = None;
    for (at, tunnel) in tunnels.enumerate().filter(|(_, tunnel)| tunnel.counts) {
        all += 1;
        if tunnel.ready {
            ready += 1;
        } else if first.is_none_or(|(urgent, _)| urgency(tunnel.phase) < urgent) {
            first = Some((urgency(tunnel.phase), at));
        }
    }
    let counts = format!("{ready}/{all} ready");
    match first.and_then(|(_, at)| whole(at)) {
        Some(tunnel) => format!("{counts}; {}", problem(&tunnel)),
        None => counts,
    }
}

/// Of the one tunnel of a command: `user@host:22: ready`, or its phase.
pub(super) fn state_of(view: &TunnelView) -> String {
    format!("{}: {}", view.server, if view.ready { "ready" } else { view.phase.as_str() })
}

/// What needs a person comes first; the config's order decides among equals.
const fn urgency(phase: Phase) -> u8 {
    match phase {
        Phase::Failed | Phase::Blocked => 0,
        Phase::Backoff => 1,
        Phase::Connecting | Phase::Up => 2,
        Phase::Stopped | Phase::Stopping => 3,
    }
}

/// One tunnel that is not ready, in one line.
pub(super) fn problem(tunnel: &TunnelStatus) -> String {
    let (name, phase) = (&tunnel.name, &tunnel.phase);
    let broken =
        |forward: &&ForwardStatus| matches!(forward.state.known(), Some(ForwardPhase::Down | ForwardPhase::Stale));
    let forward = tunnel.forwards.iter().find(broken);
    match (&tunnel.last_failure, forward) {
        (_, Some(forward)) if *phase == Phase::Up => {
            let message = forward.message.as_deref().unwrap_or_default();
            format!("{name}: forward {} is {}: {message}", forward.listen, forward.state)
        }
        (Some(failure), _) if *phase != Phase::Up && tunnel.want == Want::Up => {
            format!("{name}: {phase}: {}: {}", failure.kind, failure.message)
        }
        _ if *phase == Phase::Up => {
            let why = tunnel.waits_for.as_deref().unwrap_or("not all forwards are in place yet");
            format!("{name}: up, {why}")
        }
        _ => format!("{name}: {phase}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::status::example;

    fn tunnel(name: &str, want: Want, phase: &str, failure: Option<(&str, &str)>) -> TunnelStatus {
        TunnelStatus {
            want: want.into(),
            last_failure: failure.map(|(kind, message)| example::failure(kind, message)),
            ..example::tunnel(name, phase, phase == "up")
        }
    }

    fn line(tunnels: &[TunnelStatus]) -> String {
        let brief = |tunnel: &TunnelStatus| TunnelSummary {
            counts: tunnel.counts(),
            ready: tunnel.ready,
            phase: tunnel.phase.known().unwrap(),
        };
        status_line(tunnels.iter().map(brief), |at| tunnels.get(at).cloned())
    }

    #[test]
    fn ready_tunnels_are_counted_and_disabled_ones_left_out() {
        let a = tunnel("a", Want::Up, "up", Some(("dns", "old")));
        let b = TunnelStatus { enabled: false, ..tunnel("b", Want::Down, "stopped", None) };
        assert_eq!(line(&[a.clone(), b.clone()]), "1/1 ready");
        let c = tunnel("c", Want::Down, "stopped", Some(("dns", "old")));
        assert_eq!(line(&[a, b, c]), "1/2 ready; c: stopped");
    }

    #[test]
    fn problem_that_needs_an_operator_is_named_first() {
        let tunnels = [
            tunnel("a", Want::Up, "up", None),
            tunnel("b", Want::Up, "backoff", Some(("dns", "no such name"))),
            tunnel("db", Want::Up, "blocked", Some(("host_key_changed", "host key of `s` changed"))),
        ];
        assert_eq!(line(&tunnels), "1/3 ready; db: blocked: host_key_changed: host key of `s` changed");
        assert_eq!(line(&tunnels[..2]), "1/2 ready; b: backoff: dns: no such name");
    }
}
