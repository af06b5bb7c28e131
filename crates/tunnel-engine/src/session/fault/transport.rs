//! From an error of the transport to a failure.

use super::no_common_algorithm;
use crate::failure::{Failure, FailureKind};
use crate::transport::TransportError;

/// What an error of the transport means for the session of `who`.
pub(in crate::session) fn from_transport(who: &str, error: &TransportError) -> Failure {
    match error {
        TransportError::HostKeyChanged => Failure::new(
            FailureKind::HostKeyChanged,
            format!("`{who}` showed another host key when keys were exchanged again"),
        )
        .with_hint("ask the server's owner: no server that is in order does this; another machine may be in between"),
        TransportError::NoCommonAlgorithm { kind, ours, theirs } => no_common_algorithm(who, *kind, ours, theirs),
        TransportError::GroupSize(_) => protocol_failure(who, error).with_hint(LARGE_GROUP_HINT),
        TransportError::PacketLength(_) | TransportError::Integrity => {
            protocol_failure(who, error).with_hint(DAMAGED_HINT)
        }
        TransportError::Malformed(_)
        | TransportError::WrongSignature
        | TransportError::InvalidExchange
        | TransportError::Compression
        | TransportError::Unexpected(_)
        | TransportError::WindowExceeded
        | TransportError::Flood
        | TransportError::PacketsExhausted
        | TransportError::Cryptography(_) => protocol_failure(who, error),
    }
}

const DAMAGED_HINT: &str =
    "the bytes were changed on the way: if it happens again, suspect a middlebox or the path's MTU";
const LARGE_GROUP_HINT: &str = "the server insists on another prime than one of 2048 to 4096 bits: \
     `kex_algorithms = \"+diffie-hellman-group18-sha512\"` allows up to 8192";

fn protocol_failure(who: &str, error: &TransportError) -> Failure {
    Failure::new(FailureKind::Protocol, format!("the ssh protocol with `{who}` went wrong: {error}"))
}
