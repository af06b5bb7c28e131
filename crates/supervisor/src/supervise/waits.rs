//! Clients that wait for tunnels to become ready.

use std::time::Instant;

use tokio::sync::oneshot;

use crate::control::Response;
use crate::lifecycle::{Phase, Want};
use crate::tunnel::View;

/// One `tunneld wait`.
pub(super) struct Waiting {
    pub(super) names: Vec<String>,
    pub(super) until: Instant,
    pub(super) reply: oneshot::Sender<Response>,
}

/// How far a tunnel is on its way to what is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Ready,
    /// It may still become ready by itself.
    OnItsWay,
    /// It needs a person, or is not wanted.
    Hopeless,
}

pub(super) const fn state(view: &View) -> State {
    match (view.want, view.phase) {
        (Want::Down, _) | (Want::Up, Phase::Blocked | Phase::Failed) => State::Hopeless,
        (Want::Up, _) if view.ready => State::Ready,
        (Want::Up, _) => State::OnItsWay,
    }
}

/// The answer, once there is one. A tunnel that has gone from the config never becomes ready.
pub(super) fn verdict(names: &[String], state: impl Fn(&str) -> Option<State>) -> Option<bool> {
    let mut all = true;
    for name in names {
        match state(name) {
            None | Some(State::Hopeless) => return Some(false),
            Some(state) => all &= state == State::Ready,
        }
    }
    all.then_some(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(a: Option<State>, b: Option<State>) -> Option<bool> {
        verdict(&["a".to_owned(), "b".to_owned()], |name| if name == "a" { a } else { b })
    }

    #[test]
    fn yes_when_all_are_ready_and_no_answer_while_one_may_still_become_it() {
        let ready = Some(State::Ready);
        assert_eq!(ask(ready, ready), Some(true));
        assert_eq!(ask(ready, Some(State::OnItsWay)), None);
    }

    #[test]
    fn no_as_soon_as_one_needs_a_person_or_has_gone() {
        assert_eq!(ask(Some(State::OnItsWay), Some(State::Hopeless)), Some(false));
        assert_eq!(ask(Some(State::Ready), None), Some(false));
    }
}
