//! The one place that pulls bytes out of a channel: how much of what has arrived is taken at once.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, Bytes};
use futures_util::FutureExt as _;

use super::RelayOutcome;
use crate::session::{ChannelRead, Inbound};

/// Bytes taken before they are written out. Enough for eight full packets in one system call; what more arrives
/// stays with the session, whose window then holds the far side back.
const BATCH_BYTES: usize = 256 * 1024;

/// Pieces taken before they are written out: what the kernel is given in one call (tokio hands on 64 slices).
const BATCH_PIECES: usize = 64;

/// What the channel said after the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tail {
    /// There may be more.
    More,
    Eof,
    Closed,
    Lost,
}

/// A channel's read half, drained in batches.
pub(super) struct Inbox<R> {
    reader: R,
}

impl<R: ChannelRead> Inbox<R> {
    pub(super) fn new(reader: R) -> Self {
        Self { reader }
    }

    /// Waits for the first piece, then adds what is there already, as long as the batch has room.
    /// Cancel-safe: what was taken is in `batch`.
    pub(super) async fn fill(&mut self, batch: &mut Batch) -> Tail {
        let mut said = self.reader.read().await;
        loop {
            match said {
                Inbound::Data(bytes) => batch.push(bytes),
                Inbound::Eof => return Tail::Eof,
                Inbound::Closed => return Tail::Closed,
                Inbound::Lost => return Tail::Lost,
            }
            if batch.is_full() {
                return Tail::More;
            }
            match self.reader.read().now_or_never() {
                Some(next) => said = next,
                None => return Tail::More,
            }
        }
    }

    /// Waits, after the channel's EOF, until it is closed or lost.
    pub(super) async fn close(&mut self) -> RelayOutcome {
        loop {
            match self.reader.read().await {
                // RFC 4254 section 5.3 forbids data after EOF; a peer that sends it is not worth a session.
                Inbound::Data(_) | Inbound::Eof => {}
                Inbound::Closed => return RelayOutcome::Complete,
                Inbound::Lost => return RelayOutcome::Lost,
            }
        }
    }
}

/// Pieces in order, written out together and without a copy.
#[derive(Default)]
pub(super) struct Batch {
    pieces: VecDeque<Bytes>,
    bytes: usize,
}

impl Batch {
    pub(super) fn push(&mut self, piece: Bytes) {
        if !piece.is_empty() {
            self.bytes += piece.len();
            self.pieces.push_back(piece);
        }
    }

    fn is_full(&self) -> bool {
        self.bytes >= BATCH_BYTES || self.pieces.len() >= BATCH_PIECES
    }
}

impl Buf for Batch {
    fn remaining(&self) -> usize {
        self.bytes
    }

    fn chunk(&self) -> &[u8] {
        self.pieces.front().map_or(&[], |piece| piece.as_ref())
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let filled = slices.len().min(self.pieces.len());
        for (slice, piece) in slices.iter_mut().zip(&self.pieces) {
            *slice = IoSlice::new(piece);
        }
        filled
    }

    fn advance(&mut self, mut count: usize) {
        assert!(count <= self.bytes, "cannot advance past the end of a batch");
        self.bytes -= count;
        while count > 0 {
            let Some(first) = self.pieces.front_mut() else { return };
            if count < first.len() {
                first.advance(count);
                return;
            }
            count -= first.len();
            self.pieces.pop_front();
        }
    }
}
