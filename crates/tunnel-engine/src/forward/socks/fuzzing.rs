//! A handshake for `fuzz/`: what a peer that sends these bytes gets to hear.

use bytes::BytesMut;

use super::{Handshake, MAX_HANDSHAKE, Step};
use crate::spec::Connect;

/// What became of a handshake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SocksTalk {
    /// All that was said to the peer.
    pub said: Vec<u8>,
    /// How it ended.
    pub end: SocksEnd,
    /// What was not read.
    pub left: Vec<u8>,
}

/// How a handshake ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SocksEnd {
    /// More bytes are awaited.
    Open,
    /// It asks for a connection.
    Request(Connect),
    /// It is refused.
    Rejected,
}

/// Feeds the pieces one after the other. Panics where more is awaited than the longest handshake.
pub fn socks_talk(pieces: &[&[u8]]) -> SocksTalk {
    let (mut handshake, mut input, mut said) = (Handshake::default(), BytesMut::new(), Vec::new());
    let mut pieces = pieces.iter();
    let end = loop {
        match handshake.advance(&mut input) {
            Step::Need => {
                assert!(input.len() < MAX_HANDSHAKE, "it wants more than the longest handshake");
                match pieces.next() {
                    Some(piece) => input.extend_from_slice(piece),
                    None => break SocksEnd::Open,
                }
            }
            Step::Say(words) => said.extend_from_slice(&words),
            Step::Request(request) => break SocksEnd::Request(request.target()),
            Step::Reject(words) => {
                said.extend_from_slice(&words);
                break SocksEnd::Rejected;
            }
        }
    };
    pieces.for_each(|piece| input.extend_from_slice(piece));
    SocksTalk { said, end, left: input.to_vec() }
}
