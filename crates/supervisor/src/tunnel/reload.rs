//! The steps of a reload, applied to what runs: what did not change is not touched.

use tunnel_engine::clock;
use tunnel_engine::spec::{Forward, ForwardKind};

use super::actor::Actor;
use super::pending;
use super::state::ForwardState;
use super::view::ForwardView;
use crate::config::ProbeSpec;
use crate::lifecycle::{Input, Phase};
use crate::supervise::plan::Step;

impl Actor {
    pub(super) fn apply(&mut self, steps: Vec<Step>) {
        let probe = self.spec.probe.clone();
        for step in steps {
            step.apply_to_tunnel(&mut self.spec);
            self.make(step);
        }
        self.order_forwards();
        if self.spec.probe != probe {
            self.prove_anew();
        }
        if self.live.is_none() && self.attempt.is_none() {
            self.server.clone_from(&self.spec.session.destination);
        }
        // A blocked tunnel waits for a change, and this was one.
        self.feed(Input::FilesChanged);
    }

    fn make(&mut self, step: Step) {
        match step {
            Step::Retune { .. } => {
                self.machine.retune(self.spec.policy, clock::now());
                self.retune_listeners();
                self.retune_remotes();
            }
            Step::Hosts { .. } => self.change_hosts(),
            Step::ReplaceSession { .. } => self.change_session(),
            Step::RemoveForward { forward, .. } => match forward.kind {
                ForwardKind::Local | ForwardKind::Dynamic => self.remove_listener(&forward),
                ForwardKind::Remote => self.remove_remote(&forward),
                ForwardKind::TunnelDevice => self.devices.remove(&forward),
            },
            Step::RetuneForward { from, to, .. } => match to.kind {
                ForwardKind::Local | ForwardKind::Dynamic => self.retarget_listener(&from, to),
                ForwardKind::Remote => self.retarget_remote(&from, to),
                ForwardKind::TunnelDevice => self.devices.retarget(&from, to),
            },
            Step::AddForward { forward, .. } => match forward.kind {
                // The listener itself follows, as it does for all that are not open.
                ForwardKind::Local | ForwardKind::Dynamic => self.locals.add(forward),
                ForwardKind::TunnelDevice => self.devices.add(forward),
                ForwardKind::Remote => {
                    self.remotes.add(forward);
                    self.request_forwards();
                }
            },
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
            Phase::Up => self.replace(),
            // An attempt at a server that is no longer wanted.
            Phase::Connecting => self.feed(Input::Restart),
            // Its wait was for another server.
            Phase::Backoff | Phase::Blocked => self.feed(Input::RetryNow),
            Phase::Stopped | Phase::Failed | Phase::Stopping => {}
        }
    }

    fn order_forwards(&mut self) {
        let place = |forward: &Forward| self.spec.forwards.iter().position(|wanted| wanted == forward);
        self.locals.sort_by_key(place);
        self.devices.sort_by_key(place);
        self.remotes.sort_by_key(place);
    }

    /// In the config's order.
    pub(super) fn forward_views(&self) -> Vec<ForwardView> {
        let proven = self.spec.probe != ProbeSpec::Off;
        let mut locals = self.locals.views(self.machine.phase(), proven);
        let mut remotes = self.remotes.views(proven);
        let mut devices = self.devices.views(self.machine.phase());
        let next = |kind| match kind {
            ForwardKind::Local | ForwardKind::Dynamic => locals.next(),
            ForwardKind::Remote => remotes.next(),
            ForwardKind::TunnelDevice => devices.next(),
        };
        let mut views: Vec<ForwardView> =
            self.spec.forwards.iter().map(|forward| forward.kind).filter_map(next).collect();
        if let Some(note) = self.session_note() {
            for view in &mut views {
                if self.is_doubtful() && view.state == ForwardState::Up {
                    view.state = ForwardState::Pending;
                }
                view.message.get_or_insert_with(|| note.clone());
            }
        }
        let phase = self.machine.phase();
        for view in &mut views {
            if view.message.is_none() {
                view.message = pending::reason(&view.state, view.kind.side(), phase).map(str::to_owned);
            }
        }
        views
    }
}
