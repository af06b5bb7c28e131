//! A SOCKS handshake over something that can be read and written: a socket, or a channel of a reverse SOCKS forward.

use std::future::Future;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::{Handshake, MAX_HANDSHAKE, Request, Step};

/// How long a peer may take to say what it wants. Programs do it in one breath; this is for a slow link or a person
/// at a terminal, and ends what never speaks. ssh waits for ever.
pub(in crate::forward) const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(30);

/// What the handshake is spoken over.
pub(in crate::forward) trait Talk: Send {
    /// Reads more behind what is in `input`, at most up to `most` bytes in all where the medium allows to stop there.
    /// False when there is no more.
    fn more(&mut self, input: &mut BytesMut, most: usize) -> impl Future<Output = bool> + Send;
    /// Says this and goes on; false when nobody listens.
    fn say(&mut self, words: Bytes) -> impl Future<Output = bool> + Send;
    /// Says this as the last words and ends this side.
    fn part(&mut self, words: Bytes) -> impl Future<Output = ()> + Send;
}

/// Reads the request. What followed it is left in `input`. `None`: there is none, and the peer was told so where the
/// protocol has a word for it. The caller bounds the time.
pub(in crate::forward) async fn serve(peer: &mut impl Talk, input: &mut BytesMut) -> Option<Request> {
    let mut handshake = Handshake::default();
    loop {
        match handshake.advance(input) {
            Step::Request(request) => return Some(request),
            Step::Need => {
                if !peer.more(input, MAX_HANDSHAKE).await {
                    return None;
                }
            }
            Step::Say(words) => {
                if !peer.say(words).await {
                    return None;
                }
            }
            Step::Reject(words) => {
                peer.part(words).await;
                return None;
            }
        }
    }
}
