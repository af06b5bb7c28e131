//! After a login: known_hosts follows the host keys that the server announces. Whatever goes wrong is told to the log;
//! the session never suffers from it.

use std::sync::Arc;

use russh::keys::PublicKey;
use tokio::sync::oneshot;

use super::requests::Line;
use crate::hostkey::Updates;

/// Waits for the announcement, which OpenSSH makes right after the login and others never. Ends with the session.
pub(super) async fn follow(line: Arc<Line>, updates: Updates, announced: oneshot::Receiver<Vec<PublicKey>>) {
    let Ok(keys) = announced.await else { return };
    let server = line.shared.who.as_str();
    match updates.review(&keys).await {
        Ok(None) => {}
        Ok(Some((change, unproven))) => match prove(&line, unproven).await {
            Ok(()) => updates.apply(change).await,
            Err(error) => tracing::warn!(server, error, "the server announced host keys that it did not prove"),
        },
        Err(reason) => tracing::debug!(server, reason, "known_hosts does not follow the server's host keys"),
    }
}

async fn prove(line: &Arc<Line>, unproven: Vec<PublicKey>) -> Result<(), String> {
    if unproven.is_empty() { Ok(()) } else { line.prove(unproven).await }
}
