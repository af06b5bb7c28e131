//! `-M`: a line of text on its way round, through the session's own forwards and back. autossh's wire and timing, so
//! that either end of an old pair may be this program, against any sshd.
//!
//! ```text
//! loop:  connect p ─► local forward p ─► server's p ─► remote forward p ─► our listener on p + 1
//! echo:  connect p ─► local forward p ─► server's echo port ─► back on the same connection
//! ```

mod exchange;
pub(super) mod fuzzing;
mod message;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket};
use tunnel_engine::spec::{Bind, Connect, Forward, ForwardKind, Listen};

use super::log::{Log, reason};
use super::monitor_port::MonitorPort;
use crate::tunnel::{ForwardState, ForwardView};
pub(super) use message::MessageForm;

/// How many [`forwards`] makes.
const LOOP_FORWARDS: usize = 2;
/// The same with an echo port.
const ECHO_FORWARDS: usize = 1;

/// autossh keeps one, and answers one at a time.
const BACKLOG: u32 = 1;

/// Watches the data path of one tunnel.
pub(super) struct Monitor {
    port: u16,
    /// On p + 1; `None` in echo mode.
    listener: Option<TcpListener>,
    net_timeout: Duration,
    words: MessageForm,
    log: Arc<Log>,
}

/// The read side cannot listen.
#[derive(Debug, thiserror::Error)]
#[error("bind on 127.0.0.1:{port}: {}", reason(source))]
pub(super) struct MonitorBindError {
    port: u16,
    source: io::Error,
}

impl Monitor {
    /// Listens where it has to, for as long as it lives. `None`: there is nothing to watch with.
    pub(super) fn bind(
        port: MonitorPort,
        net_timeout: Duration,
        words: MessageForm,
        log: Arc<Log>,
    ) -> Result<Option<Self>, MonitorBindError> {
        let (port, listener) = match port {
            MonitorPort::Off => return Ok(None),
            MonitorPort::Loop { port } => {
                let read = port.saturating_add(1);
                let listener = listen(read).map_err(|source| MonitorBindError { port: read, source })?;
                (port, Some(listener))
            }
            MonitorPort::Echo { port, .. } => (port, None),
        };
        Ok(Some(Self { port, listener, net_timeout, words, log }))
    }

    /// One of its own forwards, the first ones of the tunnel, could not be set up: most often another client has the port on
    /// the server. A line would go astray, and say nothing about the session.
    pub(super) fn is_cut(&self, forwards: &[ForwardView]) -> bool {
        let own = if self.listener.is_some() { LOOP_FORWARDS } else { ECHO_FORWARDS };
        forwards.iter().take(own).any(|forward| matches!(forward.state, ForwardState::Down(_)))
    }

    /// Whether a line came back. Says why not.
    pub(super) async fn test(&self) -> bool {
        let line = self.words.line(fastrand::u32(..=i32::MAX.unsigned_abs()));
        let passed = match &self.listener {
            Some(listener) => exchange::around(self.port, listener, &line, self.net_timeout, &self.log).await,
            None => exchange::echo(self.port, &line, self.net_timeout, &self.log).await,
        };
        if passed {
            self.log.debug("connection ok");
        }
        passed
    }
}

/// The forwards that `-M` adds, which other programs see as any forward of ssh's.
pub(super) fn forwards(port: MonitorPort) -> Vec<Forward> {
    let forward = |kind, listen: u16, connect: u16| Forward {
        kind,
        listen: Listen::Tcp { bind: Bind::Default, port: listen },
        connect: Connect::Tcp { host: Ipv4Addr::LOCALHOST.to_string(), port: connect },
        max_connections: None,
    };
    match port {
        MonitorPort::Off => Vec::new(),
        MonitorPort::Loop { port } => {
            let read = port.saturating_add(1);
            vec![forward(ForwardKind::Local, port, port), forward(ForwardKind::Remote, port, read)]
        }
        MonitorPort::Echo { port, echo } => vec![forward(ForwardKind::Local, port, echo)],
    }
}

fn listen(port: u16) -> io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
    socket.listen(BACKLOG)
}

#[cfg(test)]
mod tests;
