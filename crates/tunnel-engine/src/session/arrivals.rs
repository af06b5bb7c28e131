//! From the server to the forwards: connections on remote forwards, each to its listener or refused.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use super::incoming::{IncomingChannel, IncomingChannels, MAX_WAITING, PendingChannel, RejectReason, RemoteListen};
use super::router::{ArrivalRoute, RequestId, Router};

/// The router with the server's channels as payload, and the way to the forwards.
pub(super) struct Arrivals {
    router: Mutex<Router<PendingChannel>>,
    forwards: mpsc::Sender<IncomingChannel>,
}

impl Arrivals {
    pub(super) fn new() -> (Self, IncomingChannels) {
        let (forwards, receiver) = mpsc::channel(MAX_WAITING);
        (Self { router: Mutex::new(Router::new()), forwards }, receiver)
    }

    pub(super) fn ask(&self, listen: RemoteListen) -> RequestId {
        self.router().ask(listen)
    }

    /// The server listens. Connections that came before are handed on now.
    pub(super) fn granted(&self, request: RequestId, port: Option<u16>) {
        let released = self.router().granted(request, port);
        self.hand_on(released);
    }

    pub(super) fn denied(&self, request: RequestId) {
        let released = self.router().denied(request);
        self.hand_on(released);
    }

    pub(super) fn forget(&self, listen: &RemoteListen) {
        self.router().forget(listen);
    }

    /// Never waits: what cannot go on at once is refused.
    pub(super) fn place(&self, announced: RemoteListen, offer: PendingChannel) {
        let route = self.router().place(announced, offer);
        self.hand_on(route);
    }

    fn hand_on(&self, routes: impl IntoIterator<Item = ArrivalRoute<PendingChannel>>) {
        for route in routes {
            match route {
                ArrivalRoute::Refuse(offer) => offer.refuse(RejectReason::Prohibited),
                ArrivalRoute::Full(offer) => offer.refuse(RejectReason::ResourceShortage),
                ArrivalRoute::To(listen, offer) => match self.forwards.try_send(offer.incoming(listen)) {
                    Ok(()) => {}
                    Err(TrySendError::Full(channel)) => channel.reject(RejectReason::ResourceShortage),
                    Err(TrySendError::Closed(channel)) => channel.reject(RejectReason::Prohibited),
                },
            }
        }
    }

    fn router(&self) -> MutexGuard<'_, Router<PendingChannel>> {
        self.router.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
