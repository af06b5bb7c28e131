//! The runtime: one thread, and nothing to wait for at the end.

use std::future::Future;
use std::io;

use tunnel_engine::task;

use super::orphans;

/// Runs what `main` makes, on this thread alone, and reaps orphans meanwhile. `main` is called in the runtime.
///
/// # Errors
/// `main`'s, and those of the start of the runtime.
pub fn run<F>(main: impl FnOnce() -> io::Result<F>) -> io::Result<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    block_on(async {
        let _reaper = orphans::reap()?;
        // A task, so that what wakes it is another turn of this thread: the future of `block_on` is woken by a write to
        // a descriptor, which the thread then wakes up for once more.
        match task::owned(main()?).await {
            Ok(output) => Ok(output),
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    })?
}

/// Waits for a future on this thread alone.
///
/// # Errors
/// The runtime cannot be started.
pub fn block_on<T>(future: impl Future<Output = T>) -> io::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let result = runtime.block_on(future);
    // A name lookup that hangs, or a user who does not answer, must not hold up the end.
    runtime.shutdown_background();
    Ok(result)
}
