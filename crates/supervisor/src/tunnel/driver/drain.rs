//! The end of a session in good order: no new connections, the flowing ones to their end, goodbye. All bounded.

use std::time::{Duration, Instant};

use futures_util::future::{join, join_all};
use tokio::sync::oneshot;
use tokio::time::{timeout, timeout_at};
use tunnel_engine::failure::Failure;
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

/// How to end a session.
pub(super) struct Drain {
    /// The session.
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
    /// Does it. Ends early when the session does.
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
