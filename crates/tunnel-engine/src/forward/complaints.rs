//! Says the same thing once a minute instead of once a connection.

use std::time::{Duration, Instant};

/// How long a complaint is not repeated: a target that is down must not fill the log of a busy listener.
const QUIET: Duration = Duration::from_secs(60);

/// One kind of complaint.
#[derive(Debug, Default)]
pub(super) struct Complaints {
    quiet_until: Option<Instant>,
    suppressed: u64,
}

impl Complaints {
    /// `Some` when it is to be said, with how often it was not said since the last time.
    pub(super) fn admit(&mut self, now: Instant) -> Option<u64> {
        if self.quiet_until.is_some_and(|until| now < until) {
            self.suppressed += 1;
            return None;
        }
        self.quiet_until = Some(now + QUIET);
        Some(std::mem::take(&mut self.suppressed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_complaint_is_said_at_once_then_counted_and_said_again_after_the_quiet_time() {
        let start = crate::clock::now();
        let mut complaints = Complaints::default();
        assert_eq!(complaints.admit(start), Some(0));
        assert_eq!(complaints.admit(start), None);
        assert_eq!(complaints.admit(start + QUIET - Duration::from_nanos(1)), None);
        assert_eq!(complaints.admit(start + QUIET), Some(2));
        assert_eq!(complaints.admit(start + QUIET * 2), Some(0));
    }
}
