//! Why a forward is not up when nothing is wrong with it: the one place that has words for that, so that no state is
//! shown without any.

use tunnel_engine::spec::Side;

use super::state::ForwardState;
use crate::lifecycle::Phase;

/// `None` for a forward that is up. States with a failure of their own say that instead.
pub(super) const fn reason(state: &ForwardState, side: Side, phase: Phase) -> Option<&'static str> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_state_but_up_is_without_words() {
        for phase in Phase::ALL {
            for side in [Side::Here, Side::Server] {
                assert!(reason(&ForwardState::Pending, side, phase).is_some_and(|words| !words.is_empty()), "{phase}");
                assert_eq!(reason(&ForwardState::Up, side, phase), None);
            }
        }
    }
}
