//! What happens to the tunnel, in autossh's phrases, with the reason that autossh never knew: ssh's own words went
//! elsewhere. Also what autossh's signals ask for, and which of its limits ended it.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tunnel_engine::failure::{Failure, FailureKind};

use super::Log;
use super::phrases::{self, OWN_RULES};
use super::ssh_words::hint;
use crate::os::{Signal, logging};
use crate::supervise::SignalAction;
use crate::tunnel::Occurrence;

/// Writes every occurrence down.
pub(in crate::autossh) struct PhaseLog {
    log: Arc<Log>,
    /// Shown with the count.
    max_start: Option<u32>,
    state: Mutex<LogState>,
}

#[derive(Default)]
struct LogState {
    /// A start or its session goes on: autossh would have a child.
    running: bool,
    /// The tries before the next start have been logged: with the wait, as autossh does.
    tries_logged: bool,
    /// Failures of forwards that were logged since the last start: they are tried again each second.
    forwards_logged: HashSet<String>,
    /// AUTOSSH_MAXSTART or AUTOSSH_MAXLIFETIME ended everything.
    limit_reached: bool,
    /// The end of a start has said already that it was the last.
    last_start_logged: bool,
}

impl PhaseLog {
    pub(in crate::autossh) fn new(log: Arc<Log>, max_start: Option<u32>) -> Self {
        Self { log, max_start, state: Mutex::default() }
    }

    /// Whether one of autossh's limits has ended the tunnel, which is no failure.
    pub(in crate::autossh) fn limit_reached(&self) -> bool {
        self.state().limit_reached
    }

    /// What a signal asks for, as autossh has it.
    pub(in crate::autossh) fn on_signal(&self, signal: Signal) -> SignalAction {
        match signal {
            Signal::Term | Signal::Int => {
                if self.state().running {
                    self.log.info(&phrases::signal(signal.number()));
                } else {
                    self.log.error(phrases::SIGNALLED);
                }
                SignalAction::Stop
            }
            Signal::Usr1 => {
                self.log.info(phrases::RESTART);
                SignalAction::Restart
            }
            // "Prod to retry", says autossh's manual; its program dies of it in the middle of a wait.
            Signal::Hup => SignalAction::RetryNow,
            Signal::Usr2 => SignalAction::Nothing,
        }
    }

