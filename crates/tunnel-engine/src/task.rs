//! The one place that starts a task, so that who joins it, and when, can be asked in one place.

use std::future::Future;

use tokio::task::JoinHandle;
use tokio_util::task::AbortOnDropHandle;

/// Starts a task that ends with its owner: dropping the handle aborts it.
pub fn owned<T: Send + 'static>(future: impl Future<Output = T> + Send + 'static) -> AbortOnDropHandle<T> {
    AbortOnDropHandle::new(detached(future))
}

/// Starts a task that outlives the caller. It must end by itself: on a deadline, or when what it serves has gone.
#[expect(clippy::disallowed_methods, reason = "the one place that spawns")]
pub fn detached<T: Send + 'static>(future: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
    tokio::spawn(future)
}
