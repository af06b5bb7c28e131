//! One SSH session: the transport, and russh for the login, behind one interface. Everything above speaks of sessions, channels
//! as byte streams, forwards and failures, never of russh's types.
//!
//! ```text
//! open ─► banner ─► secure (transport: keys, host key) ─► russh on its clear stream ─► auth ─► Session, without russh
//! Session ─ requests ─► transport ─► server offers ─► arrivals (router) ─► IncomingChannels
//! channel ◄─ bytes ─ transport
//! watchdog ─ looks at the wire ─► liveness: cuts it ─► ending
//!                             └► path: doubt ─► its watchers
//! ```
//!
//! `monitored_link` sees what the kernel knows of the wire, from which a silence is judged.

mod algorithms;
mod answer_wait;
mod answers;
mod arrivals;
mod banner;
mod channel;
mod connections;
mod ending;
mod exec;
mod fault;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod given_up;
mod host_key_proof;
mod incoming;
mod info;
mod known_hosts_update;
mod link;
mod liveness;
mod login;
mod monitored_io;
mod monitored_link;
mod open;
mod opening;
mod path;
mod recorded_link;
mod requests;
mod round_trip;
mod router;
mod scan;
mod server_offers;
mod transport_setup;
mod transport_watcher;
mod tunnel_device;
mod unknown;
mod watchdog;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

pub use algorithms::{SupportedAlgorithms, check_algorithms, supported_algorithms};
pub use channel::{Channel, ChannelGone, ChannelRead, ChannelReader, ChannelWrite, ChannelWriter, Inbound, OpenError};
pub use incoming::{IncomingChannel, IncomingChannels, Originator, RejectReason, RemoteListen};
pub use info::{SessionInfo, is_post_quantum};
pub use path::{Doubt, Path};
pub(crate) use scan::next_host_key;
pub use tunnel_device::{DeviceChannel, DeviceError, PacketOutcome};

use crate::failure::{Failure, FailureKind};
pub use crate::link::JumpHostInfo;
use crate::link::{Dialer, TcpStatus};
use crate::spec::{Connect, Listen, SessionSpec};
use known_hosts_update::KnownHostsFollower;
use requests::Requests;

/// How long [`Session::close`] waits for the goodbye to go out.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// An authenticated SSH session. A cheap handle: clones speak of the same session, and the session ends when
/// the last one is dropped or [`Session::close`] is called.
#[derive(Clone)]
pub struct Session {
    alive: Arc<Alive>,
}

/// What ends with the last handle.
struct Alive {
    info: SessionInfo,
    line: Arc<Requests>,
    _watchdog: AbortOnDropHandle<()>,
    /// Where known_hosts follows the server's host keys.
    follow: Option<KnownHostsFollower>,
}

/// Purpose of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Role {
    /// Carries forwards.
    #[default]
    Tunnel,
    /// Carries another session to the server behind it, whose keepalive proves both.
    JumpHost,
}

