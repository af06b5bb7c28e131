//! `-R`: a nonce sent to the server's own listening port must come back on this session.

use std::time::Duration;

use super::result::{ProbeFailure, ProbeFailureKind, ProbeResult};
use crate::clock;
use crate::forward::remote::Routes;
use crate::session::{
    Channel, ChannelRead as _, ChannelReader, ChannelWrite as _, Inbound, OpenError, Originator, RemoteListen, Session,
};
use crate::spec::Connect;

/// How long the server may take to connect to its own port: no other machine is involved.
const OPEN_TIMEOUT: Duration = Duration::from_secs(15);

/// How long a session may take to answer a ping, before a silence is called its own.
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// Pings answered one after the other, before a nonce that did not come is missed. On the way it waits behind the same
/// bytes as they do: the server's open, our yes, the nonce itself, and one to spare.
const PINGS: u32 = 4;

/// And a while for the server's own doing: a loaded machine gets to its listener late.
const GRACE: Duration = Duration::from_secs(2);

/// Sends a nonce to `listen` (with its real port) through `session`, and waits for it on the same session, whose
/// connections `routes` takes.
pub async fn probe_remote(session: &Session, routes: &Routes, listen: &RemoteListen) -> ProbeResult {
    let (first, second) = probed_at(listen);
    let answer = send_nonce(session, routes, listen, &first).await;
    let Some(second) = second.filter(|_| matches!(answer, NonceAnswer::Refused(_))) else {
        return answer.result(&first);
    };
    match send_nonce(session, routes, listen, &second).await {
        NonceAnswer::Came => ProbeResult::Up(Some(format!(
            "the server listens on {second}, not on {first}: see GatewayPorts in its sshd_config"
        ))),
        NonceAnswer::Refused(_) => answer.result(&first),
        other @ (NonceAnswer::Lost(_) | NonceAnswer::Forbidden(_) | NonceAnswer::Nothing) => other.result(&second),
    }
}

/// As [`probe_remote`], by one address of the server's choice of ours: does the listener take connections there, too?
pub async fn probe_remote_at(session: &Session, routes: &Routes, listen: &RemoteListen, at: &Connect) -> ProbeResult {
    send_nonce(session, routes, listen, at).await.result(at)
}

/// Where the listener is to be found on the server: first here, then, where nothing listens there, on loopback. The
/// server has to permit that connection, or the forward is unverified.
pub fn probed_at(listen: &RemoteListen) -> (Connect, Option<Connect>) {
    let tcp = |host: &str, port: u16| Connect::Tcp { host: host.to_owned(), port };
    match listen {
        RemoteListen::Unix(path) => (Connect::Unix(path.into()), None),
        RemoteListen::Tcp { address, port } => match address.as_str() {
            "localhost" | "" | "*" | "0.0.0.0" | "127.0.0.1" => (tcp("127.0.0.1", *port), None),
            "::" | "::1" => (tcp("::1", *port), None),
            other => (tcp(other, *port), Some(tcp("127.0.0.1", *port))),
        },
    }
}

/// What one address made of a nonce.
enum NonceAnswer {
    /// It came back.
    Came,
    /// No listener there; the server's words.
    Refused(String),
    /// Another listener got it.
    Lost(String),
    /// We may not ask.
    Forbidden(String),
    /// The session did not answer.
    Nothing,
}

impl NonceAnswer {
    fn result(self, at: &Connect) -> ProbeResult {
        match self {
            Self::Came => ProbeResult::Up(None),
            Self::Refused(words) => ProbeResult::Down(ProbeFailure::new(
                ProbeFailureKind::NotListening,
                format!("nothing listens on {at} on the server: {words}"),
            )),
            Self::Lost(how) => {
                ProbeResult::Stale(format!("another session or program holds {at} on the server: {how}"))
            }
            Self::Forbidden(words) => ProbeResult::Unverified(format!("cannot be checked: {words}")),
            Self::Nothing => ProbeResult::Nothing,
        }
    }
}

async fn send_nonce(session: &Session, routes: &Routes, listen: &RemoteListen, at: &Connect) -> NonceAnswer {
    let expecting = routes.expectations().expect(listen);
    let origin = Originator::unknown();
    let opened = clock::timeout(OPEN_TIMEOUT, session.open_direct(at, &origin)).await;
    let channel = match opened {
        Ok(Ok(channel)) => channel,
        Ok(Err(error @ OpenError::ConnectFailed(_))) => return NonceAnswer::Refused(error.to_string()),
        Ok(Err(error @ (OpenError::Prohibited(_) | OpenError::UnknownType(_)))) => {
            return NonceAnswer::Forbidden(error.to_string());
        }
        Ok(Err(
            OpenError::ResourceShortage(_) | OpenError::Other { .. } | OpenError::Timeout | OpenError::SessionEnded,
        ))
        | Err(_) => return NonceAnswer::Nothing,
    };
    let Channel { mut reader, writer } = channel;
    let found = async {
        if writer.write(expecting.nonce()).await.is_err() {
            return missed(session, "it closed the connection").await;
        }
        tokio::select! {
            how = stranger(&mut reader) => missed(session, how).await,
            silent = missed(session, "what was sent there did not come back") => silent,
        }
    };
    let answer = tokio::select! {
        biased;
        () = expecting.observed() => NonceAnswer::Came,
        other = found => other,
    };
    writer.close().await;
    if matches!(answer, NonceAnswer::Lost(_)) && expecting.was_crowded() { NonceAnswer::Nothing } else { answer }
}

/// A peer that answers or hangs up is not our own listener: that one shows only at our end.
async fn stranger(reader: &mut ChannelReader) -> &'static str {
    match reader.read().await {
        Inbound::Data(_) => "it has its own answer to what was sent there",
        Inbound::Eof | Inbound::Closed => "it closed the connection",
        Inbound::Lost => "the session ended",
    }
}

/// Nothing came while everything else does. A slow link is no proof: what is asked after the nonce is answered after
/// it.
async fn missed(session: &Session, how: &str) -> NonceAnswer {
    for _ in 0..PINGS {
        if session.ping(PING_TIMEOUT).await.is_err() {
            return NonceAnswer::Nothing;
        }
    }
    tokio::time::sleep_until(tokio::time::Instant::from_std(clock::now() + GRACE)).await;
    NonceAnswer::Lost(how.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(address: &str) -> (String, Option<String>) {
        let (first, second) = probed_at(&RemoteListen::Tcp { address: address.to_owned(), port: 80 });
        (first.to_string(), second.map(|second| second.to_string()))
    }

    #[test]
    fn listener_is_probed_at_its_address_then_loopback() {
        for everywhere in ["localhost", "", "*", "0.0.0.0"] {
            assert_eq!(at(everywhere), ("127.0.0.1:80".to_owned(), None), "{everywhere}");
        }
        assert_eq!(at("::"), ("[::1]:80".to_owned(), None));
        assert_eq!(at("192.0.2.1"), ("192.0.2.1:80".to_owned(), Some("127.0.0.1:80".to_owned())));
        let path = RemoteListen::Unix("/run/s".to_owned());
        assert_eq!(probed_at(&path), (Connect::Unix("/run/s".into()), None));
    }
}
