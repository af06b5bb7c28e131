//! The copying of one connection: socket to channel and channel to socket, each direction closing by itself.
//!
//! ```text
//!   socket says       we say to the channel      channel says             we say to the socket
//!   bytes             bytes                      bytes                    bytes
//!   end (FIN)         EOF                        EOF                      end (FIN)
//!   reset, error      CLOSE                      CLOSE                    the rest, then close
//!                                                lost                     reset
//! ```
//!
//! Both directions ended: CLOSE and close. The socket's half is in `upstream`, the channel's in `downstream`. CLOSE without
//! EOF before it is how servers that are written with a library end each channel; a reset would take back what the
//! kernel has not yet sent.

mod downstream;
mod inbox;
#[cfg(test)]
mod tests;
mod upstream;

use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::{Either, select};

use self::downstream::Down;
use self::inbox::Inbox;
use self::upstream::Up;
use super::stats::ForwardStats;
use super::stream::{Readable, Writable};
use crate::session::{ChannelRead, ChannelWrite};
use crate::spec::Side;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RelayOutcome {
    /// Both directions ended, or the far side closed.
    Complete,
    /// Our socket was reset or broke; the channel was closed.
    SocketBroke,
    /// The session ended under the connection.
    Lost,
}

impl RelayOutcome {
    /// True when the socket's peer must learn that bytes are missing.
    pub(super) const fn is_cut(self) -> bool {
        match self {
            Self::Lost => true,
            Self::Complete | Self::SocketBroke => false,
        }
    }
}

/// What comes first in each direction after a handshake: towards the listener's peer our answer to it, which is none of
/// the tunnel's bytes and is not counted; from it, what was read past its request.
#[derive(Default)]
pub(super) struct Prelude {
    /// To be said to the channel first.
    pub(super) to_channel: Bytes,
    /// To be said to the socket first.
    pub(super) to_socket: Bytes,
}

/// Where the bytes of one connection are counted.
pub(super) struct ByteCounters {
    pub(super) stats: Arc<ForwardStats>,
    /// Where the listener is, and so which direction is towards its peer.
    pub(super) listener: Side,
}

impl ByteCounters {
    /// How much of so many first bytes to the socket is ours.
    fn own_to_socket(&self, first: usize) -> usize {
        if self.listener == Side::Here { first } else { 0 }
    }

    /// How much of so many first bytes to the channel is ours.
    fn own_to_channel(&self, first: usize) -> usize {
        if self.listener == Side::Server { first } else { 0 }
    }

    fn to_socket(&self, bytes: usize) {
        match self.listener {
            Side::Here => self.stats.add_in(bytes),
            Side::Server => self.stats.add_out(bytes),
        }
    }

    fn to_channel(&self, bytes: usize) {
        match self.listener {
            Side::Here => self.stats.add_out(bytes),
            Side::Server => self.stats.add_in(bytes),
        }
    }
}

/// Carries bytes both ways until the connection ended. The channel is closed on return; the socket is the caller's to
/// close, with a reset when the ending [is cut](RelayOutcome::is_cut).
pub(super) async fn relay<R: ChannelRead, W: ChannelWrite>(
    read: impl Readable,
    write: impl Writable,
    (reader, writer): (R, W),
    prelude: Prelude,
    tally: &ByteCounters,
) -> RelayOutcome {
    let ending = both_directions(read, write, Inbox::new(reader), &writer, prelude, tally).await;
    writer.close().await;
    ending
}

async fn both_directions<R: ChannelRead, W: ChannelWrite>(
    read: impl Readable,
    write: impl Writable,
    mut inbox: Inbox<R>,
    writer: &W,
    prelude: Prelude,
    tally: &ByteCounters,
) -> RelayOutcome {
    let mut up = pin!(upstream::run(read, writer, prelude.to_channel, tally));
    let open = {
        let down = pin!(downstream::run(&mut inbox, write, prelude.to_socket, tally));
        match select(up.as_mut(), down).await {
            Either::Left((Up::SocketBroke, _)) => return RelayOutcome::SocketBroke,
            Either::Left((up @ (Up::Ended | Up::ChannelGone), down)) => match (down.await, up) {
                (Down::Stopped(ending), _) => return ending,
                (Down::Ended, Up::Ended | Up::SocketBroke) => return RelayOutcome::Complete,
                (Down::Ended, Up::ChannelGone) => OpenHalves::Neither,
            },
            Either::Right((Down::Stopped(ending), _)) => return ending,
            Either::Right((Down::Ended, _)) => OpenHalves::Up,
        }
    };
    // The far side sends no more. Our direction goes on until it ended, or the far side takes no more either; why
    // the channel is gone is known to its reader.
    let mut close = pin!(inbox.close());
    match open {
        OpenHalves::Neither => close.await,
        OpenHalves::Up => match select(up, close.as_mut()).await {
            Either::Left((Up::Ended, _)) => RelayOutcome::Complete,
            Either::Left((Up::SocketBroke, _)) => RelayOutcome::SocketBroke,
            Either::Left((Up::ChannelGone, close)) => close.await,
            Either::Right((ending, _)) => ending,
        },
    }
}

/// What can still pass once the far side has ended.
enum OpenHalves {
    Up,
    Neither,
}
