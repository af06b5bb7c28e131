//! From a link to a connection with keys: the first exchange, and whether the host key is believed.

use std::sync::Arc;

use bytes::BytesMut;
use russh::keys::key::parse_public_key;
use russh::keys::{Certificate, HashAlg, PublicKeyOrCertificate};

use super::banner::{Banner, IDENTIFICATION};
use super::fault;
use super::monitored_io::MonitoredIo;
use super::monitored_link::MonitoredLink;
use super::requests::BY_APPLICATION;
use super::transport_watcher::log_debug;
use crate::failure::{Failure, FailureKind};
use crate::hostkey::{HostKey, HostKeys, MatchedBy};
use crate::login_record::{LoginRecorder, LoginStep};
use crate::spec::RekeyLimit;
use crate::transport::{self, Agreement, Connection, ConnectionEvent, Handshake, HandshakeError, Limits};
use crate::{auth, clock, words};

/// What a session's transport is made from.
pub(super) struct TransportOptions<'a> {
    /// `host:port`, for messages.
    pub(super) who: &'a str,
    pub(super) recorder: &'a LoginRecorder,
    pub(super) offer: transport::LocalOffer,
    pub(super) rekey_limit: RekeyLimit,
    /// Shorter RSA host keys are not believed.
    pub(super) required_rsa_size: u32,
}

/// Keys are in use, and the host key is believed.
pub(super) struct Secured {
    pub(super) connection: Connection,
    /// Read and not handled.
    pub(super) input: BytesMut,
    pub(super) agreement: Agreement,
    /// Type and fingerprint.
    pub(super) host_key: String,
    pub(super) proof: MatchedBy,
}

/// Exchanges the first keys with a server that has said who it is, and knows who we are.
pub(super) async fn transport_setup(
    wanted: &TransportOptions<'_>,
    host_keys: &HostKeys,
    link_monitor: Arc<MonitoredLink>,
    banner: &Banner,
) -> Result<Secured, Failure> {
    let limits = Limits { bytes: wanted.rekey_limit.bytes.map(Into::into), time: wanted.rekey_limit.time };
    let failed = |error: HandshakeError| handshake_failure(wanted.who, error);
    let mut handshake = begin(wanted.who, wanted.offer.clone(), limits, link_monitor, banner)?;
    let mut believed = None;
    loop {
        let event = match handshake.next().await {
            Ok(event) => event,
            Err(error) => {
                // The server is told why, if it still takes it.
                let _ = handshake.flush().await;
                return Err(failed(error));
            }
        };
        match event {
            ConnectionEvent::HostKey { algorithm, blob } => {
                let judged = judge(wanted, host_keys, &algorithm, &blob).await;
                believed = Some(judged?);
                handshake.connection.believe_host_key(clock::now()).map_err(|error| failed(error.into()))?;
            }
            ConnectionEvent::NewKeys(agreement) => {
                handshake.flush().await.map_err(|error| failed(error.into()))?;
                let Some((host_key, proof)) = believed else { continue };
                let Handshake { connection, input, .. } = handshake;
                return Ok(Secured { connection, input, agreement, host_key, proof });
            }
            ConnectionEvent::Debug(text) => log_debug(wanted.who, &text),
            ConnectionEvent::Message(goodbye, _) => return Err(fault::from_goodbye(wanted.who, &goodbye)),
        }
    }
}

fn begin(
    who: &str,
    offer: transport::LocalOffer,
    limits: Limits,
    link_monitor: Arc<MonitoredLink>,
    banner: &Banner,
) -> Result<Handshake<MonitoredIo>, Failure> {
    let (server_ident, early) = banner.split();
    let config = transport::Config {
        client_ident: IDENTIFICATION.to_owned(),
        server_ident: server_ident.to_owned(),
        offer,
        limits,
    };
    Handshake::begin(config, MonitoredIo(link_monitor), early).map_err(|error| fault::from_transport(who, &error))
}

/// The host key that a server shows when it is offered this, and nothing more of the connection. The server has signed
/// with it. `None` where it cannot be read.
pub(super) async fn shown_host_key(
    who: &str,
    offer: transport::LocalOffer,
    link_monitor: Arc<MonitoredLink>,
    banner: &Banner,
) -> Result<Option<HostKey>, Failure> {
    let mut handshake = begin(who, offer, Limits::default(), link_monitor, banner)?;
    loop {
        match handshake.next().await.map_err(|error| handshake_failure(who, error))? {
            ConnectionEvent::HostKey { algorithm, blob } => {
                handshake.connection.goodbye(BY_APPLICATION, "");
                let _ = handshake.flush().await;
                let presented = presented(&algorithm, &blob);
                return Ok(presented.and_then(|presented| HostKey::of(presented.public_key().key_data())));
            }
            ConnectionEvent::Message(goodbye, _) => return Err(fault::from_goodbye(who, &goodbye)),
            ConnectionEvent::NewKeys(_) | ConnectionEvent::Debug(_) => {}
        }
    }
}

/// Whether the host key is to be believed: its text, and why.
async fn judge(
    wanted: &TransportOptions<'_>,
    host_keys: &HostKeys,
    algorithm: &str,
    blob: &[u8],
) -> Result<(String, MatchedBy), Failure> {
    let presented = presented(algorithm, blob).ok_or_else(|| {
        let message = format!("the ssh protocol with `{}` went wrong: its host key cannot be read", wanted.who);
        Failure::new(FailureKind::Protocol, message)
    })?;
    let key = presented.public_key();
    let text = format!("{} {}", key.algorithm(), key.fingerprint(HashAlg::Sha256));
    let recorder = wanted.recorder;
    if recorder.is_active() {
        let (files, lines) = (host_keys.files(), host_keys.about(&presented));
        let certified = presented.certificate().is_some();
        recorder.note(wanted.who, LoginStep::HostKey { key: text.clone(), certified, files, lines });
    }
    if let Some(bits) = auth::too_short(key.key_data(), wanted.required_rsa_size) {
        return Err(short_host_key(wanted.who, bits, wanted.required_rsa_size));
    }
    let proof = host_keys.check(&presented, clock::wall()).await?;
    recorder.note(wanted.who, LoginStep::Believed);
    Ok((text, proof))
}

pub(super) fn presented(algorithm: &str, blob: &[u8]) -> Option<PublicKeyOrCertificate> {
    // It refuses certificates in certificates without end, too.
    let key = parse_public_key(blob);
    if algorithm.contains("-cert-") {
        return key.is_ok().then(|| Certificate::from_bytes(blob).ok()).flatten().map(Into::into);
    }
    key.ok().map(Into::into)
}

fn short_host_key(who: &str, bits: u32, required: u32) -> Failure {
    let key = words::own("required_rsa_size");
    let message = format!("the host key of `{who}` is an RSA key of {bits} bits, and {key} is {required}");
    Failure::new(FailureKind::NoCommonAlgorithm, message)
        .with_hint("give the server a longer host key, or one of another type, or lower required_rsa_size")
}

fn handshake_failure(who: &str, error: HandshakeError) -> Failure {
    match error {
        HandshakeError::Io(error) => fault::from_io(who, error),
        HandshakeError::Ended => fault::closed(who),
        HandshakeError::Transport(error) => fault::from_transport(who, &error),
    }
}
