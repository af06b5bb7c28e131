//! Tells a probe's connection from a user's, while a nonce is on its way to a listener.

use std::collections::VecDeque;

use crate::forward::probe::{Expected, NonceMatch};
use crate::forward::traits::Incoming;
use crate::session::{ChannelGone, ChannelRead, ChannelWrite, Inbound, RejectReason};

/// A connection from the server: not answered yet, or taken because it might have been a probe.
pub(super) enum ChannelSource<I: Incoming> {
    Offered(I),
    Taken(Replay<I::Reader>, I::Writer),
}

/// What a connection turned out to be.
pub(super) enum Classified<I: Incoming> {
    Probe,
    User(ChannelSource<I>),
    SessionEnded,
}

impl<I: Incoming> ChannelSource<I> {
    /// Takes it, if that has not happened.
    pub(super) fn accept(self) -> Result<(Replay<I::Reader>, I::Writer), ChannelGone> {
        match self {
            Self::Offered(incoming) => {
                let (reader, writer) = incoming.accept()?;
                Ok((Replay::new(reader), writer))
            }
            Self::Taken(reader, writer) => Ok((reader, writer)),
        }
    }

    /// Refuses it; what was taken is closed.
    pub(super) async fn reject(self, reason: RejectReason) {
        match self {
            Self::Offered(incoming) => incoming.reject(reason),
            Self::Taken(_, writer) => writer.close().await,
        }
    }
}

/// Takes a connection and looks at its first bytes, for as long as the nonce is waited for. A user's connection goes
/// on with all that it has said.
pub(super) async fn classify<I: Incoming>(incoming: I, expected: &Expected) -> Classified<I> {
    let Ok((reader, writer)) = incoming.accept() else { return Classified::SessionEnded };
    let mut replay = Replay::new(reader);
    let mut seen = 0;
    loop {
        let said = tokio::select! {
            biased;
            said = replay.look() => said,
            () = expected.over() => break,
        };
        let Inbound::Data(bytes) = said else { break };
        match expected.compare(seen, bytes) {
            NonceMatch::Partly(agreed) => seen = agreed,
            NonceMatch::Different => break,
            NonceMatch::Same => {
                expected.observed();
                writer.close().await;
                return Classified::Probe;
            }
        }
    }
    Classified::User(ChannelSource::Taken(replay, writer))
}

/// A read half that says again what has been looked at.
pub(super) struct Replay<R> {
    reader: R,
    seen: VecDeque<Inbound>,
}

impl<R: ChannelRead> Replay<R> {
    fn new(reader: R) -> Self {
        Self { reader, seen: VecDeque::new() }
    }

    /// The next piece, which is kept. Cancel-safe.
    async fn look(&mut self) -> &Inbound {
        let said = self.reader.read().await;
        self.seen.push_back(said);
        self.seen.back().unwrap_or(&Inbound::Lost)
    }
}

impl<R: ChannelRead> ChannelRead for Replay<R> {
    async fn read(&mut self) -> Inbound {
        match self.seen.pop_front() {
            Some(said) => said,
            None => self.reader.read().await,
        }
    }
}
