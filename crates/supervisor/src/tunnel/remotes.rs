//! The remote forwards of a tunnel: what the server listens on for us, and what becomes of a refusal.

mod holder;
mod request;

use std::time::Instant;

use tunnel_engine::spec::{Forward, Listen};

use super::core::{Effects, ForwardEffect, RouteTarget, TunnelEffect};
use super::forwards::ForwardId;
use super::observer::Occurrence;
use super::probes::Subject;
use super::probing::Probing;
use super::refusal::{shown, with_port};
use super::state::ForwardState;
use super::takeover::{HeldAddress, ReleaseReport, TakeoverBackoff};
use super::view::ForwardView;
use crate::config::TunnelSpec;
use crate::lifecycle::SessionId;

pub(super) use request::Answer;

/// All of them, in the config's order.
#[derive(Debug)]
pub(super) struct Remotes {
    entries: Vec<Remote>,
    random: fastrand::Rng,
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
    /// The first refusal of the row, on this session, since an operator or the network asked for a new beginning.
    busy_since: Option<Instant>,
    /// The next request is to end the holder first.
    release: bool,
    backoff: TakeoverBackoff,
    /// What is random in its waits, in `0.0..1.0`.
    draw: f64,
    /// What the last takeover came to, while the port is not ours.
    taken: Option<ReleaseReport>,
}

impl Remotes {
    /// `seed` spreads what the server is asked about them.
    pub(super) fn new(seed: u64) -> Self {
        Self { entries: Vec::new(), random: fastrand::Rng::with_seed(seed) }
    }

    pub(super) fn add(&mut self, id: ForwardId, forward: Forward) {
        let draw = self.random.f64();
        self.entries.reserve_exact(1);
        self.entries.push(Remote {
            id,
            forward,
            state: ForwardState::Pending,
            probing: Probing::new(),
            allocated: None,
            asking: false,
            waits: false,
            again: None,
            busy_since: None,
            release: false,
            backoff: TakeoverBackoff::with_draw(draw),
            draw,
            taken: None,
        });
    }

    pub(super) fn sort_by_key(&mut self, place: impl Fn(&Forward) -> Option<usize>) {
        self.entries.sort_by_key(|remote| place(&remote.forward));
    }

    fn get_mut(&mut self, id: ForwardId) -> Option<&mut Remote> {
        self.entries.iter_mut().find(|remote| remote.id == id)
    }

    /// Another session, or none: nothing of the old one holds any more, and what was asked for on it is not waited for.
    pub(super) fn session_changed(&mut self, effects: &mut Effects) {
        for remote in &mut self.entries {
            if std::mem::take(&mut remote.waits) {
                effects.push(ForwardEffect::StopAsking(remote.id));
            }
            remote.state = ForwardState::Pending;
            remote.probing.forget();
            remote.asking = false;
            remote.again = None;
            remote.busy_since = None;
            remote.release = false;
            remote.taken = None;
            remote.backoff.look_again();
        }
    }

    pub(super) fn retry_now(&mut self, now: Instant) {
        for remote in &mut self.entries {
            remote.backoff.look_again();
            remote.busy_since = None;
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
                next_look: remote.probing.next_look(),
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

    /// What is listened for is carried as the config has it now. A request that waits was made for what it had before.
    fn changed(&mut self, session: Option<SessionId>, spec: &TunnelSpec, now: Instant, effects: &mut Effects) {
        if let Some(session) = session.filter(|_| self.state == ForwardState::Up) {
            effects.push(ForwardEffect::Route(session, Box::new(self.target(spec, self.listen()))));
        }
        if self.waits {
            self.again = Some(now);
        }
    }

    fn accept(&mut self, port: Option<u16>, tunnel: &str, effects: &mut Effects) {
        if let (Listen::Tcp { port: 0, .. }, Some(port)) = (&self.forward.listen, port) {
            if self.allocated != Some(port) {
                let forward = self.forward.to_string();
                tracing::info!(tunnel, forward, port, "{tunnel}: {forward}: the server chose port {port}");
            }
            self.allocated = Some(port);
            let connect = self.forward.connect.to_string();
            effects.push(TunnelEffect::Observe(Occurrence::Allocated { port, connect }));
        }
        self.state = ForwardState::Up;
        self.busy_since = None;
    }
}

impl Remotes {
    /// The server stops listening on `session`; connections that live go on.
    pub(super) fn remove(&mut self, forward: &Forward, session: Option<SessionId>, effects: &mut Effects) {
        let Some(at) = self.entries.iter().position(|remote| remote.forward == *forward) else { return };
        let remote = self.entries.remove(at);
        if remote.waits {
            effects.push(ForwardEffect::StopAsking(remote.id));
        }
        let may_be_held = remote.state == ForwardState::Up || remote.waits;
        if let Some(session) = session.filter(|_| may_be_held) {
            effects.push(ForwardEffect::Unroute(session, remote.listen()));
            effects.push(ForwardEffect::CancelListen(session, remote.listen()));
        }
        effects.push(ForwardEffect::RemoveForward(remote.id));
    }

    /// New connections are taken elsewhere; those that live go on.
    pub(super) fn retarget(
        &mut self,
        from: &Forward,
        to: Forward,
        session: Option<SessionId>,
        (spec, now): (&TunnelSpec, Instant),
        effects: &mut Effects,
    ) {
        let Some(remote) = self.entries.iter_mut().find(|remote| remote.forward == *from) else { return };
        remote.forward = to;
        remote.probing.pardon();
        if remote.state == ForwardState::Up {
            remote.probing.begin(now);
        }
        effects.push(ForwardEffect::SetRefusal(remote.id, None));
        remote.changed(session, spec, now, effects);
    }

    /// The limits of the tunnel may have changed.
    pub(super) fn retune(
        &mut self,
        session: Option<SessionId>,
        spec: &TunnelSpec,
        now: Instant,
        effects: &mut Effects,
    ) {
        self.entries.iter_mut().for_each(|remote| remote.changed(session, spec, now, effects));
    }
}
