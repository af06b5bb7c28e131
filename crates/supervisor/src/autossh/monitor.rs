//! `-M`: a line of text on its way round, through the session's own forwards and back. autossh's wire and timing, so
//! that either end of an old pair may be this program, against any sshd.
//!
//! ```text
//! loop:  connect p ─► local forward p ─► server's p ─► remote forward p ─► our listener on p + 1
//! echo:  connect p ─► local forward p ─► server's echo port ─► back on the same connection
//! ```

mod exchange;
pub(super) mod fuzzing;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::watch;
use tunnel_engine::clock;
use tunnel_engine::failure::{Failure, FailureKind};
use tunnel_engine::log_limit::LogLimiter;
use tunnel_engine::spec::{Bind, Connect, Forward, ForwardKind, Listen};

use super::log::{Log, phrases, reason};
use super::monitor_port::MonitorPort;
use crate::lifecycle::Phase;
use crate::tunnel::{ForwardState, Order, OrderSender, TunnelView};

/// How many [`forwards`] makes.
const LOOP_FORWARDS: usize = 2;
/// The same with an echo port.
const ECHO_FORWARDS: usize = 1;

/// That no line is sent is worth another line of the log after this long, and then after ever longer.
const CUT_LOGGED_EVERY: Duration = Duration::from_secs(600);
const LONGEST_SILENCE: Duration = Duration::from_secs(6 * 3600);

/// autossh keeps one, and answers one at a time.
const BACKLOG: u32 = 1;

/// Tests the data path of one tunnel.
pub(super) struct Monitor {
    port: u16,
    /// On p + 1; `None` in echo mode.
    listener: Option<TcpListener>,
    times: MonitorTimes,
    form: MessageForm,
    log: Arc<Log>,
}

/// When the tests are, and how long each step of one may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct MonitorTimes {
    /// From a start to its first test.
    pub(super) first_poll: Duration,
    /// From a test to the next.
    pub(super) poll: Duration,
    pub(super) net_timeout: Duration,
}

/// What stays the same in every line: `HOST PROGRAM PID RANDOM MESSAGE`, ended by CR LF.
#[derive(Debug, Clone)]
pub(super) struct MessageForm {
    pub(super) host: String,
    pub(super) program: String,
    pub(super) pid: u32,
    /// AUTOSSH_MESSAGE.
    pub(super) message: String,
}

impl MessageForm {
    /// The line with this number, which tells it from earlier ones and from those of others.
    fn line(&self, random: u32) -> Vec<u8> {
        let Self { host, program, pid, message } = self;
        format!("{host} {program} {pid} {random} {message}\r\n").into_bytes()
    }
}

/// The read side cannot listen.
#[derive(Debug, thiserror::Error)]
#[error("bind on 127.0.0.1:{port}: {}", reason(source))]
pub(super) struct MonitorBindError {
    port: u16,
    source: io::Error,
}

impl Monitor {
    /// Listens where it has to, for as long as it lives. `None`: no monitor is wanted.
    pub(super) fn bind(
        port: MonitorPort,
        times: MonitorTimes,
        form: MessageForm,
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
        Ok(Some(Self { port, listener, times, form, log }))
    }

    /// Tests the session of each start at its times, until the tunnel ends.
    pub(super) async fn run(self, mut view: watch::Receiver<TunnelView>, orders: OrderSender) {
        loop {
            let start = view.borrow_and_update().starts;
            let tested = view.clone();
            tokio::select! {
                biased;
                next = view.wait_for(|view| view.starts != start) => if next.is_err() {
                    return;
                },
                () = self.watch_start(&tested, &orders) => {}
            }
        }
    }

    /// From a start on, test after test, for ever. While no session is up there is nothing to test: a start that takes
    /// long has a limit of its own.
    async fn watch_start(&self, view: &watch::Receiver<TunnelView>, orders: &OrderSender) {
        let is_up = || view.borrow().phase == Phase::Up;
        let mut next = clock::now() + self.times.first_poll;
        let mut cuts_logged = LogLimiter::new(CUT_LOGGED_EVERY).growing_to(LONGEST_SILENCE);
        loop {
            tokio::time::sleep_until(next.into()).await;
            if is_up() && self.is_cut(&view.borrow()) {
                if cuts_logged.admit((), clock::now()).is_some() {
                    self.log.info(phrases::NO_LOOP);
                }
            } else if is_up() && !self.test().await && is_up() {
                self.log.info(phrases::PORT_DOWN);
                let failure = Failure::new(FailureKind::ProbeFailed, "the monitor's line did not come back").with_hint(
                    "look at what holds the monitor port on the server; `-M 0` with ServerAliveInterval needs none",
                );
                // A queue that is full belongs to a tunnel that is stuck; the next test tries again.
                let _ = orders.order(Order::GiveUp(Box::new(failure)));
            }
            next = clock::now() + self.times.poll;
        }
    }

    /// One of its own forwards, the first ones of the tunnel, could not be set up: most often another client has the port on
    /// the server. A line would be lost, and prove nothing about the session.
    fn is_cut(&self, view: &TunnelView) -> bool {
        let own = if self.listener.is_some() { LOOP_FORWARDS } else { ECHO_FORWARDS };
        view.forwards.iter().take(own).any(|forward| matches!(forward.state, ForwardState::Down(_)))
    }

    /// Whether a line came back. Logs why not.
    async fn test(&self) -> bool {
        let line = self.form.line(fastrand::u32(..=i32::MAX.unsigned_abs()));
        let (listener, limit) = (self.listener.as_ref(), self.times.net_timeout);
        let passed = exchange::passes(self.port, listener, &line, limit, &self.log).await;
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
