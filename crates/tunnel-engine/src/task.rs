//! The one place that starts a task, so that who joins it, and when, can be asked in one place. What a task logs is under
//! the span of its caller, which names the tunnel.
//!
//! tokio's code for a task is made once for each type of future. Behind a pointer there are few types: that is a fortieth of
//! the program.

use std::future::Future;
use std::pin::Pin;

use tokio::task::JoinHandle;
use tokio_util::task::AbortOnDropHandle;
use tracing::{Instrument as _, Span};

/// Starts a task that ends with its owner: dropping the handle aborts it.
pub fn owned<T: Send + 'static>(future: impl Future<Output = T> + Send + 'static) -> AbortOnDropHandle<T> {
    AbortOnDropHandle::new(detached(future))
}

/// Starts a task that outlives the caller. It must end by itself: on a deadline, or when what it serves has gone.
pub fn detached<T: Send + 'static>(future: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
    spawn(Box::pin(future.in_current_span()))
}

/// As [`detached`], for a task of many short turns, each of which would enter the span: it enters the span where it logs.
pub(crate) fn without_span(future: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
    spawn(Box::pin(future))
}

#[expect(clippy::disallowed_methods, reason = "the one place that spawns")]
fn spawn<T: Send + 'static>(future: Pin<Box<dyn Future<Output = T> + Send>>) -> JoinHandle<T> {
    tokio::spawn(future)
}

/// Work that blocks, off the thread that carries all tunnels. It cannot be aborted.
pub fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    let span = Span::current();
    let work: Box<dyn FnOnce() -> T + Send> = Box::new(move || span.in_scope(work));
    tokio::task::spawn_blocking(work)
}
