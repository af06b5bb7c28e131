//! The local and dynamic forwards of a tunnel: listeners that are bound once and outlive sessions.

use std::time::Instant;

use tunnel_engine::failure::Failure;
use tunnel_engine::forward::{ListenOptions, ListenState, OutagePolicy};
use tunnel_engine::spec::{Connect, Forward};

use super::core::{BindRequest, Effects, ForwardEffect};
use super::forwards::ForwardId;
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

#[derive(Debug)]
pub(super) enum ListenSummary {
    All,
    Pending,
    Failed(Failure),
}

impl ListenSummary {
    /// Of two groups together.
    pub(super) fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Failed(failure), _) | (_, Self::Failed(failure)) => Self::Failed(failure),
            (Self::Pending, _) | (_, Self::Pending) => Self::Pending,
            (Self::All, Self::All) => Self::All,
        }
    }
}

#[derive(Debug, PartialEq)]
pub(super) struct ForwardFailed {
    pub(super) failure: Failure,
    /// As the config has it.
    pub(super) forward: String,
    /// With exit_on_forward_failure it ends the session.
    pub(super) fatal: bool,
}

/// Whether listeners should be open: from the wish to be up until the wish to be down, or until the tunnel gave up and
/// there will be no session for the connections that they hold.
pub(super) fn should_listen(want: Want, phase: Phase) -> bool {
    want == Want::Up && phase != Phase::Failed
}

impl Locals {
    pub(super) fn add(&mut self, id: ForwardId, forward: Forward) {
        let (listener, probing) = (LocalListener::Closed, Probing::new());
        self.entries.reserve_exact(1);
        self.entries.push(Local { id, forward, listener, told: None, refusing: false, probing });
    }

    pub(super) fn sort_by_key(&mut self, place: impl Fn(&Forward) -> Option<usize>) {
        self.entries.sort_by_key(|local| place(&local.forward));
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
            next_look: None,
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
    fn stop_waiting(&mut self, effects: &mut Effects) {
        if let LocalListener::Failed { waits: waits @ true, .. } = &mut self.listener {
            *waits = false;
            effects.push(ForwardEffect::StopBinding(self.id));
        }
    }
}

impl Locals {
    /// Opens or closes listeners. `drain_by`: until when the connections of those that are closed may go on.
    pub(super) fn reconcile(&mut self, open: bool, spec: &TunnelSpec, drain_by: Instant, effects: &mut Effects) {
        if open {
            self.bind(spec, effects);
        } else {
            self.close(drain_by, effects);
        }
    }

    /// Binds those that are closed, and tries those again that nothing waits for.
    pub(super) fn bind(&mut self, spec: &TunnelSpec, effects: &mut Effects) {
        let options = spec.bind_options();
        for local in &mut self.entries {
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
            effects.push(ForwardEffect::Bind(Box::new(BindRequest { forward, listen, options, retry, failed: None })));
        }
    }

    /// An address was bound, or not. `None`: it is not waited for.
    pub(super) fn bound(
        &mut self,
        id: ForwardId,
        result: Result<(), Failure>,
        spec: &TunnelSpec,
        effects: &mut Effects,
    ) -> Option<Result<(), ForwardFailed>> {
        let local = self.get_mut(id)?;
        if !matches!(local.listener, LocalListener::Binding | LocalListener::Failed { .. }) {
            return None;
        }
        let Err(failure) = result else {
            local.listener = LocalListener::Open(None);
            effects.push(ForwardEffect::OpenListener(id, local.forward.connect.clone(), local.options(spec)));
            return Some(Ok(()));
        };
        local.listener = LocalListener::Failed { failure: failure.clone(), waits: true };
        local.told = Some(failure.clone());
        let (listen, options) = (local.forward.listen.clone(), spec.bind_options());
        let bind = BindRequest { forward: id, listen, options, retry: true, failed: Some(failure.clone()) };
        effects.push(ForwardEffect::Bind(Box::new(bind)));
        Some(Err(ForwardFailed { failure, forward: local.forward.to_string(), fatal: true }))
    }

    /// A listener opened, closed or failed by itself: `Some`, when that is new.
    pub(super) fn changed(&mut self, id: ForwardId, now: ListenState) -> Option<Result<String, ForwardFailed>> {
        let local = self.get_mut(id)?;
        let LocalListener::Open(state) = &mut local.listener else { return None };
        let now = state.insert(now);
        let failed = match now {
            // Not bound, and not meant to be.
            ListenState::Refusing => {
                local.refusing = true;
                return None;
            }
            ListenState::Closed => return None,
            ListenState::Failed(_) | ListenState::Listening { .. } => now.failure().cloned(),
        };
        // One address of several is enough for ssh.
        let fatal = std::mem::take(&mut local.refusing) && matches!(now, ListenState::Failed(_));
        if local.told == failed && !fatal {
            return None;
        }
        local.told.clone_from(&failed);
        let forward = local.forward.to_string();
        Some(match failed {
            Some(failure) => Err(ForwardFailed { failure, forward, fatal }),
            None => Ok(forward),
        })
    }

    /// Now is a good time to bind what is not bound, and to see whether addresses have gone.
    pub(super) fn retry_now(&mut self, effects: &mut Effects) {
        for local in &mut self.entries {
            match local.is_open() {
                true => effects.push(ForwardEffect::CheckListener(local.id)),
                false => local.stop_waiting(effects),
            }
        }
    }

