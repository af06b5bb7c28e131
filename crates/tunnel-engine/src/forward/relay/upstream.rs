//! Socket to channel.

use bytes::{Bytes, BytesMut};
use futures_util::FutureExt as _;
use tokio::io::AsyncReadExt as _;

use super::ByteCounters;
use crate::forward::stream::Readable;
use crate::session::{ChannelGone, ChannelWrite};

/// First read of a connection that was idle: what an interactive peer says fits, and a thousand of them cost 8 MiB
/// only while their bytes are on the way.
const SMALL_READ: usize = 8 * 1024;

/// Largest read: four full packets in one system call. More gained nothing when measured.
const LARGE_READ: usize = 128 * 1024;

/// A read into less room than this is not worth its system call.
const LEAST_READ: usize = 4 * 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Up {
    /// The socket's peer sends no more; the channel was told.
    Ended,
    /// The socket was reset or broke.
    SocketBroke,
    /// The channel takes no more.
    ChannelGone,
}

/// Says to the channel what the socket's peer sends, until it sends no more. Holds no buffer while idle.
pub(super) async fn run<W: ChannelWrite>(socket: impl Readable, writer: &W, first: Bytes, tally: &ByteCounters) -> Up {
    match copy(socket, writer, first, tally).await {
        Ok(up) => up,
        Err(ChannelGone) => Up::ChannelGone,
    }
}

async fn copy<W: ChannelWrite>(
    mut socket: impl Readable,
    writer: &W,
    first: Bytes,
    tally: &ByteCounters,
) -> Result<Up, ChannelGone> {
    let own = tally.own_to_channel(first.len());
    write_bytes(writer, first, own, tally).await?;
    let mut buffer = BytesMut::new();
    let mut want = SMALL_READ;
    loop {
        let ready = match socket.readable().now_or_never() {
            Some(ready) => ready,
            None => {
                buffer = BytesMut::new();
                want = SMALL_READ;
                socket.readable().await
            }
        };
        if ready.is_err() {
            return Ok(Up::SocketBroke);
        }
        if buffer.capacity() < LEAST_READ {
            buffer.reserve(want);
        }
        let room = buffer.capacity();
        match socket.read_buf(&mut buffer).now_or_never() {
            // Not readable after all, or this task has had its turn: without the yield it would spin on the latter.
            None => tokio::task::yield_now().await,
            Some(Err(_)) => return Ok(Up::SocketBroke),
            Some(Ok(0)) => {
                writer.eof().await?;
                return Ok(Up::Ended);
            }
            Some(Ok(read)) => {
                if read == room {
                    want = (want * 4).min(LARGE_READ);
                }
                write_bytes(writer, buffer.split().freeze(), 0, tally).await?;
            }
        }
    }
}

/// `own`: how many of them are not counted.
async fn write_bytes<W: ChannelWrite>(
    writer: &W,
    bytes: Bytes,
    own: usize,
    tally: &ByteCounters,
) -> Result<(), ChannelGone> {
    if bytes.is_empty() {
        return Ok(());
    }
    let count = bytes.len().saturating_sub(own);
    writer.write(bytes).await?;
    tally.to_channel(count);
    Ok(())
}
