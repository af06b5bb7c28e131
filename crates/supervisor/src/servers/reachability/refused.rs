//! What one dial was told, for others that would be told the same: pure.

use std::time::{Duration, Instant};

use tunnel_engine::failure::{Failure, FailureKind, Unreached};

/// How long a refusal stands for every dial there. Hundreds of tunnels whose server is away cost one dial a second, and
/// one that is back is found by the next of them.
const STANDS_FOR: Duration = Duration::from_secs(1);

/// A refusal and its time.
#[derive(Debug)]
pub(super) struct Refused {
    failure: Failure,
    at: Instant,
}

impl Refused {
    /// `None` where there was no answer, or one that is not for all: silence may be a packet that was lost, and a jump
    /// host's story is told in its tunnels' own words.
    pub(super) fn of(failure: &Failure, at: Instant) -> Option<Self> {
        let answer =
            matches!(failure.kind(), FailureKind::ConnectRefused | FailureKind::Unreachable | FailureKind::Dns);
        let for_all = answer && failure.unreached() == Some(Unreached::Directly);
        for_all.then(|| Self { failure: failure.clone(), at })
    }

    /// The refusal, while it stands.
    pub(super) fn at(&self, now: Instant) -> Option<Failure> {
        (now.saturating_duration_since(self.at) < STANDS_FOR).then(|| self.failure.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use tunnel_engine::clock;

    #[test]
    fn refusal_stands_for_a_second() {
        let (now, failure) = (clock::now(), Failure::new(FailureKind::ConnectRefused, "no").not_reached());
        let refused = Refused::of(&failure, now).unwrap();
        assert_eq!(refused.at(now), Some(failure.clone()));
        assert_eq!(refused.at(now + Duration::from_millis(999)), Some(failure));
        assert_eq!(refused.at(now + STANDS_FOR), None);
    }

    #[test]
    fn silence_and_words_of_a_server_stand_for_nothing() {
        let now = clock::now();
        for kind in FailureKind::ALL {
            let answer = [FailureKind::ConnectRefused, FailureKind::Unreachable, FailureKind::Dns].contains(kind);
            assert_eq!(Refused::of(&Failure::new(*kind, "x").not_reached(), now).is_some(), answer, "{kind}");
            assert!(Refused::of(&Failure::new(*kind, "x"), now).is_none(), "{kind}: a server was reached");
        }
    }
}
