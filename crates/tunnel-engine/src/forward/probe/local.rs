//! `-L`: the server connects to the target, and the connection is closed at once.

use std::time::Duration;

use bytes::Bytes;

use super::ProbeCheck;
use super::banner::{self, FirstWords};
use super::result::{ProbeFailure, ProbeFailureKind, ProbeResult, probe_failure};
use crate::clock;
use crate::session::{Channel, ChannelRead as _, ChannelReader, ChannelWrite as _, Inbound, Originator, Session};
use crate::spec::Connect;

/// How long the server may take to connect to the target. Its kernel tries for two minutes; no user who waits for a
/// connection does.
const OPEN_TIMEOUT: Duration = Duration::from_secs(15);

/// How long a session may take to show that it lives, before a silence is called its own.
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// Asks the server of `session` to connect to `target`. A target in front of which the session is silent proves
/// nothing.
pub async fn probe_local(session: &Session, target: &Connect, check: &ProbeCheck) -> ProbeResult {
    let origin = Originator::unknown();
    let opened = clock::timeout(OPEN_TIMEOUT, session.open_direct(target, &origin)).await;
    let result = match opened {
        Ok(Ok(Channel { reader, writer })) => {
            let result = banner::check(check, &target.to_string(), ChannelWords(reader)).await;
            writer.close().await;
            result
        }
        Ok(Err(error)) => probe_failure(target, &error).map_or(ProbeResult::Nothing, ProbeResult::Down),
        Err(_) => ProbeResult::Down(ProbeFailure::new(
            ProbeFailureKind::NoAnswer,
            format!("the server did not reach {target} within {}s", OPEN_TIMEOUT.as_secs()),
        )),
    };
    let silent = matches!(&result, ProbeResult::Down(ProbeFailure { cause: ProbeFailureKind::NoAnswer, .. }));
    if silent && session.ping(PING_TIMEOUT).await.is_err() { ProbeResult::Nothing } else { result }
}

struct ChannelWords(ChannelReader);

impl FirstWords for ChannelWords {
    async fn more(&mut self) -> Option<Bytes> {
        match self.0.read().await {
            Inbound::Data(bytes) => Some(bytes),
            Inbound::Eof | Inbound::Closed | Inbound::Lost => None,
        }
    }
}
