//! The socket bound again where its file was lost: a cleaner of old files removes it, and at logout the folder of the
//! user's runtime files goes. Without a file no client reaches the daemon, and a second one would not find it.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::net::UnixListener;
use tokio::sync::mpsc;
use tunnel_engine::clock;
use tunnel_engine::forward::PathWatcher;
use tunnel_engine::log_limit::LogLimiter;

use super::socket::{BindError, ControlSocket, ControlSocketFile};

/// How often a path is tried at which the socket cannot be bound: its folder comes back at the next login, or the program
/// that has its socket there ends.
const BIND_AGAIN: Duration = Duration::from_secs(5);

/// A socket that is lost again within this time is bound again only after it.
const REBIND_PAUSE: Duration = Duration::from_secs(1);

/// The same trouble is worth a line this often.
const REPEAT_EVERY: Duration = Duration::from_secs(600);

/// The file of the socket that is listened on. Its owner removes it at the end.
pub(super) type SharedFile = Arc<Mutex<ControlSocketFile>>;

/// Gives a listener to `bound` whenever the file of the last one was lost and another one is bound, as long as `file`
/// has an owner. The lost one is listened on until then. While nothing happens this costs nothing.
pub(super) async fn keep(
    file: Weak<Mutex<ControlSocketFile>>,
    watcher: PathWatcher,
    bound: mpsc::Sender<UnixListener>,
) {
    let Some(path) = with(&file, |file| file.path().to_owned()) else { return };
    let mut log = LogLimiter::new(REPEAT_EVERY);
    loop {
        watcher.until(&path, || with(&file, |file| file.lost().is_some()).unwrap_or(true)).await;
        let Some(why) = with(&file, |file| file.lost()).flatten() else { return };
        let lost_at = clock::now();
        if let Some(suppressed) = log.admit(why, lost_at) {
            tracing::warn!(control_socket = %path.display(), suppressed, "no client can reach the control socket: {why}; it is bound again as soon as the path is free");
        }
        let ControlSocket { listener, file: new } = bind(&path, &mut log).await;
        // What is dropped is not the file at the path any more, so nothing is removed.
        if with(&file, |file| *file = new).is_none() {
            return;
        }
        match UnixListener::from_std(listener) {
            Ok(listener) => {
                if bound.send(listener).await.is_err() {
                    return;
                }
                tracing::info!(control_socket = %path.display(), "the control socket is bound again");
            }
            Err(error) => tracing::error!(%error, "cannot answer on the control socket"),
        }
        // A program that removes it again and again does not keep this one busy.
        tokio::time::sleep_until((lost_at + REBIND_PAUSE).into()).await;
    }
}

/// Tries until it is bound.
async fn bind(path: &Path, log: &mut LogLimiter) -> ControlSocket {
    loop {
        let error = match bind_once(path.to_owned()).await {
            Ok(socket) => return socket,
            Err(error) => error.to_string(),
        };
        let now = clock::now();
        if let Some(suppressed) = log.admit(&error, now) {
            tracing::warn!(suppressed, "{error}: no client can reach this daemon, and it goes on trying");
        }
        tokio::time::sleep_until((now + BIND_AGAIN).into()).await;
    }
}

/// On another thread: it waits for the folder's lock.
async fn bind_once(path: PathBuf) -> Result<ControlSocket, BindError> {
    let place = path.clone();
    let bound = tokio::task::spawn_blocking(move || ControlSocket::bind(&place)).await;
    bound.unwrap_or_else(|error| Err(BindError::CannotCreate { path, source: error.into() }))
}

/// `None` where the owner has gone.
fn with<T>(file: &Weak<Mutex<ControlSocketFile>>, act: impl FnOnce(&mut ControlSocketFile) -> T) -> Option<T> {
    let file = file.upgrade()?;
    let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
    Some(act(&mut file))
}
