//! The local and dynamic forwards of a tunnel: listeners that are bound once and outlive sessions.

use std::sync::Arc;

use tokio::sync::{Notify, watch};
use tunnel_engine::clock;
use tunnel_engine::failure::Failure;
use tunnel_engine::forward::{
    BindOptions, Bound, ForwardStats, ListenOptions, ListenState, LocalForward, OutagePolicy, StateChanges,
};
use tunnel_engine::spec::{Connect, Forward, ForwardKind};

use super::actor::{Actor, TunnelEvent};
use super::jobs::OwnedJob;
use super::probes::Subject;
use super::probing::Probing;
use super::sessions::Pool;
use super::state::ForwardState;
use super::view::ForwardView;
use crate::config::{DuringOutage, TunnelSpec};
use crate::lifecycle::{Phase, Want};

/// All of them, in the config's order.
pub(super) struct Locals {
    entries: Vec<Local>,
    next: u64,
    sessions: watch::Receiver<Option<Pool>>,
    traffic_notify: Arc<Notify>,
}

struct Local {
    id: u64,
    forward: Forward,
    stats: Arc<ForwardStats>,
    listener: LocalListener,
    /// What was told of it last.
    told: Option<Failure>,
    /// It was closed for an outage, and is to be bound again for the session.
    refusing: bool,
    probing: Probing,
    /// The listener before this one, until its sockets are closed.
    before: Option<StateChanges>,
}

enum LocalListener {
    Closed,
    Binding,
    Open(LocalForward),
    /// `waits`: the job that tries again. Without one it is to be tried at once.
    Failed {
        failure: Failure,
        waits: Option<OwnedJob>,
    },
}

/// A listener that was bound, or not.
pub(super) struct BoundJob {
    id: u64,
    result: Result<Bound, Failure>,
}

/// How the listeners are, all together.
pub(super) enum ListenSummary {
    All,
    Pending,
    Failed(Failure),
}

/// Whether listeners should be open: from the wish to be up until the wish to be down, or until the tunnel gave up and
/// nobody would ever come for the connections that they hold.
pub(super) fn should_listen(want: Want, phase: Phase) -> bool {
    want == Want::Up && phase != Phase::Failed
}

impl Locals {
    pub(super) fn new(spec: &TunnelSpec, sessions: watch::Receiver<Option<Pool>>, traffic_notify: Arc<Notify>) -> Self {
        let mut locals = Self { entries: Vec::new(), next: 0, sessions, traffic_notify };
        let listens = |kind| matches!(kind, ForwardKind::Local | ForwardKind::Dynamic);
        for forward in spec.forwards.iter().filter(|forward| listens(forward.kind)) {
            locals.add(forward.clone());
        }
        locals
    }

    pub(super) fn add(&mut self, forward: Forward) {
        self.next += 1;
        let stats = Arc::new(ForwardStats::with_notify(self.traffic_notify.clone()));
        let probing = Probing::new();
        self.entries.push(Local {
            id: self.next,
            forward,
            stats,
            listener: LocalListener::Closed,
            told: None,
            refusing: false,
            probing,
            before: None,
        });
    }

    pub(super) fn sort_by_key(&mut self, place: impl Fn(&Forward) -> Option<usize>) {
        self.entries.sort_by_key(|local| place(&local.forward));
    }

    fn take(&mut self, forward: &Forward) -> Option<Local> {
        let at = self.entries.iter().position(|local| local.forward == *forward)?;
        Some(self.entries.remove(at))
    }

    /// Those that have a target to be proven.
    pub(super) fn subjects(&mut self) -> impl Iterator<Item = Subject<'_>> {
        let named = self.entries.iter_mut().filter(|local| local.forward.connect != Connect::Socks);
        named.map(|local| Subject {
            id: local.id,
            probing: &mut local.probing,
            stats: &local.stats,
            forward: &local.forward,
            allocated: None,
        })
    }

    pub(super) fn listening(&self) -> ListenSummary {
        let mut all = ListenSummary::All;
        for local in &self.entries {
            match &local.listener {
                LocalListener::Open(_) => {}
                LocalListener::Closed | LocalListener::Binding => all = ListenSummary::Pending,
                LocalListener::Failed { failure, .. } => return ListenSummary::Failed(failure.clone()),
            }
        }
        all
    }

    /// Now is a good time to bind what is not bound, and to see whether addresses have gone.
    pub(super) fn retry_now(&mut self) {
        for local in &mut self.entries {
            match &mut local.listener {
                LocalListener::Failed { waits, .. } => *waits = None,
                LocalListener::Open(listener) => listener.look(),
                LocalListener::Closed | LocalListener::Binding => {}
            }
        }
    }

    /// `proven`: whether a target has to be proven to take connections.
    pub(super) fn views(&self, phase: Phase, proven: bool) -> impl Iterator<Item = ForwardView> {
        self.entries.iter().map(move |local| local.view(phase, proven))
    }
}

