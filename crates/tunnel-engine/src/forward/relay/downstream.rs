//! Channel to socket.

use bytes::{Buf as _, Bytes};
use tokio::io::AsyncWriteExt as _;

use super::inbox::{Batch, Inbox, Tail};
use super::{ByteCounters, RelayOutcome};
use crate::forward::stream::Writable;
use crate::session::ChannelRead;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Down {
    /// The channel said EOF, everything before it was written, and the socket was told.
    Ended,
    /// And with it the connection.
    Stopped(RelayOutcome),
}

/// Writes to the socket what the channel says, until it says no more.
pub(super) async fn run<R: ChannelRead>(
    inbox: &mut Inbox<R>,
    mut socket: impl Writable,
    first: Bytes,
    tally: &ByteCounters,
) -> Down {
    let mut batch = Batch::default();
    let mut own = tally.own_to_socket(first.len());
    batch.push(first);
    let mut tail = Tail::More;
    loop {
        while batch.has_remaining() {
            match socket.write_buf(&mut batch).await {
                Ok(0) | Err(_) => return Down::Stopped(RelayOutcome::SocketBroke),
                Ok(written) => {
                    let uncounted = own.min(written);
                    own -= uncounted;
                    tally.to_socket(written - uncounted);
                }
            }
        }
        match tail {
            Tail::More => tail = inbox.fill(&mut batch).await,
            Tail::Closed => return Down::Stopped(RelayOutcome::Complete),
            Tail::Lost => return Down::Stopped(RelayOutcome::Lost),
            Tail::Eof => {
                return match socket.shutdown().await {
                    Ok(()) => Down::Ended,
                    Err(_) => Down::Stopped(RelayOutcome::SocketBroke),
                };
            }
        }
    }
}
