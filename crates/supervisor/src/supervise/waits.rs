//! Clients that wait for tunnels to become ready.

use std::time::Instant;

use tokio::sync::oneshot;

use super::snapshot::TunnelStatus;
use crate::control::Response;

/// One `tunneld wait`.
pub(super) struct Waiting {
    pub(super) names: Vec<String>,
    pub(super) until: Instant,
    pub(super) reply: oneshot::Sender<Response>,
}

/// The answer, once there is one. A tunnel that has gone from the config never becomes ready.
pub(super) fn verdict(names: &[String], tunnels: &[TunnelStatus]) -> Option<bool> {
    let mut all = true;
    for name in names {
        let tunnel = tunnels.iter().find(|tunnel| tunnel.name == *name);
        match tunnel {
            None => return Some(false),
            Some(tunnel) if tunnel.want != "up" || matches!(tunnel.phase.as_str(), "blocked" | "failed") => {
                return Some(false);
            }
            Some(tunnel) => all &= tunnel.ready,
        }
    }
    all.then_some(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::supervise::snapshot::example;

    fn tunnel(name: &str, want: &str, phase: &str, ready: bool) -> TunnelStatus {
        TunnelStatus { want: want.into(), ..example::tunnel(name, phase, ready) }
    }

    fn ask(tunnels: &[TunnelStatus]) -> Option<bool> {
        verdict(&["a".to_owned(), "b".to_owned()], tunnels)
    }

    #[test]
    fn yes_when_all_are_ready_and_no_answer_while_one_may_still_become_it() {
        assert_eq!(ask(&[tunnel("a", "up", "up", true), tunnel("b", "up", "up", true)]), Some(true));
        assert_eq!(ask(&[tunnel("a", "up", "up", true), tunnel("b", "up", "up", false)]), None);
        assert_eq!(ask(&[tunnel("a", "up", "up", true), tunnel("b", "up", "backoff", false)]), None);
    }

    #[test]
    fn no_as_soon_as_one_needs_a_person_or_is_not_wanted_or_has_gone() {
        for phase in ["blocked", "failed"] {
            assert_eq!(ask(&[tunnel("a", "up", "connecting", false), tunnel("b", "up", phase, false)]), Some(false));
        }
        assert_eq!(ask(&[tunnel("a", "up", "up", true), tunnel("b", "down", "stopped", false)]), Some(false));
        assert_eq!(ask(&[tunnel("a", "up", "up", true)]), Some(false));
    }
}