impl Local {
    fn view(&self, phase: Phase, proven: bool) -> ForwardView {
        let mut listen = self.forward.listen.to_string();
        let waiting = match phase {
            Phase::Up if proven && self.forward.connect != Connect::Socks => self.probing.state(),
            Phase::Up => ForwardState::Up,
            Phase::Stopped | Phase::Connecting | Phase::Backoff | Phase::Blocked | Phase::Failed | Phase::Stopping => {
                ForwardState::Pending
            }
        };
        let state = match &self.listener {
            LocalListener::Open(listener) => match &*listener.state() {
                ListenState::Listening { addresses, missing } => {
                    listen = addresses.first().map_or(listen, ToString::to_string);
                    missing.clone().map_or(waiting, ForwardState::Down)
                }
                ListenState::Failed(failure) => ForwardState::Down(failure.clone()),
                ListenState::Refusing | ListenState::Closed => ForwardState::Pending,
            },
            LocalListener::Failed { failure, .. } => ForwardState::Down(failure.clone()),
            LocalListener::Closed | LocalListener::Binding => ForwardState::Pending,
        };
        ForwardView {
            key: self.forward.key(),
            kind: self.forward.kind,
            listen,
            connect: self.forward.connect.clone(),
            message: state.message(),
            state,
            stats: self.stats.clone(),
        }
    }
}

impl Actor {
    /// Opens or closes listeners as the phase and the wish have it.
    pub(super) fn reconcile_listeners(&mut self) {
        if should_listen(self.machine.want(), self.machine.phase()) {
            self.bind_listeners();
        } else {
            self.close_listeners();
        }
    }

    /// Every listener that should be open is, or has failed to.
    pub(super) fn listeners_tried(&self) -> bool {
        !should_listen(self.machine.want(), self.machine.phase()) || !matches!(self.listening(), ListenSummary::Pending)
    }

    /// Those and the devices, all together.
    pub(super) fn listening(&self) -> ListenSummary {
        match (self.locals.listening(), self.devices.listening()) {
            (ListenSummary::Failed(failure), _) | (_, ListenSummary::Failed(failure)) => ListenSummary::Failed(failure),
            (ListenSummary::Pending, _) | (_, ListenSummary::Pending) => ListenSummary::Pending,
            (ListenSummary::All, ListenSummary::All) => ListenSummary::All,
        }
    }

    /// Binds those that are closed, and tries those again that nothing waits for.
    pub(super) fn bind_listeners(&mut self) {
        let options = bind_options(&self.spec);
        for local in &mut self.locals.entries {
            let (id, listen, store) = (local.id, local.forward.listen.clone(), self.context.listeners.clone());
            let watcher = self.context.paths.clone();
            let before = local.before.take_if(|_| matches!(local.listener, LocalListener::Closed));
            let bind = async move {
                if let Some(before) = before {
                    // It closes them at once, whatever it still carries.
                    before.closed().await;
                }
                let bound = Bound::take_or_bind(&listen, options, store, None).await;
                TunnelEvent::Bound(BoundJob { id, result: bound.map(|bound| bound.watched_by(watcher)) })
            };
            match &mut local.listener {
                LocalListener::Closed => {
                    local.listener = LocalListener::Binding;
                    self.jobs.spawn(bind);
                }
                // What failed stays to be seen until it is known to have changed.
                LocalListener::Failed { waits: waits @ None, .. } => *waits = Some(self.jobs.spawn_owned(bind)),
                LocalListener::Binding | LocalListener::Open(_) | LocalListener::Failed { waits: Some(_), .. } => {}
            }
        }
    }

    pub(super) fn bound(&mut self, BoundJob { id, result }: BoundJob) {
        let (bind_options, options) = (bind_options(&self.spec), listen_options(&self.spec));
        let sessions = self.locals.sessions.clone();
        let Some(local) = self.locals.entries.iter_mut().find(|local| local.id == id) else { return };
        if !matches!(local.listener, LocalListener::Binding | LocalListener::Failed { .. }) {
            return;
        }
        match result {
            Ok(bound) => {
                let (connect, stats) = (local.forward.connect.clone(), local.stats.clone());
                let options = ListenOptions { max_connections: local.limit(&self.spec), ..options };
                let listener = LocalForward::spawn(bound, connect, sessions, options, stats);
                let changes = listener.changes();
                local.listener = LocalListener::Open(listener);
                self.watch_listener(id, changes);
                self.log_listener(id);
            }
            Err(failure) => {
                let (listen, store) = (local.forward.listen.clone(), self.context.listeners.clone());
                let (watcher, failed) = (self.context.paths.clone(), failure.clone());
                let waits = self.jobs.spawn_owned(async move {
                    let bound = Bound::when_free(&listen, bind_options, store, &failed).await;
                    TunnelEvent::Bound(BoundJob { id, result: bound.map(|bound| bound.watched_by(watcher)) })
                });
                local.listener = LocalListener::Failed { failure: failure.clone(), waits: Some(waits) };
                local.told = Some(failure.clone());
                let forward = local.forward.to_string();
                match (self.spec.exit_on_forward_failure, &self.live) {
                    (true, Some(_)) => self.give_up_session(failure, Some(&forward)),
                    // The start that waits for it tells.
                    (true, None) => {}
                    (false, _) => self.log_failure(failure, Some(&forward)),
                }
            }
        }
        self.dial_when_listening();
    }

