//! A session that another has taken over from: its connections go on for a while, and its remote listeners are taken
//! back as soon as it answers.

use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tunnel_engine::clock;
use tunnel_engine::failure::Failure;
use tunnel_engine::forward::RemoteForwards;
use tunnel_engine::session::Session;
use tunnel_engine::spec::Listen;

use super::drain::{cancel, drained};

/// How long a session whose path is silent is kept in case it comes back, where its own keepalive does not end it
/// before (60 s by default; it may be off).
const SILENT_KEPT: Duration = Duration::from_secs(600);

/// Such a session.
pub(super) struct Retired {
    pub(super) session: Session,
    pub(super) routes: RemoteForwards,
    /// Its remote listeners that were not taken back yet.
    pub(super) listens: Vec<Listen>,
    /// It does not answer: asking it for anything would be waiting for nothing.
    pub(super) silent: bool,
    /// How long its connections may go on.
    pub(super) until: Instant,
    /// An earlier end, once the tunnel is stopped. A later start does not take it back.
    pub(super) drain_by: watch::Receiver<Option<Instant>>,
    /// There are too many.
    pub(super) enough: CancellationToken,
}

impl Retired {
    /// To its end.
    pub(super) async fn run(mut self) {
        let mut ended = self.session.ended();
        let (enough, until) = (self.enough.clone(), self.until);
        let over = async {
            loop {
                let at = self.drain_by.borrow_and_update().map_or(until, |by| by.min(until));
                tokio::select! {
                    () = tokio::time::sleep_until(at.into()) => return,
                    Ok(()) = self.drain_by.changed() => {}
                }
            }
        };
        let orderly = async {
            if self.silent && !answers_again(&self.session, clock::now() + SILENT_KEPT).await {
                return;
            }
            cancel(&self.session, &self.listens).await;
            drained(&self.session).await;
        };
        tokio::select! {
            () = orderly => {}
            () = over => {}
            () = enough.cancelled() => {}
            _ = ended.wait_for(Option::<Failure>::is_some) => {}
        }
        self.session.close().await;
        drop(self.routes);
    }
}

/// Waits for the path to come back.
async fn answers_again(session: &Session, until: Instant) -> bool {
    let timeout = until.saturating_duration_since(clock::now());
    // An answer to this is one of the path.
    session.ping(timeout).await.is_ok()
}
