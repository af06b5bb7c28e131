//! Looks at the files of hundreds of tunnels in the same moment: one thread does it, so that each look does not wake one
//! up, and looks once at a file that many of them have. Where a file system hangs, what came together with it waits,
//! too; what comes later does not.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::oneshot;
use tunnel_engine::{clock, task};

use super::file_stamps::{FileStamp, FileStamps, MIN_CHECK_INTERVAL, WatchedFiles, check_interval, stamp};

type StampRequest = (Arc<WatchedFiles>, oneshot::Sender<FileStamps>);

/// What one thread will look at next.
#[derive(Clone, Default)]
struct StampBatch(Arc<Mutex<Vec<StampRequest>>>);

thread_local! {
    /// Of the thread that carries all tunnels. A runtime of another thread has another one, since its thread pool goes with it.
    static NEXT: StampBatch = StampBatch::default();
}

/// How the files look now; `None` where looking panicked.
pub(super) async fn look(watched: Arc<WatchedFiles>) -> Option<FileStamps> {
    let (tell, told) = oneshot::channel();
    let batch = NEXT.with(StampBatch::clone);
    if batch.add((watched, tell)) {
        drop(task::detached(async move {
            // Told from here: each word of another thread would be a system call to wake this one up.
            for (tell, look) in task::blocking(move || batch.looks(stamp)).await.unwrap_or_default() {
                // The asker may have gone by then.
                let _ = tell.send(look);
            }
        }));
    }
    told.await.ok()
}

/// Returns how the files look when they look otherwise than `before`. Looks at once, and then again and again.
pub(super) async fn changed(
    watched: Arc<WatchedFiles>,
    before: Option<FileStamps>,
    blocked_since: Instant,
) -> FileStamps {
    loop {
        let look = look(watched.clone()).await;
        if let Some(look) = look.filter(|look| before.as_ref() != Some(look)) {
            return look;
        }
        let now = clock::now();
        let next = now + check_interval(now.saturating_duration_since(blocked_since));
        tokio::time::sleep_until(clock::tick_before(next, MIN_CHECK_INTERVAL).into()).await;
    }
}

impl StampBatch {
    /// True when it is the first, so that a thread is needed.
    fn add(&self, asked: StampRequest) -> bool {
        let mut waiting = self.waiting();
        waiting.push(asked);
        waiting.len() == 1
    }

    /// What all who wait by now are to be told.
    fn looks(&self, stamp: impl Fn(&Path) -> Option<FileStamp>) -> Vec<(oneshot::Sender<FileStamps>, FileStamps)> {
        let all = std::mem::take(&mut *self.waiting());
        let looks: Vec<FileStamps> = {
            let mut seen: HashMap<&Path, Option<FileStamp>> = HashMap::new();
            let mut once = |path| seen.entry(path).or_insert_with(|| stamp(path)).clone();
            all.iter().map(|(watched, _)| FileStamps::at(watched, &mut once)).collect()
        };
        all.into_iter().map(|(_, tell)| tell).zip(looks).collect()
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<StampRequest>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn files_of_many_are_looked_at_once_by_one_thread() {
        let watched = Arc::new(WatchedFiles { files: vec!["a".into(), "b".into()], ssh_config: vec!["a".into()] });
        let (batch, looked) = (StampBatch::default(), Cell::new(0));
        for at in 0..20 {
            assert_eq!(batch.add((watched.clone(), oneshot::channel().0)), at == 0, "one thread for all");
        }
        let looks = batch.looks(|_| {
            looked.set(looked.get() + 1);
            None
        });
        assert_eq!((looks.len(), looked.get()), (20, 2));
    }
}
