//! Short work that may block, for hundreds of tunnels in the same moment: one thread does all of it, so that each does
//! not wake one up. Where a file system hangs, what came together with it waits, too; what comes later does not.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;
use tunnel_engine::task;

type Work = Box<dyn FnOnce() + Send>;

static WAITING: Mutex<Vec<Work>> = Mutex::new(Vec::new());

/// What `work` comes to; `None` where it panicked.
pub(super) async fn together<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (done, result) = oneshot::channel();
    // Nobody may wait for it any more.
    let work: Work = Box::new(move || drop(done.send(work())));
    if queue(work) {
        drop(task::blocking(run));
    }
    result.await.ok()
}

/// True when it is the first, so that a thread is needed.
fn queue(work: Work) -> bool {
    let mut waiting = waiting();
    waiting.push(work);
    waiting.len() == 1
}

fn run() {
    let all = std::mem::take(&mut *waiting());
    all.into_iter().for_each(|work| work());
}

fn waiting() -> MutexGuard<'static, Vec<Work>> {
    WAITING.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[tokio::test]
    async fn work_of_one_moment_is_done_by_one_thread() {
        let jobs = (0..20).map(|at| together(move || (at, thread::current().id())));
        let done = futures_util::future::join_all(jobs).await;
        let (results, threads): (Vec<_>, Vec<_>) = done.into_iter().map(|done| done.expect("done")).unzip();
        assert_eq!(results, (0..20).collect::<Vec<_>>());
        assert!(threads.iter().all(|thread| *thread == threads[0]), "{threads:?}");
    }
}
