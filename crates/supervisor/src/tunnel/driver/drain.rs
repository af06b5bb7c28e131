//! The end of a session in good order, closed or replaced: no new connections, the flowing ones to their end, goodbye.
//! All bounded.

use std::time::{Duration, Instant};

use futures_util::future::{join, join_all};
use tokio::sync::{oneshot, watch};
use tokio::time::{timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tunnel_engine::clock;
use tunnel_engine::failure::Failure;
use tunnel_engine::forward::RemoteForwards;
use tunnel_engine::session::Session;
use tunnel_engine::spec::Listen;

use super::super::takeover::Release;

/// For all answers to our cancellations. They matter little: the listeners end with the session anyway, and a port that
/// is not free yet is asked for again.
const CANCEL_WITHIN: Duration = Duration::from_millis(500);

/// The same over a long path: so many round trips, and no longer than this.
const CANCEL_ROUND_TRIPS: u32 = 3;
const CANCEL_WITHIN_LONGEST: Duration = Duration::from_secs(2);

/// For a shell on the server that removes the files of our sockets.
const TIDY_TIMEOUT: Duration = Duration::from_secs(2);

/// How long a session whose path is silent is kept in case it comes back, where its own keepalive does not end it
/// before (60 s by default; it may be off).
const SILENT_KEPT: Duration = Duration::from_secs(600);

pub(super) struct Drain {
    pub(super) session: Session,
    /// Its remote listeners, with their real ports.
    pub(super) listens: Vec<Listen>,
    /// What removes the files of its unix sockets, once they are cancelled.
    pub(super) tidy: Vec<Release>,
    /// Until when its connections are waited for; `None`: not at all.
    pub(super) until: Option<Instant>,
    /// Dropped when the listeners have been taken back, or are as good as that.
    pub(super) released: oneshot::Sender<()>,
}

impl Drain {
    pub(super) async fn run(self) {
        let mut ended = self.session.ended();
        let (session, listens, tidy, released) = (&self.session, &self.listens, self.tidy, self.released);
        let orderly = async move {
            let taken_back = async {
                if cancel(session, listens).await && !tidy.is_empty() {
                    // What is left then is removed by the next start.
                    let _ = timeout(TIDY_TIMEOUT, join_all(tidy.into_iter().map(Release::run))).await;
                }
                drop(released);
            };
            match self.until {
                // Connections that have not ended by then are cut.
                Some(until) => drop(timeout_at(until.into(), join(taken_back, drained(session))).await),
                None => taken_back.await,
            }
        };
        tokio::select! {
            () = orderly => {}
            _ = ended.wait_for(Option::<Failure>::is_some) => {}
        }
        self.session.close().await;
    }
}

/// Takes remote listeners back; whether the server answered.
pub(super) async fn cancel(session: &Session, listens: &[Listen]) -> bool {
    let answers =
        timeout(cancel_within(session.rtt()), join_all(listens.iter().map(|listen| session.cancel_forward(listen))))
            .await;
    match &answers {
        Ok(answers) => {
            for error in answers.iter().filter_map(|answer| answer.as_ref().err()) {
                tracing::debug!(%error, "cannot cancel a remote forward");
            }
        }
        Err(_) => tracing::debug!("the server does not answer cancellations"),
    }
    answers.is_ok()
}

fn cancel_within(rtt: Option<Duration>) -> Duration {
    let trips = rtt.map_or(Duration::ZERO, |rtt| rtt.saturating_mul(CANCEL_ROUND_TRIPS));
    trips.clamp(CANCEL_WITHIN, CANCEL_WITHIN_LONGEST)
}

/// Waits for the end of the session's last connection.
pub(super) async fn drained(session: &Session) {
    // The sender lives in the session that we hold.
    let _ = session.channels().wait_for(|channels| *channels == 0).await;
}

/// A session that another has taken over from: its connections go on for a while, and its remote listeners are taken
/// back as soon as it answers.
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
