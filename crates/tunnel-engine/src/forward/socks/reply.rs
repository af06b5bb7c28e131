//! What is answered to a SOCKS peer.

use std::io;

use bytes::Bytes;

use super::Version;
use crate::session::OpenError;

/// Why there is no connection: the reply field of RFC 1928 section 6. SOCKS 4 knows one refusal for all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::forward) enum SocksRefusal {
    General = 1,
    NotAllowed = 2,
    NetworkUnreachable = 3,
    HostUnreachable = 4,
    ConnectionRefused = 5,
    TimedOut = 6,
    CommandNotSupported = 7,
    AddressTypeNotSupported = 8,
}

/// The server's reason, and for `connect failed` the words of its system, which is all it says about which one.
impl From<&OpenError> for SocksRefusal {
    fn from(error: &OpenError) -> Self {
        match error {
            OpenError::Prohibited(_) => Self::NotAllowed,
            OpenError::ConnectFailed(words) | OpenError::Other { words, .. } => Self::from_text(words),
            OpenError::Timeout => Self::TimedOut,
            OpenError::UnknownType(_) | OpenError::ResourceShortage(_) | OpenError::SessionEnded => Self::General,
        }
    }
}

impl From<&io::Error> for SocksRefusal {
    fn from(error: &io::Error) -> Self {
        use io::ErrorKind;
        // Every other kind, future ones included, is a general failure.
        #[expect(clippy::wildcard_enum_match_arm, reason = "the list of kinds is open")]
        match error.kind() {
            ErrorKind::ConnectionRefused => Self::ConnectionRefused,
            ErrorKind::HostUnreachable => Self::HostUnreachable,
            ErrorKind::NetworkUnreachable => Self::NetworkUnreachable,
            ErrorKind::TimedOut => Self::TimedOut,
            ErrorKind::PermissionDenied => Self::NotAllowed,
            _ => Self::from_text(&error.to_string()),
        }
    }
}

impl SocksRefusal {
    fn from_text(text: &str) -> Self {
        let text = text.to_ascii_lowercase();
        let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
        if says(&["refused"]) {
            Self::ConnectionRefused
        } else if says(&["resolv", "name or service", "not known", "no address", "name resolution"]) {
            Self::HostUnreachable
        } else if says(&["network is unreachable"]) {
            Self::NetworkUnreachable
        } else if says(&["unreachable", "no route"]) {
            Self::HostUnreachable
        } else if says(&["timed out"]) {
            Self::TimedOut
        } else {
            Self::General
        }
    }
}

/// RFC 1928 section 3: method 0.
pub(super) fn no_authentication() -> Bytes {
    Bytes::from_static(&[5, 0])
}

/// RFC 1928 section 3: none of the offered methods.
pub(super) fn no_acceptable_method() -> Bytes {
    Bytes::from_static(&[5, 0xff])
}

/// The address in it is 0.0.0.0:0, as ssh says: the far end's address is not known to us.
pub(super) fn success(version: Version) -> Bytes {
    match version {
        Version::Four => Bytes::from_static(&[0, 0x5a, 0, 0, 0, 0, 0, 0]),
        Version::Five => Bytes::from_static(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]),
    }
}

pub(super) fn failure(version: Version, refusal: SocksRefusal) -> Bytes {
    match version {
        Version::Four => Bytes::from_static(&[0, 0x5b, 0, 0, 0, 0, 0, 0]),
        Version::Five => Bytes::copy_from_slice(&[5, refusal as u8, 0, 1, 0, 0, 0, 0, 0, 0]),
    }
}
