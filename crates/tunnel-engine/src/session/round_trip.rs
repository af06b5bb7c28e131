//! How long the server takes to answer, as it is told.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// An answer that took more than so many times what is known, and [`SLACK`], was lost on the way, or held up.
const LATE: u32 = 4;

/// Small delays of small round trips are none of an outage.
const SLACK: Duration = Duration::from_millis(200);

/// The round trip of a session. An answer that an outage held up says how long that lasted, and nothing of the path that is
/// back; only a second late one in a row says that the path has become slow.
#[derive(Debug, Default)]
pub(super) struct RoundTrip(Mutex<Measured>);

#[derive(Debug, Default)]
struct Measured {
    known: Option<Duration>,
    /// The answer before was late.
    late: bool,
}

impl RoundTrip {
    /// An answer came after `took`.
    pub(super) fn answered(&self, took: Duration) {
        let mut measured = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let late = measured.known.is_some_and(|known| took > known.saturating_mul(LATE).saturating_add(SLACK));
        if !late || measured.late {
            measured.known = Some(took);
        }
        measured.late = late && !measured.late;
    }

    /// `None`: nothing was answered yet.
    pub(super) fn known(&self) -> Option<Duration> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).known
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answer_that_an_outage_held_up_is_no_round_trip() {
        let (path, ms) = (RoundTrip::default(), Duration::from_millis);
        assert_eq!(path.known(), None);
        for (took, want) in [(40, 40), (60, 60), (7418, 60), (45, 45), (9000, 45), (8000, 8000), (50, 50), (240, 240)] {
            path.answered(ms(took));
            assert_eq!(path.known(), Some(ms(want)), "{took} ms");
        }
    }
}
