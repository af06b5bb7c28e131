//! From a spec to an authenticated session, all of it before one deadline.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::arrivals::Arrivals;
use super::banner;
use super::fault;
use super::given_up::{OpenPhase, given_up};
use super::incoming::IncomingChannels;
use super::known_hosts_update::KnownHostsFollower;
use super::link::{MAX_BANNER, SessionShared};
use super::liveness::AliveLimit;
use super::monitored_link::{CutOnDrop, MonitoredLink};
use super::recorded_link::Recording;
use super::requests::Requests;
use super::transport_setup::{self, Secured, TransportOptions};
use super::transport_watcher::TransportWatcher;
use super::{Alive, Role, Session, SessionInfo, algorithms, login, watchdog};
use crate::failure::{Failure, FailureKind};
use crate::hostkey::{HostKeys, MatchedBy, Until};
use crate::link::Dialer;
use crate::login_record::LoginStep;
use crate::spec::SessionSpec;
use crate::transport::{self, TransportLink};
use crate::{auth, clock, task};

/// The attempt, and what is known of it when it is given up.
struct SessionOpening<'a> {
    spec: &'a SessionSpec,
    role: Role,
    who: String,
    /// How far it has come, for the message when time is up.
    phase: OpenPhase,
    /// The server's words before its identification.
    received: Vec<u8>,
    /// The address that was reached.
    peer: Option<SocketAddr>,
}

pub(super) async fn open(
    spec: &SessionSpec,
    dialer: &dyn Dialer,
    role: Role,
) -> Result<(Session, IncomingChannels), Failure> {
    let limit = spec.timing.connect_timeout;
    let deadline = clock::Deadline::after(limit);
    let who = spec.destination.host_port();
    let mut attempt = SessionOpening { spec, role, who, phase: OpenPhase::Dial, received: Vec::new(), peer: None };
    // In a box: the login of a jump host runs within that of its tunnel, on one stack.
    let opened = match clock::timeout(limit, Box::pin(attempt.run(dialer, deadline))).await {
        Ok(opened) => opened,
        Err(_) => Err(attempt.timed_out(limit)),
    };
    match (opened, attempt.peer) {
        (Ok(opened), Some(peer)) => {
            dialer.logged_in(spec, peer);
            Ok(opened)
        }
        (Err(failure), Some(peer)) => Err(dialer.login_failed(spec, peer, failure)),
        (opened, None) => opened,
    }
}

