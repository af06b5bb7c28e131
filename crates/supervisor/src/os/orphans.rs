//! Reaps children that are not ours: PID 1 of a container becomes the parent of every process that loses its own.

use std::future::pending;
use std::io;
use std::os::unix::net::UnixStream as StdStream;
use std::time::Duration;

use signal_hook::SigId;
use signal_hook::consts::SIGCHLD;
use signal_hook::low_level::{pipe, unregister};
use tokio::net::UnixStream;
use tokio_util::task::AbortOnDropHandle;
use tunnel_engine::child::{Orphans, reap_orphans};
use tunnel_engine::{clock, task};

/// A child of ours that has ended hides others from us until its own waiter, which runs on SIGCHLD too, has reaped it.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Signals that are read at once: each is a byte, and one is as good as many.
const SIGNALS: usize = 64;

/// Keeps reaping; dropping it ends that.
#[derive(Debug)]
pub struct Reaper {
    signal: SigId,
    _reaping: AbortOnDropHandle<()>,
}

impl Drop for Reaper {
    fn drop(&mut self) {
        unregister(self.signal);
    }
}

/// Reaps from now on. To be called in a runtime.
///
/// # Errors
/// SIGCHLD cannot be listened to.
pub fn reap() -> io::Result<Reaper> {
    let (ended, write) = StdStream::pair()?;
    ended.set_nonblocking(true)?;
    let ended = UnixStream::from_std(ended)?;
    let signal = pipe::register(SIGCHLD, write)?;
    Ok(Reaper { signal, _reaping: task::owned(run(ended)) })
}

async fn run(ended: UnixStream) {
    // Some may have ended before we listened.
    loop {
        let again = match reap_orphans() {
            Orphans::Reaped => None,
            Orphans::PerhapsMore => Some(clock::now() + LOOK_AGAIN),
        };
        let again = async {
            match again {
                Some(at) => tokio::time::sleep_until(at.into()).await,
                None => pending().await,
            }
        };
        tokio::select! {
            readable = ended.readable() => {
                if readable.is_err() {
                    return;
                }
                while ended.try_read(&mut [0; SIGNALS]).is_ok_and(|read| read > 0) {}
            }
            () = again => {}
        }
    }
}
