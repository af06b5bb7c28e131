//! How a forward is, and the one place that says when a tunnel is ready.

use tunnel_engine::failure::Failure;

use crate::lifecycle::{ForwardPhase, Phase};

/// State of one forward.
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
    /// Without its reason.
    pub const fn phase(&self) -> ForwardPhase {
        match self {
            Self::Pending => ForwardPhase::Pending,
            Self::Up => ForwardPhase::Up,
            Self::Down(_) => ForwardPhase::Down,
            Self::Stale(_) => ForwardPhase::Stale,
            Self::Unverified(_) => ForwardPhase::Unverified,
        }
    }

    /// The word used in status.
    pub const fn as_str(&self) -> &'static str {
        self.phase().as_str()
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
    fn a_forward_that_is_down_says_why_and_what_to_do() {
        let state = ForwardState::Down(Failure::new(FailureKind::ListenInUse, "taken").with_hint("stop it"));
        assert_eq!((state.as_str(), state.message().as_deref()), ("down", Some("taken (stop it)")));
    }
}
