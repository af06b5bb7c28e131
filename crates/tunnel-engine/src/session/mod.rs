//! One SSH session: russh behind one door. Everything above speaks of sessions, channels as byte streams,
//! forwards and failures, never of russh's types.

mod channel;
mod info;

use std::time::Duration;

use tokio::sync::{mpsc, watch};

pub use channel::{Channel, ChannelGone, ChannelRead, ChannelReader, ChannelWrite, ChannelWriter, Inbound, OpenError};
pub use info::SessionInfo;

use crate::dial::Dialer;
use crate::failure::Failure;
use crate::spec::{Connect, Listen, SessionSpec};

/// An authenticated SSH session. A cheap handle: clones speak of the same session, and the session ends when
/// the last one is dropped or [`Session::close`] is called.
#[derive(Clone)]
pub struct Session {}

/// Connections that the server accepted on our remote forwards, in order of arrival. Bounded: what does not fit
/// is refused with `resource shortage` at once.
pub type IncomingChannels = mpsc::Receiver<IncomingChannel>;

impl Session {
    /// Dials, exchanges keys, checks the host key, authenticates: all before one absolute deadline,
    /// `spec.timing.connect_timeout` from now.
    ///
    /// # Errors
    /// One [`Failure`] that says which of these failed, why, and what to do.
    /// Dropping the future ends the attempt and leaves no task and no socket behind.
    pub async fn open(spec: &SessionSpec, dialer: &dyn Dialer) -> Result<(Self, IncomingChannels), Failure> {
        let _ = (spec, dialer);
        todo!()
    }

    /// What was negotiated, and with whom.
    pub fn info(&self) -> &SessionInfo {
        todo!()
    }

    /// Opens a channel to `target` from the server (direct-tcpip, direct-streamlocal). `origin` is the peer's
    /// address, as the server is told. Dropping the future gives the open up: when the server confirms it later,
    /// the channel is closed at once.
    pub async fn open_direct(&self, target: &Connect, origin: &Origin) -> Result<Channel, OpenError> {
        let _ = (target, origin);
        todo!()
    }

    /// Asks the server to listen (tcpip-forward, streamlocal-forward). Gives the port it listens on, which is the
    /// server's choice where `listen` has port 0, and `None` for a unix socket.
    pub async fn request_forward(&self, listen: &Listen) -> Result<Option<u16>, ForwardError> {
        let _ = listen;
        todo!()
    }

    /// Takes a remote listener back. `listen` must name the real port.
    pub async fn cancel_forward(&self, listen: &Listen) -> Result<(), ForwardError> {
        let _ = listen;
        todo!()
    }

    /// Asks for an answer, and measures. Bounded by `timeout`.
    pub async fn ping(&self, timeout: Duration) -> Result<Duration, Failure> {
        let _ = timeout;
        todo!()
    }

    /// The last measured round trip.
    pub fn rtt(&self) -> Option<Duration> {
        todo!()
    }

    /// `Some` once the session has ended, with the reason.
    pub fn ended(&self) -> watch::Receiver<Option<Failure>> {
        todo!()
    }

    /// Says goodbye (SSH_MSG_DISCONNECT, by application) and closes the link, within a second or so.
    pub async fn close(&self) {
        todo!()
    }
}

/// Who connected: the originator of RFC 4254 section 7.2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// Address as text; `127.0.0.1` for a unix socket, as ssh says.
    pub address: String,
    /// Port; 65535 for a unix socket, as ssh says.
    pub port: u16,
}

/// Where on the server a connection came in: what the server says, so a port is the real one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum RemoteListen {
    /// The address string that was asked for (`localhost`, empty, or literal), and the port.
    Tcp {
        /// As sent in the request.
        address: String,
        /// Never 0.
        port: u16,
    },
    /// The path on the server.
    Unix(String),
}

/// A connection that waits for our yes or no.
pub struct IncomingChannel {
    /// The server's listener that accepted it.
    pub listen: RemoteListen,
    /// Who connected there.
    pub origin: Origin,
}

impl IncomingChannel {
    /// Takes the connection.
    pub async fn accept(self) -> Result<Channel, ChannelGone> {
        todo!()
    }

    /// Refuses it: `connect failed` (RFC 4254 section 5.1) where our target refused, `prohibited` where no forward
    /// of ours asked for it.
    pub async fn reject(self, reason: RejectReason) {
        let _ = reason;
        todo!()
    }
}

/// Why we refuse a connection that the server hands us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RejectReason {
    /// No forward of ours listens there.
    Prohibited,
    /// Our target did not take the connection.
    ConnectFailed,
    /// Too many at once.
    ResourceShortage,
}

/// Why a remote forward could not be set up or taken back.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ForwardError {
    /// The server said no; `reason` holds what it said about it, if anything (OpenSSH sends a debug message).
    #[error("the server refused to listen on {listen}{}", reason.as_ref().map(|r| format!(": {r}")).unwrap_or_default())]
    Refused {
        /// What was asked for.
        listen: String,
        /// The server's words.
        reason: Option<String>,
    },
    /// No answer in time.
    #[error("the server did not answer the request to listen on {listen}")]
    Timeout {
        /// What was asked for.
        listen: String,
    },
    /// The session ended before the answer.
    #[error("the session ended")]
    SessionEnded,
}
