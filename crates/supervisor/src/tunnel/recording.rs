//! What a tunnel tells the history: each change of phase and readiness, and each failure, with its cause.

use super::actor::Actor;
use super::state::ForwardState;
use super::view::ForwardView;
use crate::history::{Cause, Moment};
use crate::lifecycle::{Phase, Want};

/// What was told last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Recorded {
    want: Want,
    phase: Phase,
    ready: bool,
}

impl Default for Recorded {
    fn default() -> Self {
        Self { want: Want::Down, phase: Phase::Stopped, ready: false }
    }
}

impl Actor {
    /// Called on the loop, before a view is published: views may be skipped, and the history needs each change.
    pub(super) fn record(&mut self, ready: bool, forwards: &[ForwardView]) {
        let (before, now) = (self.recorded, Recorded { want: self.machine.want(), phase: self.machine.phase(), ready });
        let cause = self.cause.take();
        if now == before && cause.is_none() {
            return;
        }
        let lost = before.ready && !now.ready;
        let cause = cause.or_else(|| forwards.iter().filter(|_| lost).find_map(cause_of));
        self.recorded = now;
        self.context.history.changed(&self.spec.name, now.want, now.ready, cause.as_ref(), Moment::now());
    }
}

/// Why a forward keeps its tunnel from being ready.
fn cause_of(forward: &ForwardView) -> Option<Cause> {
    let name = format!("{} {}", forward.kind.as_str(), forward.listen);
    match (&forward.state, &forward.message) {
        (ForwardState::Down(failure) | ForwardState::Stale(failure), _) => Some(Cause::of(failure, Some(&name))),
        (ForwardState::Pending, Some(message)) => Some(Cause::without_kind(&format!("{name}: {message}"))),
        (ForwardState::Pending, None) | (ForwardState::Up | ForwardState::Unverified(_), _) => None,
    }
}
