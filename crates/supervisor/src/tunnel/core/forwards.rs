//! The forwards' part of each event: what it means to the sessions, and what is told of it.

use tunnel_engine::failure::{Failure, FailureKind};
use tunnel_engine::forward::{DeviceState, ListenState};

use super::super::forwards::ForwardId;
use super::super::locals::{ForwardFailed, ListenSummary, should_listen};
use super::super::probes::VerdictChange;
use super::super::probing;
use super::super::remotes::Answer;
use super::super::state::ForwardState;
use super::super::takeover::{NEEDS, ReleaseReport, ShellError};
use super::{Core, Observed, Probed, Requested};
use crate::config::{OnRemotePortBusy, ProbeSpec};
use crate::lifecycle::SessionId;

/// What a change of what is known about a forward follows from.
#[derive(Debug, Clone, Copy)]
enum Evidence {
    Probe,
    Users,
}

impl Core {
    /// Brings listeners, devices, the mark and the probes in line with the phase and the session. `observed`: what users
    /// have seen of the forwards, when the time has come to probe.
    pub(super) fn reconcile_forwards(&mut self, observed: Option<&[Observed]>) {
        let now = self.now.awake;
        let (open, drain_by) = (self.should_listen(), now + self.stop_timeout);
        self.forwards.locals.reconcile(open, &self.spec, drain_by, &mut self.effects);
        self.forwards.devices.reconcile(open, &mut self.effects);
        let main = self.sessions.main_id();
        if self.spec.on_remote_port_busy == OnRemotePortBusy::Takeover {
            let has_listeners = !self.forwards.remotes.is_empty();
            self.takeover.reconcile(main, has_listeners, now, &mut self.effects);
        }
        let settled = self.sessions.settled().map(|live| live.id);
        self.probes.session_changed(settled, &mut self.forwards, now);
        let Some(main) = main.filter(|_| self.spec.probe != ProbeSpec::Off) else { return };
        let changes = observed.map(|observed| {
            self.probes.doubt_old_refusals(observed, &mut self.forwards, (&self.spec, now), &mut self.effects)
        });
        changes.into_iter().flatten().for_each(|change| self.note_verdict(change, Evidence::Users));
        self.probes.begin(&mut self.forwards, &self.spec.probe, now);
        if let Some(observed) = observed {
            self.probes.start_due(main, observed, &mut self.forwards, (&self.spec, now), &mut self.effects);
        }
    }

    fn should_listen(&self) -> bool {
        should_listen(self.machine.want(), self.machine.phase())
    }

    /// Every listener that should be open is, or has failed to.
    pub(super) fn listeners_tried(&self) -> bool {
        !self.should_listen() || !matches!(self.forwards.listening(), ListenSummary::Pending)
    }

    pub(super) fn bound(&mut self, id: ForwardId, result: Result<(), Failure>) {
        let Some(bound) = self.forwards.locals.bound(id, result, &self.spec, &mut self.effects) else { return };
        if let Err(failed) = bound {
            // Without a session, the start that waits for it tells.
            if self.sessions.main.is_some() || !self.spec.exit_on_forward_failure {
                self.forward_failed(failed);
            }
        }
        self.log_in_when_listening();
    }

    pub(super) fn listener_changed(&mut self, id: ForwardId, state: ListenState) {
        match self.forwards.locals.changed(id, state) {
            None => {}
            Some(Err(failed)) => self.forward_failed(failed),
            Some(Ok(forward)) => {
                let tunnel = self.spec.name.as_str();
                tracing::info!(tunnel, forward, "{tunnel}: {forward}: every address is listened on");
            }
        }
    }

    pub(super) fn device_changed(&mut self, id: ForwardId, state: DeviceState) {
        match self.forwards.devices.changed(id, state) {
            None => {}
            // The start that waits for it tells.
            Some(Err(_))
                if self.spec.exit_on_forward_failure
                    && self.sessions.main.is_none()
                    && self.forwards.devices.has_failed(id) => {}
            Some(Err(failed)) => self.forward_failed(failed),
            Some(Ok(forward)) => self.log_device(id, &forward),
        }
        self.log_in_when_listening();
    }

    fn log_device(&mut self, id: ForwardId, forward: &str) {
        if self.report.changes_logged.admit(("device", id), self.now.awake).is_some() {
            let (tunnel, device) = (self.spec.name.as_str(), self.forwards.devices.name(id));
            tracing::info!(tunnel, forward, device, "{tunnel}: {forward}: packets are carried");
        }
    }

    /// A forward cannot be set up: told, and with exit_on_forward_failure the end of the session.
    fn forward_failed(&mut self, ForwardFailed { failure, forward, fatal }: ForwardFailed) {
        if fatal && self.spec.exit_on_forward_failure && self.sessions.main.is_some() {
            self.give_up_session(failure, Some(&forward));
        } else {
            self.note_failure(failure, Some(&forward));
        }
    }

    /// Asks the server to listen, for every remote forward that is not in place.
    pub(super) fn request_forwards(&mut self) {
        // A session of ours that is being closed has yet to give them up.
        if let Some(main) = self.sessions.main_id().filter(|_| !self.sessions.are_ports_held()) {
            let able = self.may_take_over();
            self.forwards.remotes.request_pending(main, (able, &self.spec, self.now.awake), &mut self.effects);
        }
    }