impl SessionOpening<'_> {
    async fn run(
        &mut self,
        dialer: &dyn Dialer,
        deadline: clock::Deadline,
    ) -> Result<(Session, IncomingChannels), Failure> {
        let (spec, recorder) = (self.spec, dialer.recorder());
        let given_up = CancellationToken::new();
        let _ends_what_was_begun = given_up.clone().drop_guard();
        let until = Until { deadline, given_up };
        // First of all: a server that is away is dialled again and again, and costs no reading of files.
        let mut link = dialer.dial(spec, deadline.at()).await?;
        let (peer, local) = (link.peer, link.local);
        self.peer = peer;
        let jump_hosts = link.io.jump_hosts();

        self.phase = OpenPhase::Banner;
        let mut host_keys = HostKeys::load(&spec.host_key, &spec.destination, until).await?;
        if !algorithms::is_ordered(&spec.algorithms.host_keys) {
            host_keys.ask_for_order().await;
        }
        let offer = self.offer(&host_keys)?;
        let mut updates = host_keys.updates(algorithms::learnable(&spec.algorithms.host_keys));
        if recorder.is_active() {
            // A look changes nothing.
            host_keys.write_nothing();
            updates = None;
        }
        let ours = algorithms::names(&offer);
        host_keys.reached_at(peer);

        let recording = Recording::default();
        if recorder.is_active() {
            link.io = recording.of(link.io);
        }
        let banner = banner::exchange(&mut *link.io, &self.who, &mut self.received).await?;
        recorder.note(&self.who, self.identified(&banner.software));

        self.phase = OpenPhase::KeyExchange;
        let link_monitor = Arc::new(MonitoredLink::new(link));
        let mut cut = CutOnDrop(Some(link_monitor.clone()));
        let wanted = TransportOptions {
            who: &self.who,
            recorder: &recorder,
            offer,
            rekey_limit: spec.rekey_limit,
            required_rsa_size: spec.auth.required_rsa_size,
        };
        let secured =
            Box::pin(transport_setup::transport_setup(&wanted, &host_keys, link_monitor.clone(), &banner)).await;
        recorder.note(&self.who, LoginStep::Offers { ours, theirs: recording.offer() });
        let Secured { connection, input, agreement, host_key, proof } = secured?;
        let cannot = |error| fault::from_transport(&self.who, &error);
        let session_proof = connection.proof().cloned().unwrap_or_default();
        let link = TransportLink::new(connection, spec.receive_window).map_err(cannot)?;
        let (arrivals, incoming) = Arrivals::new();
        let shared = SessionShared::new(
            self.who.clone(),
            link_monitor.clone(),
            arrivals,
            recorder.clone(),
            link.clone(),
            session_proof,
        );
        let shared = Arc::new(shared);
        let (announce, announced) = oneshot::channel();
        let mut watcher = TransportWatcher::new(shared.clone(), updates.is_some().then_some(announce));
        watcher.began(&agreement, host_key, proof);
        link.observe(Box::new(watcher));
        let connected = login::begin(&shared, input).await;
        let mut handle = connected.map_err(|error| broken(&shared, error))?;

        self.phase = OpenPhase::Authentication;
        let whom = (spec.destination.user.as_str(), spec.destination.host.as_str());
        let proof = auth::authenticate(&mut handle, &spec.auth, whom, &*shared).await;
        let auth = proof.map_err(|failure| with_banner(&shared, failure))?;
        link.leave_russh();
        drop(handle);
        recorder.note(&self.who, LoginStep::LoggedIn);

        let facts = shared.facts();
        let info = SessionInfo {
            peer,
            local,
            software: banner.software,
            kex: facts.kex,
            cipher: facts.cipher,
            host_key: facts.host_key,
            auth,
            jump_hosts,
        };
        cut.0 = None;
        let line = Arc::new(Requests::new(shared.clone()));
        let timing = spec.timing;
        let alive_limit = AliveLimit::new(timing.server_alive_interval, timing.server_alive_count_max, self.role);
        let watchdog = task::owned(watchdog::watch(line.clone(), alive_limit, local, spec.receive_window));
        let updates = updates.filter(|_| facts.proof == Some(MatchedBy::OwnLine));
        let follow = updates.map(|updates| KnownHostsFollower::start(line.clone(), updates, announced));
        let alive = Alive { info, line, _watchdog: watchdog, follow };
        Ok((Session { alive: Arc::new(alive) }, incoming))
    }

    /// What the server has said until its key exchange.
    fn identified(&self, software: &str) -> LoginStep {
        let before = fault::sanitised(&self.received, MAX_BANNER);
        LoginStep::Identified { software: software.to_owned(), before }
    }

    fn offer(&self, host_keys: &HostKeys) -> Result<transport::LocalOffer, Failure> {
        let offer = algorithms::offer(&self.spec.algorithms, self.spec.compression, |offer| host_keys.prefer(offer));
        offer.map_err(|error| {
            Failure::new(FailureKind::NoCommonAlgorithm, format!("the algorithms for `{}`: {error}", self.who))
        })
    }

    fn timed_out(&self, limit: Duration) -> Failure {
        let not_ssh = match self.phase {
            OpenPhase::Banner => banner::unfinished(&self.who, &self.received),
            OpenPhase::Dial | OpenPhase::KeyExchange | OpenPhase::Authentication => None,
        };
        not_ssh.unwrap_or_else(|| given_up(self.spec, self.phase, limit))
    }
}

/// Why the login did not begin. Where russh's error only says that it did not, there may be the server's goodbye.
fn broken(shared: &SessionShared, error: russh::Error) -> Failure {
    let is_reported = matches!(error, russh::Error::Disconnect);
    // Without a reason from either side the end is a loss, about which russh's error says more.
    let reason = shared.ending.reason().filter(|reason| is_reported && reason.kind() != FailureKind::ConnectionLost);
    reason.unwrap_or_else(|| fault::from_russh(&shared.who, error))
}

/// sshd closes without a word when the account may not log in, and then its login banner is all there is to tell.
fn with_banner(shared: &SessionShared, failure: Failure) -> Failure {
    match shared.facts().banner {
        Some(banner) if shared.ending.reason().is_some() => auth::with_words(failure, &banner),
        Some(_) | None => failure,
    }
}
