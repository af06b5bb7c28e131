//! A channel that the server offers, until it is taken or refused.

use std::sync::Arc;

use super::{ChannelHandle, TransportLink};
use crate::transport::channels::{Offer, Offered};

/// SSH_OPEN_ADMINISTRATIVELY_PROHIBITED (RFC 4254 section 5.1).
const PROHIBITED: u32 = 1;

/// Who is handed what the server asks for. Called without the lock; dropped when nothing of the session runs any more.
pub(crate) trait OfferReceiver: Send + 'static {
    /// A connection on a remote forward.
    fn offered(&mut self, channel: OfferedChannel);
    /// A channel that no tunnel wants, and that was refused: what that was.
    fn refused(&mut self, what: &'static str);
}

/// Such a channel. Dropping it refuses it as prohibited.
pub(crate) struct OfferedChannel {
    link: Arc<TransportLink>,
    /// Until the answer.
    offer: Option<Offer>,
}

impl OfferedChannel {
    pub(in crate::transport) const fn new(link: Arc<TransportLink>, offer: Offer) -> Self {
        Self { link, offer: Some(offer) }
    }

    /// What the server says of it.
    pub(crate) fn what(&self) -> Option<&Offered> {
        self.offer.as_ref().map(|offer| &offer.what)
    }

    /// Takes it; `None`: the connection has ended.
    pub(crate) fn accept(mut self) -> Option<ChannelHandle> {
        let offer = self.offer.take()?;
        let mut state = self.link.lock();
        if state.is_over {
            return None;
        }
        let ours = state.channels.accept(&offer);
        state.send_what_is_due();
        drop(state);
        Some(ChannelHandle::new(self.link.clone(), ours))
    }

    /// Refuses it, with a code of RFC 4254 section 5.1.
    pub(crate) fn refuse(mut self, code: u32) {
        self.say_no(code);
    }

    fn say_no(&mut self, code: u32) {
        let Some(offer) = self.offer.take() else { return };
        let mut state = self.link.lock();
        state.channels.refuse(&offer, code);
        state.send_what_is_due();
    }
}

impl Drop for OfferedChannel {
    fn drop(&mut self) {
        self.say_no(PROHIBITED);
    }
}
