//! The local and dynamic forwards of a tunnel: listeners that are bound once and outlive sessions.

use tunnel_engine::failure::Failure;
use tunnel_engine::forward::{BindOptions, ListenOptions, ListenState, OutagePolicy};
use tunnel_engine::spec::{Connect, Forward};

use super::core::{Bind, Core, ForwardEffect};
use super::forward_id::ForwardId;
use super::probes::Subject;
use super::probing::Probing;
use super::state::ForwardState;
use super::view::ForwardView;
use crate::config::{DuringOutage, TunnelSpec};
use crate::lifecycle::{Phase, Want};

/// All of them, in the config's order.
#[derive(Debug, Default)]
pub(super) struct Locals {
    entries: Vec<Local>,
}

#[derive(Debug)]
struct Local {
    id: ForwardId,
    forward: Forward,
    listener: LocalListener,
    /// What was told of it last.
    told: Option<Failure>,
    /// It was closed for an outage, and is to be bound again for the session.
    refusing: bool,
    probing: Probing,
}

#[derive(Debug)]
enum LocalListener {
    Closed,
    Binding,
    /// As it said last; `None` before it said anything.
    Open(Option<ListenState>),
    /// `waits`: it is tried again when what is in the way is gone. Else it is to be tried at once.
    Failed {
        failure: Failure,
        waits: bool,
    },
}

/// How the listeners are, all together.
#[derive(Debug)]
pub(super) enum ListenSummary {
    All,
    Pending,
    Failed(Failure),
}

/// Whether listeners should be open: from the wish to be up until the wish to be down, or until the tunnel gave up and
/// there will be no session for the connections that they hold.
pub(super) fn should_listen(want: Want, phase: Phase) -> bool {
    want == Want::Up && phase != Phase::Failed
}

impl Locals {
    pub(super) fn add(&mut self, id: ForwardId, forward: Forward) {
        let (listener, probing) = (LocalListener::Closed, Probing::new());
        self.entries.push(Local { id, forward, listener, told: None, refusing: false, probing });
    }

    pub(super) fn sort_by_key(&mut self, place: impl Fn(&Forward) -> Option<usize>) {
        self.entries.sort_by_key(|local| place(&local.forward));
    }

    fn take(&mut self, forward: &Forward) -> Option<Local> {
        let at = self.entries.iter().position(|local| local.forward == *forward)?;
        Some(self.entries.remove(at))
    }

    fn get_mut(&mut self, id: ForwardId) -> Option<&mut Local> {
        self.entries.iter_mut().find(|local| local.id == id)
    }

    /// What is known of those that have a target to be proven.
    pub(super) fn named_subjects(&self) -> impl Iterator<Item = &Probing> {
        let named = self.entries.iter().filter(|local| local.forward.connect != Connect::Socks);
        named.map(|local| &local.probing)
    }

    /// The same, to be changed.
    pub(super) fn subjects(&mut self) -> impl Iterator<Item = Subject<'_>> {
        let named = self.entries.iter_mut().filter(|local| local.forward.connect != Connect::Socks);
        named.map(|local| Subject {
            id: local.id,
            probing: &mut local.probing,
            forward: &local.forward,
            allocated: None,
        })
    }

    fn listening(&self) -> ListenSummary {
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
            LocalListener::Open(Some(ListenState::Listening { addresses, missing })) => {
                listen = addresses.first().map_or(listen, ToString::to_string);
                missing.clone().map_or(waiting, ForwardState::Down)
            }
            LocalListener::Open(Some(ListenState::Failed(failure))) | LocalListener::Failed { failure, .. } => {
                ForwardState::Down(failure.clone())
            }
            LocalListener::Open(Some(ListenState::Refusing | ListenState::Closed) | None)
            | LocalListener::Closed
            | LocalListener::Binding => ForwardState::Pending,
        };
        ForwardView {
            id: self.id,
            key: self.forward.key(),
            kind: self.forward.kind,
            listen,
            connect: self.forward.connect.clone(),
            message: state.message(),
            state,
        }
    }

    fn options(&self, spec: &TunnelSpec) -> ListenOptions {
        let max_connections = self.forward.max_connections.unwrap_or(spec.max_connections);
        ListenOptions { max_connections, outage: outage_policy(spec) }
    }

    fn is_open(&self) -> bool {
        matches!(self.listener, LocalListener::Open(_))
    }

    /// Now is a good time to try again what could not be bound.
    fn stop_waiting(&mut self) -> Option<ForwardEffect> {
        match &mut self.listener {
            LocalListener::Failed { waits: waits @ true, .. } => {
                *waits = false;
                Some(ForwardEffect::StopBinding(self.id))
            }
            LocalListener::Failed { .. } | LocalListener::Closed | LocalListener::Binding | LocalListener::Open(_) => {
                None
            }
        }
    }
}

