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
mod tests {
    use std::collections::VecDeque;

    use super::*;

    const MIB: u32 = 1024 * 1024;

    fn window(max: u32) -> (Window, Room) {
        let mut room = Room::new(max);
        (Window::new(&mut room), room)
    }

    /// The server uses all of it eight times, and each piece is taken at once.
    fn use_much(window: &mut Window, room: &mut Room, now: Instant) {
        for _ in 0..8 {
            while window.granted > 0 {
                let piece = window.granted.min(32 * 1024) as usize;
                window.received(piece).unwrap();
                window.taken(piece, room, now);
            }
            window.grant();
        }
    }

    #[test]
    fn reader_that_takes_nothing_is_granted_nothing() {
        let (mut window, mut room) = window(16 * MIB);
        window.received(2 * MIB as usize).unwrap();
        assert_eq!(window.grant(), None);
        assert_eq!(window.received(1), Err(TransportError::WindowExceeded));
        window.taken(MIB as usize, &mut room, crate::clock::now());
        assert_eq!(window.grant(), Some(MIB));
        assert_eq!(window.unread, MIB);
    }

    #[test]
    fn small_amounts_are_granted_together() {
        let (mut window, mut room) = window(16 * MIB);
        window.received(300 * 1024).unwrap();
        window.taken(255 * 1024, &mut room, crate::clock::now());
        assert_eq!(window.grant(), None);
        window.taken(1024, &mut room, crate::clock::now());
        assert_eq!(window.grant(), Some(256 * 1024));
    }

    #[test]
    fn window_grows_while_the_reader_keeps_up() {
        let (mut fast, mut room) = window(16 * MIB);
        use_much(&mut fast, &mut room, crate::clock::now());
        assert_eq!((fast.size, room.begun, room.grown), (16 * MIB, 2 << 20, 14 << 20));
        let (mut slow, mut room) = window(16 * MIB);
        slow.received(2 * MIB as usize).unwrap();
        slow.taken(2 * MIB as usize, &mut room, crate::clock::now());
        assert_eq!(slow.size, 2 * MIB, "what came waits for its reader");
        let (mut trickle, mut room) = window(16 * MIB);
        let mut now = crate::clock::now();
        for _ in 0..10_000 {
            trickle.received(1024).unwrap();
            trickle.taken(1024, &mut room, now);
            trickle.grant();
            now += Duration::from_millis(1);
        }
        assert_eq!(trickle.size, 2 * MIB, "a MiB a second needs no more on any path");
        let (mut small, mut room) = window(MIB);
        use_much(&mut small, &mut room, crate::clock::now());
        assert_eq!((small.size, room.begun, room.grown), (MIB, 1 << 20, 0));
    }

    /// The size of a window, in MiB, after a GiB from a server that sends as fast as the path and the window let it.
    fn size_after(path_mib_a_second: u32, round_trip: Duration, known: Option<Duration>) -> u32 {
        let (mut window, mut room) = window(16 * MIB);
        known.into_iter().for_each(|known| room.note_round_trip(known, crate::clock::now()));
        download(&mut window, &mut room, path_mib_a_second, round_trip);
        window.size / MIB
    }

    fn download(window: &mut Window, room: &mut Room, path_mib_a_second: u32, round_trip: Duration) {
        const PIECE: u32 = 32 * 1024;
        let (mut sent, mut credit, mut grants) = (crate::clock::now(), window.granted, VecDeque::new());
        for _ in 0..32 * 1024 {
            while let Some(&(came, bytes)) = grants.front()
                && (credit < PIECE || came <= sent)
            {
                (sent, credit) = (sent.max(came), credit + bytes);
                grants.pop_front();
            }
            credit -= PIECE;
            sent += Duration::from_secs(1) / (32 * path_mib_a_second);
            window.received(PIECE as usize).unwrap();
            window.taken(PIECE as usize, room, sent + round_trip / 2);
            grants.extend(window.grant().map(|bytes| (sent + round_trip, bytes)));
        }
    }

    #[test]
    fn window_grows_to_what_the_path_needs() {
        let millis = Duration::from_millis;
        for (mib_a_second, round_trip, mib) in [
            (1024, Duration::from_micros(100), 2),
            (1024, millis(1), 4),
            (1024, millis(3), 8),
            (1024, millis(10), 16),
            (100, millis(10), 4),
            (100, millis(30), 8),
            (100, millis(100), 16),
            (4, millis(100), 2),
            (4, millis(600), 8),
            (4, millis(2000), 16),
        ] {
            let grown = size_after(mib_a_second, round_trip, Some(round_trip));
            assert_eq!(grown, mib, "{mib_a_second} MiB/s, {round_trip:?}");
        }
    }

