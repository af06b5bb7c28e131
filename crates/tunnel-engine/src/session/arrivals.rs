//! From the server's callbacks to the forwards: connections on remote forwards, each to its listener or refused.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use super::incoming::{IncomingChannel, IncomingChannels, MAX_WAITING, Offer, RejectReason, RemoteListen};
use super::router::{Route, Router, Ticket};

/// The router with russh's channels as payload, and the way to the forwards.
pub(super) struct Arrivals {
    router: Mutex<Router<Offer>>,
    forwards: mpsc::Sender<IncomingChannel>,
}

impl Arrivals {
    pub(super) fn new() -> (Self, IncomingChannels) {
        let (forwards, receiver) = mpsc::channel(MAX_WAITING);
        (Self { router: Mutex::new(Router::new()), forwards }, receiver)
    }

    pub(super) fn ask(&self, listen: RemoteListen) -> Ticket {
        self.router().ask(listen)
    }

    /// The server listens. Connections that came before are handed on now.
    pub(super) async fn granted(&self, ticket: Ticket, port: Option<u16>) {
        let released = self.router().granted(ticket, port);
        self.hand_on(released).await;
    }

    pub(super) async fn denied(&self, ticket: Ticket) {
        let released = self.router().denied(ticket);
        self.hand_on(released).await;
    }

    pub(super) fn forget(&self, listen: &RemoteListen) {
        self.router().forget(listen);
    }

    /// Never waits: what cannot go on at once is refused.
    pub(super) async fn place(&self, announced: RemoteListen, offer: Offer) {
        let route = self.router().place(announced, offer);
        self.hand_on(route).await;
    }

    async fn hand_on(&self, routes: impl IntoIterator<Item = Route<Offer>>) {
        for route in routes {
            match route {
                Route::Refuse(offer) => offer.refuse(RejectReason::Prohibited).await,
                Route::Full(offer) => offer.refuse(RejectReason::ResourceShortage).await,
                Route::To(listen, offer) => match self.forwards.try_send(offer.incoming(listen)) {
                    Ok(()) => {}
                    Err(TrySendError::Full(channel)) => channel.reject(RejectReason::ResourceShortage).await,
                    Err(TrySendError::Closed(channel)) => channel.reject(RejectReason::Prohibited).await,
                },
            }
        }
    }

    fn router(&self) -> MutexGuard<'_, Router<Offer>> {
        self.router.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
