//! Words for the service manager (sd_notify(3)). They go through a thread of their own: the manager's queue is short
//! (ten datagrams by default, shared by the whole machine), and tunnels must not wait for it.

use std::io::{self, IoSlice};
use std::os::fd::{AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nix::sys::socket::{ControlMessage, MsgFlags, UnixAddr, sendmsg};
use sd_notify::NotifyState;
use tunnel_engine::clock;
use tunnel_engine::log_limit::LogLimiter;

/// Words that wait at once: twice the listeners that the unit lets us store, each with a word of its own at the start.
/// What does not fit is dropped: the next status or watchdog word makes up for it, and a listener is bound anew.
const MAX_WAITING: usize = 8192;

/// How long one word may wait for room in the manager's queue before it is given up.
const SEND_TIMEOUT: Duration = Duration::from_secs(5);

/// STATUS= is for people: at most once in this time, the newest text.
const STATUS_INTERVAL: Duration = Duration::from_secs(1);

/// When a STATUS= that could not be sent is tried again.
const STATUS_RETRY: Duration = Duration::from_secs(60);

/// How often it is logged that the manager does not read.
const LOG_INTERVAL: Duration = Duration::from_secs(600);

/// How long the last words (STOPPING=1) may take at the end of the process.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// Notifies the service manager; does nothing when there is none.
#[derive(Debug)]
pub struct Notify {
    words: NotifySender,
    watchdog: Option<Duration>,
    /// `None` without a service manager.
    finished: Option<Receiver<()>>,
}

/// The way for words to the thread that speaks.
#[derive(Debug, Clone)]
struct NotifySender {
    queue: Option<Sender<NotifyMessage>>,
    shared: Arc<NotifyShared>,
}

/// What both ends of the queue look at.
#[derive(Debug)]
struct NotifyShared {
    /// In the queue.
    waiting: AtomicUsize,
    /// The newest text of STATUS= that was not sent yet.
    status: Mutex<Option<String>>,
    log: Mutex<LogLimiter>,
}

impl Default for NotifyShared {
    fn default() -> Self {
        let log = Mutex::new(LogLimiter::new(LOG_INTERVAL));
        Self { waiting: AtomicUsize::new(0), status: Mutex::default(), log }
    }
}

impl NotifyShared {
    fn status(&self) -> MutexGuard<'_, Option<String>> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many such lines were left out before this one; `None`: this one is left out, too.
    fn admit(&self, event: &str) -> Option<u64> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).admit(event, clock::now())
    }
}

#[derive(Debug)]
enum NotifyMessage {
    Say(String, Option<OwnedFd>),
    /// There is another text in [`NotifyShared::status`].
    Status,
    /// Nothing follows.
    End,
}

/// Hands listening sockets to the service manager, and takes them back from it.
#[derive(Debug, Clone)]
pub struct FdStore(NotifySender);

impl Notify {
    /// To the socket of `NOTIFY_SOCKET`, if it is set.
    pub fn from_env() -> io::Result<Self> {
        match std::env::var_os("NOTIFY_SOCKET") {
            Some(socket) if !socket.is_empty() => Self::to(socket.into(), sd_notify::watchdog_enabled()),
            _ => Ok(Self::disabled()),
        }
    }

    /// For a process without a service manager.
    pub fn disabled() -> Self {
        Self { words: NotifySender { queue: None, shared: Arc::default() }, watchdog: None, finished: None }
    }

    fn to(socket: PathBuf, watchdog: Option<Duration>) -> io::Result<Self> {
        let (queue, words) = channel();
        let shared = Arc::<NotifyShared>::default();
        let (done, finished) = sync_channel(0);
        let speaker = Speaker::new(socket, shared.clone());
        std::thread::Builder::new().name("sd-notify".into()).spawn(move || {
            let _at_end = done;
            speaker.speak(&words);
        })?;
        Ok(Self { words: NotifySender { queue: Some(queue), shared }, watchdog, finished: Some(finished) })
    }

