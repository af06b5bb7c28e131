//! Takeovers at one server take turns, over all tunnels together.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Takeovers under way at one server for one user. Each is a shell there that looks at every process: a hundred at once
/// take the server's processors from all else, and none is done sooner. As many as logins, which the server bears too.
const MAX_TAKEOVERS: usize = 4;

/// Gives the turns. A cheap handle.
#[derive(Debug, Clone, Default)]
pub struct TakeoverTurns(Arc<Mutex<HashMap<String, Arc<Semaphore>>>>);

impl TakeoverTurns {
    /// Waits for a turn at `server` (`user@host:port`), in the order of asking. It is over when the value is dropped.
    pub async fn turn(&self, server: &str) -> Option<OwnedSemaphorePermit> {
        let turns = {
            let mut servers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            // Those at which no turn is held or waited for.
            servers.retain(|_, turns| Arc::strong_count(turns) > 1);
            let fresh = || Arc::new(Semaphore::new(MAX_TAKEOVERS));
            servers.entry(server.to_owned()).or_insert_with(fresh).clone()
        };
        turns.acquire_owned().await.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use futures_util::FutureExt as _;

    #[test]
    fn turns_are_few_for_each_server_and_in_order() {
        let turns = TakeoverTurns::default();
        let mut under_way: Vec<_> = (0..MAX_TAKEOVERS).map(|_| turns.turn("me@a:22").now_or_never().unwrap()).collect();
        assert!(turns.turn("me@b:22").now_or_never().is_some(), "another server");
        let (mut first, mut second) = (Box::pin(turns.turn("me@a:22")), Box::pin(turns.turn("me@a:22")));
        assert!(first.as_mut().now_or_never().is_none() && second.as_mut().now_or_never().is_none());
        under_way.pop();
        assert!(second.as_mut().now_or_never().is_none(), "not before the first");
        assert!(first.as_mut().now_or_never().is_some());
        drop((under_way, second));
        drop(turns.turn("me@c:22").now_or_never());
        assert_eq!(turns.0.lock().unwrap().len(), 1, "what is not used is forgotten");
    }
}
