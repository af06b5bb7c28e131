//! Clients that wait for tunnels to become ready.

use std::time::Instant;

use tokio::sync::oneshot;

use crate::lifecycle::{Phase, Want};
use crate::protocol::Response;
use crate::tunnel::TunnelView;

/// One `tunneld wait`.
pub(super) struct WaitRequest {
    pub(super) names: Vec<String>,
    pub(super) until: Instant,
    pub(super) reply: oneshot::Sender<Response>,
}

/// How far a tunnel is on its way to what is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WaitState {
    Ready,
    /// It may still become ready by itself.
    OnItsWay,
    /// It needs a person, or is not wanted.
    Hopeless,
}

pub(super) fn state(view: &TunnelView) -> WaitState {
    match (view.want, view.phase) {
        (Want::Down, _) | (Want::Up, Phase::Blocked | Phase::Failed) => WaitState::Hopeless,
        (Want::Up, _) if view.ready => WaitState::Ready,
        (Want::Up, _) => WaitState::OnItsWay,
    }
}

/// The answer, once there is one. A tunnel that has gone from the config never becomes ready.
pub(super) fn verdict(names: &[String], state: impl Fn(&str) -> Option<WaitState>) -> Option<bool> {
    let mut all = true;
    for name in names {
        match state(name) {
            None | Some(WaitState::Hopeless) => return Some(false),
            Some(state) => all &= state == WaitState::Ready,
        }
    }
    all.then_some(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(a: Option<WaitState>, b: Option<WaitState>) -> Option<bool> {
        verdict(&["a".to_owned(), "b".to_owned()], |name| if name == "a" { a } else { b })
    }

    #[test]
    fn wait_is_answered_when_all_are_ready() {
        let ready = Some(WaitState::Ready);
        assert_eq!(ask(ready, ready), Some(true));
        assert_eq!(ask(ready, Some(WaitState::OnItsWay)), None);
    }

    #[test]
    fn wait_fails_once_a_tunnel_is_blocked_or_gone() {
        assert_eq!(ask(Some(WaitState::OnItsWay), Some(WaitState::Hopeless)), Some(false));
        assert_eq!(ask(Some(WaitState::Ready), None), Some(false));
    }
}
