//! The end of a session in good order: no new connections, the flowing ones to their end, goodbye. All bounded.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tokio::time::{timeout, timeout_at};
use tunnel_engine::failure::Failure;
use tunnel_engine::session::Session;
use tunnel_engine::spec::Listen;

use super::takeover::Release;

/// For all answers to our cancellations. They matter little: the listeners end with the session anyway.
const CANCEL_TIMEOUT: Duration = Duration::from_secs(2);

/// For a shell on the server that removes the files of our sockets.
const TIDY_TIMEOUT: Duration = Duration::from_secs(2);

/// How to end a session.
pub(super) struct WindDown {
    /// The session.
    pub(super) session: Session,
    /// Its remote listeners, with their real ports.
    pub(super) listens: Vec<Listen>,
    /// What removes the files of its unix sockets, once they are cancelled.
    pub(super) tidy: Vec<Release>,
    /// Until when its connections are waited for; `None`: not at all.
    pub(super) until: Option<Instant>,
}

impl WindDown {
    /// Does it. Ends early when the session does.
    pub(super) async fn run(self) {
        let mut ended = self.session.ended();
        let orderly = async {
            cancel(&self.session, &self.listens).await;
            if !self.tidy.is_empty() {
                // What is left then is removed by the next start.
                let _ = timeout(TIDY_TIMEOUT, join_all(self.tidy.into_iter().map(Release::run))).await;
            }
            if let Some(until) = self.until {
                // Those that have not ended by then are cut.
                let _ = timeout_at(until.into(), drained(&self.session)).await;
            }
        };
        tokio::select! {
            () = orderly => {}
            _ = ended.wait_for(Option::<Failure>::is_some) => {}
        }
        self.session.close().await;
    }
}

/// Takes remote listeners back.
pub(super) async fn cancel(session: &Session, listens: &[Listen]) {
    let answers = timeout(CANCEL_TIMEOUT, join_all(listens.iter().map(|listen| session.cancel_forward(listen)))).await;
    match answers {
        Ok(answers) => {
            for error in answers.into_iter().filter_map(Result::err) {
                tracing::debug!(%error, "cannot cancel a remote forward");
            }
        }
        Err(_) => tracing::debug!("the server does not answer cancellations"),
    }
}

/// Waits for the end of the session's last connection.
pub(super) async fn drained(session: &Session) {
    // The sender lives in the session that we hold.
    let _ = session.channels().wait_for(|channels| *channels == 0).await;
}
