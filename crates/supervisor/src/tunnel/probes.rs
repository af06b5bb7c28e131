//! Probes at work: which forward is asked about, on which session, and what is told of the result. When is
//! [`probing`](super::probing)'s business.

use std::time::Instant;

use tunnel_engine::forward::{ProbeCheck, ProbeResult};
use tunnel_engine::spec::{Connect, Forward, Side};

use super::core::{Effects, ForwardEffect, Observed, Probe, Probed};
use super::forwards::ForwardId;
use super::forwards::TunnelForwards;
use super::probing::{AfterProbe, ProbeMethod, Probing, Rhythm};
use super::refusal::with_port;
use super::state::ForwardState;
use crate::config::{ProbeSpec, TunnelSpec};
use crate::lifecycle::SessionId;

/// What a probe needs to know of its forward.
pub(super) struct Subject<'a> {
    pub(super) id: ForwardId,
    pub(super) probing: &'a mut Probing,
    pub(super) forward: &'a Forward,
    /// The port that the server chose.
    pub(super) allocated: Option<u16>,
}

impl Subject<'_> {
    const fn side(&self) -> Side {
        self.forward.kind.side()
    }

    /// What the config asks about it. The target of a local forward is asked only where the config says so: no service
    /// has to bear a connection that no user made.
    fn asked(&self, probe: &ProbeSpec) -> ProbeMethod {
        let target = self.forward.connect != Connect::Socks;
        match (probe, self.side()) {
            (ProbeSpec::Off, _) | (ProbeSpec::Auto, Side::Here) => ProbeMethod::Nothing,
            (ProbeSpec::Tcp | ProbeSpec::Expect(_), _) if target => ProbeMethod::Target,
            (ProbeSpec::Tcp | ProbeSpec::Expect(_), Side::Here) => ProbeMethod::Nothing,
            (ProbeSpec::Auto | ProbeSpec::Tcp | ProbeSpec::Expect(_), Side::Server) => ProbeMethod::Listener,
        }
    }

    fn probe(&self, session: SessionId, probe: u32, spec: &TunnelSpec, now: Instant) -> Probe {
        let check = match &spec.probe {
            ProbeSpec::Expect(words) => Some(ProbeCheck::Says(words.clone().into())),
            ProbeSpec::Tcp => Some(ProbeCheck::Accepts),
            ProbeSpec::Auto | ProbeSpec::Off => None,
        };
        let Forward { listen, connect, .. } = self.forward;
        Probe {
            session,
            forward: self.id,
            probe,
            listen: (self.side() == Side::Server).then(|| with_port(listen, self.allocated)),
            connect: connect.clone(),
            family: spec.session.dial.address_family,
            target: check.filter(|_| *connect != Connect::Socks && !self.probing.target_rests(now)),
        }
    }
}

/// Asks about the forwards of a tunnel.
#[derive(Debug)]
pub(super) struct Probes {
    /// The session on which local forwards are proven.
    session: Option<SessionId>,
    /// Spreads them.
    random: fastrand::Rng,
}

/// What is known about a forward changed.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct VerdictChange {
    /// As the config has it.
    pub(super) forward: String,
    pub(super) before: ForwardState,
    pub(super) after: ForwardState,
}

impl Probes {
    pub(super) fn new(seed: u64) -> Self {
        Self { session: None, random: fastrand::Rng::with_seed(seed) }
    }

    /// The session that local forwards use is this one from now on, or there is none.
    pub(super) fn session_changed(&mut self, session: Option<SessionId>, forwards: &mut TunnelForwards, now: Instant) {
        if session == self.session {
            return;
        }
        let replaced = self.session.is_some() && session.is_some();
        for subject in forwards.locals.subjects() {
            if replaced {
                subject.probing.session_replaced(now);
            } else {
                subject.probing.forget();
            }
        }
        self.session = session;
    }

    /// Begins with those that are new, on this session or at all.
    pub(super) fn begin(&self, forwards: &mut TunnelForwards, probe: &ProbeSpec, now: Instant) {
        for subject in forwards.locals.subjects().filter(|_| self.session.is_some()) {
            match subject.asked(probe) {
                ProbeMethod::Nothing if subject.probing.is_unknown() => subject.probing.presume(),
                ProbeMethod::Target if subject.probing.is_idle() => subject.probing.begin_rested(now),
                ProbeMethod::Nothing | ProbeMethod::Target | ProbeMethod::Listener => {}
            }
        }
    }

    /// Starts those that are due, on `main`, by what users have `observed` by now.
    pub(super) fn start_due(
        &mut self,
        main: SessionId,
        observed: &[Observed],
        forwards: &mut TunnelForwards,
        (spec, now): (&TunnelSpec, Instant),
        effects: &mut Effects,
    ) {
        for subject in forwards.subjects() {
            let Some(seen) = observed.iter().find(|seen| seen.forward == subject.id) else { continue };
            if let Some(probe) = subject.probing.start_if_due(now, seen.carried, self.rhythm(spec)) {
                effects.push(ForwardEffect::Probe(Box::new(subject.probe(main, probe, spec, now))));
            }
        }
    }

