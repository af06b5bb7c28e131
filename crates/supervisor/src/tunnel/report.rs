//! What a tunnel tells: to the log one line an event, fields, damped where it repeats, and to the history each change of
//! phase and readiness and each failure, with its cause. A message of the log names the tunnel too, because `journalctl`
//! shows no fields.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tracing::Span;
use tunnel_engine::failure::FailureKind;
use tunnel_engine::log_limit::LogLimiter;
use tunnel_engine::session::SessionInfo;

use super::forwards::ForwardId;
use super::on_change::LastTold;
use super::outage::Readiness;
use super::state::ForwardState;
use super::view::{FailureView, ForwardView};
use crate::history::{Cause, EventName};
use crate::lifecycle::{Phase, Want};
use crate::os::logging::TUNNEL_SPAN;
use crate::word::Word;

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
    pub(super) readiness: Readiness,
    /// Since when it has been ready, or has not.
    pub(super) ready_since: SystemTime,
    /// The newest forward when it was ready last: those after it were added since.
    pub(super) last_in_place: ForwardId,
    pub(super) failures_logged: LogLimiter,
    pub(super) kinds_logged: LogLimiter,
    /// What can change to and fro: readiness, doubts, forwards.
    pub(super) changes_logged: LogLimiter,
    /// What the log says last, where that is a failure.
    pub(super) told: ToldFailures,
    /// The session whose key exchanges were told last, where they are not post-quantum.
    pub(super) exchanges_logged: Option<Arc<SessionInfo>>,
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
            ready_since: at,
            last_in_place: ForwardId::default(),
            failures_logged: limiter(1),
            kinds_logged: limiter(TEXTS_LOGGED),
            changes_logged: limiter(CHANGES_LOGGED),
            told: ToldFailures::default(),
            exchanges_logged: None,
        }
    }

    /// A file of ssh_config has changed since the last failure: what it says now was not tried.
    pub(super) fn ssh_config_changed(&mut self, file: PathBuf, tunnel: &str) {
        let Some(last) = self.last_failure.as_mut().filter(|last| last.outdated.is_none()) else { return };
        // The spec was made of what it said before: another attempt would be the same one.
        tracing::info!(tunnel, "{tunnel}: {} changed; `tunneld reload` reads it again", file.display());
        last.outdated = Some(file);
    }

    /// All is well, or begins anew: the next failure is logged.
    pub(super) fn forget_failures_logged(&mut self) {
        self.failures_logged.reset();
        self.kinds_logged.reset();
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

/// The failures in the log that no line has ended. The line that does is written whatever its limit says, so that who reads
/// the log does not take a tunnel for down that is up; there are no more of these lines than of failures.
#[derive(Debug, Default)]
pub(super) struct ToldFailures {
    /// Any: the tunnel was not told to be ready since.
    pub(super) any: bool,
    /// One of a session: none was told to be up since.
    pub(super) of_session: bool,
    /// The forwards that have one.
    pub(super) of_forwards: Vec<String>,
}

impl ToldFailures {
    pub(super) fn add(&mut self, forward: Option<&str>) {
        self.any = true;
        match forward {
            None => self.of_session = true,
            Some(forward) if self.of_forwards.iter().any(|known| known == forward) => {}
            Some(forward) => self.of_forwards.push(forward.to_owned()),
        }
    }

    /// This forward is up: whether that is owed to the log.
    pub(super) fn end_of_forward(&mut self, forward: &str) -> bool {
        let told = self.of_forwards.iter().position(|known| known == forward);
        told.map(|at| self.of_forwards.swap_remove(at)).is_some()
    }
}

/// What the history was told last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Recorded {
    pub(super) want: Want,
    pub(super) phase: Phase,
    pub(super) ready: bool,
}

impl Default for Recorded {
    fn default() -> Self {
        Self { want: Want::Down, phase: Phase::Stopped, ready: false }
    }
}

/// What happened, in this order. A failure that changed nothing is told all the same.
pub(super) fn events(before: Recorded, now: Recorded, failed: bool) -> impl Iterator<Item = EventName> {
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
pub(super) fn cause_of(forward: &ForwardView) -> Option<Cause> {
    let name = format!("{} {}", forward.kind.as_str(), forward.listen);
    match (&forward.state, &forward.message) {
        (ForwardState::Down(failure) | ForwardState::Stale(failure), _) => Some(Cause::of(failure, Some(&name))),
        (ForwardState::Pending, Some(message)) => Some(Cause::without_kind(&format!("{name}: {message}"))),
        (ForwardState::Pending, None) | (ForwardState::Up | ForwardState::Unverified(_), _) => None,
    }
}

/// How many failures of each kind a tunnel has had. Never reset, so that a counter made of it never falls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FailureCounts([u32; FailureKind::ALL.len()]);

impl Default for FailureCounts {
    fn default() -> Self {
        Self([0; FailureKind::ALL.len()])
    }
}

impl FailureCounts {
    pub(super) const fn add(&mut self, kind: FailureKind) {
        let at = kind as usize;
        if at < self.0.len() {
            self.0[at] = self.0[at].saturating_add(1);
        }
    }

    /// Of the kinds that have occurred.
    pub(super) fn by_kind(&self) -> BTreeMap<Word<FailureKind>, u64> {
        let kinds = FailureKind::ALL.iter().zip(self.0).filter(|(_, count)| *count > 0);
        kinds.map(|(kind, count)| ((*kind).into(), u64::from(count))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_told_in_round_numbers() {
        let told = |millis| humantime::format_duration(rounded(Duration::from_millis(millis))).to_string();
        assert_eq!((told(250), told(1949), told(299_900)), ("250ms".into(), "1s 900ms".into(), "5m".into()));
    }

    #[test]
    fn each_kind_is_counted_by_itself() {
        let mut counts = FailureCounts::default();
        for kind in FailureKind::ALL {
            counts.add(*kind);
        }
        counts.add(FailureKind::Dns);
        let told = counts.by_kind();
        assert_eq!(told.len(), FailureKind::ALL.len());
        assert!(told.iter().all(|(kind, count)| *count == if *kind == FailureKind::Dns { 2 } else { 1 }), "{told:?}");
    }
}
