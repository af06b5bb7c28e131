//! Probes at work: which forward is asked about, on which session, and what is told of the result. When is
//! [`probing`]'s business.

use std::time::Instant;

use tunnel_engine::forward::{ProbeCheck, ProbeResult};
use tunnel_engine::spec::{Connect, Forward, Side};

use super::core::{Core, ForwardEffect, Observed, Probe, Probed};
use super::forward_id::ForwardId;
use super::probing::{self, AfterProbe, ProbeMethod, Probing, Rhythm};
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

impl Core {
    /// Begins with what is new, a session or a forward; and once the time has come, which the driver tells with what
    /// users have `observed` by then, starts the probes that are due.
    pub(super) fn reconcile_probes(&mut self, observed: Option<&[Observed]>) {
        let now = self.now.awake;
        let session = self.sessions.settled().map(|live| live.id);
        if session != self.probed {
            let replaced = self.probed.is_some() && session.is_some();
            for subject in self.locals.subjects() {
                if replaced {
                    subject.probing.session_replaced(now);
                } else {
                    subject.probing.forget();
                }
            }
            self.probed = session;
        }
        let Some(live) = self.sessions.main.as_ref().filter(|_| self.spec.probe != ProbeSpec::Off) else { return };
        let session = live.id;
        if let Some(observed) = observed {
            self.doubt_old_refusals(observed);
        }
        // Those that are new, on this session or at all.
        let spec = &self.spec;
        for subject in self.locals.subjects().filter(|_| self.probed.is_some()) {
            match subject.asked(&spec.probe) {
                ProbeMethod::Nothing if subject.probing.is_unknown() => subject.probing.presume(),
                ProbeMethod::Target if subject.probing.is_idle() => subject.probing.begin_rested(now),
                ProbeMethod::Nothing | ProbeMethod::Target | ProbeMethod::Listener => {}
            }
        }
        let Some(observed) = observed else { return };
        let mut probes = Vec::new();
        for subject in self.locals.subjects().chain(self.remotes.subjects()) {
            let Some(seen) = observed.iter().find(|seen| seen.forward == subject.id) else { continue };
            if let Some(probe) = subject.probing.look(now, seen.carried, rhythm(spec, &mut self.random)) {
                probes.push(subject.probe(session, probe, spec, now));
            }
        }
        probes.into_iter().for_each(|probe| self.effect(ForwardEffect::Probe(Box::new(probe))));
    }

    /// A target that refused a user has the benefit of the doubt once `poll` has passed without another refusal.
    fn doubt_old_refusals(&mut self, observed: &[Observed]) {
        let now = self.now.awake;
        let all = self.locals.subjects().chain(self.remotes.subjects());
        let lapsed: Vec<ForwardId> =
            all.filter(|subject| subject.probing.is_lapsed(now)).map(|subject| subject.id).collect();
        for id in lapsed {
            let Some(seen) = observed.iter().find(|seen| seen.forward == id) else { continue };
            let mut pardoned = false;
            self.change_verdict(id, |subject, now, rhythm| {
                pardoned = subject.probing.lapse(seen.refused, now, rhythm);
            });
            if pardoned {
                self.effect(ForwardEffect::SetRefusal(id, None));
            }
        }
    }

    /// The operator begins anew: what users saw before does not count.
    pub(super) fn pardon_targets(&mut self) {
        let all = self.locals.subjects().chain(self.remotes.subjects());
        let pardoned: Vec<ForwardId> =
            all.filter_map(|subject| subject.probing.pardon().then_some(subject.id)).collect();
        pardoned.into_iter().for_each(|id| self.effect(ForwardEffect::SetRefusal(id, None)));
    }

    /// When the next probe is due.
    pub(super) fn probes_due(&self) -> Option<Instant> {
        if self.sessions.main.is_none() || self.spec.probe == ProbeSpec::Off {
            return None;
        }
        let all = self.locals.named_subjects().chain(self.remotes.granted_subjects());
        all.filter_map(Probing::due).min()
    }

