//! What a tunnel writes to the log: one line an event, fields, damped where it repeats. The message names the tunnel
//! too, because `journalctl` shows no fields.

use std::time::{Duration, SystemTime};

use tracing::Span;
use tunnel_engine::failure::{Failure, FailureKind};
use tunnel_engine::log_limit::LogLimiter;
use tunnel_engine::spec::StrictHostKeyChecking;

use super::core::{Core, Effect};
use super::failure_counts::FailureCounts;
use super::on_change::LastTold;
use super::outage::Readiness;
use super::recording::Recorded;
use super::state::ready;
use super::view::{FailureView, ForwardView};
use crate::history::Cause;
use crate::lifecycle::{Phase, Want};
use crate::os::logging::TUNNEL_SPAN;

/// The same failure is worth another warning after this long, and then after ever longer: a server that is down over a
/// weekend makes some fifteen lines a tunnel, and each says how often it was tried.
pub(super) const REPEAT_EVERY: Duration = Duration::from_secs(600);

/// The longest silence about what goes on: some lines a day.
pub(super) const LONGEST_SILENCE: Duration = Duration::from_secs(6 * 3600);

/// Lines of one kind of failure in [`REPEAT_EVERY`], however much their texts differ: a proxy command may print the time.
pub(super) const TEXTS_LOGGED: u32 = 5;

/// Changes to and fro that are logged in [`REPEAT_EVERY`], each kind of its own: a forward whose target takes every
/// other connection changes with each of them.
pub(super) const CHANGES_LOGGED: u32 = 10;

/// Around all that is done for a tunnel: the engine's events know nothing of names.
pub(super) fn span(tunnel: &str) -> Span {
    tracing::error_span!(target: TUNNEL_SPAN, "tunnel", tunnel)
}

/// For what a tunnel repeats.
pub(super) fn limiter(burst: u32) -> LogLimiter {
    LogLimiter::with_burst(REPEAT_EVERY, burst).growing_to(LONGEST_SILENCE)
}

/// What has been told of a tunnel, and what is to be told next.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) last_failure: Option<FailureView>,
    pub(super) failures: FailureCounts,
    /// Why the next change happens, where that is known.
    pub(super) cause: Option<Cause>,
    /// The phase that was told last, and since when.
    pub(super) phase: (Phase, SystemTime),
    /// What the history knows.
    pub(super) recorded: Recorded,
    /// What the command of `on_change` was told.
    pub(super) command_told: LastTold,
    readiness: Readiness,
    failures_logged: LogLimiter,
    kinds_logged: LogLimiter,
    /// What can change to and fro: readiness, doubts, forwards.
    pub(super) changes_logged: LogLimiter,
}

impl Report {
    pub(super) fn new(phase: Phase, at: SystemTime) -> Self {
        Self {
            last_failure: None,
            failures: FailureCounts::default(),
            cause: None,
            phase: (phase, at),
            recorded: Recorded::default(),
            command_told: LastTold::default(),
            readiness: Readiness::default(),
            failures_logged: limiter(1),
            kinds_logged: limiter(TEXTS_LOGGED),
            changes_logged: limiter(CHANGES_LOGGED),
        }
    }

    /// All is well, or begins anew: the next failure is news.
    pub(super) fn forget_failures_logged(&mut self) {
        self.failures_logged.reset();
        self.kinds_logged.reset();
    }
}

impl Core {
    /// Writes a failure down and logs it. Call it after the machine has judged, so that the line says what follows.
    pub(super) fn note_failure(&mut self, failure: Failure, forward: Option<&str>) {
        let now = self.now;
        self.report.failures.add(failure.kind());
        self.effect(Effect::ObserveFailure(Box::new((failure.clone(), forward.map(str::to_owned)))));
        self.report.cause = Some(Cause::of(&failure, forward));
        self.note_absence(&failure);
        let report = &mut self.report;
        let same = report.failures_logged.admit((failure.kind(), failure.message()), now.awake);
        let say =
            same.and_then(|same| Some(same.saturating_add(report.kinds_logged.admit(failure.kind(), now.awake)?)));
        let wait = self.machine.next_start().map(|at| at.saturating_duration_since(now.awake));
        let (kind, hint, phase) = (failure.kind(), failure.hint(), self.machine.phase());
        let tunnel = self.spec.name.as_str();
        let server = &self.sessions.server;
        let attempt = self.machine.attempts();
        let retry_in = wait.map(|wait| humantime::format_duration(rounded(wait)).to_string());
        match say {
            Some(repeats) => {
                let (told, repeats) = match repeats {
                    0 => (String::new(), None),
                    more => (format!(" ({more} more times since it was last logged)"), Some(more)),
                };
                tracing::warn!(tunnel, forward, %kind, %server, attempt, retry_in, %phase, repeats, hint, "{tunnel}: {failure}{told}");
            }
            None => {
                tracing::debug!(tunnel, forward, %kind, %server, attempt, retry_in, %phase, hint, "{tunnel}: {failure}")
            }
        }
        self.report.last_failure = Some(FailureView { failure, at: now.wall, outdated: None });
    }

