//! What a session says of itself while it lives.

use tokio::sync::watch;
use tunnel_engine::failure::{Failure, FailureKind};
use tunnel_engine::session::{Path, Session};

/// One piece of it.
pub(in crate::tunnel) enum SessionEvent {
    /// It is over.
    Ended(Failure),
    /// The way to the server looks different.
    Path(Path),
}

/// Listens to one session without keeping it alive.
#[derive(Clone)]
pub(in crate::tunnel) struct SessionWatch {
    ended: watch::Receiver<Option<Failure>>,
    path: watch::Receiver<Path>,
}

impl SessionWatch {
    pub(super) fn to(session: &Session) -> Self {
        Self { ended: session.ended(), path: session.path() }
    }

    /// The next piece. Cancel-safe.
    pub(super) async fn next(&mut self) -> SessionEvent {
        tokio::select! {
            biased;
            ended = self.ended.wait_for(Option::is_some) => SessionEvent::Ended(match ended.map(|failure| (*failure).clone()) {
                Ok(Some(failure)) => failure,
                Ok(None) | Err(_) => {
                    Failure::new(FailureKind::ConnectionLost, "the session ended without a reason")
                }
            }),
            Ok(()) = self.path.changed() => SessionEvent::Path(*self.path.borrow_and_update()),
        }
    }
}
