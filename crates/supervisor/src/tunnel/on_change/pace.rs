//! How often the command of one tunnel runs. Pure.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Runs in any minute: a tunnel that flaps is told of at this rate, each time with its last state.
pub(super) const MAX_RUNS: usize = 6;

/// See [`MAX_RUNS`].
pub(super) const MINUTE: Duration = Duration::from_secs(60);

#[derive(Debug, Default)]
pub(super) struct Pace {
    /// When the last runs began, the oldest first.
    began: VecDeque<Instant>,
}

impl Pace {
    /// When the next run may begin; none: now.
    pub(super) fn next(&self, now: Instant) -> Option<Instant> {
        let oldest = self.began.front().filter(|_| self.began.len() >= MAX_RUNS)?;
        Some(*oldest + MINUTE).filter(|until| *until > now)
    }

    pub(super) fn began(&mut self, now: Instant) {
        if self.began.len() >= MAX_RUNS {
            self.began.pop_front();
        }
        self.began.push_back(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tunnel_engine::clock;

    #[test]
    fn runs_of_any_minute_are_bounded() {
        let (start, mut pace) = (clock::now(), Pace::default());
        for second in 0..MAX_RUNS as u64 {
            let now = start + Duration::from_secs(second);
            assert_eq!(pace.next(now), None);
            pace.began(now);
        }
        assert_eq!(pace.next(start + Duration::from_secs(30)), Some(start + MINUTE));
        assert_eq!(pace.next(start + MINUTE), None);
    }
}
