//! One connection of a local or dynamic forward, from the moment there is a session for it.

use std::time::Duration;

use bytes::{Bytes, BytesMut};

use crate::clock;
use crate::forward::hold_queue::ArrivalSeq;
use crate::forward::relay::{ByteCounters, Prelude};
use crate::forward::socks::{self, NoRequest, SocksRequest};
use crate::forward::stats::Gauge;
use crate::forward::stream::Stream;
use crate::forward::traits::ChannelOpener;
use crate::session::{ChannelRead, ChannelWrite, OpenError};
use crate::spec::Connect;

/// How long a peer may take to read the refusal of its SOCKS request. It has the answer in the same instant; only
/// one that does not read makes us wait.
const FAREWELL: Duration = Duration::from_secs(2);

/// An accepted connection that has no channel yet.
pub(super) struct Arrival {
    pub(super) seq: ArrivalSeq,
    pub(super) stream: Stream,
    /// What its peer asked for, where the forward is dynamic and the handshake is done.
    pub(super) request: Option<SocksRequest>,
    /// What its peer sent after the request.
    pub(super) pipelined: Bytes,
    /// When it will have waited long enough, once it had to wait.
    pub(super) until: Option<std::time::Instant>,
    /// Counts it as held.
    pub(super) held: Option<Gauge>,
}

impl Arrival {
    pub(super) fn new(seq: ArrivalSeq, stream: Stream) -> Self {
        Self { seq, stream, request: None, pipelined: Bytes::new(), until: None, held: None }
    }
}

pub(super) enum CarryOutcome {
    /// It was carried to its end.
    Carried,
    /// It never asked for anything understandable.
    NoRequest,
    /// Its peer ended it before it had asked for anything, or reset it before the channel was open.
    Left,
    /// The server did not open the channel; the peer was told.
    Refused(Connect, OpenError),
    /// The session of this epoch ended before the channel was open. Nothing was sent: it can wait for the next.
    SessionEnded(Arrival, u64),
}

/// Opens the channel and relays.
pub(super) async fn carry<O: ChannelOpener>(
    mut arrival: Arrival,
    connect: Connect,
    session: O,
    epoch: u64,
    tally: ByteCounters,
) -> CarryOutcome {
    let _active = tally.stats.begin();
    let target = match connect {
        Connect::Socks => match requested(&mut arrival).await {
            Ok(target) => target,
            Err(NoRequest::Left) => return CarryOutcome::Left,
            Err(NoRequest::Unusable) => return CarryOutcome::NoRequest,
        },
        named @ (Connect::Tcp { .. } | Connect::Unix(_) | Connect::Device(_)) => named,
    };
    let origin = arrival.stream.origin();
    let opened = tokio::select! {
        opened = session.open(&target, &origin) => opened,
        // The channel is closed when it is there.
        () = arrival.stream.reset_by_peer() => return CarryOutcome::Left,
    };
    // A channel keeps what it needs; the session must be able to end while the connection lives.
    drop(session);
    match opened {
        Ok(channel) => {
            relay(arrival, channel, &tally).await;
            CarryOutcome::Carried
        }
        Err(OpenError::SessionEnded) => CarryOutcome::SessionEnded(arrival, epoch),
        Err(error) => {
            refuse(arrival, &error).await;
            CarryOutcome::Refused(target, error)
        }
    }
}

/// What a SOCKS peer asks for; asked once, however often the connection comes back.
async fn requested(arrival: &mut Arrival) -> Result<Connect, NoRequest> {
    let request = match &arrival.request {
        Some(request) => request,
        None => {
            let mut input = BytesMut::new();
            let request = socks::serve(&mut arrival.stream, &mut input).await?;
            arrival.pipelined = input.freeze();
            arrival.request.insert(request)
        }
    };
    Ok(request.target())
}

async fn relay<R: ChannelRead, W: ChannelWrite>(arrival: Arrival, channel: (R, W), tally: &ByteCounters) {
    tally.stats.opened();
    let Arrival { stream, request, pipelined, .. } = arrival;
    let to_socket = request.map(|request| request.success()).unwrap_or_default();
    stream.relay(channel, Prelude { to_channel: pipelined, to_socket }, tally).await;
}

async fn refuse(arrival: Arrival, error: &OpenError) {
    match arrival.request {
        None => arrival.stream.reset(),
        Some(request) => {
            let deadline = clock::now() + FAREWELL;
            let words = request.failure(socks::SocksRefusal::from(error));
            // A peer that does not read it in time loses it.
            let _ = tokio::time::timeout_at(deadline.into(), arrival.stream.farewell(words)).await;
        }
    }
}
