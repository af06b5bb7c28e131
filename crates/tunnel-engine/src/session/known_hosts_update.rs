//! After a login: known_hosts follows the host keys that the server announces. Whatever goes wrong is told to the log;
//! the session never suffers from it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use russh::keys::PublicKey;
use tokio::sync::{oneshot, watch};
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use super::requests::Requests;
use crate::hostkey::Updates;
use crate::{clock, task};

/// How long the end of a session waits for an update that is under way. ssh ends a moment after the server's proof, too;
/// a file on a network or a server that does not prove what it announced must not hold the end up.
const LAST_UPDATE: Duration = Duration::from_secs(1);

/// How long after a login the announcement may still be on its way: OpenSSH makes it before it answers anything.
const ANNOUNCEMENT_DUE: Duration = Duration::from_secs(5);

/// The task that follows. Dropping it ends it.
pub(super) struct KnownHostsFollower {
    _task: AbortOnDropHandle<()>,
    line: Arc<Requests>,
    since: Instant,
    /// True from the announcement on; gone when everything is written.
    under_way: watch::Receiver<bool>,
}

impl KnownHostsFollower {
    pub(super) fn start(line: Arc<Requests>, updates: Updates, announced: oneshot::Receiver<Vec<PublicKey>>) -> Self {
        let (tell, under_way) = watch::channel(false);
        let task = task::owned(known_hosts_update(line.clone(), updates, announced, tell));
        Self { _task: task, line, since: clock::now(), under_way }
    }

    /// Waits for an update that is under way: up to [`LAST_UPDATE`], and for none that has not begun, but that the
    /// announcement of a young session comes before the answer to a question.
    pub(super) async fn finish(&self) {
        let finish = async {
            let mut under_way = self.under_way.clone();
            if !*under_way.borrow() && clock::now().saturating_duration_since(self.since) < ANNOUNCEMENT_DUE {
                let _ = self.line.ping(LAST_UPDATE).await;
                // The task was woken by what came before the answer.
                tokio::task::yield_now().await;
            }
            if *under_way.borrow_and_update() {
                // Only the end of the task changes it now.
                let _ = under_way.changed().await;
            }
        };
        let _ = timeout(LAST_UPDATE, finish).await;
    }
}

/// Waits for the announcement, which OpenSSH makes right after the login and others never. Ends with the session.
async fn known_hosts_update(
    line: Arc<Requests>,
    updates: Updates,
    announced: oneshot::Receiver<Vec<PublicKey>>,
    under_way: watch::Sender<bool>,
) {
    let Ok(keys) = announced.await else { return };
    under_way.send_replace(true);
    let server = line.shared.who.as_str();
    match updates.review(&keys).await {
        Ok(None) => {}
        Ok(Some((change, unproven))) => match prove(&line, unproven).await {
            Ok(()) => updates.apply(change).await,
            Err(error) => {
                tracing::warn!(server, error, "`{server}` announced host keys that it did not prove: {error}")
            }
        },
        Err(reason) => tracing::debug!(server, reason, "known_hosts does not follow the server's host keys"),
    }
}

async fn prove(line: &Arc<Requests>, unproven: Vec<PublicKey>) -> Result<(), String> {
    if unproven.is_empty() { Ok(()) } else { line.prove(&unproven).await }
}
