//! What is told of a tunnel: to the log, to the history, to `on_change`, and as a snapshot.

use std::sync::Arc;
use std::time::Duration;

use tunnel_engine::failure::{Failure, FailureKind};
use tunnel_engine::log_limit::PEER_INTERVAL;
use tunnel_engine::session::{JumpHostInfo, is_post_quantum};
use tunnel_engine::spec::StrictHostKeyChecking;
use tunnel_engine::words;

use super::super::observer::Occurrence;
use super::super::on_change::ReadinessChange;
use super::super::report::{Recorded, ToldFailures, cause_of, events, rounded};
use super::super::state::{ForwardState, pending_reason, ready};
use super::super::view::{FailureView, ForwardView, SessionView, Snapshot};
use super::{Core, TunnelEffect};
use crate::history::{Cause, Event as Told, EventName};
use crate::lifecycle::{Input, Phase, Want};

/// For so long the log may say that a tunnel is ready which is not, because its failures were told often enough: a line a
/// minute at most.
const UNTRUE_FOR: Duration = PEER_INTERVAL;

/// Why a tunnel with a session of before a reload is not ready.
const CONFIG_CHANGED: &str = "the config changed: the session for the new config is being opened";

impl Core {
    /// Tells what changed, and takes a snapshot of it.
    pub(super) fn publish(&mut self) {
        self.note_phase();
        let forwards = self.forward_views();
        let (ready, told) = self.readiness(&forwards);
        self.note_readiness(ready, told);
        self.note_forwards(&forwards);
        self.record(told, &forwards);
        let snapshot = self.take_snapshot(ready, forwards);
        if *self.snapshot != snapshot {
            self.snapshot = Arc::new(snapshot);
        }
    }

    /// In the config's order, with what a person should know about each.
    fn forward_views(&self) -> Vec<ForwardView> {
        let phase = self.machine.phase();
        let mut views = self.forwards.views(&self.spec, phase);
        let (note, doubtful) = (self.sessions.note(self.spec.sessions), self.sessions.is_doubtful());
        for view in &mut views {
            if let Some(note) = &note {
                if doubtful && view.state == ForwardState::Up {
                    view.state = ForwardState::Pending;
                }
                view.message.get_or_insert_with(|| note.clone());
            }
            if view.message.is_none() {
                view.message = pending_reason(&view.state, view.kind.side(), phase).map(str::to_owned);
            }
        }
        views
    }

    fn take_snapshot(&self, ready: bool, forwards: Vec<ForwardView>) -> Snapshot {
        let (phase, since) = self.report.phase;
        Snapshot {
            name: self.spec.name.clone(),
            want: self.machine.want(),
            phase,
            ready,
            since,
            ready_since: self.report.ready_since,
            starts: self.machine.starts(),
            starts_total: self.machine.starts_total(),
            attempts: if phase == Phase::Up { 0 } else { self.machine.attempts() },
            server: self.sessions.server.to_string(),
            session: self.sessions.main.as_ref().map(|live| SessionView {
                id: live.id,
                info: live.info.clone(),
                connected_at: live.connected_at,
            }),
            last_failure: self.report.last_failure.clone(),
            failures: self.report.failures,
            next_start: self.machine.next_start().or_else(|| self.sessions.successor_due()),
            outdated: self.sessions.outdated_note(),
            serving: self.sessions.serving().cloned(),
            watched_since: self.reachability.watched_since(),
            forwards,
            listeners_tried: self.listeners_tried(),
        }
    }

    /// Writes a failure down and logs it. Call it after the machine has judged, so that the line says what follows.
    pub(super) fn note_failure(&mut self, failure: Failure, forward: Option<&str>) {
        self.report.failures.add(failure.kind());
        self.tell_failure(failure, forward);
    }

    /// The same of a user's connection that its target refused: no failure of the session, and counted on the forward.
    pub(super) fn note_refused_user(&mut self, failure: Failure, forward: &str) {
        self.tell_failure(failure, Some(forward));
    }

