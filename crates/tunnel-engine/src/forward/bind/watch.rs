//! Tells that paths may lead elsewhere now: a socket file that was removed, a directory that was moved. The kernel says
//! so (inotify(7)), to one descriptor for all listeners, because a user has few of them; while nothing happens, this
//! costs nothing.

use std::io;
use std::os::fd::AsFd as _;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use crate::{clock, task};

/// How often [`PathWatcher::until`] looks at a path where the kernel does not tell of changes.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);

/// Changes of any of the watched paths. Cloning gives the same one.
#[derive(Clone)]
pub struct PathWatcher(Arc<WatchShared>);

struct WatchShared {
    changes: watch::Sender<u64>,
    /// Made for the first path; `None` when the kernel gave none.
    kernel: OnceLock<Option<Kernel>>,
}

struct Kernel {
    inotify: Inotify,
    _task: AbortOnDropHandle<()>,
}

/// What is read at once. What the events say is of no interest: each listener looks at its own path.
const BUFFER: usize = 4096;

impl Default for PathWatcher {
    fn default() -> Self {
        Self(Arc::new(WatchShared { changes: watch::Sender::new(0), kernel: OnceLock::new() }))
    }
}

impl PathWatcher {
    /// Returns once `condition` holds, which is asked now, and again whenever `path` may lead elsewhere.
    pub async fn until(&self, path: &Path, mut condition: impl FnMut() -> bool) {
        let mut changes = self.changes();
        loop {
            // Before the question: what happens after it is told.
            let watched = self.watch(path);
            if condition() {
                return;
            }
            let told = watched.is_ok() && changes.changed().await.is_ok();
            if !told {
                tokio::time::sleep_until((clock::now() + LOOK_INTERVAL).into()).await;
            }
        }
    }

    /// Changes from now on. Each may concern any path: each listener looks at its own.
    pub(in crate::forward) fn changes(&self) -> watch::Receiver<u64> {
        self.0.changes.subscribe()
    }

    /// Watches the file at `path`, and whether the directories above are moved or removed. It ends with the file.
    ///
    /// # Errors
    /// The kernel gives no inotify descriptor, or no more watches (fs.inotify.max_user_instances, max_user_watches).
    pub(in crate::forward) fn watch(&self, path: &Path) -> io::Result<()> {
        let kernel = self.0.kernel.get_or_init(|| start(self.0.changes.clone()).ok());
        let inotify = &kernel.as_ref().ok_or(io::ErrorKind::Unsupported)?.inotify;
        let moved = AddWatchFlags::IN_MOVE_SELF | AddWatchFlags::IN_DELETE_SELF;
        // The socket holds its file's inode, so the end of the name shows as a changed count of links.
        let unlinked = moved | AddWatchFlags::IN_ATTRIB | AddWatchFlags::IN_DONT_FOLLOW;
        inotify.add_watch(path, unlinked)?;
        for above in path.ancestors().skip(1).filter(|above| !above.as_os_str().is_empty()) {
            for flags in [moved, moved | AddWatchFlags::IN_DONT_FOLLOW] {
                // One that we may not read can only be moved by others whom it belongs to.
                let _ = inotify.add_watch(above, flags);
            }
        }
        Ok(())
    }
}

fn start(changes: watch::Sender<u64>) -> io::Result<Kernel> {
    let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)?;
    // tokio has no type for it; of this one, nothing is used but that it reads.
    let events = pipe::Receiver::from_owned_fd_unchecked(inotify.as_fd().try_clone_to_owned()?)?;
    Ok(Kernel { inotify, _task: task::owned(forward_events(events, changes)) })
}

async fn forward_events(mut events: pipe::Receiver, changes: watch::Sender<u64>) {
    let mut buffer = [0; BUFFER];
    while events.read(&mut buffer).await.is_ok() {
        changes.send_modify(|count| *count = count.wrapping_add(1));
    }
    tracing::warn!("the kernel tells no more of removed socket files");
}
