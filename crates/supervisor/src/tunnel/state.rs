//! How a forward is, and the one place that says when a tunnel is ready.

use tunnel_engine::failure::Failure;
use tunnel_engine::spec::Side;

use crate::lifecycle::{ForwardPhase, Phase};

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ForwardState {
    /// Not set up yet: there is no session, or the server has not answered.
    Pending,
    /// It carries connections.
    Up,
    /// It could not be set up, or it was proven not to carry.
    Down(Failure),
    /// The server's port takes connections, and another session or program gets them.
    Stale(Failure),
    /// In place; the server forbids to prove more, in these words.
    Unverified(String),
}

impl ForwardState {
    pub const fn phase(&self) -> ForwardPhase {
        match self {
            Self::Pending => ForwardPhase::Pending,
            Self::Up => ForwardPhase::Up,
            Self::Down(_) => ForwardPhase::Down,
            Self::Stale(_) => ForwardPhase::Stale,
            Self::Unverified(_) => ForwardPhase::Unverified,
        }
    }

    pub const fn as_str(&self) -> &'static str {
        self.phase().as_str()
    }

    /// What keeps it from carrying connections.
    pub const fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Down(failure) | Self::Stale(failure) => Some(failure),
            Self::Pending | Self::Up | Self::Unverified(_) => None,
        }
    }

    /// Why it is not up, and what to do.
    pub fn message(&self) -> Option<String> {
        match self {
            Self::Down(failure) | Self::Stale(failure) => Some(format!("{} ({})", failure.message(), failure.hint())),
            Self::Unverified(words) => Some(words.clone()),
            Self::Pending | Self::Up => None,
        }
    }
}

/// Why a forward is not up when nothing is wrong with it: the one place that has words for that, so that no state is shown
/// without any. `None` for one that is up. States with a failure of their own say that instead.
pub(super) const fn pending_reason(state: &ForwardState, side: Side, phase: Phase) -> Option<&'static str> {
    Some(match (state, phase, side) {
        (ForwardState::Up, _, _) => return None,
        (_, Phase::Stopped, _) => "the tunnel is stopped",
        (_, Phase::Stopping, _) => "the session is being ended",
        (_, Phase::Connecting, _) => "there is no session: a login is under way, or waits for its turn",
        (_, Phase::Backoff, _) => "there is no session: the tunnel waits for its next start",
        (_, Phase::Blocked, _) => "there is no session: the tunnel is blocked by its last failure",
        (_, Phase::Failed, _) => "there is no session: the tunnel has failed",
        (_, Phase::Up, Side::Here) => "the listener is being bound, or it is not yet known whether it carries",
        (_, Phase::Up, Side::Server) => "the server has yet to answer, or it is not yet known whether it carries",
    })
}

/// Ready: a session as configured is up, and every forward is in place, proven where the server lets us. `replacing`:
/// the session that is up is one of an earlier config, kept only until its successor is there.
pub(super) fn ready<'a>(phase: Phase, replacing: bool, forwards: impl Iterator<Item = &'a ForwardState>) -> bool {
    phase == Phase::Up && !replacing && forwards.into_iter().all(|state| state.phase().is_in_place())
}

#[cfg(test)]
mod tests {
    use tunnel_engine::failure::FailureKind;

    use super::*;

    #[test]
    fn tunnel_is_ready_when_up_with_every_forward() {
        let down = ForwardState::Down(Failure::new(FailureKind::RemotePortBusy, "busy"));
        assert!(ready(Phase::Up, false, [ForwardState::Up, ForwardState::Up].iter()));
        assert!(ready(Phase::Up, false, [].iter()));
        assert!(!ready(Phase::Up, true, [ForwardState::Up].iter()));
        assert!(!ready(Phase::Up, false, [ForwardState::Up, ForwardState::Pending].iter()));
        assert!(!ready(Phase::Up, false, [ForwardState::Up, down.clone()].iter()));
        let ForwardState::Down(failure) = down else { panic!("down") };
        assert!(!ready(Phase::Up, false, [ForwardState::Stale(failure)].iter()));
        assert!(ready(Phase::Up, false, [ForwardState::Unverified("forbidden".into())].iter()), "no failure");
        for phase in Phase::ALL.into_iter().filter(|phase| *phase != Phase::Up) {
            assert!(!ready(phase, false, [ForwardState::Up].iter()), "{phase}");
        }
    }

    #[test]
    fn forward_that_is_down_has_reason_and_hint() {
        let state = ForwardState::Down(Failure::new(FailureKind::ListenInUse, "taken").with_hint("stop it"));
        assert_eq!((state.as_str(), state.message().as_deref()), ("down", Some("taken (stop it)")));
    }

    #[test]
    fn no_state_but_up_is_without_words() {
        for phase in Phase::ALL {
            for side in [Side::Here, Side::Server] {
                assert!(
                    pending_reason(&ForwardState::Pending, side, phase).is_some_and(|words| !words.is_empty()),
                    "{phase}"
                );
                assert_eq!(pending_reason(&ForwardState::Up, side, phase), None);
            }
        }
    }
}
