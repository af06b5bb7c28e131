//! The window of one channel towards us (RFC 4254 section 5.2): what the server may send before we have taken it.
//!
//! A window is granted again when the channel's reader has taken bytes, so a reader that stops holds up its own
//! channel and nothing else. It begins small and grows while the server waits for it although the reader keeps up:
//! then the path is longer than the window.

use super::TransportError;

/// Where a window begins, as OpenSSH's.
const INITIAL: u32 = 2 * 1024 * 1024;
/// Bytes are granted again in pieces of a share of the window…
const GRANT_SHARE: u32 = 8;
/// …and of no more than this: a small message for much data.
const MAX_GRANT: u32 = 256 * 1024;

/// A channel's window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Window {
    /// What may be under way or unread together.
    size: u32,
    /// The user's limit for it.
    max: u32,
    /// What the server may still send.
    granted: u32,
    /// What came and is not taken.
    unread: u32,
}

impl Window {
    /// A window that may grow to `max`.
    pub(super) fn new(max: u32) -> Self {
        let size = INITIAL.min(max);
        Self { size, max, granted: size, unread: 0 }
    }

    /// For the message that opens the channel.
    pub(super) const fn initial(&self) -> u32 {
        self.granted
    }

    pub(super) const fn unread(&self) -> u32 {
        self.unread
    }

    /// Bytes have come.
    ///
    /// # Errors
    /// More than were granted.
    pub(super) fn received(&mut self, bytes: usize) -> Result<(), TransportError> {
        let bytes = u32::try_from(bytes).map_err(|_| TransportError::WindowExceeded)?;
        self.granted = self.granted.checked_sub(bytes).ok_or(TransportError::WindowExceeded)?;
        self.unread += bytes;
        Ok(())
    }

    /// The reader has taken bytes. `may_grow`: the session has room for it.
    pub(super) fn taken(&mut self, bytes: usize, may_grow: bool) {
        let keeps_up = self.unread <= self.size / 4;
        self.unread = self.unread.saturating_sub(u32::try_from(bytes).unwrap_or(u32::MAX));
        if may_grow && keeps_up && self.granted < self.size / 2 {
            self.size = self.size.saturating_mul(2).min(self.max);
        }
    }

    /// What is to be granted now, if it is worth a message.
    pub(super) fn grant(&mut self) -> Option<u32> {
        let owed = self.size.saturating_sub(self.granted).saturating_sub(self.unread);
        let worth = (self.size / GRANT_SHARE).clamp(1, MAX_GRANT);
        if owed < worth {
            return None;
        }
        self.granted += owed;
        Some(owed)
    }

    /// By how much it has grown.
    pub(super) fn growth(&self) -> u32 {
        self.size - INITIAL.min(self.max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u32 = 1024 * 1024;

    #[test]
    fn reader_that_takes_nothing_is_granted_nothing() {
        let mut window = Window::new(16 * MIB);
        window.received(2 * MIB as usize).unwrap();
        assert_eq!(window.grant(), None);
        assert_eq!(window.received(1), Err(TransportError::WindowExceeded));
        window.taken(MIB as usize, true);
        assert_eq!(window.grant(), Some(MIB));
        assert_eq!(window.unread(), MIB);
    }

    #[test]
    fn small_amounts_are_granted_together() {
        let mut window = Window::new(16 * MIB);
        window.received(300 * 1024).unwrap();
        window.taken(255 * 1024, true);
        assert_eq!(window.grant(), None);
        window.taken(1024, true);
        assert_eq!(window.grant(), Some(256 * 1024));
    }

    #[test]
    fn window_grows_while_the_server_waits_and_the_reader_keeps_up() {
        let mut window = Window::new(16 * MIB);
        for _ in 0..8 {
            // The server uses all of it, and each piece is taken at once.
            while window.granted > 0 {
                let piece = window.granted.min(32 * 1024) as usize;
                window.received(piece).unwrap();
                window.taken(piece, true);
            }
            window.grant();
        }
        assert_eq!(window.size, 16 * MIB);
        assert_eq!(window.growth(), 14 * MIB);
        let mut slow = Window::new(16 * MIB);
        slow.received(2 * MIB as usize).unwrap();
        slow.taken(MIB as usize, true);
        assert_eq!(slow.growth(), 0, "what came waits for its reader");
        let mut small = Window::new(MIB);
        small.received(MIB as usize).unwrap();
        small.taken(MIB as usize, true);
        assert_eq!((small.initial(), small.growth()), (0, 0));
    }

    #[test]
    fn sum_of_granted_and_unread_never_exceeds_the_size() {
        let mut window = Window::new(4 * MIB);
        for step in 0..1000_usize {
            let bytes = (step * 7919) % 40_000;
            if window.received(bytes).is_ok() && step % 3 == 0 {
                window.taken(bytes, true);
                let _ = window.grant();
            }
            assert!(window.granted + window.unread <= window.size && window.size <= 4 * MIB);
        }
    }
}