    pub(in crate::autossh) fn on_occurrence(&self, occurrence: &Occurrence<'_>) {
        let (log, mut state) = (&self.log, self.state());
        match occurrence {
            Occurrence::Start { count, tries } => {
                state.running = true;
                state.forwards_logged.clear();
                if !std::mem::take(&mut state.tries_logged) {
                    log.debug(&phrases::tries(*tries));
                }
                log.info(&phrases::starting(*count, self.max_start));
                log.info(&phrases::child());
            }
            Occurrence::Up => log.info("ssh is connected"),
            Occurrence::Allocated { port, connect } => {
                let told = format!("Allocated port {port} for remote forward to {connect}");
                log.info_off_terminal(&told);
                tracing::warn!(target: logging::AS_IT_IS, "{told}");
            }
            Occurrence::Ended { kind, tries, wait, gave_up } => {
                state.running = false;
                state.last_start_logged |= *gave_up == Some(FailureKind::MaxStart);
                log_end(log, *kind, *gave_up);
                if let (Some(wait), None) = (wait, gave_up) {
                    state.tries_logged = true;
                    log_wait(log, *kind, *tries, *wait);
                }
            }
            Occurrence::Failure { failure, forward } if !OWN_RULES.contains(&failure.kind()) => {
                let reason = reason(failure, *forward);
                if forward.is_none() || state.forwards_logged.insert(reason.clone()) {
                    log.info_off_terminal(&reason);
                }
            }
            Occurrence::Failure { failure, .. } => {
                let lifetime = failure.kind() == FailureKind::MaxLifetime;
                state.limit_reached |= lifetime || failure.kind() == FailureKind::MaxStart;
                if lifetime {
                    log.info(phrases::LIFETIME);
                } else if failure.kind() == FailureKind::MaxStart && !state.last_start_logged {
                    log.info(phrases::MAX_START);
                }
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, LogState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn log_end(log: &Log, kind: FailureKind, gave_up: Option<FailureKind>) {
    if gave_up == Some(FailureKind::GateTime) {
        return log.error(&phrases::prematurely());
    }
    // The monitor has logged already; autossh ended that ssh itself.
    if !OWN_RULES.contains(&kind) && kind != FailureKind::ProbeFailed {
        log.info(&phrases::ended());
    }
    if gave_up == Some(FailureKind::MaxStart) {
        log.info(phrases::MAX_START);
    }
}

fn log_wait(log: &Log, kind: FailureKind, tries: u32, wait: Duration) {
    log.debug(&phrases::tries(tries));
    if kind.is_permanent() {
        // autossh would have tried six times within a second, until the server shut its address out.
        let seconds = wait.as_secs_f64().round();
        log.info(&format!("trying again in {seconds} secs, or when a key, known_hosts or the agent changes"));
    } else if !wait.is_zero() {
        log.debug(&phrases::grace(wait));
    }
}

/// What ssh would have written to its standard error. On the terminal that is done by the program's own messages.
fn reason(failure: &Failure, forward: Option<&str>) -> String {
    let forward = forward.map(|forward| format!("forward {forward}: ")).unwrap_or_default();
    format!("ssh: {forward}{failure}; hint: {}", hint(failure.kind(), failure.hint()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logged(max_start: Option<u32>, occurrences: &[Occurrence<'_>]) -> Vec<String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let phases = PhaseLog::new(Arc::new(Log::to_file("a", &path, 7)), max_start);
        occurrences.iter().for_each(|occurrence| phases.on_occurrence(occurrence));
        let text = std::fs::read_to_string(&path).unwrap();
        text.lines().map(|line| line.split_once("]: ").unwrap().1.to_owned()).collect()
    }

    fn end(kind: FailureKind, tries: u32, wait: u64) -> Occurrence<'static> {
        Occurrence::Ended { kind, tries, wait: Some(Duration::from_secs(wait)), gave_up: None }
    }

    #[test]
    fn a_start_that_is_refused_and_repeated_reads_as_autosshs_log() {
        let failure = Failure::new(FailureKind::ConnectRefused, "`u@h:22` refused the connection");
        let child = format!("ssh child pid is {}", std::process::id());
        let logged = logged(
            Some(9),
            &[
                Occurrence::Start { count: 6, tries: 0 },
                end(FailureKind::ConnectRefused, 6, 2),
                Occurrence::Failure { failure: &failure, forward: None },
                Occurrence::Start { count: 7, tries: 6 },
                Occurrence::Up,
            ],
        );
        assert_eq!(logged[0], "checking for grace period, tries = 0");
        assert_eq!(logged[1..3], ["starting ssh (count 6 of 9)", child.as_str()]);
        assert_eq!(logged[3], "ssh exited with error status 255; restarting ssh");
        assert_eq!(logged[4..6], ["checking for grace period, tries = 6", "sleeping for grace time 2 secs"]);
        assert!(logged[6].starts_with("ssh: `u@h:22` refused the connection; hint: "), "{logged:?}");
        assert_eq!(logged[7], "starting ssh (count 7 of 9)");
    }

    #[test]
    fn limits_end_it_with_phrases_of_their_own() {
        let gate = FailureKind::GateTime;
        let over = |kind, gave_up| Occurrence::Ended { kind, tries: 1, wait: None, gave_up: Some(gave_up) };
        assert_eq!(
            logged(None, &[over(FailureKind::Dns, gate)]),
            ["ssh exited prematurely with status 255; autossh exiting"]
        );
        assert_eq!(
            logged(None, &[over(FailureKind::Dns, FailureKind::MaxStart)]),
            ["ssh exited with error status 255; restarting ssh", "max start count reached; exiting"]
        );
        // After a restart that a signal asked for, no start has failed.
        let last = Failure::new(FailureKind::MaxStart, "the last start was made");
        assert_eq!(
            logged(None, &[Occurrence::Failure { failure: &last, forward: None }]),
            ["max start count reached; exiting"]
        );
        let failed = over(FailureKind::Dns, FailureKind::MaxStart);
        assert_eq!(logged(None, &[failed, Occurrence::Failure { failure: &last, forward: None }]).len(), 2, "once");
        let failure = Failure::new(gate, "the first session did not stay up");
        assert_eq!(logged(None, &[Occurrence::Failure { failure: &failure, forward: None }]), [""; 0]);
    }

    #[test]
    fn a_login_that_cannot_succeed_says_what_it_waits_for() {
        let logged = logged(None, &[end(FailureKind::AuthRejected, 1, 300)]);
        assert_eq!(logged[2], "trying again in 300 secs, or when a key, known_hosts or the agent changes");
    }

    #[test]
    fn forward_that_is_refused_again_and_again_is_logged_once_a_session() {
        let failure = Failure::new(FailureKind::RemotePortBusy, "the server refused to listen on 1");
        let refused = || Occurrence::Failure { failure: &failure, forward: Some("1:h:2") };
        let start = |count| Occurrence::Start { count, tries: 0 };
        let logged = logged(None, &[start(1), refused(), refused(), refused(), start(2), refused()]);
        assert_eq!(logged.iter().filter(|line| line.starts_with("ssh: forward 1:h:2: ")).count(), 2, "{logged:?}");
    }
}
