//! What the modes share: servers, a target, and ports and sockets that are not as they should be.

use std::net::TcpListener;
use std::os::unix::net::{UnixDatagram, UnixListener};

use support::net::{Service, Target, free_port};
use support::notify::Notify;
use support::{Sshd, daemon::tunnel_toml};
use tempfile::TempDir;

/// The servers and the rest. Dropping it ends them.
pub(crate) struct Place {
    /// Takes every login.
    pub(crate) sshd: Sshd,
    /// Another one.
    pub(crate) second: Sshd,
    /// What forwards lead to.
    pub(crate) echo: Target,
    /// A port that another program holds, here and, the server being here too, on the server.
    pub(crate) busy: TcpListener,
    /// A port without a listener.
    pub(crate) nowhere: u16,
    /// A service manager that does not read.
    pub(crate) unread: Notify,
    /// On the path `target`: no user connects to it.
    _target: UnixListener,
    dir: TempDir,
}

impl Place {
    /// Starts them.
    pub(crate) fn new() -> Self {
        // All modes log in at once.
        let many = "MaxStartups 200:30:400\nMaxSessions 100";
        let dir = tempfile::tempdir().expect("a temporary folder");
        Self {
            sshd: Sshd::with_config(many),
            second: Sshd::with_config(many),
            echo: Target::start(Service::Echo),
            busy: TcpListener::bind(("127.0.0.1", 0)).expect("a port on loopback"),
            nowhere: free_port(),
            unread: Notify::bind(),
            _target: UnixListener::bind(dir.path().join("target")).expect("a socket"),
            dir,
        }
    }

    /// The port of [`Place::busy`].
    pub(crate) fn busy_port(&self) -> u16 {
        self.busy.local_addr().expect("a bound listener has an address").port()
    }

    /// The socket of a service manager that reads what it is sent.
    pub(crate) fn read(&self) -> String {
        let path = self.path("manager");
        let socket = UnixDatagram::bind(&path).expect("a socket");
        std::thread::spawn(move || while socket.recv(&mut [0; 8192]).is_ok() {});
        path
    }

    /// A path for a socket.
    pub(crate) fn path(&self, name: &str) -> String {
        self.dir.path().join(name).display().to_string()
    }

    /// A tunnel to the first server.
    pub(crate) fn tunnel(&self, lines: &str) -> String {
        self.named("t", lines)
    }

    /// The same with a name of its own.
    pub(crate) fn named(&self, name: &str, lines: &str) -> String {
        tunnel_toml(name, &self.sshd, lines)
    }

    /// `-L` in one line, to the target.
    pub(crate) fn local(&self) -> String {
        format!("local_forward = [\"{}:127.0.0.1:{}\"]", free_port(), self.echo.port)
    }

    /// `-R` in one line, to the target.
    pub(crate) fn remote(&self) -> String {
        format!("remote_forward = [\"{}:127.0.0.1:{}\"]", free_port(), self.echo.port)
    }
}
