//! What operators and the supervisor order, and the steps of a reload: what did not change is not touched.

use tunnel_engine::spec::ForwardKind;

use super::super::probes;
use super::{Core, TunnelCommand, TunnelEffect};
use crate::history::Cause;
use crate::lifecycle::{Input, Phase};
use crate::plan::Step;

impl Core {
    pub(super) fn apply_order(&mut self, order: TunnelCommand) {
        match order {
            TunnelCommand::Start => {
                // One that starts with the daemon is not an operator's wish.
                if self.machine.phase() != Phase::Stopped {
                    self.effect(TunnelEffect::BypassHold);
                }
                self.feed(Input::Start);
            }
            TunnelCommand::Stop => {
                probes::pardon_targets(&mut self.forwards, &mut self.effects);
                self.report.cause = Some(Cause::without_kind("stopped by an operator"));
                self.feed(Input::Stop);
            }
            TunnelCommand::Restart => {
                probes::pardon_targets(&mut self.forwards, &mut self.effects);
                self.effect(TunnelEffect::BypassHold);
                self.report.cause = Some(Cause::without_kind("restarted by an operator"));
                self.feed(Input::Restart);
            }
            TunnelCommand::RetryNow => {
                self.feed(Input::RetryNow);
                probes::expedite(&mut self.forwards, self.now.awake, &mut self.effects);
                self.probe_everything();
            }
            TunnelCommand::NetworkChanged => {
                // The way to the server may be another one now.
                self.reachability.begin_anew(self.now.awake, &mut self.effects);
                self.feed(Input::PathBack);
                self.probe_everything();
            }
            TunnelCommand::ResetFailed => {
                self.report.last_failure = None;
                self.report.forget_failures_logged();
                self.feed(Input::ResetFailed);
            }
            TunnelCommand::GiveUp(failure) => self.give_up_session(failure, None),
            TunnelCommand::Apply(steps) => self.apply_steps(steps),
            TunnelCommand::StopTimeout(timeout) => self.stop_timeout = timeout,
            TunnelCommand::End => {
                self.ending = true;
                self.report.cause = Some(Cause::without_kind("tunneld stops, or the tunnel has left the config"));
                self.effect(TunnelEffect::EndOnChange);
                self.feed(Input::Stop);
            }
        }
    }

    /// Waits are over, and every living session proves itself: silence makes its path doubtful, and another session is
    /// opened; an answer changes nothing.
    fn probe_everything(&mut self) {
        let now = self.now.awake;
        self.forwards.retry_now(now, &mut self.effects);
        self.sessions.retry_now(now);
        for session in self.sessions.living().map(|live| live.id).collect::<Vec<_>>() {
            self.effect(TunnelEffect::ProbePath(session));
        }
    }

    fn apply_steps(&mut self, steps: Vec<Step>) {
        let probe = self.spec.probe.clone();
        for step in steps {
            step.apply_to_tunnel(&mut self.spec);
            self.apply_step(step);
        }
        self.forwards.sort(&self.spec.forwards);
        if self.spec.probe != probe {
            probes::prove_anew(&mut self.forwards, self.now.awake, &mut self.effects);
        }
        if self.sessions.main.is_none() && self.sessions.attempt.is_none() {
            self.sessions.server.clone_from(&self.spec.session.destination);
        }
        // A blocked tunnel waits for a change, and this was one.
        self.feed(Input::FilesChanged);
    }

    fn apply_step(&mut self, step: Step) {
        match step {
            Step::Retune { .. } => {
                self.machine.retune(self.spec.policy, self.now.awake);
                self.forwards.retune(self.sessions.main_id(), &self.spec, self.now.awake, &mut self.effects);
            }
            Step::Hosts { .. } => self.sessions.hosts_changed(&self.spec, self.now.awake),
            Step::ReplaceSession { .. } => self.change_session(),
            Step::RemoveForward { forward, .. } => {
                self.forwards.remove(&forward, self.sessions.main_id(), &mut self.effects);
            }
            Step::RetuneForward { from, to, .. } => {
                let (main, now) = (self.sessions.main_id(), self.now.awake);
                self.forwards.retarget(&from, to, main, (&self.spec, now), &mut self.effects);
            }
            Step::AddForward { forward, .. } => {
                // A listener follows, as for all that are not open.
                let remote = forward.kind == ForwardKind::Remote;
                self.forwards.add(forward, &mut self.effects);
                if remote {
                    self.request_forwards();
                }
            }
            Step::Enable { .. } => self.feed(Input::Start),
            Step::Disable { .. } => self.feed(Input::Stop),
            // The spec says it all; the supervisor does the rest.
            Step::NextSession { .. }
            | Step::ReorderForwards { .. }
            | Step::Global(_)
            | Step::Stop { .. }
            | Step::Start { .. }
            | Step::Reorder { .. } => {}
        }
    }

    fn change_session(&mut self) {
        match self.machine.phase() {
            Phase::Up => self.sessions.replace_main(),
            // An attempt at a server that is no longer wanted.
            Phase::Connecting => self.feed(Input::Restart),
            // Its wait was for another server.
            Phase::Backoff | Phase::Blocked => self.feed(Input::RetryNow),
            Phase::Stopped | Phase::Failed | Phase::Stopping => {}
        }
    }
}