    /// The manager's store of sockets; `None` where there is no manager.
    pub fn fd_store(&self) -> Option<FdStore> {
        self.words.queue.is_some().then(|| FdStore(self.words.clone()))
    }

    /// READY=1: the config is valid, the listeners are bound, the control socket answers. Also ends a reload.
    pub fn ready(&self) {
        self.send(&[NotifyState::Ready]);
    }

    /// RELOADING=1 with the time of now. Each is followed by one [`Self::ready`].
    pub fn reloading(&self) {
        match NotifyState::monotonic_usec_now() {
            Ok(now) => self.send(&[NotifyState::Reloading, now]),
            Err(error) => tracing::error!(%error, "cannot read the monotonic clock"),
        }
    }

    /// STOPPING=1. The manager waits for `within` at least, whatever its own limit (`TimeoutStopSec=`).
    pub fn stopping(&self, within: Duration) {
        let within = u32::try_from(within.as_micros()).unwrap_or(u32::MAX);
        self.send(&[NotifyState::Stopping, NotifyState::ExtendTimeoutUsec(within)]);
    }

    /// STATUS=: one line for people, sent when it differs from the last one and a second has passed since.
    pub fn status(&self, text: &str) {
        self.words.status(text.replace(['\n', '\r'], " "));
    }

    /// WATCHDOG=1: everything that must answer did.
    pub fn watchdog(&self) {
        self.send(&[NotifyState::Watchdog]);
    }

    /// How often [`Self::watchdog`] must be called: half of what the manager allows. `None`: it does not watch.
    pub fn watchdog_interval(&self) -> Option<Duration> {
        self.watchdog.map(|limit| limit / 2)
    }

    fn send(&self, state: &[NotifyState<'_>]) {
        self.words.send(state, None);
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
            Ok(socket) => self.0.send(&[NotifyState::FdStore, NotifyState::FdName(name)], Some(socket)),
            Err(error) => tracing::warn!(%error, name, "cannot hand a listener to the service manager"),
        }
    }

    /// FDSTOREREMOVE=1: the manager drops what it keeps by this name.
    pub fn remove(&self, name: &str) {
        self.0.send(&[NotifyState::FdStoreRemove, NotifyState::FdName(name)], None);
    }
}

impl NotifySender {
    fn send(&self, state: &[NotifyState<'_>], socket: Option<OwnedFd>) {
        let Some(queue) = &self.queue else { return };
        let text: String = state.iter().map(|line| format!("{line}\n")).collect();
        if self.shared.waiting.fetch_add(1, Ordering::Relaxed) >= MAX_WAITING {
            self.shared.waiting.fetch_sub(1, Ordering::Relaxed);
            if let Some(suppressed) = self.shared.admit("full") {
                let word = text.lines().next();
                tracing::warn!(word, suppressed, "the service manager does not read: what it should hear is dropped");
            }
            return;
        }
        // Fails when the thread has ended: there is no receiver.
        let _ = queue.send(NotifyMessage::Say(text, socket));
    }

    fn status(&self, text: String) {
        let Some(queue) = &self.queue else { return };
        if self.shared.status().replace(text).is_none() {
            // Fails when the thread has ended: there is no receiver.
            let _ = queue.send(NotifyMessage::Status);
        }
    }

    fn end(&self) {
        let _ = self.queue.as_ref().map(|queue| queue.send(NotifyMessage::End));
    }
}

/// The thread's end.
struct Speaker {
    socket: PathBuf,
    shared: Arc<NotifyShared>,
    /// The last STATUS= that was sent, and when the next may be.
    said: Option<String>,
    not_before: Instant,
    /// The last word could not be sent.
    failing: bool,
}

impl Speaker {
    fn new(socket: PathBuf, shared: Arc<NotifyShared>) -> Self {
        Self { socket, shared, said: None, not_before: clock::now(), failing: false }
    }