    /// The limits of the tunnel may have changed. What waits for an address does so with the options of before.
    pub(super) fn retune(&mut self, spec: &TunnelSpec, effects: &mut Effects) {
        for local in &mut self.entries {
            match local.is_open() {
                true => effects.push(ForwardEffect::RetuneListener(local.id, local.options(spec))),
                false => local.stop_waiting(effects),
            }
        }
    }

    /// New connections are taken elsewhere; those that live go on.
    pub(super) fn retarget(&mut self, from: &Forward, to: Forward, spec: &TunnelSpec, effects: &mut Effects) {
        let Some(local) = self.entries.iter_mut().find(|local| local.forward == *from) else { return };
        local.forward = to;
        local.probing.reset();
        effects.push(ForwardEffect::SetRefusal(local.id, None));
        if local.is_open() {
            effects.push(ForwardEffect::RetuneListener(local.id, local.options(spec)));
            effects.push(ForwardEffect::RetargetListener(local.id, local.forward.connect.clone()));
        }
    }

    /// A forward that is gone from the config takes its connections with it, as the plan says.
    pub(super) fn remove(&mut self, forward: &Forward, effects: &mut Effects) {
        if let Some(at) = self.entries.iter().position(|local| local.forward == *forward) {
            effects.push(ForwardEffect::RemoveForward(self.entries.remove(at).id));
        }
    }

    /// No new connections. Those that live may finish while the session is closed.
    fn close(&mut self, drain_by: Instant, effects: &mut Effects) {
        for local in &mut self.entries {
            local.stop_waiting(effects);
            let before = std::mem::replace(&mut local.listener, LocalListener::Closed);
            if matches!(before, LocalListener::Open(_)) {
                effects.push(ForwardEffect::DrainListener(local.id, drain_by));
            }
        }
    }
}

fn outage_policy(spec: &TunnelSpec) -> OutagePolicy {
    match spec.outage.during_outage {
        DuringOutage::Hold => OutagePolicy::Hold { timeout: spec.outage.hold_timeout, max: spec.outage.hold_max },
        DuringOutage::Refuse => OutagePolicy::Refuse,
    }
}

#[cfg(test)]
mod tests {
    use tunnel_engine::failure::FailureKind;

    use super::*;
    use crate::tunnel::core::TunnelEffect;
    use crate::tunnel::test_support::{forward, tunnel_spec};

    /// One that is being bound, and the effects of that.
    fn binding() -> (Locals, ForwardId, TunnelSpec, Effects) {
        let (spec, id, mut effects) = (tunnel_spec("t", &["L0:echo:1"]), ForwardId::default(), Effects::default());
        let mut locals = Locals::default();
        locals.add(id, forward("L0:echo:1"));
        locals.bind(&spec, &mut effects);
        (locals, id, spec, effects)
    }

    fn next(effects: &mut Effects) -> Option<ForwardEffect> {
        match effects.pop() {
            Some(TunnelEffect::Forward(effect)) => Some(effect),
            other => {
                assert_eq!(other, None, "of a forward");
                None
            }
        }
    }

    fn taken() -> Failure {
        Failure::new(FailureKind::ListenInUse, "taken")
    }

    #[test]
    fn address_is_bound_once_and_then_listened_on() {
        let (mut locals, id, spec, mut effects) = binding();
        assert!(matches!(next(&mut effects), Some(ForwardEffect::Bind(bind)) if !bind.retry));
        locals.bind(&spec, &mut effects);
        assert_eq!(next(&mut effects), None, "it is being bound");
        assert_eq!(locals.bound(id, Ok(()), &spec, &mut effects), Some(Ok(())));
        assert!(matches!(next(&mut effects), Some(ForwardEffect::OpenListener(..))));
        assert!(matches!(locals.listening(), ListenSummary::All));
    }

    #[test]
    fn taken_address_is_waited_for_until_told_to_try() {
        let (mut locals, id, spec, mut effects) = binding();
        next(&mut effects);
        let failed = locals.bound(id, Err(taken()), &spec, &mut effects).expect("it is waited for").unwrap_err();
        assert_eq!((failed.failure, failed.forward.as_str()), (taken(), "127.0.0.1:0:echo:1"));
        assert!(matches!(next(&mut effects), Some(ForwardEffect::Bind(bind)) if bind.failed == Some(taken())));
        locals.bind(&spec, &mut effects);
        assert_eq!(next(&mut effects), None);
        locals.retry_now(&mut effects);
        locals.bind(&spec, &mut effects);
        assert_eq!(next(&mut effects), Some(ForwardEffect::StopBinding(id)));
        assert!(matches!(next(&mut effects), Some(ForwardEffect::Bind(bind)) if bind.retry && bind.failed.is_none()));
    }

    #[test]
    fn closed_listener_takes_no_late_socket() {
        let (mut locals, id, spec, mut effects) = binding();
        next(&mut effects);
        locals.reconcile(false, &spec, tunnel_engine::clock::now(), &mut effects);
        assert_eq!(locals.bound(id, Ok(()), &spec, &mut effects), None);
        assert_eq!(next(&mut effects), None);
    }

    #[test]
    fn failure_after_an_outage_is_fatal_and_told_once() {
        let (mut locals, id, spec, mut effects) = binding();
        assert_eq!(locals.bound(id, Ok(()), &spec, &mut effects), Some(Ok(())));
        assert_eq!(locals.changed(id, ListenState::Refusing), None);
        let failed = locals.changed(id, ListenState::Failed(taken())).expect("news").unwrap_err();
        assert!(failed.fatal);
        assert_eq!(locals.changed(id, ListenState::Failed(taken())), None);
    }
}