    pub(super) fn retry_requests(&mut self) {
        if let Some(main) = self.sessions.main_id() {
            let able = self.may_take_over();
            self.forwards.remotes.request_due(main, (able, &self.spec, self.now.awake), &mut self.effects);
        }
    }

    pub(super) fn requested(&mut self, mut requested: Requested) {
        let Some(live) = self.sessions.main.as_ref().filter(|live| live.id == requested.session) else { return };
        let (took_over, now) = (live.took_over, self.now.awake);
        match requested.report.take() {
            None => {}
            Some(ReleaseReport::Unsupported(why)) => {
                let is_news = self.takeover.rule_out();
                if is_news {
                    self.log_no_takeover(&why);
                }
            }
            Some(report) => self.forwards.remotes.taken_over(requested.forward, report, &self.spec.name, now),
        }
        let able = self.may_take_over();
        match self.forwards.remotes.answered(requested, (able, &self.spec, now), &mut self.effects) {
            Answer::Nothing => {}
            Answer::Granted => {
                if self.forwards.remotes.all_up() {
                    self.sessions.main.iter_mut().for_each(|live| live.is_unfit = false);
                }
                self.come_up_when_allowed();
            }
            Answer::Refused(failed) => {
                let denied = failed.failure.kind() == FailureKind::RemoteForwardDenied;
                let fatal = !(denied && self.leaves_unfit_host()) && (denied || !took_over);
                self.forward_failed(ForwardFailed { fatal, ..failed });
            }
        }
    }

    /// Whether the holder of a port or path may be ended.
    fn may_take_over(&self) -> bool {
        self.spec.on_remote_port_busy == OnRemotePortBusy::Takeover && self.takeover.is_possible()
    }

    pub(super) fn marked(&mut self, session: SessionId, result: Result<(), ShellError>) {
        match self.takeover.marked(session, result, self.now.awake) {
            None => {}
            Some(ShellError::Unusable(why)) => self.log_no_takeover(&why),
            Some(ShellError::Passing(why)) => {
                let (tunnel, server) = (self.spec.name.as_str(), &self.spec.session.destination);
                tracing::warn!(tunnel, %server, "{tunnel}: no mark for a takeover on this server yet: {why}");
            }
        }
    }

    fn log_no_takeover(&self, why: &str) {
        let (tunnel, server) = (self.spec.name.as_str(), &self.spec.session.destination);
        tracing::warn!(tunnel, %server, hint = NEEDS, "{tunnel}: no takeover on this server: {why}");
    }

    pub(super) fn probed(&mut self, probed: Probed) {
        let (main, forward, now) = (probed.session, probed.forward, self.now.awake);
        if !self.sessions.is_main(main) {
            return;
        }
        let (change, ask_anew) = self.probes.finish(probed, &mut self.forwards, (&self.spec, now), &mut self.effects);
        change.into_iter().for_each(|change| self.note_verdict(change, Evidence::Probe));
        if ask_anew {
            let able = self.may_take_over();
            self.forwards.remotes.request_anew(forward, main, (able, &self.spec, now), &mut self.effects);
        }
    }

    /// Users' connections showed that a target refuses, or that it no longer does.
    pub(super) fn traffic_observed(&mut self, observed: &[Observed]) {
        if self.spec.probe != ProbeSpec::Off {
            let changes = self.probes.traffic_observed(observed, &mut self.forwards, &self.spec, self.now.awake);
            return changes.into_iter().for_each(|change| self.note_verdict(change, Evidence::Users));
        }
        // Where nothing is proven or disproven, a target that refuses is told all the same.
        let refusals = self.forwards.subjects().filter_map(|subject| {
            let refusal = observed.iter().find(|seen| seen.forward == subject.id)?.refusal.as_ref()?;
            Some((probing::failure(refusal), subject.forward.to_string()))
        });
        for (failure, forward) in refusals.collect::<Vec<_>>() {
            self.note_refused_user(failure, &forward);
        }
    }

    /// Tells that something else is known about a forward.
    fn note_verdict(&mut self, VerdictChange { forward, before, after }: VerdictChange, evidence: Evidence) {
        let (tunnel, state) = (self.spec.name.as_str(), after.as_str());
        // An end of what was told is told too, while there is room.
        let fine = matches!(after, ForwardState::Up | ForwardState::Unverified(_));
        if fine && self.report.changes_logged.admit((&forward, state), self.now.awake).is_none() {
            return;
        }
        match (before, after) {
            (_, ForwardState::Down(failure) | ForwardState::Stale(failure)) => match evidence {
                Evidence::Probe => self.note_failure(failure, Some(&forward)),
                Evidence::Users => self.note_refused_user(failure, &forward),
            },
            (_, ForwardState::Unverified(words)) => {
                tracing::info!(tunnel, forward, state, "{tunnel}: {forward}: the forward is in place, but {words}");
            }
            (ForwardState::Down(_) | ForwardState::Stale(_), ForwardState::Up) => {
                self.report.told.end_of_forward(&forward);
                tracing::info!(tunnel, forward, state, "{tunnel}: {forward}: the forward is up again");
            }
            (_, ForwardState::Up | ForwardState::Pending) => tracing::debug!(tunnel, forward, state, "proven"),
        }
    }
}
