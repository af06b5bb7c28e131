//! Probes at work: which forward is looked at, on which session, and what is told of the result. When is `probing`'s
//! business.

use std::sync::Arc;
use std::time::Instant;

use tunnel_engine::clock;
use tunnel_engine::forward::{
    ForwardStats, ProbeCheck, ProbeFailure, ProbeResult, Routes, probe_here, probe_local, probe_remote,
};
use tunnel_engine::session::{RemoteListen, Session};
use tunnel_engine::spec::{AddressFamily, Connect, Forward, Side};

use super::actor::{Actor, TunnelEvent};
use super::probing::{self, AfterProbe, ProbeMethod, Probing, Rhythm};
use super::refusal::with_port;
use super::state::ForwardState;
use crate::config::{ProbeSpec, TunnelSpec};

/// A probe's answer.
pub(super) struct Probed {
    serial: u64,
    side: Side,
    id: u64,
    turn: u32,
    result: ProbeResult,
    /// The target is connected to in the course of it.
    target: bool,
}

/// What a probe needs to know of its forward.
pub(super) struct Subject<'a> {
    pub(super) id: u64,
    pub(super) probing: &'a mut Probing,
    pub(super) stats: &'a Arc<ForwardStats>,
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
}

impl Actor {
    /// Starts the probes that are due. To be called after each event: a session may have come or gone.
    pub(super) fn reconcile_probes(&mut self) {
        let now = clock::now();
        let serial = self.live.as_ref().filter(|live| live.settled).map(|live| live.serial);
        if serial != self.probed {
            let replaced = self.probed.is_some() && serial.is_some();
            for subject in self.locals.subjects() {
                if replaced {
                    subject.probing.session_replaced(now);
                } else {
                    subject.probing.forget();
                }
            }
            self.probed = serial;
        }
        let Some(live) = &self.live else { return };
        if self.spec.probe == ProbeSpec::Off {
            return;
        }
        let (serial, session, routes) = (live.serial, live.session.clone(), live.routes.routes());
        self.doubt_old_refusals(now);
        let (spec, random) = (&self.spec, &mut self.random);
        // Those that are new, on this session or at all.
        for subject in self.locals.subjects().filter(|_| self.probed.is_some()) {
            match subject.asked(&spec.probe) {
                ProbeMethod::Nothing if subject.probing.is_unknown() => subject.probing.presume(),
                ProbeMethod::Target if subject.probing.is_idle() => subject.probing.begin_rested(now),
                ProbeMethod::Nothing | ProbeMethod::Target | ProbeMethod::Listener => {}
            }
        }
        for subject in self.locals.subjects().chain(self.remotes.subjects()) {
            let carried = subject.stats.counts().opened;
            let Some(turn) = subject.probing.look(now, carried, rhythm(spec, random)) else { continue };
            let (id, side, probe) = (subject.id, subject.side(), Probe::of(&subject, spec, now));
            let (session, routes, target) = (session.clone(), routes.clone(), probe.target.is_some());
            self.jobs.spawn(async move {
                let result = probe.run(&session, &routes).await;
                TunnelEvent::Probed(Probed { serial, side, id, turn, result, target })
            });
        }
    }

    /// A target that refused a user has the benefit of the doubt once `poll` has passed without another refusal.
    fn doubt_old_refusals(&mut self, now: Instant) {
        let all = self.locals.subjects().chain(self.remotes.subjects());
        let lapsed: Vec<(Side, u64)> =
            all.filter(|subject| subject.probing.is_lapsed(now)).map(|subject| (subject.side(), subject.id)).collect();
        for (side, id) in lapsed {
            self.change_verdict(side, id, |subject, now, rhythm| {
                if subject.probing.lapse(subject.stats.refused(), now, rhythm) {
                    subject.stats.set_refusal(None);
                }
            });
        }
    }

    /// The operator begins anew: what users saw before does not count.
    pub(super) fn pardon_targets(&mut self) {
        for subject in self.locals.subjects().chain(self.remotes.subjects()) {
            if subject.probing.pardon() {
                subject.stats.set_refusal(None);
            }
        }
    }

    /// When the next probe is due.
    pub(super) fn probes_due(&mut self) -> Option<Instant> {
        if self.live.is_none() || self.spec.probe == ProbeSpec::Off {
            return None;
        }
        let all = self.locals.subjects().chain(self.remotes.subjects());
        all.filter_map(|subject| subject.probing.due()).min()
    }

    pub(super) fn probed(&mut self, Probed { serial, side, id, turn, result, target }: Probed) {
        if self.live.as_ref().is_none_or(|live| live.serial != serial) {
            return;
        }
        let found = result.clone();
        let mut next = None;
        self.change_verdict(side, id, |subject, now, rhythm| {
            next = subject.probing.finish(turn, (result, target), now, rhythm);
            match found {
                _ if next.is_none() => {}
                // The next user's connection can disprove it.
                ProbeResult::Down(reason) => subject.stats.set_refusal(Some(reason)),
                ProbeResult::Up(_) | ProbeResult::Stale(_) | ProbeResult::Unverified(_)
                    if !subject.probing.is_refused() =>
                {
                    subject.stats.set_refusal(None);
                }
                ProbeResult::Up(_) | ProbeResult::Stale(_) | ProbeResult::Unverified(_) | ProbeResult::Nothing => {}
            }
        });
        if next == Some(AfterProbe::AskAgain) {
            self.ask_anew(id);
        }
    }

