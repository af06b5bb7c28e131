//! From a link to a session: the first keys and the host key by our transport, and russh above it for the login. russh's `none` methods are named here only, and meet only the stream of our transport.

use std::borrow::Cow;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use bytes::BytesMut;
use russh::client::{Handle, connect_stream};
use russh::keys::key::parse_public_key;
use russh::keys::{Algorithm, Certificate, HashAlg, PublicKey, PublicKeyOrCertificate};
use russh::{Preferred, cipher, compression, kex, mac};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::oneshot;
use tracing::Span;

use super::banner::Banner;
use super::config;
use super::fault;
use super::link::SessionShared;
use super::login_handler::LoginHandler;
use super::monitored_link::MonitoredLink;
use super::requests::BY_APPLICATION;
use super::server_offers::ServerOffers;
use crate::failure::{Failure, FailureKind};
use crate::hostkey::{HostKey, HostKeys, MatchedBy};
use crate::login_record::{LoginRecorder, LoginStep};
use crate::spec::RekeyLimit;
use crate::transport::{
    self, Agreement, Connection, ConnectionEvent, DebugText, Handshake, HandshakeError, Limits, LinkObserver, ServerIo,
    TransportError,
};
use crate::{auth, clock, task, words};

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
        client_ident: config::IDENTIFICATION.to_owned(),
        server_ident: server_ident.to_owned(),
        offer,
        limits,
    };
    Handshake::begin(config, MonitoredIo(link_monitor), early).map_err(|error| failure(who, &error))
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
        HandshakeError::Transport(error) => failure(who, &error),
    }
}

/// What an error of the transport means for the session of `who`.
pub(super) fn failure(who: &str, error: &TransportError) -> Failure {
    match error {
        TransportError::HostKeyChanged => Failure::new(
            FailureKind::HostKeyChanged,
            format!("`{who}` showed another host key when keys were exchanged again"),
        )
        .with_hint("ask the server's owner: no server that is in order does this; another machine may be in between"),
        TransportError::NoCommonAlgorithm { kind, ours, theirs } => {
            fault::no_common_algorithm(who, *kind, ours, theirs)
        }
        TransportError::GroupSize(_) => protocol_failure(who, error).with_hint(LARGE_GROUP_HINT),
        TransportError::PacketLength(_) | TransportError::Integrity => {
            protocol_failure(who, error).with_hint(DAMAGED_HINT)
        }
        TransportError::Malformed(_)
        | TransportError::WrongSignature
        | TransportError::InvalidExchange
        | TransportError::Compression
        | TransportError::Unexpected(_)
        | TransportError::WindowExceeded
        | TransportError::Flood
        | TransportError::PacketsExhausted
        | TransportError::Cryptography(_) => protocol_failure(who, error),
    }
}

const DAMAGED_HINT: &str =
    "the bytes were changed on the way: if it happens again, suspect a middlebox or the path's MTU";
const LARGE_GROUP_HINT: &str = "the server insists on another prime than one of 2048 to 4096 bits: \
     `kex_algorithms = \"+diffie-hellman-group18-sha512\"` allows up to 8192";

fn protocol_failure(who: &str, error: &TransportError) -> Failure {
    Failure::new(FailureKind::Protocol, format!("the ssh protocol with `{who}` went wrong: {error}"))
}

fn log_debug(who: &str, text: &DebugText) {
    let said = fault::sanitised(text.text.as_bytes(), 400);
    tracing::debug!(server = who, "`{who}` says: {said}");
}

/// Starts the transport's task, and russh above it for the login.
pub(super) async fn speak(shared: &Arc<SessionShared>, input: BytesMut) -> Result<Handle<LoginHandler>, russh::Error> {
    let offers = Box::new(ServerOffers::new(shared.clone()));
    let parts = transport::start(&shared.link, MonitoredIo(shared.link_monitor.clone()), input, offers);
    // Ends with the wire, or when this side has said all.
    task::without_span(parts.driver);
    connect_stream(config::config(NONE), parts.stream, LoginHandler(shared.clone())).await
}

