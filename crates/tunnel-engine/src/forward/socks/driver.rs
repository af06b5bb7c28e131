//! A SOCKS handshake over something that can be read and written: a socket, or a channel of a reverse SOCKS forward.

use std::future::Future;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::{MAX_HANDSHAKE, SocksHandshake, SocksRequest, SocksStep};
use crate::clock;

/// How long a peer may take to say what it wants. Programs do it in one breath; this is for a slow link or a person
/// at a terminal, and ends what never speaks. ssh waits for ever.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(30);

/// What the handshake is spoken over.
pub(in crate::forward) trait HandshakeIo: Send {
    /// Reads more behind what is in `input`, at most up to `most` bytes in all where the medium allows to stop there.
    /// False when there is no more.
    fn more(&mut self, input: &mut BytesMut, most: usize) -> impl Future<Output = bool> + Send;
    /// Sends this and goes on; false when the peer has gone.
    fn send(&mut self, words: Bytes) -> impl Future<Output = bool> + Send;
    /// Says this as the last words and ends this side.
    fn part(&mut self, words: Bytes) -> impl Future<Output = ()> + Send;
}

/// Why there is no request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::forward) enum NoRequest {
    /// The peer ended before it had asked: a program that only looks whether the port is open.
    Left,
    /// What it says is no request, or did not come in time. It was told so where the protocol has a word for it.
    Unusable,
}

/// Reads the request, within [`HANDSHAKE_TIMEOUT`]. What followed it is left in `input`.
pub(in crate::forward) async fn serve(
    peer: &mut impl HandshakeIo,
    input: &mut BytesMut,
) -> Result<SocksRequest, NoRequest> {
    clock::timeout(HANDSHAKE_TIMEOUT, handshake(peer, input)).await.unwrap_or(Err(NoRequest::Unusable))
}

async fn handshake(peer: &mut impl HandshakeIo, input: &mut BytesMut) -> Result<SocksRequest, NoRequest> {
    let mut handshake = SocksHandshake::default();
    loop {
        match handshake.advance(input) {
            SocksStep::Request(request) => return Ok(request),
            SocksStep::Need => {
                if !peer.more(input, MAX_HANDSHAKE).await {
                    return Err(NoRequest::Left);
                }
            }
            SocksStep::Say(words) => {
                if !peer.send(words).await {
                    return Err(NoRequest::Left);
                }
            }
            SocksStep::Reject(words) => {
                peer.part(words).await;
                return Err(NoRequest::Unusable);
            }
        }
    }
}
