//! Numbers of messages (RFC 4250 section 4.1), and the few messages of the transport layer itself.

use super::TransportError;
use super::wire::{MessageReader, put_string, put_u32};

pub(crate) const MSG_DISCONNECT: u8 = 1;
pub(crate) const MSG_IGNORE: u8 = 2;
pub(crate) const MSG_UNIMPLEMENTED: u8 = 3;
pub(crate) const MSG_DEBUG: u8 = 4;
pub(crate) const MSG_SERVICE_REQUEST: u8 = 5;
pub(crate) const MSG_SERVICE_ACCEPT: u8 = 6;
pub(crate) const MSG_EXT_INFO: u8 = 7;
pub(crate) const MSG_KEXINIT: u8 = 20;
pub(crate) const MSG_NEWKEYS: u8 = 21;
/// SSH_MSG_KEX_ECDH_INIT (RFC 5656) and its answer; the hybrid methods use the same numbers.
pub(crate) const MSG_KEX_INIT: u8 = 30;
pub(crate) const MSG_KEX_REPLY: u8 = 31;
/// Of a group exchange (RFC 4419 section 5).
pub(crate) const MSG_GROUP: u8 = 31;
pub(crate) const MSG_GROUP_INIT: u8 = 32;
pub(crate) const MSG_GROUP_REPLY: u8 = 33;
pub(crate) const MSG_GROUP_REQUEST: u8 = 34;
/// The last number of a method's own messages.
pub(crate) const MSG_KEX_LAST: u8 = 49;
pub(crate) const MSG_USERAUTH_REQUEST: u8 = 50;
pub(crate) const MSG_USERAUTH_FAILURE: u8 = 51;
pub(crate) const MSG_USERAUTH_SUCCESS: u8 = 52;
pub(crate) const MSG_USERAUTH_BANNER: u8 = 53;
/// Of keyboard-interactive (RFC 4256); SSH_MSG_USERAUTH_PK_OK of publickey has the same number.
pub(crate) const MSG_USERAUTH_INFO_REQUEST: u8 = 60;
pub(crate) const MSG_GLOBAL_REQUEST: u8 = 80;
pub(crate) const MSG_REQUEST_SUCCESS: u8 = 81;
pub(crate) const MSG_REQUEST_FAILURE: u8 = 82;
pub(crate) const MSG_CHANNEL_OPEN: u8 = 90;
pub(crate) const MSG_CHANNEL_OPEN_CONFIRMATION: u8 = 91;
pub(crate) const MSG_CHANNEL_OPEN_FAILURE: u8 = 92;
pub(crate) const MSG_CHANNEL_WINDOW_ADJUST: u8 = 93;
pub(crate) const MSG_CHANNEL_DATA: u8 = 94;
pub(crate) const MSG_CHANNEL_EXTENDED_DATA: u8 = 95;
pub(crate) const MSG_CHANNEL_EOF: u8 = 96;
pub(crate) const MSG_CHANNEL_CLOSE: u8 = 97;
pub(crate) const MSG_CHANNEL_REQUEST: u8 = 98;
pub(crate) const MSG_CHANNEL_SUCCESS: u8 = 99;
pub(crate) const MSG_CHANNEL_FAILURE: u8 = 100;
/// ping@openssh.com, and its answer (OpenSSH's PROTOCOL, section 1.8).
pub(crate) const MSG_PING: u8 = 192;
pub(crate) const MSG_PONG: u8 = 193;

pub(crate) const COOKIE_BYTES: usize = 16;

/// SSH_MSG_DEBUG: what the server says about what it does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DebugText {
    /// The server wants it shown.
    pub(crate) always_display: bool,
    /// Not escaped.
    pub(crate) text: String,
}

impl DebugText {
    pub(super) fn decode(payload: &[u8]) -> Result<Self, TransportError> {
        let mut reader = MessageReader::new("DEBUG", payload);
        reader.u8()?;
        let always_display = reader.boolean()?;
        Ok(Self { always_display, text: String::from_utf8_lossy(reader.string()?).into_owned() })
    }
}

/// SSH_MSG_UNIMPLEMENTED in answer to the packet with this number.
pub(super) fn unimplemented(sequence: u32) -> Vec<u8> {
    let mut out = vec![MSG_UNIMPLEMENTED];
    put_u32(&mut out, sequence);
    out
}

/// SSH_MSG_DISCONNECT in English.
pub(super) fn disconnect(reason: u32, text: &str) -> Vec<u8> {
    let mut out = vec![MSG_DISCONNECT];
    put_u32(&mut out, reason);
    put_string(&mut out, text.as_bytes());
    put_string(&mut out, b"en");
    out
}

/// SSH_DISCONNECT_… (RFC 4250 section 4.2.2).
pub(super) fn disconnect_reason(error: &TransportError) -> u32 {
    match error {
        TransportError::Integrity => 5,
        TransportError::Compression => 6,
        TransportError::NoCommonAlgorithm { .. }
        | TransportError::InvalidExchange
        | TransportError::GroupSize(_)
        | TransportError::Cryptography(_)
        | TransportError::PacketsExhausted => 3,
        TransportError::WrongSignature | TransportError::HostKeyChanged => 9,
        TransportError::Malformed(_)
        | TransportError::PacketLength(_)
        | TransportError::Unexpected(_)
        | TransportError::WindowExceeded
        | TransportError::Flood => 2,
    }
}