    fn tell_failure(&mut self, failure: Failure, forward: Option<&str>) {
        let now = self.now;
        self.effect(TunnelEffect::ObserveFailure(Box::new((failure.clone(), forward.map(str::to_owned)))));
        self.report.cause = Some(Cause::of(&failure, forward));
        let named = self.spec.servers().any(|spec| spec.destination == self.sessions.server);
        self.reachability.note(&failure, &self.sessions.server, named, now.awake, &mut self.effects);
        self.log_failure(&failure, forward);
        self.report.last_failure = Some(FailureView { failure, at: now.wall, outdated: None });
    }

    /// A session was replaced because of its age. That is counted and told under its kind, as each end of a session is; it
    /// is wanted, so it is not the failure that a status shows.
    pub(super) fn note_session_lifetime(&mut self) {
        let failure = Failure::new(FailureKind::SessionLifetime, "the session reached session_lifetime");
        self.report.failures.add(failure.kind());
        self.report.cause = Some(Cause::of(&failure, None));
    }

    /// Decides nothing but whether the line was written lately.
    fn log_failure(&mut self, failure: &Failure, forward: Option<&str>) {
        let now = self.now;
        let report = &mut self.report;
        let text = (failure.kind(), failure.message());
        let same = report.failures_logged.admit(text, now.awake);
        let say =
            same.and_then(|same| Some(same.saturating_add(report.kinds_logged.admit(failure.kind(), now.awake)?)));
        // What the log says last is not to be untrue for long.
        let untrue = !report.told.any && report.readiness.outage(now.awake) >= UNTRUE_FOR;
        let say = say.or_else(|| untrue.then(|| report.failures_logged.take_suppressed(text)));
        let wait = self.machine.next_start().map(|at| at.saturating_duration_since(now.awake));
        let (kind, hint, phase) = (failure.kind(), failure.hint(), self.machine.phase());
        let tunnel = self.spec.name.as_str();
        let server = &self.sessions.server;
        // While a session is up the tries before it are over, as in a status.
        let attempt = (phase != Phase::Up).then(|| self.machine.attempts());
        let retry_in = || wait.map(|wait| humantime::format_duration(rounded(wait)).to_string());
        match say {
            Some(repeats) => {
                report.told.add(forward);
                let (told, repeats) = match repeats {
                    0 => (String::new(), None),
                    more => (format!(" ({more} more times since it was last logged)"), Some(more)),
                };
                tracing::warn!(tunnel, forward, %kind, %server, attempt, retry_in = retry_in(), %phase, repeats, hint, "{tunnel}: {failure}{told}");
            }
            None => {
                tracing::debug!(tunnel, forward, %kind, %server, attempt, retry_in = retry_in(), %phase, hint, "{tunnel}: {failure}")
            }
        }
    }

    /// Each start that succeeds, while there are few: a server may log us in and throw us out again and again.
    pub(super) fn log_session(&mut self) {
        self.log_key_exchanges();
        let Some(live) = &self.sessions.main else { return };
        let (log, owed) = (&mut self.report.changes_logged, std::mem::take(&mut self.report.told.of_session));
        let suppressed = log.admit("session", self.now.awake);
        let Some(suppressed) = suppressed.or_else(|| owed.then(|| log.take_suppressed("session"))) else { return };
        let suppressed = (suppressed > 0).then_some(suppressed);
        let (tunnel, server, info) = (self.spec.name.as_str(), &self.sessions.server, &live.info);
        let (software, cipher, auth) = (info.software.as_str(), info.cipher.as_str(), info.auth.as_str());
        tracing::info!(tunnel, %server, starts = self.machine.starts(), software, cipher, auth, suppressed, "{tunnel}: session is up");
        if self.spec.session.host_key.strict == StrictHostKeyChecking::No {
            let host_key = info.host_key.as_str();
            let key = words::own("strict_host_key_checking");
            tracing::warn!(tunnel, %server, host_key, "{tunnel}: host key not checked: {key} is `no`");
        }
    }