impl Session {
    /// Whether this is a handle to the same session.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.alive, &other.alive)
    }

    /// Dials, exchanges keys, checks the host key, authenticates: all before one absolute deadline,
    /// `spec.timing.connect_timeout` from now.
    ///
    /// # Errors
    /// One [`Failure`] that says which of these failed, why, and what to do.
    /// Dropping the future ends the attempt and leaves no task and no socket behind.
    pub async fn open(spec: &SessionSpec, dialer: &dyn Dialer) -> Result<(Self, IncomingChannels), Failure> {
        Self::open_as(spec, dialer, Role::Tunnel).await
    }

    /// [`Session::open`] for a session in another role: the dialer's, for jump hosts.
    ///
    /// # Errors
    /// As [`Session::open`].
    pub async fn open_as(
        spec: &SessionSpec,
        dialer: &dyn Dialer,
        role: Role,
    ) -> Result<(Self, IncomingChannels), Failure> {
        open::open(spec, dialer, role).await
    }

    /// What was negotiated, and with whom.
    pub fn info(&self) -> &SessionInfo {
        &self.alive.info
    }

    /// Opens a channel to `target` from the server (direct-tcpip, direct-streamlocal). `origin` is the peer's
    /// address, as the server is told. Dropping the future gives the open up: when the server confirms it later,
    /// the channel is closed at once.
    ///
    /// # Errors
    /// The server's refusal; [`OpenError::Timeout`] after two minutes. [`Connect::Socks`] is no target.
    pub async fn open_direct(&self, target: &Connect, origin: &Originator) -> Result<Channel, OpenError> {
        self.line().open_direct(target, origin).await
    }

    /// Asks the server to listen (tcpip-forward, streamlocal-forward). Gives the port it listens on, which is the
    /// server's choice where `listen` has port 0, and `None` for a unix socket. A connection that the server hands
    /// over before its answer is kept, and comes with the [`IncomingChannels`] after the answer.
    ///
    /// # Errors
    /// The server's refusal, or none of its answers within 20 s: a yes that comes later is taken back.
    pub async fn request_forward(&self, listen: &Listen) -> Result<Option<u16>, ForwardError> {
        self.line().request_forward(listen, |_| {}).await
    }

    /// As [`Session::request_forward`]; `granted` is called with the real port before the first connection on the
    /// new listener is handed over, so that a route can be there when it comes.
    ///
    /// # Errors
    /// As [`Session::request_forward`].
    pub async fn request_forward_then(
        &self,
        listen: &Listen,
        granted: impl FnOnce(Option<u16>) + Send + 'static,
    ) -> Result<Option<u16>, ForwardError> {
        self.line().request_forward(listen, granted).await
    }

    /// Takes a remote listener back. `listen` must name the real port.
    ///
    /// # Errors
    /// The server's refusal, or none of its answers within 20 s.
    pub async fn cancel_forward(&self, listen: &Listen) -> Result<(), ForwardError> {
        self.line().cancel_forward(listen).await
    }

    /// Runs a command on the server (RFC 4254 section 6.5): the channel is its input and its output, its errors are
    /// left out. It lives until the channel is closed or dropped. A server that refuses the command closes the channel.
    ///
    /// # Errors
    /// The server's refusal to open a session channel, or none of its answers within 20 s.
    pub async fn exec(&self, command: &str) -> Result<Channel, OpenError> {
        self.line().exec(command).await
    }

    /// Asks for an answer, and measures. Bounded by `timeout`.
    ///
    /// # Errors
    /// `keepalive_timeout` when none came, or why the session ended meanwhile. A session that did not answer lives
    /// on: whether to close it is for the caller to say.
    pub async fn ping(&self, timeout: Duration) -> Result<Duration, Failure> {
        self.line().ping(timeout).await
    }

    /// Returns once the session's own loop has shown that it turns, whatever the server does; never when it is stuck.
    /// Costs the server one small packet. For a watchdog: bound it from outside.
    pub async fn check_loop(&self) {
        self.line().check_loop().await;
    }

    /// The last measured round trip.
    pub fn rtt(&self) -> Option<Duration> {
        self.line().rtt()
    }

    /// Connections that it carries, opens or is being handed now, and each change: a session that is to end can wait
    /// for its last one.
    pub fn channels(&self) -> watch::Receiver<usize> {
        self.line().shared.connections.watch()
    }

    /// Bytes of the SSH protocol itself, from and to the server, since the session began.
    pub fn wire_bytes(&self) -> (u64, u64) {
        self.line().shared.link_monitor.bytes()
    }

    /// How often keys were exchanged, the first time included.
    pub fn key_exchanges(&self) -> u32 {
        self.line().shared.key_exchanges.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// `Some` once the session has ended, with the reason.
    pub fn ended(&self) -> watch::Receiver<Option<Failure>> {
        self.line().shared.ending.watch()
    }

    /// What is known of the way to the server. Doubt ends nothing, and is over as soon as a byte comes; it says that
    /// another session should be opened beside this one. Bytes without an acknowledgement, or a question without an
    /// answer, raise it within four seconds; an idle session is not asked more often than its keepalive says.
    pub fn path(&self) -> watch::Receiver<Path> {
        self.line().shared.path.subscribe()
    }

    /// Something happened to the network: the server is asked at once, and the path is doubtful when it says nothing
    /// for a second (on slow paths, four round trips), or when our own address is gone.
    pub fn probe_path(&self) {
        self.line().shared.examine.notify_one();
    }

    /// The link below, for the session that runs inside a channel of this one.
    pub(crate) fn below(&self) -> WeakLink {
        WeakLink { link_monitor: self.line().shared.link_monitor.clone(), answers: self.line().shared.answers.clone() }
    }

    /// Says goodbye (SSH_MSG_DISCONNECT, by application) and closes the link, within a second or so. An update of
    /// known_hosts that is under way gets a second before.
    pub async fn close(&self) {
        if let Some(follow) = &self.alive.follow {
            follow.finish().await;
        }
        let shared = &self.line().shared;
        let goodbye = async {
            self.line().goodbye();
            shared.finished.cancelled().await;
        };
        // What follows is our own doing, whatever it looks like from below.
        shared.ending.end(closed_here(&shared.who));
        let _ = tokio::time::timeout(CLOSE_TIMEOUT, goodbye).await;
        shared.link_monitor.cut();
    }

    fn line(&self) -> &Arc<Requests> {
        &self.alive.line
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        let shared = &self.line.shared;
        shared.ending.end(closed_here(&shared.who));
        shared.link_monitor.cut();
    }
}

/// A view of a session's link that does not keep the session alive.
pub(crate) struct WeakLink {
    link_monitor: Arc<monitored_link::MonitoredLink>,
    answers: Arc<answers::Answers>,
}

impl WeakLink {
    pub(crate) fn tcp_status(&self) -> Option<TcpStatus> {
        self.link_monitor.tcp_status()
    }

    /// A question that the session carries was answered, so this session's server has done its part, too.
    pub(crate) fn answered(&self) {
        self.answers.answered();
        self.link_monitor.answered();
    }
}

fn closed_here(who: &str) -> Failure {
    Failure::new(FailureKind::ConnectionLost, format!("the session with `{who}` was closed here"))
}

/// Why a remote forward could not be set up or taken back.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ForwardError {
    /// The server said no; `reason` holds what it said about it, if anything (OpenSSH sends a debug message).
    #[error("the server refused to listen on {listen}{}", channel::words_of(reason.as_deref().unwrap_or_default()))]
    Refused {
        /// The requested listen address.
        listen: String,
        /// The server's words.
        reason: Option<String>,
    },
    /// No answer in time.
    #[error("the server did not answer the request to listen on {listen}")]
    Timeout {
        /// The requested listen address.
        listen: String,
    },
    /// The session ended before the answer.
    #[error("the session ended")]
    SessionEnded,
}

#[cfg(test)]
mod tests;
