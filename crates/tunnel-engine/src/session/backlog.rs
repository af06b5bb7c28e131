//! What has arrived for local readers and is not taken yet, and how it slows down the reading of the link.
//!
//! russh grants a channel its window again as soon as bytes arrive, whether or not anybody took them, so a channel has
//! no back-pressure of its own; and when a channel's queue is full, russh's loop waits for it and with it everything
//! else, our own sending included. Two peers that answer what they read then wait for each other for ever. So the
//! queues are never full. What waits in them is counted here instead, and the link is read ever more slowly the more
//! waits: the server feels it as TCP's back-pressure, while we go on sending, opening and closing.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::held_back::{HeldBack, Owner};
use crate::clock;

/// Up to here the link is read as fast as it gives: one window of a busy download.
const FREE: usize = 16 * 1024 * 1024;
/// From here on it is not read at all: the bound of one tunnel's memory for slow readers.
const FULL: usize = 64 * 1024 * 1024;
/// The pause before a read when it is nearly full.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);
/// A reader that takes nothing for so long, while its session's link is not read because of it, has its connection
/// reset: the others of that session have waited long enough. Who reads at all, however slowly, is never cut off.
pub const SLOW_READER_LIMIT: Duration = Duration::from_secs(60);
/// What a queued message costs beside its bytes, so that many small ones count as what they are.
const PER_MESSAGE: usize = 256;

/// What may be read from the link now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pace {
    /// As much as there is.
    Free,
    /// A little, after this pause.
    After(Duration),
    /// Nothing until a reader has taken something, or, then, until [`Backlog::cut_slowest`] has been called.
    Stop(Instant),
}

/// The pause before a read while `waiting` bytes wait for readers; `None`: no read at all.
fn pause(waiting: usize) -> Option<Duration> {
    if waiting >= FULL {
        return None;
    }
    let share = waiting.saturating_sub(FREE) as f64 / (FULL - FREE) as f64;
    Some(LONGEST_PAUSE.mul_f64(share))
}

/// The count of one session, by channel.
#[derive(Default)]
pub(super) struct Backlog {
    state: Mutex<State>,
    /// Channels that are open, being opened, or waiting for our yes.
    channels: watch::Sender<usize>,
    /// Told once an episode: from the moment when the link is not read any more until little waits again.
    told: watch::Sender<Option<HeldBack>>,
}

/// A channel that is on its way; counts as one until it is dropped.
pub(super) struct OnItsWay(Arc<Backlog>);

impl Drop for OnItsWay {
    fn drop(&mut self) {
        self.0.channels.send_modify(|channels| *channels -= 1);
    }
}

#[derive(Default)]
struct State {
    channels: HashMap<u32, Waiting>,
    total: usize,
    /// The link's reader, while it holds back.
    held_back: Option<Waker>,
    /// Since when more waits than is kept; until little does.
    full_since: Option<Instant>,
    /// Whose channels they are, and how to cut each off.
    owners: HashMap<u32, (Option<Owner>, CancellationToken)>,
}

/// One channel, until both its reader has gone and the server has closed it.
enum Waiting {
    /// Taken before it is counted shows as less than nothing for a moment.
    Bytes {
        waiting: isize,
        closed: bool,
        /// When its reader last took something; known only while the link is not read.
        taken: Option<Instant>,
    },
    /// What still arrives is not kept by anybody.
    Nobody,
}

impl Waiting {
    const NOTHING: Self = Self::Bytes { waiting: 0, closed: false, taken: None };
}

impl Backlog {
    /// How many channels there are, those on their way included.
    pub(super) fn channels(&self) -> watch::Receiver<usize> {
        self.channels.subscribe()
    }

    /// The link is read more slowly than it could be, or not at all: what the server says is heard late.
    pub(super) fn is_pacing(&self) -> bool {
        self.lock().total >= FREE
    }

    /// This process did not run until `now`, so no reader could take anything either.
    pub(super) fn resumed(&self, now: Instant) {
        let mut state = self.lock();
        if let Some(since) = &mut state.full_since {
            *since = now;
        }
    }

    /// A channel is about to be.
    pub(super) fn on_its_way(self: &Arc<Self>) -> OnItsWay {
        self.channels.send_modify(|channels| *channels += 1);
        OnItsWay(self.clone())
    }