    fn speak(mut self, words: &Receiver<NotifyMessage>) {
        let mut status_waits = false;
        loop {
            let word = if status_waits {
                words.recv_timeout(self.not_before.saturating_duration_since(clock::now()))
            } else {
                words.recv().map_err(|_| RecvTimeoutError::Disconnected)
            };
            match word {
                Ok(NotifyMessage::Say(text, fd)) => {
                    self.shared.waiting.fetch_sub(1, Ordering::Relaxed);
                    self.send(&text, fd.as_ref());
                }
                Ok(NotifyMessage::Status) => status_waits = true,
                Ok(NotifyMessage::End) | Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {}
            }
            if status_waits && self.not_before <= clock::now() {
                status_waits = self.send_status();
            }
        }
    }

    /// Whether there is still one to be sent.
    fn send_status(&mut self) -> bool {
        let Some(text) = self.shared.status().take() else { return false };
        if self.said.as_ref() == Some(&text) {
            return false;
        }
        if self.send(&format!("{}\n", NotifyState::Status(&text)), None) {
            self.said = Some(text);
            self.not_before = clock::now() + STATUS_INTERVAL;
            return false;
        }
        // A newer text has sent its word already.
        self.shared.status().get_or_insert(text);
        self.not_before = clock::now() + STATUS_RETRY;
        true
    }

    fn send(&mut self, text: &str, fd: Option<&OwnedFd>) -> bool {
        let failed = send(&self.socket, text, fd).err();
        let failed_before = std::mem::replace(&mut self.failing, failed.is_some());
        let socket = self.socket.display();
        match failed {
            Some(error) => {
                if let Some(suppressed) = self.shared.admit("send") {
                    tracing::warn!(%error, %socket, suppressed, "cannot tell the service manager");
                }
                false
            }
            None => {
                if failed_before && let Some(suppressed) = self.shared.admit("again") {
                    tracing::info!(%socket, suppressed, "the service manager reads again");
                }
                true
            }
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
    fn service_manager_gets_every_message_in_order() {
        let (_dir, socket, path) = manager();
        let notify = Notify::to(path, Some(Duration::from_secs(2))).unwrap();
        notify.ready();
        notify.reloading();
        notify.status("1/2 up\nsecond line");
        notify.watchdog();
        notify.stopping(Duration::from_secs(65));
        assert_eq!(notify.watchdog_interval(), Some(Duration::from_secs(1)));
        drop(notify);
        assert_eq!(hear(&socket), "READY=1\n");
        assert!(hear(&socket).starts_with("RELOADING=1\nMONOTONIC_USEC="));
        assert_eq!(hear(&socket), "STATUS=1/2 up second line\n");
        assert_eq!(hear(&socket), "WATCHDOG=1\n");
        assert_eq!(hear(&socket), "STOPPING=1\nEXTEND_TIMEOUT_USEC=65000000\n");
    }

    #[test]
    fn same_status_is_sent_once_and_newest_wins() {
        let (_dir, socket, path) = manager();
        let notify = Notify::to(path, None).unwrap();
        notify.status("1/2 ready");
        let begun = clock::now();
        assert_eq!(hear(&socket), "STATUS=1/2 ready\n");
        for _ in 0..1000 {
            notify.status("0/2 ready");
            notify.status("1/2 ready");
        }
        notify.status("2/2 ready");
        // More than one text only where this thread was held up for longer than the interval.
        let texts = std::iter::from_fn(|| Some(hear(&socket))).position(|text| text == "STATUS=2/2 ready\n").unwrap();
        assert!(
            texts as u64 <= clock::now().duration_since(begun).as_secs() / STATUS_INTERVAL.as_secs(),
            "{texts} texts"
        );
        notify.status("2/2 ready");
        notify.watchdog();
        assert_eq!(hear(&socket), "WATCHDOG=1\n");
    }

    #[test]
    fn service_manager_that_does_not_read_blocks_no_caller() {
        let (_dir, _socket, path) = manager();
        let notify = Notify::to(path, None).unwrap();
        for _ in 0..MAX_WAITING * 2 {
            notify.watchdog();
        }
    }

    #[test]
    fn notify_without_a_socket_does_nothing() {
        let notify = Notify::disabled();
        notify.ready();
        assert_eq!(notify.watchdog_interval(), None);
    }
}
