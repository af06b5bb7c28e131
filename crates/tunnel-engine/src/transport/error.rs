//! Why a connection cannot go on at the transport layer.

use super::negotiate::ListKind;

/// What ends a connection. Each is final: the state behind it is not used again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TransportError {
    /// A message whose fields do not fit into it.
    #[error("the server sent a malformed message: {0}")]
    Malformed(&'static str),
    /// A packet length that no packet may have.
    #[error("the server sent a packet of {0} bytes")]
    PacketLength(u32),
    /// A packet that was changed on its way, or was made with other keys.
    #[error("a packet failed its integrity check")]
    Integrity,
    /// A payload that does not continue the stream of compressed ones, or becomes too long.
    #[error("the server sent a compressed packet that cannot be read")]
    Compression,
    /// No algorithm of this kind is known to both.
    #[error("no {} in common", .kind.name())]
    NoCommonAlgorithm {
        kind: ListKind,
        ours: Vec<String>,
        /// What the server offered; not escaped.
        theirs: Vec<String>,
    },
    /// The exchange hash is not signed by the host key that was shown.
    #[error("the server's host key did not sign the key exchange")]
    WrongSignature,
    /// The public value of the key exchange is no valid one.
    #[error("the server sent an invalid public value in the key exchange")]
    InvalidExchange,
    /// In a group exchange: bits of the prime.
    #[error("the server chose a group of {0} bits for the key exchange, which was not asked for")]
    GroupSize(u32),
    /// The host key in a later exchange is not that of the first.
    #[error("the server showed another host key when keys were exchanged again")]
    HostKeyChanged,
    /// A message where RFC 4253 or strict key exchange has no place for it.
    #[error("the server sent message {0} where it must not")]
    Unexpected(u8),
    /// More data than a channel's window allows (RFC 4254 section 5.2).
    #[error("the server sent more data than the window of a channel")]
    WindowExceeded,
    /// Messages that no one waits for, faster than they can be taken.
    #[error("the server sent more messages than can be taken")]
    Flood,
    /// The sequence numbers of packets are used up, because keys were not renewed in time.
    #[error("too many packets under the same keys")]
    PacketsExhausted,
    /// The cryptographic library failed where no input of the server's can make it fail.
    #[error("the cryptographic library failed: {0}")]
    Cryptography(&'static str),
}