    /// A target that refused a user has the benefit of the doubt once `poll` has passed without another refusal.
    pub(super) fn doubt_old_refusals(
        &mut self,
        observed: &[Observed],
        forwards: &mut TunnelForwards,
        (spec, now): (&TunnelSpec, Instant),
        effects: &mut Effects,
    ) -> Vec<VerdictChange> {
        let mut changes = Vec::new();
        for mut subject in forwards.subjects().filter(|subject| subject.probing.is_lapsed(now)) {
            let Some(seen) = observed.iter().find(|seen| seen.forward == subject.id) else { continue };
            let rhythm = self.rhythm(spec);
            changes.extend(subject.change(|subject| {
                if subject.probing.lapse(seen.refused, now, rhythm) {
                    effects.push(ForwardEffect::SetRefusal(subject.id, None));
                }
            }));
        }
        changes
    }

    /// A probe on the main session came to an end. The second: the server is to be asked anew for this forward.
    pub(super) fn finish(
        &mut self,
        Probed { forward, probe, result, target, .. }: Probed,
        forwards: &mut TunnelForwards,
        (spec, now): (&TunnelSpec, Instant),
        effects: &mut Effects,
    ) -> (Option<VerdictChange>, bool) {
        let rhythm = self.rhythm(spec);
        let Some(mut subject) = forwards.subjects().find(|subject| subject.id == forward) else { return (None, false) };
        let mut next = None;
        let change = subject.change(|subject| {
            next = subject.probing.finish(probe, (result.clone(), target), now, rhythm);
            let refusal = match result {
                _ if next.is_none() => return,
                // The next user's connection can disprove it.
                ProbeResult::Down(reason) => Some(reason),
                ProbeResult::Up(_) | ProbeResult::Stale(_) | ProbeResult::Unverified(_)
                    if !subject.probing.is_refused() =>
                {
                    None
                }
                ProbeResult::Up(_) | ProbeResult::Stale(_) | ProbeResult::Unverified(_) | ProbeResult::Nothing => {
                    return;
                }
            };
            effects.push(ForwardEffect::SetRefusal(forward, refusal));
        });
        (change, next == Some(AfterProbe::AskAgain))
    }

    /// Users' connections showed that a target refuses, or that it no longer does.
    pub(super) fn traffic_observed(
        &mut self,
        observed: &[Observed],
        forwards: &mut TunnelForwards,
        spec: &TunnelSpec,
        now: Instant,
    ) -> Vec<VerdictChange> {
        let mut changes = Vec::new();
        for mut subject in forwards.subjects() {
            let Some(seen) = observed.iter().find(|seen| seen.forward == subject.id) else { continue };
            let (asked, rhythm) = (subject.asked(&spec.probe), self.rhythm(spec));
            changes.extend(subject.change(|subject| {
                subject.probing.traffic_observed(seen.refusal.as_ref(), seen.refused, asked, now, rhythm);
            }));
        }
        changes
    }

    fn rhythm(&mut self, spec: &TunnelSpec) -> Rhythm {
        Rhythm { first: spec.first_poll, every: spec.policy.poll, random: self.random.f64() }
    }
}

impl Subject<'_> {
    /// Lets something change what is known about the forward, and says whether it did.
    fn change(&mut self, change: impl FnOnce(&mut Self)) -> Option<VerdictChange> {
        let before = self.probing.state();
        change(self);
        let after = self.probing.state();
        (before != after).then(|| VerdictChange { forward: self.forward.to_string(), before, after })
    }
}

/// The operator begins anew: what users saw before does not count.
pub(super) fn pardon_targets(forwards: &mut TunnelForwards, effects: &mut Effects) {
    for subject in forwards.subjects() {
        if subject.probing.pardon() {
            effects.push(ForwardEffect::SetRefusal(subject.id, None));
        }
    }
}

/// The config asks in another way: what was known by other rules is forgotten.
pub(super) fn prove_anew(forwards: &mut TunnelForwards, now: Instant, effects: &mut Effects) {
    for subject in forwards.subjects() {
        match subject.side() {
            Side::Here => subject.probing.reset(),
            Side::Server => {
                subject.probing.pardon();
                subject.probing.begin(now);
            }
        }
        effects.push(ForwardEffect::SetRefusal(subject.id, None));
    }
}

/// Now is a good time to probe.
pub(super) fn expedite(forwards: &mut TunnelForwards, now: Instant, effects: &mut Effects) {
    for subject in forwards.subjects() {
        subject.probing.expedite(now);
    }
    pardon_targets(forwards, effects);
}
