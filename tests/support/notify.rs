//! A stand-in for systemd's end of NOTIFY_SOCKET, its store of sockets included.

use std::cell::RefCell;
use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use tempfile::TempDir;

use crate::patience::PATIENCE;

/// A notify socket that remembers everything.
pub struct Notify {
    socket: UnixDatagram,
    path: PathBuf,
    store: RefCell<Vec<Stored>>,
    _dir: TempDir,
}

/// A socket in the store.
pub struct Stored {
    /// FDNAME, or what a socket unit calls it.
    pub name: String,
    /// A duplicate of what was sent.
    pub socket: OwnedFd,
}

impl Notify {
    /// Binds it in a folder of its own.
    pub fn bind() -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = dir.path().join("notify");
        let socket = UnixDatagram::bind(&path).expect("a datagram socket");
        socket.set_read_timeout(Some(PATIENCE)).expect("a read timeout");
        Self { socket, path, store: RefCell::default(), _dir: dir }
    }

    /// The value of NOTIFY_SOCKET.
    pub fn path(&self) -> String {
        self.path.display().to_string()
    }

    /// Reads messages until a line starts with `wanted`; gives all lines up to there.
    #[track_caller]
    pub fn until(&self, wanted: &str) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            let message = self.receive().unwrap_or_else(|e| panic!("no {wanted} among {lines:?}: {e}"));
            lines.extend(message);
            if lines.iter().any(|line| line.starts_with(wanted)) {
                return lines;
            }
        }
    }

    /// What the store holds after the messages that were read, as the next process would be given it.
    pub fn stored(&self) -> Vec<Stored> {
        let duplicate = |stored: &Stored| {
            let socket = stored.socket.try_clone().expect("a duplicate");
            Stored { name: stored.name.clone(), socket }
        };
        self.store.borrow().iter().map(duplicate).collect()
    }

    /// The names of what the store holds after the messages that were read.
    pub fn names(&self) -> Vec<String> {
        self.store.borrow().iter().map(|stored| stored.name.clone()).collect()
    }

    fn receive(&self) -> rustix::io::Result<Vec<String>> {
        let mut text = [0; 8192];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut rights = RecvAncillaryBuffer::new(&mut space);
        let flags = RecvFlags::CMSG_CLOEXEC;
        let message = recvmsg(&self.socket, &mut [IoSliceMut::new(&mut text)], &mut rights, flags)?;
        let lines: Vec<String> = String::from_utf8_lossy(&text[..message.bytes]).lines().map(str::to_owned).collect();
        let name = || lines.iter().find_map(|line| line.strip_prefix("FDNAME=")).unwrap_or("stored").to_owned();
        if lines.iter().any(|line| line == "FDSTOREREMOVE=1") {
            self.store.borrow_mut().retain(|stored| stored.name != name());
        }
        for message in rights.drain() {
            if let RecvAncillaryMessage::ScmRights(sockets) = message {
                let stored = sockets.map(|socket| Stored { name: name(), socket });
                self.store.borrow_mut().extend(stored);
            }
        }
        Ok(lines)
    }
}