    /// A message arrived for a channel.
    pub(super) fn arrived(&self, channel: u32, bytes: usize) {
        self.lock().add(channel, cost(bytes));
    }

    /// A channel's reader took a message.
    pub(super) fn taken(&self, channel: u32, bytes: usize) {
        let mut state = self.lock();
        state.add(channel, -cost(bytes));
        if state.full_since.is_some()
            && let Some(Waiting::Bytes { taken, .. }) = state.channels.get_mut(&channel)
        {
            *taken = Some(clock::now());
        }
        self.relieved(&mut state);
    }

    /// Whether a slow reader holds the session back now, and each change.
    pub(super) fn held_back(&self) -> watch::Receiver<Option<HeldBack>> {
        self.told.subscribe()
    }

    /// Whose connection a channel carries.
    pub(super) fn belongs_to(&self, channel: u32, owner: Owner) {
        if let Some((known, _)) = self.lock().owners.get_mut(&channel) {
            *known = Some(owner);
        }
    }

    /// The channel with the most unread bytes is cut off, if its reader has not taken any for [`SLOW_READER_LIMIT`].
    pub(super) fn cut_slowest(&self, now: Instant) {
        let state = self.lock();
        let Some(slowest) = state.slowest() else { return };
        let still = now.saturating_duration_since(slowest.still_since);
        if still >= SLOW_READER_LIMIT
            && let Some((_, cut)) = state.owners.get(&slowest.channel)
        {
            cut.cancel();
        }
    }

    /// Less waits than before.
    fn relieved(&self, state: &mut State) {
        if state.total < FREE && state.full_since.take().is_some() {
            self.told.send_replace(None);
        }
        state.wake();
    }

    /// A new channel has a reader, which `cut` cuts off.
    pub(super) fn opened(&self, channel: u32, cut: CancellationToken) {
        self.channels.send_modify(|channels| *channels += 1);
        let mut state = self.lock();
        if matches!(state.channels.get(&channel), Some(Waiting::Nobody)) {
            state.channels.remove(&channel);
        }
        state.owners.insert(channel, (None, cut));
    }

    /// An open channel's reader has gone: what waits for it waits no more.
    pub(super) fn abandoned(&self, channel: u32) {
        self.channels.send_modify(|channels| *channels = channels.saturating_sub(1));
        let mut state = self.lock();
        state.owners.remove(&channel);
        let closed = match state.channels.insert(channel, Waiting::Nobody) {
            Some(Waiting::Bytes { waiting, closed, .. }) => {
                state.total -= positive(waiting);
                closed
            }
            Some(Waiting::Nobody) | None => false,
        };
        if closed {
            state.channels.remove(&channel);
        }
        self.relieved(&mut state);
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
        if state.total < FREE {
            state.held_back = None;
            return Pace::Free;
        }
        state.held_back = Some(reader.clone());
        if let Some(pause) = pause(state.total) {
            return Pace::After(pause);
        }
        let now = clock::now();
        let news = state.full_since.is_none();
        state.full_since.get_or_insert(now);
        let Some(slowest) = state.slowest() else { return Pace::Stop(now + SLOW_READER_LIMIT) };
        if news {
            let owner = state.owners.get(&slowest.channel).and_then(|(owner, _)| owner.clone());
            self.told.send_replace(Some(HeldBack { since: now, owner, waiting: slowest.waiting }));
        }
        Pace::Stop((slowest.still_since + SLOW_READER_LIMIT).max(now))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The channel that holds the session back.
struct Slowest {
    channel: u32,
    waiting: usize,
    /// Since when its reader has taken nothing, as far as it matters.
    still_since: Instant,
}

impl State {
    /// The channel with the most unread bytes, while the link is not read.
    fn slowest(&self) -> Option<Slowest> {
        let since = self.full_since?;
        let unread = self.channels.iter().filter_map(|(channel, waiting)| match waiting {
            Waiting::Bytes { waiting, taken, .. } => Some((*channel, positive(*waiting), *taken)),
            Waiting::Nobody => None,
        });
        let (channel, waiting, taken) = unread.max_by_key(|(_, waiting, _)| *waiting)?;
        Some(Slowest { channel, waiting, still_since: taken.map_or(since, |taken| taken.max(since)) })
    }

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
mod tests;