    /// As OpenSSH 10's WarnWeakCrypto, but once for each method and not at each login: only the server's owner can help it.
    fn log_key_exchanges(&mut self) {
        let Some(live) = &self.sessions.main else { return };
        let (info, report, now) = (&live.info, &mut self.report, self.now.awake);
        let last = report.exchanges_logged.replace(info.clone());
        let (tunnel, server) = (self.spec.name.as_str(), &self.sessions.server);
        let is_known = |host| last.as_ref().is_some_and(|last| last.jump_hosts.contains(host));
        for JumpHostInfo { server, software, kex } in info.jump_hosts.iter().filter(|host| !is_known(host)) {
            if is_post_quantum(kex) || report.changes_logged.admit(("kex", server), now).is_none() {
                continue;
            }
            tracing::info!(
                tunnel,
                server,
                kex,
                software,
                "{tunnel}: the key exchange with its jump host {server}, {kex}, is not post-quantum: who records the traffic may \
                 decrypt the login there once there are quantum computers; OpenSSH 9.0 and later there, {software} now, would \
                 do better"
            );
        }
        let (kex, software) = (info.kex.as_str(), info.software.as_str());
        let is_known = last.is_some_and(|last| last.kex == kex);
        if is_known || is_post_quantum(kex) || report.changes_logged.admit("kex", now).is_none() {
            return;
        }
        tracing::info!(
            tunnel, %server, kex, software,
            "{tunnel}: its key exchange, {kex}, is not post-quantum: who records the traffic may decrypt it once there are \
             quantum computers; OpenSSH 9.0 and later on the server, {software} now, would do better"
        );
    }

    /// Whether the tunnel is ready with these forwards, and whether that is what is told: while a forward that a reload
    /// added is being set up, nothing that was there is lost. It is told when that fails.
    fn readiness(&mut self, forwards: &[ForwardView]) -> (bool, bool) {
        let kept = self.sessions.is_outdated() || self.sessions.is_doubtful();
        let phase = self.machine.phase();
        let is_ready = ready(phase, kept, forwards.iter().map(|view| &view.state));
        if is_ready {
            self.report.last_in_place = forwards.iter().map(|view| view.id).max().unwrap_or_default();
        }
        let last = self.report.last_in_place;
        let without_added = forwards.iter().filter(|view| view.id <= last || view.state != ForwardState::Pending);
        let stays = self.report.recorded.ready && ready(phase, kept, without_added.map(|view| &view.state));
        (is_ready, is_ready || stays)
    }

    /// Logged when it is ready again.
    fn note_readiness(&mut self, ready: bool, told: bool) {
        let (now, starts) = (self.now.awake, self.machine.starts());
        if ready != self.snapshot.ready {
            self.report.ready_since = self.now.wall;
        }
        let recovery = self.report.readiness.update(self.machine.want() == Want::Up, told, starts, now);
        let Some(recovery) = recovery else { return };
        let owed = std::mem::take(&mut self.report.told).any;
        let admitted = self.report.changes_logged.admit("ready", now);
        if admitted.is_some() {
            self.report.forget_failures_logged();
        }
        if let Some(suppressed) = admitted.or_else(|| owed.then(|| self.report.changes_logged.take_suppressed("ready")))
        {
            let (tunnel, server) = (self.spec.name.as_str(), &self.sessions.server);
            let (suppressed, words) = ((suppressed > 0).then_some(suppressed), recovery.words());
            tracing::info!(tunnel, %server, starts, suppressed, "{tunnel}: {words}");
        }
    }

    /// Logs each forward that is in place again, where its failure was the last that was told of it.
    fn note_forwards(&mut self, forwards: &[ForwardView]) {
        if self.report.told.of_forwards.is_empty() {
            return;
        }
        let was_in_place =
            |id| self.snapshot.forwards.iter().any(|view| view.id == id && view.state.phase().is_in_place());
        for (view, forward) in forwards.iter().zip(&self.spec.forwards) {
            let forward = forward.to_string();
            if view.state.phase().is_in_place() && !was_in_place(view.id) && self.report.told.end_of_forward(&forward) {
                let (tunnel, state) = (self.spec.name.as_str(), view.state.as_str());
                tracing::info!(tunnel, forward, state, "{tunnel}: {forward}: the forward is up again");
            }
        }
    }

