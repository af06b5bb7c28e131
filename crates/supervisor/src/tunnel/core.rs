//! The core of a tunnel: all that it decides, and nothing that takes time. Events and the time in; effects and the next
//! deadline out. The [`driver`](super::driver) carries effects out and brings their results back as events, so that a
//! recorded sequence of events gives the same effects again.

mod effect;
mod event;
mod forwards;
mod orders;
mod sessions;
mod tell;
#[cfg(test)]
pub(super) mod tests;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tunnel_engine::spec::Destination;

pub(super) use effect::{
    AwayServer, BindRequest, Close, Effects, ForwardEffect, ListenMode, ListenRequest, Login, OpenDeviceRequest, Probe,
    Retire, RouteTarget, TunnelEffect, WatchFiles,
};
pub(super) use event::{LoginFailure, Observed, Probed, Requested, TunnelEvent};
pub use orders::Order;

use super::file_stamps::{FileStamps, LoginFiles};
use super::forwards::TunnelForwards;
use super::observer::Occurrence;
use super::probes::Probes;
use super::reachability::AwayServers;
use super::report::Report;
use super::sessions::TunnelSessions;
use super::takeover::Takeover;
use super::view::Snapshot;
use crate::config::{ProbeSpec, TunnelSpec};
use crate::history::Moment;
use crate::lifecycle::{Effect as MachineEffect, Input, Machine, Phase, SessionId};

/// One tunnel. After each event, carry out every effect.
pub(super) struct Core {
    spec: TunnelSpec,
    /// How long flowing connections may go on after a stop.
    stop_timeout: Duration,
    /// Of the event that is being handled.
    now: Moment,
    machine: Machine,
    sessions: TunnelSessions,
    forwards: TunnelForwards,
    probes: Probes,
    takeover: Takeover,
    reachability: AwayServers,
    files: LoginFiles,
    report: Report,
    /// It ends when it has come to rest.
    ending: bool,
    effects: Effects,
    snapshot: Arc<Snapshot>,
}

impl Core {
    /// At rest. `seed` decides the jitter and nothing else.
    pub(super) fn new(spec: TunnelSpec, stop_timeout: Duration, seed: u64, now: Moment) -> Self {
        #[cfg(test)]
        tests::replay::begin(&spec, stop_timeout, seed, now);
        let machine = Machine::new(spec.policy, seed, now.awake);
        let forwards = spec.forwards.clone();
        let mut core = Self {
            sessions: TunnelSessions::new(spec.session.destination.clone(), seed),
            report: Report::new(machine.phase(), now.wall),
            snapshot: Arc::new(Snapshot::at_rest(&spec, now.wall)),
            spec,
            stop_timeout,
            now,
            machine,
            forwards: TunnelForwards::new(seed),
            probes: Probes::new(seed),
            takeover: Takeover::default(),
            reachability: AwayServers::default(),
            files: LoginFiles::default(),
            ending: false,
            effects: Effects::default(),
        };
        for forward in forwards {
            core.forwards.add(forward, &mut core.effects);
        }
        core.publish();
        core
    }

    /// Something happened. Any event is welcome at any time, and one about an earlier session is harmless.
    pub(super) fn handle(&mut self, event: TunnelEvent, now: Moment) {
        #[cfg(test)]
        let recorded = event.clone();
        self.now = now;
        let mut observed = None;
        match event {
            TunnelEvent::Due(seen) => {
                self.machine.handle_timeout(now.awake);
                self.retry_requests();
                observed = Some(seen);
            }
            TunnelEvent::DidNotRun(pause) => self.machine.did_not_run(pause),
            TunnelEvent::LoggedIn { session, info, files } => self.login_ended(session, Ok(info), files),
            TunnelEvent::LoginFailed { session, failure, files } => self.login_ended(session, Err(failure), files),
            TunnelEvent::SessionProven(session) => self.session_proven(session),
            TunnelEvent::SessionEnded(session, failure) => self.session_ended(session, failure),
            TunnelEvent::PathChanged(session, path) => self.path_changed(session, path),
            TunnelEvent::Closed(session) => self.closed(session),
            TunnelEvent::PortsReleased => self.ports_released(),
            TunnelEvent::ListensTakenBack(session) => self.listens_taken_back(session),
            TunnelEvent::RetiredEnded(session) => self.sessions.retired.retain(|known| *known != session),
            TunnelEvent::ServerBack(host) => self.server_back(&host),
            TunnelEvent::ServerThere(host) => self.reachability.was_there(&host),
            TunnelEvent::Bound(forward, result) => self.bound(forward, result),
            TunnelEvent::ListenerChanged(forward, state) => self.listener_changed(forward, state),
            TunnelEvent::DeviceChanged(forward, state) => self.device_changed(forward, state),
            TunnelEvent::Requested(requested) => self.requested(requested),
            TunnelEvent::Marked(session, result) => self.marked(session, result),
            TunnelEvent::Probed(probed) => self.probed(probed),
            TunnelEvent::Observed(seen) => self.traffic_observed(&seen),
            TunnelEvent::FilesChanged(session, look) => self.files_changed(session, look),
            TunnelEvent::Order(command) => self.apply_order(command),
        }
        self.reconcile(observed.as_deref());
        #[cfg(test)]
        tests::replay::note(self, recorded, now);
    }

