//! The remote forwards of a tunnel: what the server listens on for us, and what becomes of a refusal.

mod holder;
mod request;

use std::time::Instant;

use tunnel_engine::spec::{Forward, Listen};

use super::core::{Core, ForwardEffect, RouteTarget};
use super::forward_id::ForwardId;
use super::probes::Subject;
use super::probing::Probing;
use super::refusal::{shown, with_port};
use super::state::ForwardState;
use super::takeover::{HeldAddress, ReleaseReport, TakeoverBackoff};
use super::view::ForwardView;
use crate::config::TunnelSpec;

/// All of them, in the config's order.
#[derive(Debug, Default)]
pub(super) struct Remotes {
    entries: Vec<Remote>,
}

#[derive(Debug)]
struct Remote {
    id: ForwardId,
    forward: Forward,
    /// What the server said: pending, up (it listens), down.
    state: ForwardState,
    /// What is proven of a listener that it said it has.
    probing: Probing,
    /// What the server chose for port 0, asked for again first.
    allocated: Option<u16>,
    asking: bool,
    /// It is asked again and again, and what is new comes back.
    waits: bool,
    again: Option<Instant>,
    /// The next request is to end the holder first.
    release: bool,
    backoff: TakeoverBackoff,
    /// What the last takeover came to, while the port is not ours.
    taken: Option<ReleaseReport>,
}

impl Remotes {
    pub(super) fn add(&mut self, id: ForwardId, forward: Forward) {
        self.entries.push(Remote {
            id,
            forward,
            state: ForwardState::Pending,
            probing: Probing::new(),
            allocated: None,
            asking: false,
            waits: false,
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

    fn get_mut(&mut self, id: ForwardId) -> Option<&mut Remote> {
        self.entries.iter_mut().find(|remote| remote.id == id)
    }

    /// Another session, or none: nothing of the old one holds any more. Returns those that were asked for again and
    /// again.
    fn session_changed(&mut self) -> Vec<ForwardId> {
        let waited = self.entries.iter().filter(|remote| remote.waits).map(|remote| remote.id).collect();
        for remote in &mut self.entries {
            remote.state = ForwardState::Pending;
            remote.probing.forget();
            remote.asking = false;
            remote.waits = false;
            remote.again = None;
            remote.release = false;
            remote.taken = None;
            remote.backoff.look_again();
        }
        waited
    }

    pub(super) fn retry_now(&mut self, now: Instant) {
        for remote in &mut self.entries {
            remote.backoff.look_again();
            if remote.waits || remote.again.is_some() {
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
                id: remote.id,
                key: remote.forward.key(),
                kind: remote.forward.kind,
                listen: shown(&remote.listen()),
                connect: remote.forward.connect.clone(),
                message: remote.message(&state),
                state,
            }
        })
    }

    /// Those whose listener the server says it has.
    pub(super) fn granted_subjects(&self) -> impl Iterator<Item = &Probing> {
        let granted = self.entries.iter().filter(|remote| remote.is_granted());
        granted.map(|remote| &remote.probing)
    }

    /// The same, to be changed.
    pub(super) fn subjects(&mut self) -> impl Iterator<Item = Subject<'_>> {
        let granted = self.entries.iter_mut().filter(|remote| remote.is_granted());
        granted.map(|remote| Subject {
            id: remote.id,
            probing: &mut remote.probing,
            forward: &remote.forward,
            allocated: remote.allocated,
        })
    }
}

impl Remote {
    fn is_granted(&self) -> bool {
        self.state == ForwardState::Up && !self.asking
    }

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

    fn target(&self, spec: &TunnelSpec, listen: Listen) -> RouteTarget {
        RouteTarget {
            forward: self.id,
            name: self.forward.to_string(),
            listen,
            connect: self.forward.connect.clone(),
            family: spec.session.dial.address_family,
            permit: spec.permit_remote_open.clone(),
            max_connections: self.forward.max_connections.unwrap_or(spec.max_connections),
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

impl Core {
    /// The server stops listening; connections that live go on.
    pub(super) fn remove_remote(&mut self, forward: &Forward) {
        let Some(remote) = self.remotes.take(forward) else { return };
        if remote.waits {
            self.effect(ForwardEffect::StopAsking(remote.id));
        }
        let may_be_held = remote.state == ForwardState::Up || remote.waits;
        if let Some(session) = self.sessions.main.as_ref().map(|live| live.id).filter(|_| may_be_held) {
            self.effect(ForwardEffect::Unroute(session, remote.listen()));
            self.effect(ForwardEffect::CancelListen(session, remote.listen()));
        }
        self.effect(ForwardEffect::RemoveForward(remote.id));
    }

    /// New connections are taken elsewhere; those that live go on.
    pub(super) fn retarget_remote(&mut self, from: &Forward, to: Forward) {
        let now = self.now.awake;
        let mut entries = self.remotes.entries.iter_mut();
        let Some(remote) = entries.find(|remote| remote.forward == *from) else { return };
        remote.forward = to;
        remote.probing.pardon();
        if remote.state == ForwardState::Up {
            remote.probing.begin(now);
        }
        let id = remote.id;
        self.effect(ForwardEffect::SetRefusal(id, None));
        self.remote_changed(|remote| remote.id == id);
    }

    /// The limits of the tunnel may have changed.
    pub(super) fn retune_remotes(&mut self) {
        self.remote_changed(|_| true);
    }

    /// What is listened for is carried as the config has it now. A request that waits was made for what it had before.
    fn remote_changed(&mut self, which: impl Fn(&Remote) -> bool) {
        let (now, session) = (self.now.awake, self.sessions.main.as_ref().map(|live| live.id));
        let mut routes = Vec::new();
        for remote in self.remotes.entries.iter_mut().filter(|remote| which(remote)) {
            if let Some(session) = session.filter(|_| remote.state == ForwardState::Up) {
                routes.push(ForwardEffect::Route(session, Box::new(remote.target(&self.spec, remote.listen()))));
            }
            if remote.waits {
                remote.again = Some(now);
            }
        }
        routes.into_iter().for_each(|route| self.effect(route));
    }
}
