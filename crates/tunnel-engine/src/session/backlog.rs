//! How many connections a session carries, opens or is being handed.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::held_back::HeldBack;

/// As long as a reader could hold up others, one that took nothing for so long was cut off. None is any more.
pub const SLOW_READER_LIMIT: Duration = Duration::from_secs(60);

/// The count of one session.
#[derive(Default)]
pub(super) struct Backlog {
    /// Channels that are open, being opened, or waiting for our yes.
    channels: watch::Sender<usize>,
    /// Never any: each channel has a window of its own.
    told: watch::Sender<Option<HeldBack>>,
}

/// A channel that is on its way; counts as one until it is dropped.
pub(super) struct OnItsWay(Arc<Backlog>);

impl Drop for OnItsWay {
    fn drop(&mut self) {
        self.0.channels.send_modify(|channels| *channels -= 1);
    }
}

impl Backlog {
    /// How many channels there are, those on their way included.
    pub(super) fn channels(&self) -> watch::Receiver<usize> {
        self.channels.subscribe()
    }

    /// A channel is about to be.
    pub(super) fn on_its_way(self: &Arc<Self>) -> OnItsWay {
        self.channels.send_modify(|channels| *channels += 1);
        OnItsWay(self.clone())
    }

    /// A new channel has a reader.
    pub(super) fn opened(&self) {
        self.channels.send_modify(|channels| *channels += 1);
    }

    /// An open channel's reader and writer have gone.
    pub(super) fn closed(&self) {
        self.channels.send_modify(|channels| *channels = channels.saturating_sub(1));
    }

    /// Whether a slow reader holds the session back now, and each change.
    pub(super) fn held_back(&self) -> watch::Receiver<Option<HeldBack>> {
        self.told.subscribe()
    }
}
