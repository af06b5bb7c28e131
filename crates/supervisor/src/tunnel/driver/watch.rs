//! What a session tells of itself while it lives.

use tokio::sync::watch;
use tunnel_engine::failure::{Failure, FailureKind};
use tunnel_engine::session::{Path, Session};

/// One thing that it tells.
pub(super) enum SessionEvent {
    /// It is over.
    Ended(Failure),
    /// The way to the server looks different.
    Path(Path),
}

/// Watches one session without keeping it alive.
pub(super) struct SessionWatch {
    ended: watch::Receiver<Option<Failure>>,
    path: watch::Receiver<Path>,
}

impl SessionWatch {
    pub(super) fn new(session: &Session) -> Self {
        Self { ended: session.ended(), path: session.path() }
    }

    /// The next event. Cancel-safe.
    pub(super) async fn next(&mut self) -> SessionEvent {
        tokio::select! {
            biased;
            ended = self.ended.wait_for(Option::is_some) => {
                SessionEvent::Ended(match ended.map(|failure| (*failure).clone()) {
                    Ok(Some(failure)) => failure,
                    Ok(None) | Err(_) => {
                        Failure::new(FailureKind::ConnectionLost, "the session ended without a reason")
                    }
                })
            }
            Ok(()) = self.path.changed() => SessionEvent::Path(*self.path.borrow_and_update()),
        }
    }
}
