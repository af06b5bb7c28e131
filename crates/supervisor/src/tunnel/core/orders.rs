//! What operators and the supervisor order, and the steps of a reload: what did not change is not touched.

use std::time::Duration;

use tunnel_engine::failure::Failure;
use tunnel_engine::spec::{ForwardKind, SessionSpec};

use super::super::probes;
use super::{Core, TunnelEffect};
use crate::history::Cause;
use crate::lifecycle::{Input, Phase};
use crate::plan::TunnelChange;

/// What an operator or the supervisor may want of a tunnel. Each is done at once or begun at once; the view tells how it
/// goes.
#[derive(Debug, Clone)]
pub enum Order {
    Start,
    Stop,
    /// End the session if there is one, and start at once.
    Restart,
    /// End every wait, and have the living sessions prove themselves.
    RetryNow,
    /// A link, an address or a route of this machine changed: end the waits that were for the network, and have the
    /// living sessions prove themselves.
    NetworkChanged,
    ResetFailed,
    /// End the living session for this reason, found out by one of its watchers, and let the machine judge what follows.
    GiveUp(Box<Failure>),
    /// The part of a reload that is about this tunnel, in order.
    Apply(Vec<TunnelChange>),
    /// How long flowing connections may go on after a stop, from now on.
    StopTimeout(Duration),
    /// Be down, and end the task.
    End,
}

impl Core {
    pub(super) fn apply_order(&mut self, order: Order) {
        match order {
            Order::Start => {
                // One that starts with the daemon is not an operator's wish.
                if self.machine.phase() != Phase::Stopped {
                    self.effect(TunnelEffect::BypassHold);
                }
                self.feed(Input::Start);
            }
            Order::Stop => {
                probes::pardon_targets(&mut self.forwards, &mut self.effects);
                self.report.cause = Some(Cause::without_kind("stopped by an operator"));
                self.feed(Input::Stop);
            }
            Order::Restart => {
                probes::pardon_targets(&mut self.forwards, &mut self.effects);
                self.effect(TunnelEffect::BypassHold);
                self.report.cause = Some(Cause::without_kind("restarted by an operator"));
                self.feed(Input::Restart);
            }
            Order::RetryNow => {
                self.feed(Input::RetryNow);
                self.takeover.retry_now();
                probes::expedite(&mut self.forwards, self.now.awake, &mut self.effects);
                self.probe_everything();
            }
            Order::NetworkChanged => {
                // The way to the server may be another one now.
                self.reachability.begin_anew(self.now.awake, &mut self.effects);
                self.feed(Input::PathBack);
                self.probe_everything();
            }
            Order::ResetFailed => {
                self.report.last_failure = None;
                self.report.forget_failures_logged();
                self.feed(Input::ResetFailed);
            }
            Order::GiveUp(failure) => self.give_up_session(*failure, None),
            Order::Apply(changes) => self.apply_changes(changes),
            Order::StopTimeout(timeout) => self.stop_timeout = timeout,
            Order::End => {
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

    fn apply_changes(&mut self, changes: Vec<TunnelChange>) {
        let (probe, before) = (self.spec.probe.clone(), self.spec.session.clone());
        for change in changes {
            change.apply(&mut self.spec);
            self.apply_change(change, &before);
        }
        if self.sessions.is_taken_back(&self.spec) {
            let tunnel = self.spec.name.as_str();
            tracing::info!(tunnel, "{tunnel}: the session that serves is as configured again, and stays");
        }
        self.forwards.sort(&self.spec.forwards);
        if self.spec.probe != probe {
            probes::prove_anew(&mut self.forwards, self.now.awake, &mut self.effects);
        }
        if self.sessions.main.is_none() && self.sessions.attempt.is_none() {
            self.sessions.server.clone_from(&self.spec.session.destination);
        }
        // A blocked tunnel waits for a change, and this was one.
        self.retry_blocked();
    }

    /// `before`: the session that the config wanted until now.
    fn apply_change(&mut self, change: TunnelChange, before: &SessionSpec) {
        let (main, now) = (self.sessions.main_id(), self.now.awake);
        match change {
            TunnelChange::Retune(_) => {
                self.machine.retune(self.spec.policy, now);
                self.forwards.retune(main, &self.spec, now, &mut self.effects);
            }
            TunnelChange::Hosts(_) => self.sessions.hosts_changed(&self.spec, before, now),
            TunnelChange::ReplaceSession(_) => self.change_session(before),
            TunnelChange::RemoveForward(forward) => self.forwards.remove(&forward, main, &mut self.effects),
            TunnelChange::RetuneForward { from, to } => {
                self.forwards.retarget(&from, to, main, (&self.spec, now), &mut self.effects);
            }
            TunnelChange::AddForward { forward, .. } => {
                // A listener follows, as for all that are not open.
                let remote = forward.kind == ForwardKind::Remote;
                self.forwards.add(forward, &mut self.effects);
                if remote {
                    self.request_forwards();
                }
            }
            TunnelChange::Enable => self.feed(Input::Start),
            TunnelChange::Disable => self.feed(Input::Stop),
            // The spec says it all.
            TunnelChange::NextSession(_) | TunnelChange::ReorderForwards(_) => {}
        }
    }

    fn change_session(&mut self, before: &SessionSpec) {
        match self.machine.phase() {
            Phase::Up => self.sessions.replace_main(before, self.now.awake),
            // An attempt at a server that is no longer wanted.
            Phase::Connecting => self.feed(Input::Restart),
            // Its wait was for another server.
            Phase::Backoff | Phase::Blocked => self.feed(Input::RetryNow),
            Phase::Stopped | Phase::Failed | Phase::Stopping => {}
        }
    }
}
