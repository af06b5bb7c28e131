//! Short work that may block, for hundreds of tunnels in the same moment: one thread does all of it, so that each does
//! not wake one up. Where a file system hangs, what came together with it waits, too; what comes later does not.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;
use tunnel_engine::task;

type Work = Box<dyn FnOnce() + Send>;

/// What one thread will do next.
#[derive(Clone, Default)]
struct Batch(Arc<Mutex<Vec<Work>>>);

thread_local! {
    /// Of the thread that carries all tunnels. A runtime of another thread has another one, since its thread pool goes with it.
    static NEXT: Batch = Batch::default();
}

/// What `work` comes to; `None` where it panicked.
pub(super) async fn together<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (done, result) = oneshot::channel();
    // The caller may have been dropped by then.
    let work: Work = Box::new(move || drop(done.send(work())));
    let batch = NEXT.with(Batch::clone);
    if batch.add(work) {
        drop(task::blocking(move || batch.run()));
    }
    result.await.ok()
}

impl Batch {
    /// True when it is the first, so that a thread is needed.
    fn add(&self, work: Work) -> bool {
        let mut waiting = self.waiting();
        waiting.push(work);
        waiting.len() == 1
    }

    fn run(&self) {
        let all = std::mem::take(&mut *self.waiting());
        all.into_iter().for_each(|work| work());
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<Work>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
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
