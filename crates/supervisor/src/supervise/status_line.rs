//! STATUS= of the service manager: counts, and the first problem. Pure.

use super::snapshot::TunnelStatus;

/// Such as `39/40 ready; db: blocked: host_key_changed: …`. Tunnels that are not wanted up do not count.
pub(super) fn status_line(tunnels: &[TunnelStatus]) -> String {
    let wanted: Vec<_> = tunnels.iter().filter(|tunnel| tunnel.want == "up").collect();
    let ready = wanted.iter().filter(|tunnel| tunnel.ready).count();
    let counts = format!("{ready}/{} ready", wanted.len());
    match wanted.into_iter().filter(|tunnel| !tunnel.ready).min_by_key(|tunnel| urgency(tunnel)) {
        Some(tunnel) => format!("{counts}; {}", problem(tunnel)),
        None => counts,
    }
}

/// What needs a person comes first; the config's order decides among equals.
fn urgency(tunnel: &TunnelStatus) -> u8 {
    match tunnel.phase.as_str() {
        "failed" | "blocked" => 0,
        "backoff" => 1,
        _ => 2,
    }
}

/// One tunnel that is not ready, in one line.
pub(super) fn problem(tunnel: &TunnelStatus) -> String {
    let (name, phase) = (&tunnel.name, &tunnel.phase);
    let forward = tunnel.forwards.iter().find(|forward| matches!(forward.state.as_str(), "down" | "stale"));
    match (&tunnel.last_failure, forward) {
        (_, Some(forward)) if phase == "up" => {
            let message = forward.message.as_deref().unwrap_or_default();
            format!("{name}: forward {} is {}: {message}", forward.listen, forward.state)
        }
        (Some(failure), _) if phase != "up" => format!("{name}: {phase}: {}: {}", failure.kind, failure.message),
        _ if phase == "up" => format!("{name}: up, not all forwards are in place yet"),
        _ => format!("{name}: {phase}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::supervise::snapshot::example;

    fn tunnel(name: &str, want: &str, phase: &str, failure: Option<(&str, &str)>) -> TunnelStatus {
        TunnelStatus {
            want: want.into(),
            last_failure: failure.map(|(kind, message)| example::failure(kind, message)),
            ..example::tunnel(name, phase, phase == "up")
        }
    }

    #[test]
    fn all_is_well_in_few_words_and_what_is_not_wanted_does_not_count() {
        let tunnels = [tunnel("a", "up", "up", Some(("dns", "old"))), tunnel("b", "down", "stopped", None)];
        assert_eq!(status_line(&tunnels), "1/1 ready");
    }

    #[test]
    fn the_problem_that_needs_a_person_is_named_first() {
        let tunnels = [
            tunnel("a", "up", "up", None),
            tunnel("b", "up", "backoff", Some(("dns", "no such name"))),
            tunnel("db", "up", "blocked", Some(("host_key_changed", "host key of `s` changed"))),
        ];
        assert_eq!(status_line(&tunnels), "1/3 ready; db: blocked: host_key_changed: host key of `s` changed");
        assert_eq!(status_line(&tunnels[..2]), "1/2 ready; b: backoff: dns: no such name");
    }
}