    /// Each start that succeeds, while there are few: a server may log us in and throw us out again and again.
    pub(super) fn log_session(&mut self) {
        let Some(live) = &self.sessions.main else { return };
        let Some(suppressed) = self.report.changes_logged.admit("session", self.now.awake) else { return };
        let suppressed = (suppressed > 0).then_some(suppressed);
        let (tunnel, server, info) = (self.spec.name.as_str(), &self.sessions.server, &live.info);
        let (software, cipher, auth) = (info.software.as_str(), info.cipher.as_str(), info.auth.as_str());
        tracing::info!(tunnel, %server, starts = self.machine.starts(), software, cipher, auth, suppressed, "{tunnel}: session is up");
        if self.spec.session.host_key.strict == StrictHostKeyChecking::No {
            let host_key = info.host_key.as_str();
            tracing::warn!(tunnel, %server, host_key, "{tunnel}: host key not checked: strict_host_key_checking is `no`");
        }
    }

    /// Whether the tunnel is ready with these forwards; logged when it is again.
    pub(super) fn note_readiness(&mut self, forwards: &[ForwardView]) -> bool {
        let kept = self.sessions.is_outdated() || self.sessions.is_doubtful();
        let ready = ready(self.machine.phase(), kept, forwards.iter().map(|forward| &forward.state));
        let (now, starts) = (self.now.awake, self.machine.starts());
        let recovery = self.report.readiness.look(self.machine.want() == Want::Up, ready, starts, now);
        if let Some(recovery) = recovery
            && let Some(suppressed) = self.report.changes_logged.admit("ready", now)
        {
            self.report.forget_failures_logged();
            let (tunnel, server) = (self.spec.name.as_str(), &self.sessions.server);
            let (suppressed, words) = ((suppressed > 0).then_some(suppressed), recovery.words());
            tracing::info!(tunnel, %server, starts, suppressed, "{tunnel}: {words}");
        }
        ready
    }

    /// Logs phases that end something; the others are told by what led to them.
    pub(super) fn note_phase(&mut self) {
        let phase = self.machine.phase();
        if phase == self.report.phase.0 {
            return;
        }
        self.report.phase = (phase, self.now.wall);
        match phase {
            Phase::Stopped => tracing::info!(tunnel = self.spec.name, "{}: stopped", self.spec.name),
            Phase::Failed => {
                if let Some(reason) = self.machine.gave_up() {
                    self.note_failure(self.gave_up(reason), None);
                }
            }
            Phase::Connecting | Phase::Up | Phase::Backoff | Phase::Blocked | Phase::Stopping => {}
        }
    }

    fn gave_up(&self, reason: FailureKind) -> Failure {
        let rule = if reason == FailureKind::MaxStart {
            format!("gave up after {} starts", self.machine.starts())
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
}

/// To three digits or so: people do not need microseconds.
pub(super) fn rounded(wait: Duration) -> Duration {
    let unit: u64 = match wait.as_millis() {
        0..1000 => 1,
        1000..10_000 => 100,
        _ => 1000,
    };
    let millis = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
    Duration::from_millis(millis.saturating_add(unit / 2) / unit * unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_told_in_round_numbers() {
        let told = |millis| humantime::format_duration(rounded(Duration::from_millis(millis))).to_string();
        assert_eq!((told(250), told(1949), told(299_900)), ("250ms".into(), "1s 900ms".into(), "5m".into()));
    }
}