    /// Users' connections showed that a target refuses, or that it no longer does.
    pub(super) fn traffic_observed(&mut self) {
        if self.spec.probe == ProbeSpec::Off {
            return self.log_refusals();
        }
        let all = self.locals.subjects().chain(self.remotes.subjects());
        let ids: Vec<(Side, u64, ProbeMethod)> =
            all.map(|subject| (subject.side(), subject.id, subject.asked(&self.spec.probe))).collect();
        for (side, id, asked) in ids {
            self.change_verdict(side, id, |subject, now, rhythm| {
                let refusal: Option<ProbeFailure> = subject.stats.refusal();
                subject.probing.traffic_observed(refusal.as_ref(), subject.stats.refused(), asked, now, rhythm);
            });
        }
    }

    /// Where nothing is proven or disproven, a target that refuses is told all the same.
    fn log_refusals(&mut self) {
        let all = self.locals.subjects().chain(self.remotes.subjects());
        let refused: Vec<_> =
            all.filter_map(|subject| Some((subject.stats.refusal()?, subject.forward.to_string()))).collect();
        for (refusal, forward) in refused {
            self.log_failure(probing::failure(&refusal), Some(&forward));
        }
    }

    /// The config asks in another way: what was known by other rules is forgotten.
    pub(super) fn prove_anew(&mut self) {
        let now = clock::now();
        for subject in self.locals.subjects() {
            subject.stats.set_refusal(None);
            subject.probing.reset();
        }
        for subject in self.remotes.subjects() {
            subject.stats.set_refusal(None);
            subject.probing.pardon();
            subject.probing.begin(now);
        }
    }

    pub(super) fn expedite_probes(&mut self) {
        let now = clock::now();
        for subject in self.locals.subjects().chain(self.remotes.subjects()) {
            subject.probing.expedite(now);
        }
        self.pardon_targets();
    }

    /// Lets something change what is known about a forward, and tells if it did.
    fn change_verdict(&mut self, side: Side, id: u64, change: impl FnOnce(&mut Subject<'_>, Instant, Rhythm)) {
        let rhythm = rhythm(&self.spec, &mut self.random);
        let mut all = self.locals.subjects().chain(self.remotes.subjects());
        let Some(mut subject) = all.find(|subject| subject.id == id && subject.side() == side) else { return };
        let before = subject.probing.state();
        change(&mut subject, clock::now(), rhythm);
        let (after, forward) = (subject.probing.state(), subject.forward.to_string());
        drop(all);
        if before == after {
            return;
        }
        let (tunnel, state) = (self.spec.name.as_str(), after.as_str());
        // An end of what was told is told too, while there is room.
        let fine = matches!(after, ForwardState::Up | ForwardState::Unverified(_));
        if fine && self.changes_logged.admit((&forward, state), clock::now()).is_none() {
            return;
        }
        match (before, after) {
            (_, ForwardState::Down(failure) | ForwardState::Stale(failure)) => {
                self.log_failure(failure, Some(&forward));
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

/// One question.
struct Probe {
    listen: Option<RemoteListen>,
    connect: Connect,
    family: AddressFamily,
    /// What the target is asked; `None`: it is not.
    target: Option<ProbeCheck>,
}

impl Probe {
    fn of(subject: &Subject<'_>, spec: &TunnelSpec, now: Instant) -> Self {
        let check = match &spec.probe {
            ProbeSpec::Expect(words) => Some(ProbeCheck::Says(words.clone().into())),
            ProbeSpec::Tcp => Some(ProbeCheck::Accepts),
            ProbeSpec::Auto | ProbeSpec::Off => None,
        };
        let Forward { listen, connect, .. } = subject.forward;
        let listen = RemoteListen::of(&with_port(listen, subject.allocated));
        Self {
            listen: (subject.side() == Side::Server).then_some(listen),
            connect: connect.clone(),
            family: spec.session.dial.address_family,
            target: check.filter(|_| *connect != Connect::Socks && !subject.probing.target_rests(now)),
        }
    }

    async fn run(self, session: &Session, routes: &Routes) -> ProbeResult {
        let Some(listen) = &self.listen else {
            // A local forward that nothing is asked about has no probe due.
            let Some(check) = self.target else { return ProbeResult::Nothing };
            return probe_local(session, &self.connect, &check).await;
        };
        let came = probe_remote(session, routes, listen).await;
        match (&came, self.target) {
            (ProbeResult::Up(_) | ProbeResult::Unverified(_), Some(check)) => {
                let here = probe_here(&self.connect, self.family, &check).await;
                if matches!(here, ProbeResult::Up(_)) { came } else { here }
            }
            (ProbeResult::Up(_) | ProbeResult::Unverified(_), None)
            | (ProbeResult::Stale(_) | ProbeResult::Down(_) | ProbeResult::Nothing, _) => came,
        }
    }
}
