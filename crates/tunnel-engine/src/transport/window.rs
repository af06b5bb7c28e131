//! The window of one channel towards us (RFC 4254 section 5.2): what the server may send before we have taken it.
//!
//! A window is granted again when the channel's reader has taken bytes, so a reader that stops holds up its own
//! channel and nothing else. It begins small and grows while its reader keeps up with what comes, so much comes that
//! the window could be too small for the path, and growing has made it more. It shrinks again when less comes, to no less
//! than twice what is under way: a server that reads faster from its target than it sends fills all of the window, and
//! what it keeps there costs it: OpenSSH's moved 300 MB by 0.4 s of processor time with 2 or 4 MiB, and by 3 s with 16
//! on a path that needed 2.

use std::time::{Duration, Instant};

use super::TransportError;
use super::round_trip::ShortestRoundTrip;

/// Where a window begins while a session has few channels, as OpenSSH's.
const INITIAL: u32 = 2 * 1024 * 1024;
/// Where it begins at least: two packets.
const MIN_INITIAL: u32 = 64 * 1024;
/// What readers of a session do not take is bounded by this for new channels, and by [`MIN_INITIAL`] for each that finds
/// nothing left of it…
const FOR_NEW: u64 = 32 * 1024 * 1024;
/// …of which each begins with this share of what is left, at most…
const NEW_SHARE: u64 = 16;
/// …and by this for what windows have grown, beside one that has grown to the user's limit. Idle channels take nothing of
/// it from those that are used.
const FOR_GROWTH: u64 = 16 * 1024 * 1024;
/// A server that answers sooner is near: on the same machine, or in the same building.
const NEAR: Duration = Duration::from_millis(1);
/// A window that is used up within so many round trips is doubled: one that limits the speed is used up in one.
const FEW_ROUND_TRIPS: u32 = 2;
/// One that lasts for more than this many is halved.
const MANY_ROUND_TRIPS: u32 = 2 * FEW_ROUND_TRIPS;
/// When nothing came for so many, it is not used all the time, and it is not measured.
const PAUSE_ROUND_TRIPS: u32 = 8;
/// After each time that it was halved a window is doubled later: when it was used up fast twice as often in a row as before,
/// and this often at most.
const MAX_IN_A_ROW: u32 = 64;
/// Where none was measured it is taken for a long one.
const UNKNOWN_ROUND_TRIP: Duration = Duration::from_millis(250);
/// What limits the speed brings twice as much when it is doubled. A window that has brought less than this, in quarters
/// of what the smaller one brought, was large enough.
const GAIN: u128 = 5;
/// What comes by one read of the socket waits for its reader together.
const AT_ONCE: u32 = 256 * 1024;
/// Bytes are granted again in pieces of a share of the window…
const GRANT_SHARE: u32 = 8;
/// …and of no more than this: a small message for much data.
const MAX_GRANT: u32 = 256 * 1024;

/// What the windows of a session's channels have in common.
#[derive(Debug)]
pub(super) struct Room {
    max: u32,
    /// What windows began with, all together, and what they have grown since.
    begun: u64,
    grown: u64,
    round_trip: ShortestRoundTrip,
}

/// A channel's window.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Window {
    /// What may be under way or unread together, and as much it was at first.
    size: u32,
    begun: u32,
    /// What the server may still send.
    granted: u32,
    unread: u32,
    /// What its reader has taken since when, up to a whole window. Readers take in bursts: it counts from the end of the one
    /// before.
    taken: u32,
    since: Option<Instant>,
    last: Option<Instant>,
    /// It counts from the end of a whole window that was taken.
    is_measured: bool,
    /// How it was used before it grew, where that was measured.
    before: Option<Use>,
    /// How often in a row it was used up fast, and how often it has to be.
    in_a_row: u32,
    wanted_in_a_row: u32,
}

/// A whole window was used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Use {
    size: u32,
    took: Duration,
}

impl Use {
    /// Much more came in the same time.
    fn is_faster_than(self, other: Self) -> bool {
        let worth = |size: u32, other: Duration| u128::from(size) * other.as_nanos();
        4 * worth(self.size, other.took) >= GAIN * worth(other.size, self.took)
    }
}

