//! How far messages may fill the server's window. OpenSSH's sshd writes one packet of a tunnel device at a time, and moves all
//! that wait for each: with the 2 MiB of its window it takes 10 ms a packet. Packets that wait are of no use to their
//! receivers, either, so fewer of them are sent ahead.

use std::time::Duration;

/// What may be on its way or wait at the server, when nothing of it is due to the path.
const AHEAD: u32 = 256 * 1024;
/// As much more for each millisecond of a round trip: what a server writes in it at most.
const PER_MILLISECOND: u32 = 64 * 1024;

/// Of one channel.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct SendLimit {
    /// The server's window at first, which it refills.
    whole: u32,
    /// The most that it has refilled at once.
    step: u32,
}

impl SendLimit {
    pub(super) const fn new(window: u32) -> Self {
        Self { whole: window, step: 0 }
    }

    /// The server refills its window by so much.
    pub(super) fn refilled(&mut self, bytes: u32) {
        self.step = self.step.max(bytes);
    }

    /// How much of the window is not used: none that the server waits for before it refills. Some refill theirs when half
    /// of it is used, OpenSSH after 96 KiB.
    pub(super) fn unused(&self, round_trip: Duration) -> u32 {
        let step = if self.step == 0 { self.whole / 2 } else { self.step };
        let path = u32::try_from(round_trip.as_millis()).unwrap_or(u32::MAX).saturating_mul(PER_MILLISECOND);
        self.whole.saturating_sub(AHEAD.saturating_add(step).saturating_add(path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEAR: Duration = Duration::from_micros(300);
    const WINDOW: u32 = 2 << 20;

    #[test]
    fn servers_that_refill_early_are_sent_less() {
        let mut limit = SendLimit::new(WINDOW);
        assert_eq!(WINDOW - limit.unused(NEAR), WINDOW / 2 + AHEAD, "more than half, for the first time");
        for bytes in [98_304, 1336] {
            limit.refilled(bytes);
            assert_eq!(WINDOW - limit.unused(NEAR), AHEAD + 98_304);
        }
    }

    #[test]
    fn servers_that_refill_late_are_sent_as_much_as_they_wait_for() {
        let mut limit = SendLimit::new(WINDOW);
        limit.refilled(WINDOW / 2 + 1000);
        assert!(WINDOW - limit.unused(NEAR) > WINDOW / 2 + 1000);
        limit.refilled(WINDOW - 1000);
        assert_eq!(limit.unused(NEAR), 0);
    }

    #[test]
    fn long_path_and_small_window_are_filled() {
        let mut limit = SendLimit::new(WINDOW);
        limit.refilled(98_304);
        assert_eq!(limit.unused(Duration::from_millis(100)), 0);
        assert_eq!(SendLimit::new(1000).unused(NEAR), 0);
    }
}
