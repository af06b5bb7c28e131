//! Keeps a failure that repeats from filling the log: pure, `now` is an argument.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use tunnel_engine::failure::FailureKind;

/// The same failure is worth another warning after this long: a server that is down over a weekend makes some hundred
/// lines, and each still says how often it was tried.
pub(super) const REPEAT_EVERY: Duration = Duration::from_secs(600);

/// Different failures that are told apart. A tunnel has a handful; messages that never repeat must not pile up.
const MAX_KNOWN: usize = 64;

/// What was warned of since all was well, and when.
#[derive(Debug, Default)]
pub(super) struct Damper {
    known: HashMap<(FailureKind, String), Said>,
}

#[derive(Debug)]
struct Said {
    warned: Instant,
    unsaid: u64,
}

/// How loud to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Say {
    /// A warning, which stands for this many earlier ones too.
    Warn {
        /// Identical failures since the last warning.
        repeats: u64,
    },
    /// A whisper: it was said lately.
    Debug,
}

impl Damper {
    /// A failure happened.
    pub(super) fn failure(&mut self, kind: FailureKind, message: &str, now: Instant) -> Say {
        let key = (kind, message.to_owned());
        if let Some(said) = self.known.get_mut(&key) {
            if now.saturating_duration_since(said.warned) < REPEAT_EVERY {
                said.unsaid += 1;
                return Say::Debug;
            }
            let repeats = std::mem::take(&mut said.unsaid);
            said.warned = now;
            return Say::Warn { repeats };
        }
        if self.known.len() >= MAX_KNOWN {
            self.known.clear();
        }
        self.known.insert(key, Said { warned: now, unsaid: 0 });
        Say::Warn { repeats: 0 }
    }

    /// All is well again: the next failure is news.
    pub(super) fn recovered(&mut self) {
        self.known.clear();
    }
}

#[cfg(test)]
mod tests {
    use tunnel_engine::clock;

    use super::*;

    #[test]
    fn the_first_is_a_warning_and_repeats_are_said_once_in_a_while() {
        let mut damper = Damper::default();
        let now = clock::now();
        let mut say = |seconds| damper.failure(FailureKind::Dns, "no such name", now + Duration::from_secs(seconds));
        assert_eq!(say(0), Say::Warn { repeats: 0 });
        assert_eq!(say(60), Say::Debug);
        assert_eq!(say(120), Say::Debug);
        assert_eq!(say(600), Say::Warn { repeats: 2 });
        assert_eq!(say(601), Say::Debug);
    }

    #[test]
    fn another_failure_and_one_after_recovery_are_news() {
        let mut damper = Damper::default();
        let now = clock::now();
        assert_eq!(damper.failure(FailureKind::Dns, "a", now), Say::Warn { repeats: 0 });
        assert_eq!(damper.failure(FailureKind::Dns, "b", now), Say::Warn { repeats: 0 });
        assert_eq!(damper.failure(FailureKind::Unreachable, "b", now), Say::Warn { repeats: 0 });
        assert_eq!(damper.failure(FailureKind::Dns, "a", now), Say::Debug);
        damper.recovered();
        assert_eq!(damper.failure(FailureKind::Unreachable, "b", now), Say::Warn { repeats: 0 });
    }
}