impl Room {
    /// `max`: the user's limit for one window.
    pub(super) fn new(max: u32) -> Self {
        Self { max, begun: 0, grown: 0, round_trip: ShortestRoundTrip::default() }
    }

    /// The server took so long for an answer.
    pub(super) fn note_round_trip(&mut self, took: Duration, now: Instant) {
        self.round_trip.note(took, now);
    }

    pub(super) fn round_trip(&self) -> Duration {
        self.round_trip.known().unwrap_or(UNKNOWN_ROUND_TRIP)
    }

    /// As far as is known.
    pub(super) fn is_near(&self) -> bool {
        self.round_trip() < NEAR
    }

    /// For windows that grow.
    fn left(&self) -> u64 {
        (u64::from(self.max) + FOR_GROWTH).saturating_sub(self.grown)
    }
}

impl Window {
    /// The window of a new channel.
    pub(super) fn new(room: &mut Room) -> Self {
        let share = u32::try_from(FOR_NEW.saturating_sub(room.begun) / NEW_SHARE).unwrap_or(u32::MAX);
        let size = share.clamp(MIN_INITIAL, INITIAL).min(room.max);
        room.begun += u64::from(size);
        Self {
            size,
            begun: size,
            granted: size,
            unread: 0,
            taken: 0,
            since: None,
            last: None,
            is_measured: false,
            before: None,
            in_a_row: 0,
            wanted_in_a_row: 1,
        }
    }

    /// Nothing that comes is kept any more, and nothing is granted.
    pub(super) fn give_back(&mut self, room: &mut Room) {
        room.begun -= u64::from(self.begun);
        room.grown -= u64::from(self.size - self.begun);
        (self.size, self.begun) = (0, 0);
    }

    /// For the message that opens the channel.
    pub(super) const fn initial(&self) -> u32 {
        self.granted
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

    /// The reader has taken bytes.
    pub(super) fn taken(&mut self, bytes: usize, room: &mut Room, now: Instant) {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let keeps_up = self.unread <= (self.size / 2).max(AT_ONCE);
        self.unread = self.unread.saturating_sub(bytes);
        let last = self.last.replace(now).unwrap_or(now);
        if now.saturating_duration_since(last) > room.round_trip().saturating_mul(PAUSE_ROUND_TRIPS) {
            (self.taken, self.since, self.is_measured) = (0, None, false);
        }
        let since = *self.since.get_or_insert(now);
        self.taken = self.taken.saturating_add(bytes);
        if keeps_up && self.taken < self.size {
            return;
        }
        if keeps_up {
            self.used_up(Use { size: self.size, took: now.saturating_duration_since(since) }, room);
        }
        (self.taken, self.since, self.is_measured) = (0, Some(now), keeps_up);
    }

    /// Grows, if it may have been too small, and shrinks if it was too large.
    fn used_up(&mut self, usage: Use, room: &mut Room) {
        let round_trip = room.round_trip();
        if usage.took > round_trip.saturating_mul(MANY_ROUND_TRIPS) {
            return self.halve(room);
        }
        if usage.took >= round_trip.saturating_mul(FEW_ROUND_TRIPS) {
            self.in_a_row = 0;
            return;
        }
        self.in_a_row += 1;
        let has_gained = self.before.is_none_or(|before| self.is_measured && usage.is_faster_than(before));
        let more = self.size.min(room.max.saturating_sub(self.size));
        let may_grow = more > 0 && u64::from(more) <= room.left();
        if may_grow && has_gained && self.in_a_row >= self.wanted_in_a_row {
            self.size += more;
            room.grown += u64::from(more);
            self.before = self.is_measured.then_some(usage);
            self.in_a_row = 0;
        }
    }

    fn halve(&mut self, room: &mut Room) {
        self.in_a_row = 0;
        if self.is_measured && self.size > INITIAL {
            let half = INITIAL.max(self.size / 2);
            room.grown -= u64::from(self.size - half);
            self.size = half;
            self.before = None;
            self.wanted_in_a_row = MAX_IN_A_ROW.min(2 * self.wanted_in_a_row);
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
}

#[cfg(test)]
mod tests;
