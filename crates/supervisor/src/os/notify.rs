//! Words for the service manager (sd_notify(3)). They go through a thread of their own: the manager's queue is short
//! (ten datagrams by default, shared by the whole machine), and tunnels must not wait for it.

use std::io::{self, IoSlice};
use std::os::fd::{AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel, sync_channel};
use std::time::Duration;

use nix::sys::socket::{ControlMessage, MsgFlags, UnixAddr, sendmsg};
use sd_notify::NotifyState;

/// Words that wait at once: twice the listeners that the unit lets us store, each with a word of its own at the start.
/// What does not fit is dropped: the next status or watchdog word makes up for it, and a listener is bound anew.
const MAX_WAITING: usize = 8192;

/// How long one word may wait for room in the manager's queue before it is given up.
const SEND_TIMEOUT: Duration = Duration::from_secs(5);

/// How long the last words (STOPPING=1) may take at the end of the process.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// Speaks to the service manager, or to nobody when there is none.
#[derive(Debug)]
pub struct Notify {
    words: Words,
    watchdog: Option<Duration>,
    /// `None` when nobody listens.
    finished: Option<Receiver<()>>,
}

/// The way for words to the thread that speaks.
#[derive(Debug, Clone)]
struct Words {
    queue: Option<Sender<Word>>,
    waiting: Arc<AtomicUsize>,
}

#[derive(Debug)]
enum Word {
    Say(String, Option<OwnedFd>),
    /// Nothing follows.
    End,
}

/// Hands listening sockets to the service manager, and takes them back from it.
#[derive(Debug, Clone)]
pub struct FdStore(Words);

impl Notify {
    /// To the socket of `NOTIFY_SOCKET`, if it is set.
    pub fn from_env() -> io::Result<Self> {
        match std::env::var_os("NOTIFY_SOCKET") {
            Some(socket) if !socket.is_empty() => Self::to(socket.into(), sd_notify::watchdog_enabled()),
            _ => Ok(Self::disabled()),
        }
    }

    /// To nobody.
    pub fn disabled() -> Self {
        Self { words: Words { queue: None, waiting: Arc::default() }, watchdog: None, finished: None }
    }

    fn to(socket: PathBuf, watchdog: Option<Duration>) -> io::Result<Self> {
        let (queue, words) = channel();
        let waiting = Arc::<AtomicUsize>::default();
        let (done, finished) = sync_channel(0);
        let count = waiting.clone();
        std::thread::Builder::new().name("sd-notify".into()).spawn(move || {
            let _at_end = done;
            speak(&socket, &words, &count);
        })?;
        Ok(Self { words: Words { queue: Some(queue), waiting }, watchdog, finished: Some(finished) })
    }

    /// The manager's store of sockets; `None` where there is no manager.
    pub fn fd_store(&self) -> Option<FdStore> {
        self.words.queue.is_some().then(|| FdStore(self.words.clone()))
    }

    /// READY=1: the config is valid, the listeners are bound, the control socket answers. Also ends a reload.
    pub fn ready(&self) {
        self.say(&[NotifyState::Ready]);
    }

    /// RELOADING=1 with the time of now. Each is followed by one [`Self::ready`].
    pub fn reloading(&self) {
        match NotifyState::monotonic_usec_now() {
            Ok(now) => self.say(&[NotifyState::Reloading, now]),
            Err(error) => tracing::error!(%error, "cannot read the monotonic clock"),
        }
    }

    /// STOPPING=1.
    pub fn stopping(&self) {
        self.say(&[NotifyState::Stopping]);
    }

    /// STATUS=: one line for people.
    pub fn status(&self, text: &str) {
        self.say(&[NotifyState::Status(&text.replace(['\n', '\r'], " "))]);
    }

    /// WATCHDOG=1: everything that must answer did.
    pub fn watchdog(&self) {
        self.say(&[NotifyState::Watchdog]);
    }

    /// How often [`Self::watchdog`] must be called: half of what the manager allows. `None`: it does not watch.
    pub fn watchdog_interval(&self) -> Option<Duration> {
        self.watchdog.map(|limit| limit / 2)
    }

