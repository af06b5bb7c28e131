//! A handshake for `fuzz/`: what a peer that sends these bytes gets to hear.

use bytes::BytesMut;

use super::{MAX_HANDSHAKE, SocksHandshake, SocksStep};
use crate::spec::Connect;

/// One handshake, from the proxy's side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SocksTranscript {
    /// All that was said to the peer.
    pub said: Vec<u8>,
    /// Its end.
    pub end: SocksOutcome,
    /// Bytes that were not read.
    pub left: Vec<u8>,
}

/// End of a handshake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SocksOutcome {
    /// More bytes are awaited.
    Open,
    /// It asks for a connection.
    Request(Connect),
    /// It is refused.
    Rejected,
}

/// Feeds the pieces one after the other. Panics where more is awaited than the longest handshake.
pub fn socks_talk(pieces: &[&[u8]]) -> SocksTranscript {
    let (mut handshake, mut input, mut said) = (SocksHandshake::default(), BytesMut::new(), Vec::new());
    let mut pieces = pieces.iter();
    let end = loop {
        match handshake.advance(&mut input) {
            SocksStep::Need => {
                assert!(input.len() < MAX_HANDSHAKE, "it wants more than the longest handshake");
                match pieces.next() {
                    Some(piece) => input.extend_from_slice(piece),
                    None => break SocksOutcome::Open,
                }
            }
            SocksStep::Say(words) => said.extend_from_slice(&words),
            SocksStep::Request(request) => break SocksOutcome::Request(request.target()),
            SocksStep::Reject(words) => {
                said.extend_from_slice(&words);
                break SocksOutcome::Rejected;
            }
        }
    };
    pieces.for_each(|piece| input.extend_from_slice(piece));
    SocksTranscript { said, end, left: input.to_vec() }
}
