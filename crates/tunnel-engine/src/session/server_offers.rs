//! What the server opens by itself: connections on remote forwards, which are handed on, and channels that no tunnel asks for.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tracing::Span;

use super::fault;
use super::incoming::{Originator, PendingChannel, RemoteListen};
use super::link::SessionShared;
use crate::clock;
use crate::log_limit::{LogLimiter, PEER_INTERVAL};
use crate::transport::{OfferReceiver, Offered, OfferedChannel};

/// Of one session; it is dropped when nothing of the session runs any more.
pub(super) struct ServerOffers {
    shared: Arc<SessionShared>,
    /// For what the server can repeat.
    log: LogLimiter,
    /// Of the login: the transport's task is under none.
    span: Span,
}

impl ServerOffers {
    pub(super) fn new(shared: Arc<SessionShared>) -> Self {
        Self { shared, log: LogLimiter::new(PEER_INTERVAL), span: Span::current() }
    }
}

impl OfferReceiver for ServerOffers {
    /// To whom it belongs is looked up, the rest is theirs.
    fn offered(&mut self, channel: OfferedChannel) {
        let Some((listen, origin)) = channel.what().map(placed) else { return };
        let session = self.shared.ending.gone().clone();
        let (link, counted) = (self.shared.link.clone(), self.shared.connections.count());
        self.shared.incoming.place(listen, PendingChannel { channel, origin, session, link, counted });
    }

    fn refused(&mut self, what: &'static str) {
        if let Some(suppressed) = self.log.admit(what, clock::now()) {
            let server = &self.shared.who;
            let _tunnel = self.span.enter();
            tracing::warn!(
                server,
                channel = what,
                suppressed,
                "`{server}`: refused a channel that was not asked for: {what}"
            );
        }
    }
}

fn placed(offered: &Offered) -> (RemoteListen, Originator) {
    match offered {
        Offered::Tcp { address, port, originator, originator_port } => (
            RemoteListen::Tcp { address: address.clone(), port: *port },
            Originator { address: originator.clone(), port: *originator_port },
        ),
        Offered::Unix(path) => (RemoteListen::Unix(path.clone()), Originator::unknown()),
    }
}

impl Drop for ServerOffers {
    fn drop(&mut self) {
        let _tunnel = self.span.enter();
        let suppressed = self.log.suppressed();
        if suppressed > 0 {
            let server = &self.shared.who;
            tracing::warn!(
                server,
                suppressed,
                "`{server}`: refused {suppressed} more channels that were not asked for"
            );
        }
        self.shared.unknown.log_due(true);
        // During the login russh has the reason.
        if self.shared.logged_in.load(Ordering::Relaxed) {
            self.shared.ending.end(fault::broken_off(&self.shared.who));
        }
        self.shared.finished.cancel();
    }
}
