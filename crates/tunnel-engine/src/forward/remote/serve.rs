//! One connection of a remote forward.

use std::io;

use bytes::{Bytes, BytesMut};

use super::RemoteTarget;
use super::classify::ChannelSource;
use super::connect::connect;
use crate::forward::probe::disproof_here;
use crate::forward::refused::RefusedConnection;
use crate::forward::relay::{ByteCounters, Prelude};
use crate::forward::socks::{self, HandshakeIo, NoRequest, SocksRefusal};
use crate::forward::stream::Stream;
use crate::forward::traits::Incoming;
use crate::session::{ChannelRead, ChannelWrite, Inbound, RejectReason};
use crate::shortage;
use crate::spec::{Connect, Side};

pub(super) enum ServeOutcome {
    /// It was carried to its end.
    Carried,
    /// Our target did not take it; the stats say so.
    Refused,
    /// Reverse SOCKS: what its peer asked for did not take it.
    RequestRefused(Connect, io::Error),
    /// Reverse SOCKS: its peer never asked for anything understandable.
    NoRequest,
    /// Reverse SOCKS: its peer ended it before it had asked for anything.
    Left,
    /// The session was gone before we could say yes.
    SessionEnded,
    /// It was our own probe.
    Probe,
    /// It looked like a probe at first, and then there was no room for it.
    Full,
}

/// Connects, accepts, relays. What is not carried counts as failed, unless its peer left by itself.
pub(super) async fn serve<I: Incoming>(incoming: ChannelSource<I>, target: RemoteTarget) -> ServeOutcome {
    let stats = target.stats.clone();
    let _active = stats.begin();
    let outcome = match &target.connect {
        Connect::Socks => by_request(incoming, target).await,
        Connect::Tcp { .. } | Connect::Unix(_) | Connect::Device(_) => by_name(incoming, target).await,
    };
    if !matches!(outcome, ServeOutcome::Carried | ServeOutcome::Left) {
        stats.fail();
    }
    outcome
}

async fn by_name<I: Incoming>(incoming: ChannelSource<I>, target: RemoteTarget) -> ServeOutcome {
    let stream = match connect(&target.connect, target.family).await {
        Ok(stream) => stream,
        Err(error) => {
            note(&target, target.connect.clone(), &error);
            if shortage::hint(&error).is_some() {
                incoming.reject(RejectReason::ResourceShortage).await;
            } else {
                incoming.reject(RejectReason::ConnectFailed).await;
                target.stats.refuse(disproof_here(&target.connect, &error));
            }
            return ServeOutcome::Refused;
        }
    };
    match incoming.accept() {
        Ok(channel) => relay(stream, channel, Prelude::default(), &target).await,
        Err(_) => ServeOutcome::SessionEnded,
    }
}

/// As ssh's `-R` with a bare port: yes first, because the target comes over the channel.
async fn by_request<I: Incoming>(incoming: ChannelSource<I>, target: RemoteTarget) -> ServeOutcome {
    let Ok((mut reader, writer)) = incoming.accept() else { return ServeOutcome::SessionEnded };
    let mut input = BytesMut::new();
    let mut peer = ChannelHandshakeIo { reader: &mut reader, writer: &writer, lost: false };
    let request = match socks::serve(&mut peer, &mut input).await {
        Ok(request) => request,
        Err(_) if peer.lost => return ServeOutcome::SessionEnded,
        Err(why) => {
            writer.close().await;
            return match why {
                NoRequest::Left => ServeOutcome::Left,
                NoRequest::Unusable => ServeOutcome::NoRequest,
            };
        }
    };
    let connected = match permitted(&request.target(), &target) {
        Ok(()) => connect(&request.target(), target.family).await,
        Err(error) => Err(error),
    };
    match connected {
        Ok(stream) => {
            let prelude = Prelude { to_channel: request.success(), to_socket: input.freeze() };
            relay(stream, (reader, writer), prelude, &target).await
        }
        Err(error) => {
            note(&target, request.target(), &error);
            peer.part(request.failure(SocksRefusal::from(&error))).await;
            writer.close().await;
            ServeOutcome::RequestRefused(request.target(), error)
        }
    }
}

/// Writes a refused connection down, for status.
fn note(forward: &RemoteTarget, target: Connect, error: &io::Error) {
    let stats = &forward.stats;
    stats.note_refused(RefusedConnection::here(target, error, stats.counts().opened));
}

/// The peer learns that it is not allowed to (RFC 1928), and the log why.
fn permitted(asked: &Connect, target: &RemoteTarget) -> io::Result<()> {
    match asked {
        Connect::Tcp { host, port } if !target.permit.permits(host, *port) => {
            Err(io::Error::new(io::ErrorKind::PermissionDenied, "permit_remote_open does not list it"))
        }
        Connect::Tcp { .. } | Connect::Unix(_) | Connect::Socks | Connect::Device(_) => Ok(()),
    }
}

async fn relay<R: ChannelRead, W: ChannelWrite>(
    stream: Stream,
    channel: (R, W),
    prelude: Prelude,
    target: &RemoteTarget,
) -> ServeOutcome {
    target.stats.opened();
    let tally = ByteCounters { stats: target.stats.clone(), listener: Side::Server };
    stream.relay(channel, prelude, &tally).await;
    ServeOutcome::Carried
}

/// A SOCKS handshake over a channel. It takes whole packets, so at most one more than the longest handshake.
struct ChannelHandshakeIo<'a, R, W> {
    reader: &'a mut R,
    writer: &'a W,
    /// The session ended under it.
    lost: bool,
}

impl<R: ChannelRead, W: ChannelWrite> HandshakeIo for ChannelHandshakeIo<'_, R, W> {
    async fn more(&mut self, input: &mut BytesMut, _most: usize) -> bool {
        match self.reader.read().await {
            Inbound::Data(bytes) => {
                input.extend_from_slice(&bytes);
                true
            }
            end @ (Inbound::Eof | Inbound::Closed | Inbound::Lost) => {
                self.lost = matches!(end, Inbound::Lost);
                false
            }
        }
    }

    async fn send(&mut self, words: Bytes) -> bool {
        self.writer.write(words).await.is_ok()
    }

    async fn part(&mut self, words: Bytes) {
        if self.writer.write(words).await.is_ok() {
            // It fails only when the channel is gone, and the words with it.
            let _ = self.writer.eof().await;
        }
    }
}
