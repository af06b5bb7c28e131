//! What a tunnel tells the history: each change of phase and readiness, and each failure, with its cause.

use super::core::{Core, Effect};
use super::on_change::ReadinessChange;
use super::state::ForwardState;
use super::view::ForwardView;
use crate::history::{Cause, Event, EventName};
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

impl Core {
    /// Tells the history each change; a snapshot may be skipped by its readers.
    pub(super) fn record(&mut self, ready: bool, forwards: &[ForwardView]) {
        let (want, phase) = (self.machine.want(), self.machine.phase());
        let (before, now) = (self.report.recorded, Recorded { want, phase, ready });
        let cause = self.report.cause.take();
        if now == before && cause.is_none() {
            return;
        }
        let lost = before.ready && !now.ready;
        let cause = cause.or_else(|| forwards.iter().filter(|_| lost).find_map(cause_of));
        self.report.recorded = now;
        self.effect(Effect::Record(want, ready, cause.clone(), self.now));
        self.run_on_change(ready, cause.as_ref());
        let failed = cause.as_ref().is_some_and(|cause| cause.kind.is_some());
        for name in events(before, now, failed) {
            let cause = cause.clone().filter(|_| name != EventName::Ready);
            let cause = cause.unwrap_or_else(|| Cause::without_kind(&self.without_cause(name)));
            let phase = Some(now.phase.as_str());
            let event = Event::of_tunnel(&self.spec.name, name, phase, cause, self.now.wall);
            self.effect(Effect::Tell(Box::new(event)));
        }
    }

    /// `on_change`, where this is news. A tunnel that ends with the daemon, or with its place in the config, tells nothing.
    fn run_on_change(&mut self, ready: bool, cause: Option<&Cause>) {
        let phase = self.machine.phase();
        let needs_operator = matches!(phase, Phase::Blocked | Phase::Failed);
        if self.ending || !self.report.command_told.is_news(ready, needs_operator) {
            return;
        }
        self.report.command_told.push(ready);
        let Some(command) = self.spec.on_change.clone() else { return };
        let event = if ready { EventName::Ready } else { EventName::NotReady };
        let cause = cause.filter(|_| !ready).cloned();
        let cause = cause.unwrap_or_else(|| Cause::without_kind(&self.without_cause(event)));
        let failure = self.report.last_failure.as_ref().map(|last| &last.failure);
        let hint = failure.filter(|failure| cause.kind.as_deref() == Some(failure.kind().as_str()));
        let change = ReadinessChange {
            tunnel: self.spec.name.clone(),
            ready,
            want: self.machine.want().as_str(),
            phase: phase.as_str(),
            hint: hint.map(|failure| failure.hint().to_owned()).unwrap_or_default(),
            kind: cause.kind,
            message: cause.message,
            server: self.sessions.server.to_string(),
            at: self.now.wall,
        };
        self.effect(Effect::RunOnChange(Box::new((change, command))));
    }

    fn without_cause(&self, event: EventName) -> String {
        let server = &self.sessions.server;
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