    #[test]
    fn window_that_gains_nothing_stays() {
        let near = Duration::from_micros(100);
        for known in [None, Some(Duration::from_millis(2))] {
            assert_eq!(size_after(1024, near, known), 8, "a round trip that is not so long: {known:?}");
        }
    }

    #[test]
    fn window_shrinks_when_the_server_has_become_slow() {
        let (mut window, mut room) = window(16 * MIB);
        let near = Duration::from_millis(20);
        room.note_round_trip(near, crate::clock::now());
        download(&mut window, &mut room, 1024, near);
        assert_eq!(window.size, 16 * MIB);
        download(&mut window, &mut room, 13, near);
        assert_eq!((window.size, room.begun, room.grown), (2 * MIB, 2 << 20, 0));
        assert_eq!(window.wanted_in_a_row, 8);
        download(&mut window, &mut room, 1024, near);
        assert_eq!(window.size, 16 * MIB, "it grows again, later");
    }

    #[test]
    fn pauses_between_bursts_are_not_the_path() {
        let (mut window, mut room) = window(16 * MIB);
        let mut now = crate::clock::now();
        room.note_round_trip(Duration::from_millis(20), now);
        download(&mut window, &mut room, 1024, Duration::from_millis(20));
        now += Duration::from_secs(60);
        for _ in 0..1000 {
            use_much(&mut window, &mut room, now);
            now += Duration::from_secs(1);
        }
        assert_eq!(window.size, 16 * MIB);
    }

    #[test]
    fn window_that_comes_at_once_grows() {
        let (mut room, mut now) = (Room::new(16 * MIB), crate::clock::now());
        room.note_round_trip(Duration::from_millis(100), now);
        let _beside: Vec<Window> = (0..70).map(|_| Window::new(&mut room)).collect();
        let mut window = Window::new(&mut room);
        assert_eq!(window.size, MIN_INITIAL);
        for _ in 0..32 {
            // All of it is there before its reader runs.
            let all = std::mem::take(&mut window.granted);
            window.unread += all;
            (0..all / (32 * 1024)).for_each(|_| window.taken(32 * 1024, &mut room, now));
            window.grant();
            now += Duration::from_millis(100);
        }
        assert!(window.size >= MIB / 2, "{}", window.size);
    }

    #[test]
    fn window_beside_many_idle_ones_grows_as_one_alone() {
        let (mut room, now) = (Room::new(16 * MIB), crate::clock::now());
        let _idle: Vec<Window> = (0..1000).map(|_| Window::new(&mut room)).collect();
        let mut window = Window::new(&mut room);
        assert_eq!(window.size, MIN_INITIAL);
        use_much(&mut window, &mut room, now);
        assert_eq!(window.size, 16 * MIB);
    }

    #[test]
    fn sum_of_all_windows_is_bounded() {
        let mut room = Room::new(16 * MIB);
        let mut windows: Vec<Window> = (0..8).map(|_| Window::new(&mut room)).collect();
        windows.iter_mut().for_each(|window| use_much(window, &mut room, crate::clock::now()));
        let growth = (16 << 20) + FOR_GROWTH;
        assert!(room.grown > growth / 2 && room.grown <= growth, "{}", room.grown);
        windows.extend((0..2000).map(|_| Window::new(&mut room)));
        assert!(windows.iter().all(|window| window.size >= MIN_INITIAL));
        assert!(room.begun < FOR_NEW + 2000 * u64::from(MIN_INITIAL), "{}", room.begun);
        windows.iter_mut().for_each(|window| window.give_back(&mut room));
        assert!(windows.iter_mut().all(|window| window.grant().is_none()));
        assert_eq!((room.begun, room.grown, Window::new(&mut room).initial()), (0, 0, INITIAL));
    }

    #[test]
    fn sum_of_granted_and_unread_never_exceeds_the_size() {
        let (mut window, mut room) = window(4 * MIB);
        for step in 0..1000_usize {
            let bytes = (step * 7919) % 40_000;
            if window.received(bytes).is_ok() && step % 3 == 0 {
                window.taken(bytes, &mut room, crate::clock::now());
                let _ = window.grant();
            }
            assert!(window.granted + window.unread <= window.size && window.size <= 4 * MIB);
        }
    }
}