/// Encryption is not russh's here.
const NONE: Preferred = Preferred {
    kex: Cow::Borrowed(&[kex::NONE]),
    key: Cow::Borrowed(&[Algorithm::Ed25519]),
    host_key_certificates: Cow::Borrowed(&[]),
    cipher: Cow::Borrowed(&[cipher::NONE]),
    mac: Cow::Borrowed(&[mac::NONE]),
    compression: Cow::Borrowed(&[compression::NONE]),
};

/// What the session's parts are told by the transport.
pub(super) struct TransportWatcher {
    shared: Arc<SessionShared>,
    announced: Option<oneshot::Sender<Vec<PublicKey>>>,
    /// Of the login: the transport's task is under none.
    span: Span,
}

impl TransportWatcher {
    /// `announced` is told once which host keys the server says that it has.
    pub(super) fn new(shared: Arc<SessionShared>, announced: Option<oneshot::Sender<Vec<PublicKey>>>) -> Self {
        Self { shared, announced, span: Span::current() }
    }

    /// The first keys, which came before there was a session.
    pub(super) fn began(&mut self, agreement: &Agreement, host_key: String, proof: MatchedBy) {
        self.shared.note(|facts| (facts.host_key, facts.proof) = (host_key, Some(proof)));
        self.new_keys(agreement);
    }
}

impl LinkObserver for TransportWatcher {
    fn new_keys(&mut self, agreement: &Agreement) {
        let (kex, cipher) = (agreement.kex.name().to_owned(), agreement.receiving.cipher.name().to_owned());
        let before_keys = self.shared.link_monitor.bytes();
        self.shared.note(|facts| (facts.kex, facts.cipher, facts.before_keys) = (kex, cipher, before_keys));
        let count = self.shared.key_exchanges.fetch_add(1, Ordering::Relaxed) + 1;
        let (server, _tunnel) = (&self.shared.who, self.span.enter());
        tracing::debug!(server, count, "`{server}`: new keys");
    }

    fn debug(&mut self, text: &DebugText) {
        let _tunnel = self.span.enter();
        log_debug(&self.shared.who, text);
    }

    fn host_keys(&mut self, keys: Vec<Vec<u8>>) {
        if let Some(announced) = self.announced.take() {
            // There is no receiver where known_hosts is not to follow. Keys of types that are not known are left out.
            let _ = announced.send(keys.iter().filter_map(|blob| parse_public_key(blob).ok()).collect());
        }
    }

    fn unknown_request(&mut self, name: &str) {
        self.shared.unknown.note(name);
    }

    fn data(&mut self, bytes: usize) {
        self.shared.answers.received(bytes);
    }

    fn window_adjusted(&mut self) {
        self.shared.answers.window_adjusted();
    }

    fn goodbye(&mut self, payload: &[u8]) {
        self.shared.ending.end(fault::from_goodbye(&self.shared.who, payload));
    }

    fn closed(&mut self) {
        self.shared.ending.end(self.shared.ended_by(fault::closed(&self.shared.who)));
    }

    fn failed(&mut self, error: &TransportError) {
        self.shared.ending.end(self.shared.in_phase(failure(&self.shared.who, error)));
    }

    fn lost(&mut self, error: io::Error) {
        self.shared.ending.end(self.shared.ended_by(fault::from_io(&self.shared.who, error)));
    }
}

/// A [`MonitoredLink`] as a stream.
pub(super) struct MonitoredIo(Arc<MonitoredLink>);

impl ServerIo for MonitoredIo {
    fn stop_waiting(&self) {
        self.0.stop_waiting();
    }

    fn set_low_water(&self, bytes: u32) -> bool {
        self.0.set_low_water(bytes)
    }

    fn acknowledge(&self) {
        self.0.acknowledge();
    }
}

impl AsyncRead for MonitoredIo {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.0.poll_read(cx, buf)
    }
}

impl AsyncWrite for MonitoredIo {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.0.poll_write(cx, data)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_flush(cx)
    }

    /// Never waits: a last word goes out if there is room for it.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.shut(cx);
        Poll::Ready(Ok(()))
    }
}
