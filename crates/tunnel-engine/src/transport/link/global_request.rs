//! A global request of ours, until its answer.

use std::sync::Arc;
use std::task::{Context, Poll};

use super::TransportLink;
use crate::transport::global::GlobalAnswer;

/// Waits for its answer; dropping it gives the answer up, and not the request.
pub(crate) struct GlobalRequest {
    link: Arc<TransportLink>,
    id: u64,
}

impl TransportLink {
    /// Asks the server for something, with an answer (RFC 4254 section 4): `fields` stand behind the name.
    pub(crate) fn ask(self: &Arc<Self>, name: &str, fields: &[u8]) -> GlobalRequest {
        let mut state = self.lock();
        let id = state.global.ask(name, fields);
        state.send_what_is_due();
        drop(state);
        GlobalRequest { link: self.clone(), id }
    }
}

impl GlobalRequest {
    /// The answer; ready once. `None`: the connection has ended.
    pub(crate) fn poll_answer(&self, cx: &Context<'_>) -> Poll<Option<GlobalAnswer>> {
        let mut state = self.link.lock();
        match state.global.take_answer(self.id, cx.waker()) {
            Some(answer) => Poll::Ready(Some(answer)),
            None if state.is_over => Poll::Ready(None),
            None => Poll::Pending,
        }
    }
}

impl Drop for GlobalRequest {
    fn drop(&mut self) {
        self.link.lock().global.forget(self.id);
    }
}
