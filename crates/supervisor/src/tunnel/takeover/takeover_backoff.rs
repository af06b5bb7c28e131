//! How often a port is taken over: pure. Two tunnels that take one port from each other would never end.

use std::time::{Duration, Instant};

use tunnel_engine::backoff::{TAKEOVER_CONTESTED, TAKEOVER_LOOK, TAKEOVER_OURS};

/// Two takeovers within this time: another client wants the port, too.
const CONTESTED: Duration = Duration::from_secs(60);

#[derive(Debug, Default)]
pub(in crate::tunnel) struct TakeoverBackoff {
    last: Option<Instant>,
    cooldowns: u32,
    looks: u32,
    not_before: Option<Instant>,
    cooldown_until: Option<Instant>,
    draw: f64,
}

impl TakeoverBackoff {
    /// `draw`, in `0.0..1.0`, decides what is random in the waits.
    pub(in crate::tunnel) fn with_draw(draw: f64) -> Self {
        Self { draw, ..Self::default() }
    }

    /// Whether it is time for an attempt.
    pub(in crate::tunnel) fn may(&self, now: Instant) -> bool {
        self.not_before.is_none_or(|at| at <= now)
    }

    /// When it is time for the next; `None`: now.
    pub(in crate::tunnel) fn not_before(&self) -> Option<Instant> {
        self.not_before
    }

    /// The port was freed. `Some`: it was taken from us since the last time, and is left alone for so long.
    pub(in crate::tunnel) fn freed(&mut self, now: Instant) -> Option<Duration> {
        let recent = self.last.max(self.cooldown_until);
        let contested = recent.is_some_and(|at| now < at + CONTESTED);
        self.last = Some(now);
        self.looks = 0;
        if !contested {
            // A rival that gave up is forgotten.
            self.cooldowns = 0;
            self.not_before = None;
            return None;
        }
        let cooldown = TAKEOVER_CONTESTED.drawn(self.cooldowns, self.draw);
        self.cooldowns += 1;
        self.cooldown_until = Some(now + cooldown);
        self.not_before = self.cooldown_until;
        Some(cooldown)
    }

    /// A socket file that no program has bound is removed: no rival, but not for ever at once either.
    pub(in crate::tunnel) fn removed(&mut self, now: Instant) {
        self.ours(now);
    }

    /// Another session, or an operator who wants a look: what was found before may have changed. A rival is still left
    /// alone.
    pub(in crate::tunnel) fn look_again(&mut self) {
        self.granted();
    }

    /// An attempt is under way.
    pub(in crate::tunnel) fn begin(&mut self) {
        self.not_before = None;
    }

    pub(in crate::tunnel) fn granted(&mut self) {
        self.looks = 0;
        self.not_before = self.cooldown_until;
    }

    /// A living session of ours has the port, and is about to give it up or to fall silent.
    pub(in crate::tunnel) fn ours(&mut self, now: Instant) {
        self.not_before = Some(now + TAKEOVER_OURS.drawn(self.looks, self.draw));
        self.looks += 1;
    }

    pub(in crate::tunnel) fn failed(&mut self, now: Instant) {
        self.not_before = Some(now + TAKEOVER_LOOK.drawn(self.looks, self.draw));
        self.looks += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const COOLDOWN: Duration = TAKEOVER_CONTESTED.first;
    const LOOK_AGAIN: Duration = TAKEOVER_LOOK.first;
    const OURS_AGAIN: Duration = TAKEOVER_OURS.first;

    #[test]
    fn port_is_taken_at_once_and_later_again() {
        let now = tunnel_engine::clock::now();
        let mut backoff = TakeoverBackoff::default();
        assert!(backoff.may(now));
        assert_eq!(backoff.freed(now), None);
        assert_eq!(backoff.freed(now + CONTESTED), None);
        assert!(backoff.may(now + CONTESTED));
    }

    #[test]
    fn a_rival_is_left_alone_for_longer_and_longer() {
        let mut now = tunnel_engine::clock::now();
        let mut backoff = TakeoverBackoff::default();
        backoff.freed(now);
        now += SECOND;
        assert_eq!(backoff.freed(now), Some(COOLDOWN));
        assert!(!backoff.may(now + COOLDOWN - SECOND) && backoff.may(now + COOLDOWN));
        assert_eq!(backoff.freed(now + COOLDOWN), Some(COOLDOWN * 2));
    }

    #[test]
    fn port_of_our_own_session_is_rechecked_soon() {
        let now = tunnel_engine::clock::now();
        let mut backoff = TakeoverBackoff::default();
        backoff.ours(now);
        assert!(!backoff.may(now + SECOND) && backoff.may(now + OURS_AGAIN));
        backoff.ours(now);
        assert!(!backoff.may(now + OURS_AGAIN) && backoff.may(now + OURS_AGAIN * 2));
        (0..20).for_each(|_| backoff.ours(now));
        assert!(backoff.may(now + LOOK_AGAIN));
    }

    #[test]
    fn own_socket_file_is_removed_more_often_than_a_rivals() {
        let now = tunnel_engine::clock::now();
        let mut backoff = TakeoverBackoff::default();
        for _ in 0..20 {
            assert!(backoff.may(now));
            backoff.removed(now);
            backoff.granted();
        }
        backoff.removed(now);
        backoff.removed(now);
        assert!(!backoff.may(now + OURS_AGAIN), "it is there again, although it was removed");
    }

    #[test]
    fn looks_that_change_nothing_become_seldom() {
        let now = tunnel_engine::clock::now();
        let mut backoff = TakeoverBackoff::default();
        backoff.failed(now);
        assert!(!backoff.may(now + LOOK_AGAIN - SECOND) && backoff.may(now + LOOK_AGAIN));
        backoff.failed(now);
        assert!(!backoff.may(now + LOOK_AGAIN * 2 - SECOND) && backoff.may(now + LOOK_AGAIN * 2));
        backoff.look_again();
        assert!(backoff.may(now));
    }
}