    fn say(&self, state: &[NotifyState<'_>]) {
        self.words.say(state, None);
    }
}

impl Drop for Notify {
    fn drop(&mut self) {
        self.words.end();
        // The answer is always an error: time is up, or the thread has ended and dropped its side.
        let _ = self.finished.take().map(|finished| finished.recv_timeout(FLUSH_TIMEOUT));
    }
}

impl FdStore {
    /// FDSTORE=1: the manager keeps a duplicate, and gives it to the next process of this service by this name.
    pub fn store(&self, name: &str, socket: BorrowedFd<'_>) {
        match socket.try_clone_to_owned() {
            Ok(socket) => self.0.say(&[NotifyState::FdStore, NotifyState::FdName(name)], Some(socket)),
            Err(error) => tracing::warn!(%error, name, "cannot hand a listener to the service manager"),
        }
    }

    /// FDSTOREREMOVE=1: the manager drops what it keeps by this name.
    pub fn remove(&self, name: &str) {
        self.0.say(&[NotifyState::FdStoreRemove, NotifyState::FdName(name)], None);
    }
}

impl Words {
    fn say(&self, state: &[NotifyState<'_>], socket: Option<OwnedFd>) {
        let Some(queue) = &self.queue else { return };
        let text: String = state.iter().map(|line| format!("{line}\n")).collect();
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= MAX_WAITING {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            tracing::warn!(text, "the service manager does not read");
            return;
        }
        // Fails when the thread has ended, with nobody to hear it.
        let _ = queue.send(Word::Say(text, socket));
    }

    fn end(&self) {
        let _ = self.queue.as_ref().map(|queue| queue.send(Word::End));
    }
}

fn speak(socket: &Path, words: &Receiver<Word>, waiting: &AtomicUsize) {
    for word in words {
        let Word::Say(text, fd) = word else { return };
        waiting.fetch_sub(1, Ordering::Relaxed);
        if let Err(error) = send(socket, &text, fd.as_ref()) {
            tracing::warn!(%error, socket = %socket.display(), "cannot tell the service manager");
        }
    }
}

/// Connects each time: the manager may have been replaced behind the same name.
fn send(socket: &Path, text: &str, fd: Option<&OwnedFd>) -> io::Result<()> {
    let datagram = UnixDatagram::unbound()?;
    datagram.set_write_timeout(Some(SEND_TIMEOUT))?;
    match abstract_name(socket) {
        Some(name) => {
            use std::os::linux::net::SocketAddrExt;
            datagram.connect_addr(&std::os::unix::net::SocketAddr::from_abstract_name(name)?)?;
        }
        None => datagram.connect(socket)?,
    }
    let Some(fd) = fd else { return datagram.send(text.as_bytes()).map(drop) };
    let (text, fds) = ([IoSlice::new(text.as_bytes())], [fd.as_raw_fd()]);
    let rights = [ControlMessage::ScmRights(&fds)];
    sendmsg::<UnixAddr>(datagram.as_raw_fd(), &text, &rights, MsgFlags::MSG_NOSIGNAL, None)?;
    Ok(())
}

/// `@name` stands for a socket without a file (sd_notify(3)).
fn abstract_name(socket: &Path) -> Option<&[u8]> {
    use std::os::unix::ffi::OsStrExt;
    socket.as_os_str().as_bytes().strip_prefix(b"@")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manager() -> (tempfile::TempDir, UnixDatagram, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        (dir, socket, path)
    }

    fn hear(socket: &UnixDatagram) -> String {
        let mut buffer = [0; 1024];
        let length = socket.recv(&mut buffer).unwrap();
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    }

    #[test]
    fn the_manager_hears_every_word_in_order_and_the_last_before_the_end() {
        let (_dir, socket, path) = manager();
        let notify = Notify::to(path, Some(Duration::from_secs(2))).unwrap();
        notify.ready();
        notify.reloading();
        notify.status("1/2 up\nsecond line");
        notify.watchdog();
        notify.stopping();
        assert_eq!(notify.watchdog_interval(), Some(Duration::from_secs(1)));
        drop(notify);
        assert_eq!(hear(&socket), "READY=1\n");
        assert!(hear(&socket).starts_with("RELOADING=1\nMONOTONIC_USEC="));
        assert_eq!(hear(&socket), "STATUS=1/2 up second line\n");
        assert_eq!(hear(&socket), "WATCHDOG=1\n");
        assert_eq!(hear(&socket), "STOPPING=1\n");
    }

    #[test]
    fn a_manager_that_does_not_read_holds_nobody_up() {
        let (_dir, _socket, path) = manager();
        let notify = Notify::to(path, None).unwrap();
        for _ in 0..MAX_WAITING * 2 {
            notify.watchdog();
        }
    }

    #[test]
    fn nobody_listens_without_a_socket() {
        let notify = Notify::disabled();
        notify.ready();
        assert_eq!(notify.watchdog_interval(), None);
    }
}
