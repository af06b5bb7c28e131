//! SOCKS 4, 4a and 5 on the proxy's side, CONNECT only: bytes in, answers out, no IO.
//!
//! ```text
//!   first byte 4: request (id, address or name) ─────────────► Request
//!   first byte 5: methods ─► say "no authentication" ─► request ─► Request
//!   anything else, or more than the longest handshake ─► Reject
//! ```
//!
//! SOCKS 5 is RFC 1928. ssh closes without a word when it refuses; here the peer is told why.

mod driver;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod reply;
#[cfg(test)]
mod tests;
mod v4;
mod v5;

use bytes::{Buf as _, Bytes, BytesMut};

pub(super) use self::driver::{HandshakeIo, NoRequest, serve};
pub(super) use self::reply::SocksRefusal;
use crate::spec::Connect;

/// The longest handshake that is understood: a SOCKS 4a request with the longest user id and name.
pub(super) const MAX_HANDSHAKE: usize = 8 + (v4::MAX_USER_ID + 1) + (MAX_NAME + 1);

/// Longest host name: what SOCKS 5 can say. DNS names end at 253.
const MAX_NAME: usize = 255;

/// The protocol of a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    Four,
    Five,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SocksRequest {
    version: Version,
    host: String,
    port: u16,
}

impl SocksRequest {
    /// Where to connect to. Names are resolved on the side that connects.
    pub(super) fn target(&self) -> Connect {
        Connect::Tcp { host: self.host.clone(), port: self.port }
    }

    /// The answer once the connection to the target stands.
    pub(super) fn success(&self) -> Bytes {
        reply::success(self.version)
    }

    /// The answer when it does not; then the connection is closed.
    pub(super) fn failure(&self, refusal: SocksRefusal) -> Bytes {
        reply::failure(self.version, refusal)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum SocksStep {
    /// Read more.
    Need,
    /// Say this, and go on with what is already there.
    Say(Bytes),
    /// The handshake is done; what is left in the input belongs to the connection.
    Request(SocksRequest),
    /// Say this, if anything, and close.
    Reject(Bytes),
}

/// One handshake.
#[derive(Debug, Default)]
pub(super) struct SocksHandshake {
    methods_agreed: bool,
}

impl SocksHandshake {
    /// Takes what it understands off the front of `input`. It never needs more than [`MAX_HANDSHAKE`] bytes there.
    pub(super) fn advance(&mut self, input: &mut BytesMut) -> SocksStep {
        let parsed = match input.first() {
            None => return SocksStep::Need,
            Some(_) if self.methods_agreed => v5::request(input),
            Some(4) => v4::request(input),
            Some(5) => v5::methods(input),
            Some(_) => return SocksStep::Reject(Bytes::new()),
        };
        match parsed {
            Parsed::Need => SocksStep::Need,
            Parsed::Methods { length } => {
                input.advance(length);
                self.methods_agreed = true;
                SocksStep::Say(reply::no_authentication())
            }
            Parsed::Request { request, length } => {
                input.advance(length);
                SocksStep::Request(request)
            }
            Parsed::Reject(words) => SocksStep::Reject(words),
        }
    }
}

/// What the front of the input is. Parsers look at all of it each time, so that how it arrived makes no difference.
enum Parsed {
    Need,
    Methods { length: usize },
    Request { request: SocksRequest, length: usize },
    Reject(Bytes),
}

/// A name that can be asked for: not empty, and nothing in it that a log or a resolver would choke on.
fn name(bytes: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(bytes).ok()?;
    let sound = !text.is_empty() && !text.chars().any(|c| c.is_control() || c.is_whitespace());
    sound.then(|| text.to_owned())
}
