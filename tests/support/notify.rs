//! A stand-in for systemd's end of NOTIFY_SOCKET.

use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;

use tempfile::TempDir;

use crate::patience::PATIENCE;

/// A notify socket that remembers everything.
pub struct Notify {
    socket: UnixDatagram,
    path: PathBuf,
    _dir: TempDir,
}

impl Notify {
    /// Binds it in a folder of its own.
    pub fn bind() -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = dir.path().join("notify");
        let socket = UnixDatagram::bind(&path).expect("a datagram socket");
        socket.set_read_timeout(Some(PATIENCE)).expect("a read timeout");
        Self { socket, path, _dir: dir }
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
            let mut message = [0; 8192];
            let len = self.socket.recv(&mut message).unwrap_or_else(|e| panic!("no {wanted} among {lines:?}: {e}"));
            lines.extend(String::from_utf8_lossy(&message[..len]).lines().map(str::to_owned));
            if lines.iter().any(|line| line.starts_with(wanted)) {
                return lines;
            }
        }
    }
}