    /// A probe came to an end.
    pub(super) fn finish_probe(&mut self, Probed { session, forward, probe, result, target }: Probed) {
        if !self.sessions.is_main(session) {
            return;
        }
        let found = result.clone();
        let (mut next, mut refusal) = (None, None);
        self.change_verdict(forward, |subject, now, rhythm| {
            next = subject.probing.finish(probe, (result, target), now, rhythm);
            refusal = match found {
                _ if next.is_none() => None,
                // The next user's connection can disprove it.
                ProbeResult::Down(reason) => Some(Some(reason)),
                ProbeResult::Up(_) | ProbeResult::Stale(_) | ProbeResult::Unverified(_)
                    if !subject.probing.is_refused() =>
                {
                    Some(None)
                }
                ProbeResult::Up(_) | ProbeResult::Stale(_) | ProbeResult::Unverified(_) | ProbeResult::Nothing => None,
            };
        });
        if let Some(refusal) = refusal {
            self.effect(ForwardEffect::SetRefusal(forward, refusal));
        }
        if next == Some(AfterProbe::AskAgain) {
            self.ask_anew(forward);
        }
    }

    /// Users' connections showed that a target refuses, or that it no longer does.
    pub(super) fn traffic_observed(&mut self, observed: &[Observed]) {
        let off = self.spec.probe == ProbeSpec::Off;
        let all = self.locals.subjects().chain(self.remotes.subjects());
        let subjects: Vec<(ForwardId, ProbeMethod, String)> =
            all.map(|subject| (subject.id, subject.asked(&self.spec.probe), subject.forward.to_string())).collect();
        for (id, asked, forward) in subjects {
            let Some(seen) = observed.iter().find(|seen| seen.forward == id) else { continue };
            if !off {
                self.change_verdict(id, |subject, now, rhythm| {
                    subject.probing.traffic_observed(seen.refusal.as_ref(), seen.refused, asked, now, rhythm);
                });
            } else if let Some(refusal) = &seen.refusal {
                // Where nothing is proven or disproven, a target that refuses is told all the same.
                self.note_failure(probing::failure(refusal), Some(&forward));
            }
        }
    }

    /// The config asks in another way: what was known by other rules is forgotten.
    pub(super) fn prove_anew(&mut self) {
        let now = self.now.awake;
        let mut changed = Vec::new();
        for subject in self.locals.subjects() {
            subject.probing.reset();
            changed.push(subject.id);
        }
        for subject in self.remotes.subjects() {
            subject.probing.pardon();
            subject.probing.begin(now);
            changed.push(subject.id);
        }
        changed.into_iter().for_each(|id| self.effect(ForwardEffect::SetRefusal(id, None)));
    }

    pub(super) fn expedite_probes(&mut self) {
        let now = self.now.awake;
        for subject in self.locals.subjects().chain(self.remotes.subjects()) {
            subject.probing.expedite(now);
        }
        self.pardon_targets();
    }

    /// Lets something change what is known about a forward, and tells if it did.
    fn change_verdict(&mut self, id: ForwardId, change: impl FnOnce(&mut Subject<'_>, Instant, Rhythm)) {
        let (now, rhythm) = (self.now.awake, rhythm(&self.spec, &mut self.random));
        let mut all = self.locals.subjects().chain(self.remotes.subjects());
        let Some(mut subject) = all.find(|subject| subject.id == id) else { return };
        let before = subject.probing.state();
        change(&mut subject, now, rhythm);
        let (after, forward) = (subject.probing.state(), subject.forward.to_string());
        drop(all);
        if before == after {
            return;
        }
        let (tunnel, state) = (self.spec.name.as_str(), after.as_str());
        // An end of what was told is told too, while there is room.
        let fine = matches!(after, ForwardState::Up | ForwardState::Unverified(_));
        if fine && self.report.changes_logged.admit((&forward, state), now).is_none() {
            return;
        }
        match (before, after) {
            (_, ForwardState::Down(failure) | ForwardState::Stale(failure)) => {
                self.note_failure(failure, Some(&forward));
            }
            (_, ForwardState::Unverified(words)) => {
                tracing::info!(tunnel, forward, state, "{tunnel}: {forward}: the forward is in place, but {words}");
            }
            (ForwardState::Down(_) | ForwardState::Stale(_), ForwardState::Up) => {
                tracing::info!(tunnel, forward, state, "{tunnel}: {forward}: the forward is up again");
            }
            (_, ForwardState::Up | ForwardState::Pending) => tracing::debug!(tunnel, forward, state, "proven"),
        }
    }
}

fn rhythm(spec: &TunnelSpec, random: &mut fastrand::Rng) -> Rhythm {
    Rhythm { first: spec.first_poll, every: spec.policy.poll, random: random.f64() }
}
