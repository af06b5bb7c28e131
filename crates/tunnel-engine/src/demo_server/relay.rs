//! Carries bytes between a channel and a target, half-closed and reset as they are.

use std::io;
use std::sync::Arc;

use russh::server::Msg;
use russh::{Channel, ChannelMsg, ChannelReadHalf, ChannelWriteHalf};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream};
use tokio::net::{TcpStream, UnixStream};
use tokio_util::sync::CancellationToken;

use super::server::DemoShared;

/// What OpenSSH puts into one packet.
const READ_BYTES: usize = 32 * 1024;

/// The far end of a channel.
pub(super) trait TargetStream: AsyncRead + AsyncWrite + Send + Unpin {
    /// Makes the coming close a reset, where the transport knows such a thing.
    fn reset(&self) {}
}

impl TargetStream for TcpStream {
    fn reset(&self) {
        // On a socket that is gone already there is nothing to reset.
        let _ = socket2::SockRef::from(self).set_linger(Some(std::time::Duration::ZERO));
    }
}

impl TargetStream for UnixStream {}
impl TargetStream for DuplexStream {}

/// Relays until both directions have ended, one side is reset, or `gone`.
pub(super) async fn relay(
    shared: Arc<DemoShared>,
    channel: Channel<Msg>,
    mut target: Box<dyn TargetStream>,
    gone: CancellationToken,
) {
    let _now = shared.counts.hold(|counts| &mut counts.channels_now);
    shared.counts.change(|counts| counts.channels += 1);
    let (reader, writer) = channel.split();
    let end = gone.run_until_cancelled(both(reader, &writer, &mut *target)).await;
    if !matches!(end, Some(RelayEnd::Eof)) {
        target.reset();
    }
    // The session may have ended, and the channel with it.
    let _ = writer.close().await;
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RelayEnd {
    /// Both sides said all they had to say.
    Eof,
    /// The target was reset, or the channel closed before its end.
    Reset,
}

async fn both(reader: ChannelReadHalf, writer: &ChannelWriteHalf<Msg>, target: &mut dyn TargetStream) -> RelayEnd {
    let (target_read, target_write) = tokio::io::split(target);
    let mut up = std::pin::pin!(to_target(reader, target_write));
    let mut down = std::pin::pin!(from_target(target_read, writer));
    tokio::select! {
        (end, mut reader) = &mut up => match end {
            RelayEnd::Reset => RelayEnd::Reset,
            RelayEnd::Eof => tokio::select! {
                end = &mut down => end,
                () = closed(&mut reader) => RelayEnd::Reset,
            },
        },
        end = &mut down => match end {
            RelayEnd::Reset => RelayEnd::Reset,
            RelayEnd::Eof => up.await.0,
        },
    }
}

async fn to_target(mut reader: ChannelReadHalf, mut target: impl AsyncWrite + Unpin) -> (RelayEnd, ChannelReadHalf) {
    let end = loop {
        match reader.wait().await {
            Some(ChannelMsg::Data { data }) => {
                if target.write_all(&data).await.is_err() {
                    break RelayEnd::Reset;
                }
            }
            Some(ChannelMsg::Eof) => {
                break if target.shutdown().await.is_ok() { RelayEnd::Eof } else { RelayEnd::Reset };
            }
            Some(ChannelMsg::Close) | None => break RelayEnd::Reset,
            Some(_) => {}
        }
    };
    (end, reader)
}

async fn from_target(mut target: impl AsyncRead + Unpin, writer: &ChannelWriteHalf<Msg>) -> RelayEnd {
    let mut buffer = bytes::BytesMut::new();
    loop {
        buffer.reserve(READ_BYTES);
        match target.read_buf(&mut buffer).await {
            Ok(0) => return if writer.eof().await.is_ok() { RelayEnd::Eof } else { RelayEnd::Reset },
            Ok(_) => {
                if writer.data_bytes(buffer.split().freeze()).await.is_err() {
                    return RelayEnd::Reset;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return RelayEnd::Reset,
        }
    }
}

async fn closed(reader: &mut ChannelReadHalf) {
    loop {
        match reader.wait().await {
            Some(ChannelMsg::Close) | None => return,
            Some(_) => {}
        }
    }
}
