//! What a tunnel tells the history: each change of phase and readiness, and each failure, with its cause.

use super::state::ForwardState;
use super::view::ForwardView;
use crate::history::{Cause, EventName};
use crate::lifecycle::{Phase, Want};

/// What was told last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Recorded {
    pub(super) want: Want,
    pub(super) phase: Phase,
    pub(super) ready: bool,
}

impl Default for Recorded {
    fn default() -> Self {
        Self { want: Want::Down, phase: Phase::Stopped, ready: false }
    }
}

/// What happened, in this order. A failure that changed nothing is told all the same.
pub(super) fn events(before: Recorded, now: Recorded, failed: bool) -> impl Iterator<Item = EventName> {
    let phase = (before.phase != now.phase).then_some(EventName::Phase);
    let ready = match (before.ready, now.ready) {
        (false, true) => Some(EventName::Ready),
        (true, false) => Some(EventName::NotReady),
        (false, false) | (true, true) => None,
    };
    let failure = (failed && phase.is_none() && ready.is_none()).then_some(EventName::Failure);
    [phase, ready, failure].into_iter().flatten()
}

/// Why a forward keeps its tunnel from being ready.
pub(super) fn cause_of(forward: &ForwardView) -> Option<Cause> {
    let name = format!("{} {}", forward.kind.as_str(), forward.listen);
    match (&forward.state, &forward.message) {
        (ForwardState::Down(failure) | ForwardState::Stale(failure), _) => Some(Cause::of(failure, Some(&name))),
        (ForwardState::Pending, Some(message)) => Some(Cause::without_kind(&format!("{name}: {message}"))),
        (ForwardState::Pending, None) | (ForwardState::Up | ForwardState::Unverified(_), _) => None,
    }
}
