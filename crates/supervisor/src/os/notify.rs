//! Words for the service manager (sd_notify(3)). They go through a thread of their own: the manager's queue is short
//! (ten datagrams by default, shared by the whole machine), and tunnels must not wait for it.

use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use sd_notify::NotifyState;

/// Words that wait at once: more than one reload says. What does not fit is dropped; the next status or watchdog
/// word makes up for it.
const QUEUE: usize = 32;

/// How long one word may wait for room in the manager's queue before it is given up.
const SEND_TIMEOUT: Duration = Duration::from_secs(5);

/// How long the last words (STOPPING=1) may take at the end of the process.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// Speaks to the service manager, or to nobody when there is none.
#[derive(Debug)]
pub struct Notify {
    mouth: Option<Mouth>,
    watchdog: Option<Duration>,
}

#[derive(Debug)]
struct Mouth {
    /// `None` only while it is dropped.
    words: Option<SyncSender<String>>,
    finished: Receiver<()>,
}

impl Notify {
    /// To the socket of `NOTIFY_SOCKET`, if it is set.
    pub fn from_env() -> io::Result<Self> {
        match std::env::var_os("NOTIFY_SOCKET") {
            Some(socket) if !socket.is_empty() => Self::to(socket.into(), sd_notify::watchdog_enabled()),
            _ => Ok(Self::disabled()),
        }
    }

    /// To nobody.
    pub const fn disabled() -> Self {
        Self { mouth: None, watchdog: None }
    }

    fn to(socket: PathBuf, watchdog: Option<Duration>) -> io::Result<Self> {
        let (words, queue) = sync_channel(QUEUE);
        let (done, finished) = sync_channel(0);
        std::thread::Builder::new().name("sd-notify".into()).spawn(move || {
            let _at_end = done;
            speak(&socket, &queue);
        })?;
        Ok(Self { mouth: Some(Mouth { words: Some(words), finished }), watchdog })
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
        let Some(words) = self.mouth.as_ref().and_then(|mouth| mouth.words.as_ref()) else { return };
        let text = state.iter().map(|line| format!("{line}\n")).collect();
        match words.try_send(text) {
            Ok(()) => {}
            Err(TrySendError::Full(text)) => tracing::warn!(text, "the service manager does not read"),
            Err(TrySendError::Disconnected(_)) => {}
        }
    }
}

impl Drop for Mouth {
    fn drop(&mut self) {
        drop(self.words.take());
        // The answer is always an error: time is up, or the thread has ended and dropped its side.
        let _ = self.finished.recv_timeout(FLUSH_TIMEOUT);
    }
}

fn speak(socket: &std::path::Path, words: &Receiver<String>) {
    for text in words {
        if let Err(error) = send(socket, &text) {
            tracing::warn!(%error, socket = %socket.display(), "cannot tell the service manager");
        }
    }
}

/// Connects each time: the manager may have been replaced behind the same name.
fn send(socket: &std::path::Path, text: &str) -> io::Result<()> {
    let datagram = UnixDatagram::unbound()?;
    datagram.set_write_timeout(Some(SEND_TIMEOUT))?;
    match abstract_name(socket) {
        Some(name) => {
            use std::os::linux::net::SocketAddrExt;
            datagram.connect_addr(&std::os::unix::net::SocketAddr::from_abstract_name(name)?)?;
        }
        None => datagram.connect(socket)?,
    }
    datagram.send(text.as_bytes()).map(drop)
}

/// `@name` stands for a socket without a file (sd_notify(3)).
fn abstract_name(socket: &std::path::Path) -> Option<&[u8]> {
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
        for _ in 0..QUEUE * 4 {
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