    /// Logs phases that end something; the others are told by what led to them.
    fn note_phase(&mut self) {
        let phase = self.machine.phase();
        if phase == self.report.phase.0 {
            return;
        }
        self.report.phase = (phase, self.now.wall);
        match phase {
            Phase::Stopped => {
                self.report.told = ToldFailures::default();
                tracing::info!(tunnel = self.spec.name, "{}: stopped", self.spec.name);
            }
            Phase::Failed => {
                if let Some(reason) = self.machine.gave_up() {
                    self.note_failure(self.gave_up(reason), None);
                }
            }
            Phase::Stopping if self.machine.is_at_its_end() => {
                // Counted and logged when it has failed; the end of its session has this cause already.
                let failure = self.gave_up(FailureKind::MaxLifetime);
                self.report.cause = Some(Cause::of(&failure, None));
                self.report.last_failure = Some(FailureView { failure, at: self.now.wall, outdated: None });
            }
            Phase::Connecting | Phase::Up | Phase::Backoff | Phase::Blocked | Phase::Stopping => {}
        }
    }

    fn gave_up(&self, reason: FailureKind) -> Failure {
        let rule = if reason == FailureKind::MaxStart {
            let starts = self.machine.starts();
            format!("gave up after {starts} start{}", if starts == 1 { "" } else { "s" })
        } else if reason == FailureKind::GateTime {
            "the first session did not stay up for gate_time".to_owned()
        } else {
            "reached max_lifetime".to_owned()
        };
        match &self.report.last_failure {
            Some(last) if reason != FailureKind::MaxLifetime => {
                Failure::new(reason, format!("{rule}; before that: {}", last.failure.message()))
            }
            Some(_) | None => Failure::new(reason, rule),
        }
    }

    /// Tells the history each change; a snapshot may be skipped by its readers.
    fn record(&mut self, ready: bool, forwards: &[ForwardView]) {
        let (want, phase) = (self.machine.want(), self.machine.phase());
        let (before, now) = (self.report.recorded, Recorded { want, phase, ready });
        let cause = self.report.cause.take();
        if now == before && cause.is_none() {
            return;
        }
        let lost = before.ready && !now.ready;
        let outdated = || (lost && self.sessions.is_outdated()).then(|| Cause::without_kind(CONFIG_CHANGED));
        let cause = cause.or_else(outdated);
        let cause = cause.or_else(|| forwards.iter().filter(|_| lost).find_map(cause_of));
        self.report.recorded = now;
        self.effect(TunnelEffect::Record(want, ready, cause.clone(), self.now));
        self.run_on_change(ready, cause.as_ref());
        let failed = cause.as_ref().is_some_and(|cause| cause.kind.is_some());
        for name in events(before, now, failed) {
            let cause = cause.clone().filter(|_| name != EventName::Ready);
            let cause = cause.unwrap_or_else(|| Cause::without_kind(&self.without_cause(name)));
            let phase = Some(now.phase);
            let event = Told::of_tunnel(&self.spec.name, name, phase, cause, self.now.wall);
            self.effect(TunnelEffect::Tell(Box::new(event)));
        }
    }

    /// `on_change`, where this is a change. A tunnel that ends with the daemon, or with its place in the config, tells nothing.
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
        let hint = failure.filter(|failure| cause.is(failure.kind()));
        let change = ReadinessChange {
            tunnel: self.spec.name.clone(),
            ready,
            want: self.machine.want(),
            phase,
            hint: hint.map(|failure| failure.hint().to_owned()).unwrap_or_default(),
            kind: cause.kind,
            message: cause.message,
            server: self.sessions.server.to_string(),
            at: self.now.wall,
        };
        self.effect(TunnelEffect::RunOnChange(Box::new((change, command))));
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

    /// What an input meant, now that the machine has taken it. An end that was asked for is none.
    pub(super) fn observe_input(&mut self, before: Phase, input: Input) {
        let machine = &self.machine;
        let occurrence = match (before, input) {
            (Phase::Connecting, Input::SessionUp { session }) if session == machine.session() => Occurrence::Up,
            (Phase::Connecting | Phase::Up, Input::SessionEnded { kind, .. }) => {
                let gave_up = machine.gave_up();
                let wait = match machine.next_start() {
                    Some(at) => Some(at.saturating_duration_since(self.now.awake)),
                    None => gave_up.is_none().then_some(Duration::ZERO),
                };
                Occurrence::Ended { kind, tries: machine.tries(), wait, gave_up }
            }
            _ => return,
        };
        self.effect(TunnelEffect::Observe(occurrence));
    }
}
