//! The target of a remote forward, which is on this side.

use bytes::{Bytes, BytesMut};

use super::ProbeCheck;
use super::banner::{self, FirstWords};
use super::result::{ProbeResult, disproof_here};
use crate::forward::remote::connect;
use crate::forward::socks::HandshakeIo as _;
use crate::forward::stream::Stream;
use crate::spec::{AddressFamily, Connect};

/// The longest piece of a banner that is read at once.
const PIECE: usize = 512;

/// Connects to `target` from here, and closes as soon as `check` is decided.
pub async fn probe_here(target: &Connect, family: AddressFamily, check: &ProbeCheck) -> ProbeResult {
    match connect(target, family).await {
        Ok(stream) => banner::check(check, &target.to_string(), Socket(stream)).await,
        Err(error) => ProbeResult::Down(disproof_here(target, &error)),
    }
}

struct Socket(Stream);

impl FirstWords for Socket {
    async fn more(&mut self) -> Option<Bytes> {
        let mut piece = BytesMut::new();
        self.0.more(&mut piece, PIECE).await.then(|| piece.freeze())
    }
}
