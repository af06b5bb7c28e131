//! What has arrived for local readers and is not taken yet, and how it slows down the reading of the link.
//!
//! russh grants a channel its window again as soon as bytes arrive, whether or not anybody took them, so a channel has
//! no back-pressure of its own; and when a channel's queue is full, russh's loop waits for it and with it everything
//! else, our own sending included. Two peers that answer what they read then wait for each other for ever. So the
//! queues are never full. What waits in them is counted here instead, and the link is read ever more slowly the more
//! waits: the server feels it as TCP's back-pressure, while we go on sending, opening and closing.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

/// Up to here the link is read as fast as it gives: one window of a busy download.
const FREE: usize = 16 * 1024 * 1024;
/// From here on it is not read at all: the bound of one tunnel's memory for slow readers.
const FULL: usize = 64 * 1024 * 1024;
/// The pause before a read when it is nearly full.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);
/// What a queued message costs beside its bytes, so that many small ones count as what they are.
const PER_MESSAGE: usize = 256;

/// What may be read from the link now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pace {
    /// As much as there is.
    Free,
    /// A little, after this pause.
    After(Duration),
    /// Nothing until a reader has taken something.
    Stop,
}

impl Pace {
    /// The pace at which to read while `waiting` bytes wait for readers.
    fn at(waiting: usize) -> Self {
        if waiting < FREE {
            return Self::Free;
        }
        if waiting >= FULL {
            return Self::Stop;
        }
        let share = (waiting - FREE) as f64 / (FULL - FREE) as f64;
        Self::After(LONGEST_PAUSE.mul_f64(share))
    }
}

/// The count of one session, by channel.
#[derive(Default)]
pub(super) struct Backlog(Mutex<State>);

#[derive(Default)]
struct State {
    channels: HashMap<u32, Waiting>,
    total: usize,
    /// The link's reader, while it holds back.
    held_back: Option<Waker>,
}

/// One channel, until both its reader has gone and the server has closed it.
enum Waiting {
    /// Taken before it is counted shows as less than nothing for a moment.
    Bytes { waiting: isize, closed: bool },
    /// What still arrives is not kept by anybody.
    Nobody,
}

impl Waiting {
    const NOTHING: Self = Self::Bytes { waiting: 0, closed: false };
}

impl Backlog {
    /// A message arrived for a channel.
    pub(super) fn arrived(&self, channel: u32, bytes: usize) {
        self.lock().add(channel, cost(bytes));
    }

    /// A channel's reader took a message.
    pub(super) fn taken(&self, channel: u32, bytes: usize) {
        let mut state = self.lock();
        state.add(channel, -cost(bytes));
        state.wake();
    }

    /// A new channel has a reader.
    pub(super) fn opened(&self, channel: u32) {
        let mut state = self.lock();
        if matches!(state.channels.get(&channel), Some(Waiting::Nobody)) {
            state.channels.remove(&channel);
        }
    }

    /// A channel's reader has gone: what waits for it waits no more.
    pub(super) fn abandoned(&self, channel: u32) {
        let mut state = self.lock();
        let closed = match state.channels.insert(channel, Waiting::Nobody) {
            Some(Waiting::Bytes { waiting, closed }) => {
                state.total -= positive(waiting);
                closed
            }
            Some(Waiting::Nobody) | None => false,
        };
        if closed {
            state.channels.remove(&channel);
        }
        state.wake();
    }

    /// The server closed a channel: nothing more arrives for it.
    pub(super) fn closed(&self, channel: u32) {
        let mut state = self.lock();
        match state.channels.entry(channel).or_insert(Waiting::NOTHING) {
            Waiting::Bytes { closed, .. } => *closed = true,
            Waiting::Nobody => {
                state.channels.remove(&channel);
            }
        }
    }

    /// The pace of reading now. Unless it is free, `reader` is woken when somebody takes something.
    pub(super) fn pace(&self, reader: &Waker) -> Pace {
        let mut state = self.lock();
        let pace = Pace::at(state.total);
        state.held_back = (pace != Pace::Free).then(|| reader.clone());
        pace
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn add(&mut self, channel: u32, cost: isize) {
        match self.channels.entry(channel).or_insert(Waiting::NOTHING) {
            Waiting::Bytes { waiting, .. } => {
                let before = positive(*waiting);
                *waiting += cost;
                self.total = self.total + positive(*waiting) - before;
            }
            Waiting::Nobody => {}
        }
    }

    fn wake(&mut self) {
        if let Some(reader) = self.held_back.take() {
            reader.wake();
        }
    }
}

fn cost(bytes: usize) -> isize {
    // A packet has at most 4 GiB by its own length field.
    isize::try_from(bytes + PER_MESSAGE).unwrap_or(isize::MAX)
}

fn positive(waiting: isize) -> usize {
    usize::try_from(waiting).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    fn pace(backlog: &Backlog) -> Pace {
        backlog.pace(Waker::noop())
    }

    #[test]
    fn the_more_waits_the_slower_the_link_is_read_until_not_at_all() {
        assert_eq!(Pace::at(FREE - 1), Pace::Free);
        assert_eq!(Pace::at(FREE), Pace::After(Duration::ZERO));
        assert_eq!(Pace::at((FREE + FULL) / 2), Pace::After(LONGEST_PAUSE / 2));
        assert_eq!(Pace::at(FULL), Pace::Stop);
    }

    #[test]
    fn what_is_taken_or_abandoned_waits_no_more() {
        let backlog = Backlog::default();
        backlog.arrived(1, FULL);
        assert_eq!(pace(&backlog), Pace::Stop);
        backlog.taken(1, FULL);
        assert_eq!(pace(&backlog), Pace::Free);
        backlog.arrived(2, FULL);
        backlog.abandoned(2);
        assert_eq!(pace(&backlog), Pace::Free);
        backlog.arrived(2, FULL);
        assert_eq!(pace(&backlog), Pace::Free, "nobody will take it, and russh does not keep it");
    }

    #[test]
    fn a_reader_that_is_faster_than_the_count_is_counted_once() {
        let backlog = Backlog::default();
        backlog.taken(1, FULL);
        backlog.arrived(1, FULL);
        backlog.arrived(1, FULL);
        assert_eq!(pace(&backlog), Pace::Stop);
        backlog.taken(1, FULL);
        assert_eq!(pace(&backlog), Pace::Free);
    }

    #[test]
    fn a_channel_number_is_used_again_after_the_channel_was_closed() {
        let backlog = Backlog::default();
        backlog.abandoned(1);
        backlog.closed(1);
        assert!(backlog.lock().channels.is_empty());
        backlog.abandoned(1);
        backlog.opened(1);
        backlog.arrived(1, FULL);
        assert_eq!(pace(&backlog), Pace::Stop);
    }

    #[test]
    fn a_channel_that_both_sides_are_done_with_leaves_nothing_whoever_is_first() {
        let backlog = Backlog::default();
        for (first, second) in [
            (Backlog::closed as fn(&Backlog, u32), Backlog::abandoned as fn(&Backlog, u32)),
            (Backlog::abandoned, Backlog::closed),
        ] {
            first(&backlog, 1);
            second(&backlog, 1);
            assert!(backlog.lock().channels.is_empty());
        }
    }

    #[test]
    fn many_small_messages_count_as_what_they_cost() {
        let backlog = Backlog::default();
        for _ in 0..FULL / PER_MESSAGE {
            backlog.arrived(1, 1);
        }
        assert_eq!(pace(&backlog), Pace::Stop);
    }
}
