//! The remote forwards of a tunnel: what the server listens on for us, and what becomes of a refusal.

mod holder;
mod request;

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::Notify;
use tunnel_engine::clock;
use tunnel_engine::failure::FailureKind;
use tunnel_engine::forward::{ForwardStats, RemoteTarget};
use tunnel_engine::session::{ForwardError, RemoteListen, Session};
use tunnel_engine::spec::{Forward, Listen, Side};

use super::actor::{Actor, TunnelEvent};
use super::drain::cancel;
use super::jobs::OwnedJob;
use super::probes::Subject;
use super::probing::Probing;
use super::refusal::{ASK_AGAIN, again, judge, shown, with_port};
use super::sessions::LiveSession;
use super::state::ForwardState;
use super::takeover::{HeldAddress, ReleaseReport, TakeoverBackoff};
use super::view::ForwardView;
use crate::config::TunnelSpec;
use holder::after_takeover;
use request::ListenRequest;

/// All of them, in the config's order.
pub(super) struct Remotes {
    entries: Vec<Remote>,
    next: u64,
    traffic_notify: Arc<Notify>,
}

struct Remote {
    id: u64,
    forward: Forward,
    stats: Arc<ForwardStats>,
    /// What the server said: pending, up (it listens), down.
    state: ForwardState,
    /// What is proven of a listener that it said it has.
    probing: Probing,
    /// What the server chose for port 0, asked for again first.
    allocated: Option<u16>,
    asking: bool,
    /// Asks again and again, and comes back with what is new.
    waits: Option<OwnedJob>,
    again: Option<Instant>,
    /// The next request is to end the holder first.
    release: bool,
    backoff: TakeoverBackoff,
    /// What the last takeover came to, while the port is not ours.
    taken: Option<ReleaseReport>,
}

/// An answer of the server.
pub(super) struct Requested {
    serial: u64,
    id: u64,
    listen: Listen,
    /// What came of a takeover before.
    report: Option<ReleaseReport>,
    result: Result<Option<u16>, ForwardError>,
}

impl Remotes {
    pub(super) fn new(spec: &TunnelSpec, traffic_notify: Arc<Notify>) -> Self {
        let mut remotes = Self { entries: Vec::new(), next: 0, traffic_notify };
        for forward in wanted(spec) {
            remotes.add(forward.clone());
        }
        remotes
    }

    pub(super) fn add(&mut self, forward: Forward) {
        self.next += 1;
        self.entries.push(Remote {
            id: self.next,
            forward,
            stats: Arc::new(ForwardStats::with_notify(self.traffic_notify.clone())),
            state: ForwardState::Pending,
            probing: Probing::new(),
            allocated: None,
            asking: false,
            waits: None,
            again: None,
            release: false,
            backoff: TakeoverBackoff::default(),
            taken: None,
        });
    }

    pub(super) fn sort_by_key(&mut self, place: impl Fn(&Forward) -> Option<usize>) {
        self.entries.sort_by_key(|remote| place(&remote.forward));
    }

    fn take(&mut self, forward: &Forward) -> Option<Remote> {
        let at = self.entries.iter().position(|remote| remote.forward == *forward)?;
        Some(self.entries.remove(at))
    }

    /// Another session, or none: nothing of the old one holds any more.
    pub(super) fn session_changed(&mut self) {
        for remote in &mut self.entries {
            remote.state = ForwardState::Pending;
            remote.probing.forget();
            remote.asking = false;
            remote.waits = None;
            remote.again = None;
            remote.release = false;
            remote.taken = None;
            remote.backoff.look_again();
        }
    }

