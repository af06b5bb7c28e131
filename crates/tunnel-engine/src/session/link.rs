//! What a session's parts share: the wire, the ending, the facts, the connections from the server.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use super::answers::Answers;
use super::arrivals::Arrivals;
use super::connections::ConnectionCount;
use super::ending::EndReason;
use super::fault;
use super::monitored_link::MonitoredLink;
use super::path::Path;
use super::unknown::UnknownRequests;
use crate::auth::LinkTraffic;
use crate::failure::Failure;
use crate::hostkey::MatchedBy;
use crate::login_record::{LoginRecorder, LoginStep};
use crate::transport::{SessionProof, TransportLink};

/// What is kept of a server's login banner, in characters.
pub(super) const MAX_BANNER: usize = 400;

/// The parts of a session that its transport, its watchdog and its requests all know. Owns nothing that keeps the
/// session alive.
pub(super) struct SessionShared {
    /// `host:port`, for messages.
    pub who: String,
    /// Takes notes of the login, where a person asked for them.
    pub recorder: LoginRecorder,
    pub link_monitor: Arc<MonitoredLink>,
    pub ending: EndReason,
    /// Cancelled when the transport's task is over and nothing of the session runs any more.
    pub finished: CancellationToken,
    pub incoming: Arrivals,
    pub connections: Arc<ConnectionCount>,
    /// Answers of the server to our requests.
    pub answers: Arc<Answers>,
    /// What the server asks for, and no client knows.
    pub unknown: Arc<UnknownRequests>,
    /// What the watchdog thinks of the way to the server.
    pub path: watch::Sender<Path>,
    /// A caller wants the server to prove that it is alive.
    pub examine: Notify,
    /// The server has let us in.
    pub logged_in: AtomicBool,
    /// How often keys were exchanged.
    pub key_exchanges: AtomicU32,
    /// The transport.
    pub link: Arc<TransportLink>,
    /// What signatures of this session name.
    pub session_proof: SessionProof,
    facts: Mutex<HandshakeFacts>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct HandshakeFacts {
    /// Bytes from and to the server before its last keys.
    pub before_keys: (u64, u64),
    pub kex: String,
    pub cipher: String,
    pub host_key: String,
    /// What made the host key trusted.
    pub proof: Option<MatchedBy>,
    /// What the server says to those who log in.
    pub banner: Option<String>,
    /// How often it has said something.
    pub banners: u32,
}

impl LinkTraffic for SessionShared {
    fn ended(&self) -> watch::Receiver<Option<Failure>> {
        self.ending.watch()
    }

    fn received(&self) -> (u64, u32) {
        (self.link_monitor.bytes().0, self.facts().banners)
    }

    fn session(&self) -> &SessionProof {
        &self.session_proof
    }

    fn note(&self, step: LoginStep) {
        self.recorder.note(&self.who, step);
    }
}

impl SessionShared {
    pub(super) fn new(
        who: String,
        link_monitor: Arc<MonitoredLink>,
        incoming: Arrivals,
        recorder: LoginRecorder,
        link: Arc<TransportLink>,
        session_proof: SessionProof,
    ) -> Self {
        Self {
            unknown: UnknownRequests::new(&who),
            who,
            recorder,
            link_monitor,
            ending: EndReason::new(),
            finished: CancellationToken::new(),
            incoming,
            connections: Arc::default(),
            answers: Arc::default(),
            path: watch::Sender::new(Path::Clear),
            examine: Notify::new(),
            logged_in: AtomicBool::new(false),
            key_exchanges: AtomicU32::new(0),
            link,
            session_proof,
            facts: Mutex::default(),
        }
    }

    /// The server answered one of our requests, whatever it said; so did every jump host on the way to it.
    pub(super) fn answered(&self) {
        self.answers.answered();
        self.link_monitor.answered();
    }

    /// The session has ended by `failure`, of which more may be known.
    pub(super) fn ended_by(&self, failure: Failure) -> Failure {
        let failure = self.in_phase(failure);
        if self.logged_in.load(Ordering::Relaxed) && *self.connections.watch().borrow() == 0 {
            return fault::unused(failure);
        }
        failure
    }

    /// A failure as it is told before the login, or after it.
    pub(super) fn in_phase(&self, failure: Failure) -> Failure {
        if self.logged_in.load(Ordering::Relaxed) { fault::after_login(failure) } else { failure }
    }

    pub(super) fn note(&self, change: impl FnOnce(&mut HandshakeFacts)) {
        change(&mut self.facts.lock().unwrap_or_else(PoisonError::into_inner));
    }

    pub(super) fn facts(&self) -> HandshakeFacts {
        self.facts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
