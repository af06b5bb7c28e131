//! The faults that can be ordered, as one plain value that changes while the server runs.

use std::time::Duration;

/// What goes wrong. The default: nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Faults {
    /// What becomes of a new connection.
    pub connect: ConnectFault,
    /// Effect on logins.
    pub auth: AuthFault,
    /// What the bytes between client and server suffer. Counts for the connections that are up, too.
    pub link: LinkFaults,
    /// Every request to listen is refused.
    pub deny_forwards: bool,
    /// Every channel open is refused as the server's policy (RFC 4254 section 5.1, reason 1).
    pub deny_channels: bool,
    /// Channel opens get no answer until this is taken back.
    pub hold_channels: bool,
    /// Requests to listen get no answer until this is taken back, nor does anything that the client sends after
    /// one. (For a server that answers no keepalive either, stop `link.to_client`.)
    pub hold_forwards: bool,
    /// New sessions exchange keys again, by the server's wish, after so many bytes in one direction.
    pub rekey_after: Option<usize>,
}

/// What becomes of a new connection.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ConnectFault {
    /// It is served.
    #[default]
    None,
    /// Connection refused: no listener.
    Refuse,
    /// No answer at all, as when packets are dropped. Over TCP this is the same as `Silent`: the kernel answers.
    Lost,
    /// It is accepted, and not a byte is said.
    Silent,
    /// A line of text instead of the SSH banner, then the end: what MaxStartups and PerSourcePenalties look like.
    SayAndClose(String),
    /// The SSH banner, and then silence.
    StallInKeyExchange,
}

/// Effect on a login.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AuthFault {
    /// It is judged.
    #[default]
    None,
    /// No answer until this is taken back.
    Stall,
    /// Rejected, whatever the proof.
    Reject,
    /// The connection breaks at the first proof.
    Drop,
}

/// What the bytes between client and server suffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LinkFaults {
    /// From the client.
    pub to_server: Flow,
    /// To the client.
    pub to_client: Flow,
    /// Time that every byte takes, in each direction: half of the round trip.
    pub delay: Duration,
}

/// One direction of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Flow {
    /// Bytes pass.
    #[default]
    Pass,
    /// The reader stops: bytes wait, and in the end the writer waits too.
    Stop,
    /// Bytes are read and lost. The session can never be saved after it.
    Discard,
}

impl LinkFaults {
    /// Bytes vanish both ways, and the connection stays.
    pub const BLACKHOLE: Self = Self { to_server: Flow::Discard, to_client: Flow::Discard, delay: Duration::ZERO };
    /// Both readers stop, as when the far machine is stopped.
    pub const FROZEN: Self = Self { to_server: Flow::Stop, to_client: Flow::Stop, delay: Duration::ZERO };

    /// Bytes pass, later.
    pub const fn delayed(delay: Duration) -> Self {
        Self { to_server: Flow::Pass, to_client: Flow::Pass, delay }
    }
}