    pub(super) fn retry_now(&mut self) {
        let now = clock::now();
        for remote in &mut self.entries {
            remote.backoff.look_again();
            if remote.waits.is_some() || remote.again.is_some() {
                remote.again = Some(now);
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn all_up(&self) -> bool {
        self.entries.iter().all(|remote| remote.state == ForwardState::Up)
    }

    /// What the server listens on for us now, with the real ports.
    pub(super) fn granted(&self) -> Vec<Listen> {
        self.entries.iter().filter(|remote| remote.state == ForwardState::Up).map(Remote::listen).collect()
    }

    pub(super) fn due(&self) -> Option<Instant> {
        self.entries.iter().filter_map(|remote| remote.again).min()
    }

    /// `proven`: whether a listener has to be proven to be ours.
    pub(super) fn views(&self, proven: bool) -> impl Iterator<Item = ForwardView> {
        self.entries.iter().map(move |remote| {
            let state = remote.shown_state(proven);
            ForwardView {
                key: remote.forward.key(),
                kind: remote.forward.kind,
                listen: shown(&remote.listen()),
                connect: remote.forward.connect.clone(),
                message: remote.message(&state),
                state,
                stats: remote.stats.clone(),
            }
        })
    }

    /// Those whose listener the server says it has.
    pub(super) fn subjects(&mut self) -> impl Iterator<Item = Subject<'_>> {
        let granted = self.entries.iter_mut().filter(|remote| remote.state == ForwardState::Up && !remote.asking);
        granted.map(|remote| Subject {
            id: remote.id,
            probing: &mut remote.probing,
            stats: &remote.stats,
            forward: &remote.forward,
            allocated: remote.allocated,
        })
    }
}

impl Remote {
    fn message(&self, state: &ForwardState) -> Option<String> {
        let message = state.message().or_else(|| self.probing.note().cloned())?;
        match (&self.taken, state) {
            (Some(report), ForwardState::Stale(_)) if !report.is_done() => {
                Some(format!("{message}; takeover: {}", report.words(&self.forward.listen)))
            }
            _ => Some(message),
        }
    }

    /// What is asked for whatever happens, and another session or program may hold.
    fn held(&self) -> Option<HeldAddress> {
        HeldAddress::of(&self.forward.listen)
    }

    fn shown_state(&self, proven: bool) -> ForwardState {
        if proven && self.state == ForwardState::Up { self.probing.state() } else { self.state.clone() }
    }

    /// With the real port, once it is known.
    fn listen(&self) -> Listen {
        with_port(&self.forward.listen, self.allocated)
    }
}

impl Actor {
    /// Asks the server to listen, for every remote forward that is not in place.
    pub(super) fn request_forwards(&mut self) {
        // A session of ours that is being closed has yet to give them up.
        if self.ports_held > 0 {
            return;
        }
        self.retry_requests_where(|remote| remote.state == ForwardState::Pending);
    }

    pub(super) fn retry_requests(&mut self, now: Instant) {
        self.retry_requests_where(|remote| remote.again.is_some_and(|at| at <= now));
    }

    /// The server has this listener taken back, and asks for it anew: what it had was not ours, or no program's. Of the ports
    /// that it may choose, another program's is none: it chooses another one.
    pub(super) fn ask_anew(&mut self, id: u64) {
        let (now, able) = (clock::now(), self.may_take_over());
        if let Some(remote) = self.remotes.entries.iter_mut().find(|remote| remote.id == id) {
            remote.release = able && remote.probing.is_stale() && remote.held().is_some() && remote.backoff.may(now);
        }
        self.ask_where(|remote| remote.id == id && remote.state == ForwardState::Up, true);
    }

    fn retry_requests_where(&mut self, wanted: impl Fn(&Remote) -> bool) {
        self.ask_where(wanted, false);
    }

    fn ask_where(&mut self, wanted: impl Fn(&Remote) -> bool, anew: bool) {
        let Some(live) = &self.live else { return };
        for remote in self.remotes.entries.iter_mut().filter(|remote| !remote.asking && wanted(remote)) {
            remote.asking = true;
            remote.again = None;
            let allocated = remote.allocated.filter(|_| !(anew && remote.probing.is_stale()));
            if anew && allocated != remote.allocated {
                remote.probing.change_port();
                live.routes.routes().remove(&RemoteListen::of(&remote.listen()));
            }
            // The server may have said yes in this moment to the request that ends here.
            let waited = remote.waits.take().is_some();
            let taken_back = (anew || waited).then(|| remote.listen());
            let request = ListenRequest { taken_back, ..remote.request(&self.spec, live) };
            let release = std::mem::take(&mut remote.release).then(|| remote.held()).flatten();
            let release = release.map(|held| self.takeover.release(&live.session, held));
            let (serial, id) = (live.serial, remote.id);
            self.jobs.spawn(async move {
                let listen = request.listen.clone();
                let (report, result) = request.run(allocated, release).await;
                TunnelEvent::Requested(Requested { serial, id, listen, report, result })
            });
        }
    }

    pub(super) fn requested(&mut self, Requested { serial, id, listen, report, result }: Requested) {
        if let Some(report) = report {
            self.taken_over(serial, id, report);
        }
        let able = self.may_take_over();
        let Some(live) = self.live.as_ref().filter(|live| live.serial == serial) else { return };
        let took_over = live.took_over;
        let Some(remote) = self.remotes.entries.iter_mut().find(|remote| remote.id == id) else {
            // Taken out of the config while the server thought about it.
            if let Ok(port) = result {
                let (session, listen) = (live.session.clone(), with_port(&listen, port));
                self.take_back(session, listen);
            }
            return;
        };
        remote.asking = false;
        remote.waits = None;
        let text = remote.forward.to_string();
        match result {
            Ok(port) => {
                remote.accept(port, &self.spec.name);
                // Its holder has gone: to be proven at once, and not as seldom as a stale one.
                if remote.taken.take_if(|report| report.is_done()).is_some() {
                    remote.probing.forget();
                }
                remote.backoff.granted();
                // A yes for half of the addresses is what a stale port gives, too.
                remote.taken.take_if(|_| !remote.probing.is_stale());
                remote.probing.begin(clock::now());
                self.come_up_when_allowed();
            }
            // The end of the session says why.
            Err(ForwardError::SessionEnded) => {}
            Err(error @ (ForwardError::Refused { .. } | ForwardError::Timeout { .. })) => {
                let mut failure = judge(&error, &listen);
                let answered = matches!(error, ForwardError::Refused { .. });
                let soon = again(&failure, answered, self.spec.on_remote_port_busy);
                let now = clock::now();
                if able
                    && answered
                    && failure.kind() == FailureKind::RemotePortBusy
                    && remote.held().is_some()
                    && remote.backoff.may(now)
                {
                    // Not told yet: it may be free in a moment.
                    remote.release = true;
                    remote.again = Some(now);
                    remote.state = ForwardState::Down(failure);
                    remote.probing.forget();
                    return;
                }
                if let Some(report) = remote.taken.as_ref().filter(|report| !report.is_done()) {
                    failure = after_takeover(&failure, report, &listen);
                }
                remote.state = ForwardState::Down(failure.clone());
                remote.probing.forget();
                match soon {
                    Some(ASK_AGAIN) if answered => {
                        let request = remote.request(&self.spec, live);
                        // A takeover is for this loop to begin.
                        let until = if able { remote.backoff.not_before() } else { None };
                        let (serial, id, allocated) = (live.serial, remote.id, remote.allocated);
                        remote.waits = Some(self.jobs.spawn_owned(async move {
                            let listen = request.listen.clone();
                            let result = request.request_until_granted(allocated, error, until).await;
                            TunnelEvent::Requested(Requested { serial, id, listen, report: None, result })
                        }));
                    }
                    Some(_) | None => remote.again = soon.map(|wait| now + wait),
                }
                if self.spec.exit_on_forward_failure && !took_over {
                    self.give_up_session(failure, Some(&text));
                } else {
                    self.log_failure(failure, Some(&text));
                }
            }
        }
    }
}

impl Actor {
    /// The server stops listening; connections that live go on.
    pub(super) fn remove_remote(&mut self, forward: &Forward) {
        let Some(remote) = self.remotes.take(forward) else { return };
        let may_be_held = remote.state == ForwardState::Up || remote.waits.is_some();
        let Some(live) = self.live.as_ref().filter(|_| may_be_held) else { return };
        let listen = remote.listen();
        live.routes.routes().remove(&RemoteListen::of(&listen));
        let session = live.session.clone();
        self.take_back(session, listen);
    }

    /// New connections are taken elsewhere; those that live go on.
    pub(super) fn retarget_remote(&mut self, from: &Forward, to: Forward) {
        let Some(remote) = self.remotes.entries.iter_mut().find(|remote| remote.forward == *from) else { return };
        remote.forward = to;
        remote.stats.set_refusal(None);
        remote.probing.pardon();
        if remote.state == ForwardState::Up {
            remote.probing.begin(clock::now());
        }
        remote.changed(&self.spec, self.live.as_ref());
    }

    /// The limits of the tunnel may have changed.
    pub(super) fn retune_remotes(&mut self) {
        for remote in &mut self.remotes.entries {
            remote.changed(&self.spec, self.live.as_ref());
        }
    }

    fn take_back(&mut self, session: Session, listen: Listen) {
        self.jobs.spawn(async move {
            cancel(&session, &[listen]).await;
            TunnelEvent::Done
        });
    }
}

impl Remote {
    /// What is listened for is carried as the config has it now. A request that waits was made for what it had before.
    fn changed(&mut self, spec: &TunnelSpec, live: Option<&LiveSession>) {
        self.route(spec, live);
        if self.waits.is_some() {
            self.again = Some(clock::now());
        }
    }

    fn request(&self, spec: &TunnelSpec, live: &LiveSession) -> ListenRequest {
        ListenRequest {
            session: live.session.clone(),
            routes: live.routes.routes(),
            listen: self.forward.listen.clone(),
            target: self.target(spec),
            taken_back: None,
        }
    }

    fn target(&self, spec: &TunnelSpec) -> RemoteTarget {
        RemoteTarget {
            forward: self.forward.to_string(),
            connect: self.forward.connect.clone(),
            family: spec.session.dial.address_family,
            permit: Arc::new(spec.permit_remote_open.clone()),
            max_connections: self.forward.max_connections.unwrap_or(spec.max_connections),
            stats: self.stats.clone(),
        }
    }

    fn route(&self, spec: &TunnelSpec, live: Option<&LiveSession>) {
        if let Some(live) = live.filter(|_| self.state == ForwardState::Up) {
            live.routes.routes().add(RemoteListen::of(&self.listen()), self.target(spec));
        }
    }

    fn accept(&mut self, port: Option<u16>, tunnel: &str) {
        if let (Listen::Tcp { port: 0, .. }, Some(port)) = (&self.forward.listen, port) {
            if self.allocated != Some(port) {
                let forward = self.forward.to_string();
                tracing::info!(tunnel, forward, port, "{tunnel}: {forward}: the server chose port {port}");
            }
            self.allocated = Some(port);
        }
        self.state = ForwardState::Up;
    }
}

fn wanted(spec: &TunnelSpec) -> impl Iterator<Item = &Forward> {
    spec.forwards.iter().filter(|forward| forward.kind.side() == Side::Server)
}
