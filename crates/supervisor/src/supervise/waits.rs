//! Clients that wait for tunnels to become ready, or to be stopped.

use std::time::Instant;

use tokio::sync::oneshot;

use crate::lifecycle::{Phase, Want};
use crate::protocol::Response;
use crate::tunnel::Snapshot;

/// One `tunneld wait`, `start`, `restart` or `stop`.
pub(super) struct WaitRequest {
    pub(super) names: Vec<String>,
    pub(super) goal: WaitGoal,
    pub(super) until: Instant,
    pub(super) reply: oneshot::Sender<Response>,
}

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WaitGoal {
    Ready,
    Stopped,
}

/// How far a tunnel is on its way to what is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WaitState {
    Reached,
    /// It may still come to it by itself.
    OnItsWay,
    /// It needs a person, or something else is wanted of it.
    Hopeless,
}

impl WaitGoal {
    /// `None`: it has gone from the config. Such a one never becomes ready, and needs no stop.
    pub(super) fn state(self, tunnel: Option<&Snapshot>) -> WaitState {
        let at = tunnel.map(|tunnel| (tunnel.want, tunnel.phase, tunnel.ready));
        match self {
            Self::Ready => at.map_or(WaitState::Hopeless, |(want, phase, ready)| to_ready(want, phase, ready)),
            Self::Stopped => at.map_or(WaitState::Reached, |(want, phase, _)| to_stopped(want, phase)),
        }
    }
}

fn to_ready(want: Want, phase: Phase, ready: bool) -> WaitState {
    match (want, phase) {
        (Want::Down, _) | (Want::Up, Phase::Blocked | Phase::Failed) => WaitState::Hopeless,
        (Want::Up, _) if ready => WaitState::Reached,
        (Want::Up, _) => WaitState::OnItsWay,
    }
}

fn to_stopped(want: Want, phase: Phase) -> WaitState {
    match (want, phase) {
        (Want::Up, _) => WaitState::Hopeless,
        (Want::Down, Phase::Stopped | Phase::Failed) => WaitState::Reached,
        (Want::Down, Phase::Connecting | Phase::Up | Phase::Backoff | Phase::Blocked | Phase::Stopping) => {
            WaitState::OnItsWay
        }
    }
}

/// The answer, once there is one.
pub(super) fn verdict(names: &[String], state: impl Fn(&str) -> WaitState) -> Option<bool> {
    let states: Vec<WaitState> = names.iter().map(|name| state(name)).collect();
    if states.contains(&WaitState::Hopeless) {
        return Some(false);
    }
    states.iter().all(|state| *state == WaitState::Reached).then_some(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(a: WaitState, b: WaitState) -> Option<bool> {
        verdict(&["a".to_owned(), "b".to_owned()], |name| if name == "a" { a } else { b })
    }

    #[test]
    fn wait_is_answered_when_all_are_there() {
        assert_eq!(ask(WaitState::Reached, WaitState::Reached), Some(true));
        assert_eq!(ask(WaitState::Reached, WaitState::OnItsWay), None);
    }

    #[test]
    fn wait_fails_once_a_tunnel_is_blocked_or_gone() {
        assert_eq!(ask(WaitState::OnItsWay, WaitState::Hopeless), Some(false));
        assert_eq!(to_ready(Want::Up, Phase::Blocked, false), WaitState::Hopeless);
        assert_eq!(WaitGoal::Ready.state(None), WaitState::Hopeless);
    }

    #[test]
    fn a_stop_is_over_when_nothing_is_stopping() {
        assert_eq!(to_stopped(Want::Down, Phase::Stopping), WaitState::OnItsWay);
        assert_eq!(to_stopped(Want::Down, Phase::Stopped), WaitState::Reached);
        assert_eq!(to_stopped(Want::Up, Phase::Up), WaitState::Hopeless, "a user started it again");
        assert_eq!(WaitGoal::Stopped.state(None), WaitState::Reached);
    }
}
