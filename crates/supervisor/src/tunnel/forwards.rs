//! The forwards of a tunnel, all kinds together.

use std::time::Instant;

use tunnel_engine::spec::{Forward, ForwardKind};

use super::core::{Effects, ForwardEffect};
use super::devices::Devices;
use super::locals::{ListenSummary, Locals};
use super::probes::Subject;
use super::probing::Probing;
use super::remotes::Remotes;
use super::view::ForwardView;
use crate::config::{ProbeSpec, TunnelSpec};
use crate::lifecycle::{Phase, SessionId};

/// Names a forward of a tunnel for as long as it is in the config. Never given out twice by one tunnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub(super) struct ForwardId(u32);

impl ForwardId {
    const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// All of them, each kind in the config's order.
#[derive(Debug)]
pub(super) struct TunnelForwards {
    pub(super) locals: Locals,
    pub(super) remotes: Remotes,
    pub(super) devices: Devices,
    last: ForwardId,
}

impl TunnelForwards {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            locals: Locals::default(),
            remotes: Remotes::new(seed),
            devices: Devices::default(),
            last: ForwardId::default(),
        }
    }

    pub(super) fn add(&mut self, forward: Forward, effects: &mut Effects) {
        self.last = self.last.next();
        match forward.kind {
            ForwardKind::Local | ForwardKind::Dynamic => self.locals.add(self.last, forward),
            ForwardKind::Remote => self.remotes.add(self.last, forward),
            ForwardKind::TunnelDevice => self.devices.add(self.last, forward),
        }
        effects.push(ForwardEffect::AddForward(self.last));
    }

    /// `session`: the main one.
    pub(super) fn remove(&mut self, forward: &Forward, session: Option<SessionId>, effects: &mut Effects) {
        match forward.kind {
            ForwardKind::Local | ForwardKind::Dynamic => self.locals.remove(forward, effects),
            ForwardKind::Remote => self.remotes.remove(forward, session, effects),
            ForwardKind::TunnelDevice => self.devices.remove(forward, effects),
        }
    }

    pub(super) fn retarget(
        &mut self,
        from: &Forward,
        to: Forward,
        session: Option<SessionId>,
        (spec, now): (&TunnelSpec, Instant),
        effects: &mut Effects,
    ) {
        match to.kind {
            ForwardKind::Local | ForwardKind::Dynamic => self.locals.retarget(from, to, spec, effects),
            ForwardKind::Remote => self.remotes.retarget(from, to, session, (spec, now), effects),
            ForwardKind::TunnelDevice => self.devices.retarget(from, to, effects),
        }
    }

    /// The limits of the tunnel may have changed.
    pub(super) fn retune(
        &mut self,
        session: Option<SessionId>,
        spec: &TunnelSpec,
        now: Instant,
        effects: &mut Effects,
    ) {
        self.locals.retune(spec, effects);
        self.remotes.retune(session, spec, now, effects);
    }

    /// In the order of these.
    pub(super) fn sort(&mut self, wanted: &[Forward]) {
        let place = |forward: &Forward| wanted.iter().position(|wanted| wanted == forward);
        self.locals.sort_by_key(place);
        self.devices.sort_by_key(place);
        self.remotes.sort_by_key(place);
    }

    /// Now is a good time for what waits.
    pub(super) fn retry_now(&mut self, now: Instant, effects: &mut Effects) {
        self.locals.retry_now(effects);
        self.devices.retry_now(effects);
        self.remotes.retry_now(now);
    }

    /// Listeners and devices, all together.
    pub(super) fn listening(&self) -> ListenSummary {
        self.locals.listening().and(self.devices.listening())
    }

    pub(super) fn subjects(&mut self) -> impl Iterator<Item = Subject<'_>> {
        self.locals.subjects().chain(self.remotes.subjects())
    }

    /// When the next of them is to be probed.
    pub(super) fn probe_due(&self) -> Option<Instant> {
        self.locals.named_subjects().chain(self.remotes.granted_subjects()).filter_map(Probing::due).min()
    }

    pub(super) fn views(&self, spec: &TunnelSpec, phase: Phase) -> Vec<ForwardView> {
        let proven = spec.probe != ProbeSpec::Off;
        let mut locals = self.locals.views(phase, proven);
        let mut remotes = self.remotes.views(proven);
        let mut devices = self.devices.views(phase);
        let next = |kind| match kind {
            ForwardKind::Local | ForwardKind::Dynamic => locals.next(),
            ForwardKind::Remote => remotes.next(),
            ForwardKind::TunnelDevice => devices.next(),
        };
        let mut views = Vec::with_capacity(spec.forwards.len());
        views.extend(spec.forwards.iter().map(|forward| forward.kind).filter_map(next));
        views
    }
}
