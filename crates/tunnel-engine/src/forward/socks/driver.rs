//! A SOCKS handshake over something that can be read and written: a socket, or a channel of a reverse SOCKS forward.

use std::future::Future;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::{MAX_HANDSHAKE, SocksHandshake, SocksRequest, SocksStep};

/// How long a peer may take to say what it wants. Programs do it in one breath; this is for a slow link or a person
/// at a terminal, and ends what never speaks. ssh waits for ever.
pub(in crate::forward) const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(30);

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

/// Reads the request. What followed it is left in `input`. `None`: there is none, and the peer was told so where the
/// protocol has a word for it. The caller bounds the time.
pub(in crate::forward) async fn serve(peer: &mut impl HandshakeIo, input: &mut BytesMut) -> Option<SocksRequest> {
    let mut handshake = SocksHandshake::default();
    loop {
        match handshake.advance(input) {
            SocksStep::Request(request) => return Some(request),
            SocksStep::Need => {
                if !peer.more(input, MAX_HANDSHAKE).await {
                    return None;
                }
            }
            SocksStep::Say(words) => {
                if !peer.send(words).await {
                    return None;
                }
            }
            SocksStep::Reject(words) => {
                peer.part(words).await;
                return None;
            }
        }
    }
}