impl Core {
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
        let mut binds = Vec::new();
        for local in &mut self.locals.entries {
            let retry = match &mut local.listener {
                LocalListener::Closed => {
                    local.listener = LocalListener::Binding;
                    false
                }
                // What failed stays to be seen until it is known to have changed.
                LocalListener::Failed { waits: waits @ false, .. } => {
                    *waits = true;
                    true
                }
                LocalListener::Binding | LocalListener::Open(_) | LocalListener::Failed { .. } => continue,
            };
            let (forward, listen) = (local.id, local.forward.listen.clone());
            binds.push(Bind { forward, listen, options, retry, failed: None });
        }
        binds.into_iter().for_each(|bind| self.effect(ForwardEffect::Bind(Box::new(bind))));
    }

    pub(super) fn bound(&mut self, id: ForwardId, result: Result<(), Failure>) {
        let options = bind_options(&self.spec);
        let Some(local) = self.locals.get_mut(id) else { return };
        if !matches!(local.listener, LocalListener::Binding | LocalListener::Failed { .. }) {
            return;
        }
        match result {
            Ok(()) => {
                local.listener = LocalListener::Open(None);
                let (connect, options) = (local.forward.connect.clone(), local.options(&self.spec));
                self.effect(ForwardEffect::OpenListener(id, connect, options));
            }
            Err(failure) => {
                let (listen, name) = (local.forward.listen.clone(), local.forward.to_string());
                local.listener = LocalListener::Failed { failure: failure.clone(), waits: true };
                local.told = Some(failure.clone());
                let bind = Bind { forward: id, listen, options, retry: true, failed: Some(failure.clone()) };
                self.effect(ForwardEffect::Bind(Box::new(bind)));
                match (self.spec.exit_on_forward_failure, &self.sessions.main) {
                    (true, Some(_)) => self.give_up_session(failure, Some(&name)),
                    // The start that waits for it tells.
                    (true, None) => {}
                    (false, _) => self.note_failure(failure, Some(&name)),
                }
            }
        }
        self.log_in_when_listening();
    }

    /// A listener opened, closed or failed by itself: what is new is logged.
    pub(super) fn listener_changed(&mut self, id: ForwardId, now: ListenState) {
        let strict = self.spec.exit_on_forward_failure;
        let Some(local) = self.locals.get_mut(id) else { return };
        let LocalListener::Open(state) = &mut local.listener else { return };
        let (failed, nothing) = match &now {
            // Not bound, and not meant to be.
            ListenState::Refusing => {
                local.refusing = true;
                *state = Some(now);
                return;
            }
            ListenState::Closed => {
                *state = Some(now);
                return;
            }
            ListenState::Failed(_) => (now.failure().cloned(), true),
            ListenState::Listening { .. } => (now.failure().cloned(), false),
        };
        *state = Some(now);
        // One address of several is enough for ssh.
        let fatal = std::mem::take(&mut local.refusing) && nothing && strict;
        if local.told == failed && !fatal {
            return;
        }
        local.told.clone_from(&failed);
        let (tunnel, forward) = (self.spec.name.as_str(), local.forward.to_string());
        match failed {
            Some(failure) if fatal && self.sessions.main.is_some() => self.give_up_session(failure, Some(&forward)),
            Some(failure) => self.note_failure(failure, Some(&forward)),
            None => tracing::info!(tunnel, forward, "{tunnel}: {forward}: every address is listened on"),
        }
    }

    /// Now is a good time to bind what is not bound, and to see whether addresses have gone.
    pub(super) fn retry_listeners(&mut self) {
        let look = |local: &mut Local| match local.is_open() {
            true => Some(ForwardEffect::LookAtListener(local.id)),
            false => local.stop_waiting(),
        };
        let effects: Vec<ForwardEffect> = self.locals.entries.iter_mut().filter_map(look).collect();
        effects.into_iter().for_each(|effect| self.effect(effect));
    }

    /// The limits of the tunnel may have changed. What waits for an address does so with the options of before.
    pub(super) fn retune_listeners(&mut self) {
        let spec = &self.spec;
        let retune = |local: &mut Local| match local.is_open() {
            true => Some(ForwardEffect::RetuneListener(local.id, local.options(spec))),
            false => local.stop_waiting(),
        };
        let effects: Vec<ForwardEffect> = self.locals.entries.iter_mut().filter_map(retune).collect();
        effects.into_iter().for_each(|effect| self.effect(effect));
    }

    /// New connections are taken elsewhere; those that live go on.
    pub(super) fn retarget_listener(&mut self, from: &Forward, to: Forward) {
        let mut entries = self.locals.entries.iter_mut();
        let Some(local) = entries.find(|local| local.forward == *from) else { return };
        local.forward = to;
        local.probing.reset();
        let (id, connect, open) = (local.id, local.forward.connect.clone(), local.is_open());
        let options = local.options(&self.spec);
        self.effect(ForwardEffect::SetRefusal(id, None));
        if open {
            self.effect(ForwardEffect::RetuneListener(id, options));
            self.effect(ForwardEffect::RetargetListener(id, connect));
        }
    }

    /// A forward that is gone from the config takes its connections with it, as the plan says.
    pub(super) fn remove_listener(&mut self, forward: &Forward) {
        if let Some(local) = self.locals.take(forward) {
            self.effect(ForwardEffect::RemoveForward(local.id));
        }
    }

    /// No new connections. Those that live may finish while the session is closed.
    fn close_listeners(&mut self) {
        let deadline = self.now.awake + self.stop_timeout;
        let mut effects = Vec::new();
        for local in &mut self.locals.entries {
            effects.extend(local.stop_waiting());
            let before = std::mem::replace(&mut local.listener, LocalListener::Closed);
            if matches!(before, LocalListener::Open(_)) {
                effects.push(ForwardEffect::DrainListener(local.id, deadline));
            }
        }
        effects.into_iter().for_each(|effect| self.effect(effect));
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

fn outage_policy(spec: &TunnelSpec) -> OutagePolicy {
    match spec.outage.during_outage {
        DuringOutage::Hold => OutagePolicy::Hold { timeout: spec.outage.hold_timeout, max: spec.outage.hold_max },
        DuringOutage::Refuse => OutagePolicy::Refuse,
    }
}