    /// The next thing to do, in order; `None` when all is done.
    pub(super) fn poll_effect(&mut self) -> Option<TunnelEffect> {
        self.effects.pop()
    }

    /// When to tell it that time has passed. It changes with every event.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let machine = self.machine.poll_timeout();
        let up = self.machine.phase() == Phase::Up;
        let replacement = self.sessions.replacement_due(up, &self.spec, self.now.awake);
        let standby = self.sessions.standby_due(&self.spec);
        let probes =
            self.forwards.probe_due().filter(|_| self.sessions.main.is_some() && self.spec.probe != ProbeSpec::Off);
        [machine, self.forwards.remotes.due(), self.takeover.due(), replacement, standby, probes]
            .into_iter()
            .flatten()
            .min()
    }

    /// How the tunnel is. Another one after an event that changed something that others see.
    pub(super) const fn snapshot(&self) -> &Arc<Snapshot> {
        &self.snapshot
    }

    pub(super) const fn is_ending(&self) -> bool {
        self.ending
    }

    /// The session that remote listeners are on.
    pub(super) fn main_session(&self) -> Option<SessionId> {
        self.sessions.main_id()
    }

    /// It was told to end, and has come to rest: when its last job has ended, so has the tunnel.
    pub(super) fn is_over(&self) -> bool {
        self.ending && self.machine.phase() == Phase::Stopped
    }

    fn effect(&mut self, effect: impl Into<TunnelEffect>) {
        self.effects.push(effect);
    }

    fn feed(&mut self, input: Input) {
        let before = self.machine.phase();
        self.machine.handle(input, self.now.awake);
        self.observe_input(before, input);
    }

    /// Carries out what the machine wants, then brings everything else in line with it. `observed`: what users have
    /// seen of the forwards, when the time has come to probe.
    fn reconcile(&mut self, observed: Option<&[Observed]>) {
        while let Some(effect) = self.machine.poll_effect() {
            match effect {
                MachineEffect::Open { session } => {
                    let (count, tries) = (self.machine.starts(), self.machine.tries());
                    self.effect(TunnelEffect::Observe(Occurrence::Start { count, tries }));
                    self.open(session);
                }
                MachineEffect::Close { session } => self.close(session),
            }
        }
        self.reconcile_replacement();
        let (phase, now) = (self.machine.phase(), self.now.awake);
        let up = phase == Phase::Up;
        let at = (&self.spec, now, self.stop_timeout);
        self.sessions.reconcile_standby(up, &mut self.machine, at, &mut self.effects);
        self.reachability.reconcile(phase, self.sessions.last_up, &self.spec, &mut self.effects);
        self.reconcile_forwards(observed);
        let trying = phase == Phase::Connecting || self.sessions.is_replacing();
        self.files.reconcile(self.blocked_login(), trying, &self.spec, now, &mut self.effects);
        self.sessions.abandon_logins(&mut self.effects);
        self.publish();
    }

    /// A server can be reached; perhaps the connection that showed it is ours.
    fn server_back(&mut self, host: &Destination) {
        self.reachability.is_back();
        if self.machine.phase() == Phase::Backoff {
            // The first to be tried, before those that are still away.
            self.sessions.hosts.worked(host);
            self.effect(TunnelEffect::KeepLink);
            self.feed(Input::PathBack);
        }
    }

    /// The login that failed for good, and is made again when its files change: the last start of a blocked tunnel, or
    /// the one that was to replace the session that serves.
    fn blocked_login(&self) -> Option<SessionId> {
        match self.machine.phase() {
            Phase::Blocked => Some(self.machine.session()),
            Phase::Up => self.sessions.blocked_replacement(),
            Phase::Stopped | Phase::Connecting | Phase::Backoff | Phase::Failed | Phase::Stopping => None,
        }
    }

    /// What a login that failed for good waits for may be there.
    fn retry_blocked(&mut self) {
        self.feed(Input::FilesChanged);
        self.sessions.retry_blocked(self.now.awake);
    }

    /// Something of the files of a blocked login has changed. `session`: the login that read them.
    fn files_changed(&mut self, session: SessionId, look: FileStamps) {
        if self.blocked_login() != Some(session) {
            return;
        }
        let (outdated, repaired) = self.files.changed(look, self.now.awake);
        if let Some(file) = outdated {
            self.report.ssh_config_changed(file, &self.spec.name);
        }
        if repaired {
            tracing::info!(tunnel = self.spec.name, "{}: a key, secret or known_hosts file changed", self.spec.name);
            self.retry_blocked();
        }
    }
}
