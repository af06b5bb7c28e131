//! A channel that is being opened, until the server's answer.

use std::future::poll_fn;
use std::sync::Arc;

use super::answers::OpenWaits;
use super::connections::CountedConnection;
use super::link::SessionShared;
use crate::task;
use crate::transport::{ChannelHandle, OpenRefusal};

/// Dropping it gives the channel up: it is closed when the server has opened it. The server's answer is waited for all the
/// same, so that one that gives none is noticed.
pub(super) struct Opening {
    shared: Arc<SessionShared>,
    /// Until the answer.
    unanswered: Option<Unanswered>,
}

struct Unanswered {
    channel: ChannelHandle,
    waits: OpenWaits,
    counted: CountedConnection,
}

impl Opening {
    pub(super) fn new(shared: &Arc<SessionShared>, channel: ChannelHandle) -> Self {
        let (waits, counted) = (shared.answers.open(), shared.connections.count());
        Self { shared: shared.clone(), unanswered: Some(Unanswered { channel, waits, counted }) }
    }

    /// The open channel, once. `None`: the session is over. Cancel-safe.
    pub(super) async fn answer(&mut self) -> Result<(ChannelHandle, CountedConnection), Option<OpenRefusal>> {
        let Some(unanswered) = &self.unanswered else { return Err(None) };
        let answer = poll_fn(|cx| unanswered.channel.poll_opened(cx)).await;
        let Some(Unanswered { channel, waits, counted }) = self.unanswered.take() else { return Err(None) };
        answered(&self.shared, &answer, waits);
        answer.map(|()| (channel, counted))
    }
}

impl Drop for Opening {
    fn drop(&mut self) {
        let Some(Unanswered { channel, waits, counted }) = self.unanswered.take() else { return };
        let shared = self.shared.clone();
        // Bounded by the session, with which every open is answered or ends.
        task::detached(async move {
            let answer = poll_fn(|cx| channel.poll_opened(cx)).await;
            answered(&shared, &answer, waits);
            drop((channel, counted));
        });
    }
}

/// The server has said something, unless the session is over.
fn answered(shared: &SessionShared, answer: &Result<(), Option<OpenRefusal>>, waits: OpenWaits) {
    if !matches!(answer, Err(None)) {
        shared.answered();
    }
    drop(waits);
}
