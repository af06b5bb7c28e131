//! Connections that the server accepted on our remote forwards, and that wait for our yes or no.

use std::fmt;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::channel::{Channel, ChannelGone};
use super::connections::CountedConnection;
use crate::spec::Listen;
use crate::transport::{OfferedChannel, TransportLink};

/// How many may wait for the forwards to look at them. They look at once, so this is the burst between two looks.
pub(super) const MAX_WAITING: usize = 256;

/// Connections that the server accepted on our remote forwards, in order of arrival. Bounded: what does not fit
/// is refused with `resource shortage` at once.
pub type IncomingChannels = mpsc::Receiver<IncomingChannel>;

/// Who connected: the originator of RFC 4254 section 7.2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Originator {
    /// Address as text; `127.0.0.1` for a unix socket, as ssh says.
    pub address: String,
    /// Port; 65535 for a unix socket, as ssh says.
    pub port: u16,
}

impl fmt::Display for Originator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.address.contains(':') {
            write!(f, "[{}]:{}", self.address, self.port)
        } else {
            write!(f, "{}:{}", self.address, self.port)
        }
    }
}

impl Originator {
    /// For peers without an address (unix sockets): what ssh says in this case.
    pub fn unknown() -> Self {
        Self { address: "127.0.0.1".to_owned(), port: 65535 }
    }
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

impl RemoteListen {
    /// How connections on `listen`, with its real port, come in.
    pub fn of(listen: &Listen) -> Self {
        super::requests::remote_listen(listen)
    }
}

impl fmt::Display for RemoteListen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { address, port } if address.contains(':') => write!(f, "[{address}]:{port}"),
            Self::Tcp { address, port } => write!(f, "{address}:{port}"),
            Self::Unix(path) => f.write_str(path),
        }
    }
}

/// A connection that waits for our yes or no. Dropping it refuses it.
pub struct IncomingChannel {
    /// The server's listener that accepted it.
    pub listen: RemoteListen,
    /// The originator of the connection.
    pub origin: Originator,
    /// In a box: an idle session has room for 32 of these, and each would be four times as large.
    offer: Box<PendingChannel>,
}

/// A connection that waits, as the session knows it.
pub(super) struct PendingChannel {
    pub channel: OfferedChannel,
    pub origin: Originator,
    pub session: CancellationToken,
    pub link: Arc<TransportLink>,
    /// Of the session's connections.
    pub counted: CountedConnection,
}

impl PendingChannel {
    pub(super) fn incoming(self, listen: RemoteListen) -> IncomingChannel {
        IncomingChannel { listen, origin: self.origin.clone(), offer: Box::new(self) }
    }

    /// Only queues the answer.
    pub(super) fn refuse(self, reason: RejectReason) {
        self.channel.refuse(reason.code());
    }
}

impl IncomingChannel {
    /// Takes the connection.
    ///
    /// # Errors
    /// The session has ended.
    pub fn accept(self) -> Result<Channel, ChannelGone> {
        let PendingChannel { channel, session, link, counted, .. } = *self.offer;
        if session.is_cancelled() {
            return Err(ChannelGone);
        }
        let channel = channel.accept().ok_or(ChannelGone)?;
        Ok(Channel::new(channel, &session, counted, link))
    }

    /// Refuses it: `connect failed` (RFC 4254 section 5.1) where our target refused, `prohibited` where no forward
    /// of ours asked for it.
    pub fn reject(self, reason: RejectReason) {
        self.offer.refuse(reason);
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

impl RejectReason {
    /// Its code in RFC 4254 section 5.1.
    const fn code(self) -> u32 {
        match self {
            Self::Prohibited => 1,
            Self::ConnectFailed => 2,
            Self::ResourceShortage => 4,
        }
    }
}