    /// Wakes the loop when the listener's state changes.
    fn watch_listener(&mut self, id: u64, changes: StateChanges) {
        self.jobs.spawn(async move {
            changes.next().await.map_or(TunnelEvent::Done, |changes| TunnelEvent::ListenerChanged { id, changes })
        });
    }

    pub(super) fn listener_changed(&mut self, id: u64, changes: StateChanges) {
        self.watch_listener(id, changes);
        self.log_listener(id);
    }

    /// Tells of an address that is not listened on, and that it is again.
    fn log_listener(&mut self, id: u64) {
        let Some(local) = self.locals.entries.iter_mut().find(|local| local.id == id) else { return };
        let LocalListener::Open(listener) = &local.listener else { return };
        let (failed, nothing) = match &*listener.state() {
            // Not bound, and not meant to be.
            ListenState::Refusing => {
                local.refusing = true;
                return;
            }
            ListenState::Closed => return,
            state @ ListenState::Failed(_) => (state.failure().cloned(), true),
            state @ ListenState::Listening { .. } => (state.failure().cloned(), false),
        };
        // One address of several is enough for ssh.
        let fatal = std::mem::take(&mut local.refusing) && nothing && self.spec.exit_on_forward_failure;
        if local.told == failed && !fatal {
            return;
        }
        local.told.clone_from(&failed);
        let (tunnel, forward) = (self.spec.name.as_str(), local.forward.to_string());
        match failed {
            Some(failure) if fatal && self.live.is_some() => self.give_up_session(failure, Some(&forward)),
            Some(failure) => self.log_failure(failure, Some(&forward)),
            None => tracing::info!(tunnel, forward, "{tunnel}: {forward}: every address is listened on"),
        }
    }

    pub(super) fn retune_listeners(&mut self) {
        for local in &mut self.locals.entries {
            local.retune(&self.spec);
            // It waits for an address with the options of before.
            if let LocalListener::Failed { waits, .. } = &mut local.listener {
                *waits = None;
            }
        }
    }

    /// New connections are taken elsewhere; those that live go on.
    pub(super) fn retarget_listener(&mut self, from: &Forward, to: Forward) {
        let Some(local) = self.locals.entries.iter_mut().find(|local| local.forward == *from) else { return };
        local.forward = to;
        local.stats.set_refusal(None);
        local.probing.reset();
        local.retune(&self.spec);
        if let LocalListener::Open(listener) = &local.listener {
            listener.retarget(local.forward.connect.clone());
        }
    }

    /// A forward that is gone from the config takes its connections with it, as the plan says.
    pub(super) fn remove_listener(&mut self, forward: &Forward) {
        if let Some(Local { listener: LocalListener::Open(listener), .. }) = self.locals.take(forward) {
            self.jobs.spawn(async move {
                listener.abort().await;
                TunnelEvent::Done
            });
        }
    }

    /// No new connections. Those that live may finish while the session winds down.
    fn close_listeners(&mut self) {
        let deadline = clock::now() + self.context.stop_timeout;
        for local in &mut self.locals.entries {
            if let LocalListener::Open(listener) = std::mem::replace(&mut local.listener, LocalListener::Closed) {
                local.before = Some(listener.changes());
                self.jobs.spawn(async move {
                    listener.drain(deadline).await;
                    TunnelEvent::Done
                });
            }
        }
    }
}

impl Local {
    fn retune(&self, spec: &TunnelSpec) {
        if let LocalListener::Open(listener) = &self.listener {
            listener.retune(ListenOptions { max_connections: self.limit(spec), ..listen_options(spec) });
        }
    }

    fn limit(&self, spec: &TunnelSpec) -> u32 {
        self.forward.max_connections.unwrap_or(spec.max_connections)
    }
}

/// How the listeners of this machine are bound.
pub(crate) fn bind_options(spec: &TunnelSpec) -> BindOptions {
    BindOptions {
        gateway_ports: spec.gateway_ports,
        family: spec.session.dial.address_family,
        socket_mask: spec.stream_local_bind_mask,
        socket_unlink: spec.stream_local_bind_unlink,
    }
}

fn listen_options(spec: &TunnelSpec) -> ListenOptions {
    let outage = match spec.outage.during_outage {
        DuringOutage::Hold => OutagePolicy::Hold { timeout: spec.outage.hold_timeout, max: spec.outage.hold_max },
        DuringOutage::Refuse => OutagePolicy::Refuse,
    };
    ListenOptions { max_connections: spec.max_connections, outage }
}
