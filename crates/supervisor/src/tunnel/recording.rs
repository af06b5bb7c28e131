//! What a tunnel tells the history: each change of phase and readiness, and each failure, with its cause.

use super::actor::Actor;
use super::on_change::ReadinessChange;
use super::state::ForwardState;
use super::view::ForwardView;
use crate::history::{Cause, Event, EventName, Moment};
use crate::lifecycle::{Phase, Want};

/// What was told last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Recorded {
    want: Want,
    phase: Phase,
    ready: bool,
}

impl Default for Recorded {
    fn default() -> Self {
        Self { want: Want::Down, phase: Phase::Stopped, ready: false }
    }
}

impl Actor {
    /// Called on the loop, before a view is published: views may be skipped, and the history needs each change.
    pub(super) fn record(&mut self, ready: bool, forwards: &[ForwardView]) {
        let (before, now) = (self.recorded, Recorded { want: self.machine.want(), phase: self.machine.phase(), ready });
        let cause = self.cause.take();
        if now == before && cause.is_none() {
            return;
        }
        let lost = before.ready && !now.ready;
        let cause = cause.or_else(|| forwards.iter().filter(|_| lost).find_map(cause_of));
        self.recorded = now;
        let moment = Moment::now();
        self.context.history.changed(&self.spec.name, now.want, now.ready, cause.as_ref(), moment);
        self.run_on_change(ready, cause.as_ref(), moment);
        let failed = cause.as_ref().is_some_and(|cause| cause.kind.is_some());
        for name in events(before, now, failed) {
            let cause = cause.clone().filter(|_| name != EventName::Ready);
            let cause = cause.unwrap_or_else(|| Cause::without_kind(&self.without_cause(name)));
            let phase = Some(now.phase.as_str());
            self.context.history.push(Event::of_tunnel(&self.spec.name, name, phase, cause, moment.wall));
        }
    }

    /// `on_change`, where this is news. A tunnel that ends with the daemon, or with its place in the config, tells nothing.
    fn run_on_change(&mut self, ready: bool, cause: Option<&Cause>, now: Moment) {
        let phase = self.machine.phase();
        let needs_operator = matches!(phase, Phase::Blocked | Phase::Failed);
        if self.ending || !self.on_change.is_news(ready, needs_operator) {
            return;
        }
        let event = if ready { EventName::Ready } else { EventName::NotReady };
        let cause = cause.filter(|_| !ready).cloned();
        let cause = cause.unwrap_or_else(|| Cause::without_kind(&self.without_cause(event)));
        let failure = self.last_failure.as_ref().map(|last| &last.failure);
        let hint = failure.filter(|failure| cause.kind.as_deref() == Some(failure.kind().as_str()));
        let change = ReadinessChange {
            tunnel: self.spec.name.clone(),
            ready,
            want: self.machine.want().as_str(),
            phase: phase.as_str(),
            hint: hint.map(|failure| failure.hint().to_owned()).unwrap_or_default(),
            kind: cause.kind,
            message: cause.message,
            server: self.server.to_string(),
            at: now.wall,
        };
        self.on_change.push(change, self.spec.on_change.clone(), &self.context.commands);
    }

    fn without_cause(&self, event: EventName) -> String {
        let server = &self.server;
        match (event, self.machine.phase()) {
            (EventName::Ready, _) => "up as configured, with every forward".to_owned(),
            (EventName::NotReady, Phase::Up) => "a forward is not in place any more".to_owned(),
            (_, Phase::Connecting) => format!("start {} to {server}", self.machine.starts()),
            (_, Phase::Up) => format!("the session with {server} is up"),
            (_, Phase::Stopping) => "its connections may finish".to_owned(),
            (_, Phase::Stopped) => "it is not wanted".to_owned(),
            (_, Phase::Backoff) => "it waits for the next start".to_owned(),
            (_, Phase::Blocked | Phase::Failed) => "it does not start by itself".to_owned(),
        }
    }
}

/// What happened, in this order. A failure that changed nothing is told all the same.
fn events(before: Recorded, now: Recorded, failed: bool) -> impl Iterator<Item = EventName> {
    let phase = (before.phase != now.phase).then_some(EventName::Phase);
    let ready = match (before.ready, now.ready) {
        (false, true) => Some(EventName::Ready),
        (true, false) => Some(EventName::NotReady),
        (false, false) | (true, true) => None,
    };
    let failure = (failed && phase.is_none() && ready.is_none()).then_some(EventName::Failure);
    [phase, ready, failure].into_iter().flatten()
}

/// Why a forward keeps its tunnel from being ready.
fn cause_of(forward: &ForwardView) -> Option<Cause> {
    let name = format!("{} {}", forward.kind.as_str(), forward.listen);
    match (&forward.state, &forward.message) {
        (ForwardState::Down(failure) | ForwardState::Stale(failure), _) => Some(Cause::of(failure, Some(&name))),
        (ForwardState::Pending, Some(message)) => Some(Cause::without_kind(&format!("{name}: {message}"))),
        (ForwardState::Pending, None) | (ForwardState::Up | ForwardState::Unverified(_), _) => None,
    }
}
