//! What the transport tells of a session, noted where the session's parts look for it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use russh::keys::PublicKey;
use russh::keys::key::parse_public_key;
use tokio::sync::oneshot;
use tracing::Span;

use super::fault;
use super::link::SessionShared;
use crate::hostkey::MatchedBy;
use crate::transport::{Agreement, DebugText, LinkObserver, TransportError};

/// What is kept of what the server says that it does, in characters.
const MAX_DEBUG: usize = 400;

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

    fn logged_in(&mut self) {
        self.shared.logged_in.store(true, Ordering::Relaxed);
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
        self.shared.ending.end(self.shared.in_phase(fault::from_transport(&self.shared.who, error)));
    }

    fn lost(&mut self, error: io::Error) {
        self.shared.ending.end(self.shared.ended_by(fault::from_io(&self.shared.who, error)));
    }
}

/// The server says what it does.
pub(super) fn log_debug(who: &str, text: &DebugText) {
    let said = fault::sanitised(text.text.as_bytes(), MAX_DEBUG);
    tracing::debug!(server = who, "`{who}` says: {said}");
}
