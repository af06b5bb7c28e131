//! `on_change`: a command that is run when a tunnel becomes ready, and when it is ready no more. It runs in a task of its
//! own, so that the tunnel never waits for it; what changes meanwhile comes to one more run, with the last state.

mod run;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::{Semaphore, watch};
use tokio_util::task::AbortOnDropHandle;
use tunnel_engine::log_limit::LogLimiter;
use tunnel_engine::{clock, task};

use crate::config::ShellCommand;
use crate::history::CauseKind;
use crate::lifecycle::{Phase, Want};
use crate::word::Word;

/// Commands of all tunnels that run at once: two hundred tunnels that lose their server start no two hundred processes.
const MAX_AT_ONCE: usize = 8;

/// The places for commands of all tunnels: eight at once.
#[derive(Debug, Clone)]
pub struct CommandSlots(Arc<Semaphore>);

impl Default for CommandSlots {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(MAX_AT_ONCE)))
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ReadinessChange {
    pub(super) tunnel: String,
    pub(super) ready: bool,
    pub(super) want: Want,
    pub(super) phase: Phase,
    pub(super) kind: Option<Word<CauseKind>>,
    pub(super) message: String,
    pub(super) hint: String,
    pub(super) server: String,
    pub(super) at: SystemTime,
}

/// Whether the command was told that the tunnel is ready; nothing before the first change.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct LastTold(Option<bool>);

impl LastTold {
    /// Whether a command is to hear of this: each change; of a start, the first success, or that it needs an operator.
    pub(super) fn is_news(self, ready: bool, needs_operator: bool) -> bool {
        match self.0 {
            Some(told) => told != ready,
            None => ready || needs_operator,
        }
    }

    pub(super) const fn push(&mut self, ready: bool) {
        self.0 = Some(ready);
    }
}

#[derive(Default)]
pub(super) struct OnChange {
    running: Option<Running>,
}

struct Running {
    latest: watch::Sender<Option<(ReadinessChange, ShellCommand)>>,
    _task: AbortOnDropHandle<()>,
}

impl OnChange {
    /// Runs the command, now or when its turn comes.
    pub(super) fn push(&mut self, change: ReadinessChange, command: ShellCommand, slots: &CommandSlots) {
        let running = self.running.get_or_insert_with(|| {
            let (latest, changes) = watch::channel(None);
            Running { latest, _task: task::owned(run_each(changes, slots.clone())) }
        });
        running.latest.send_replace(Some((change, command)));
    }

    /// No command runs from now on; one that runs is killed.
    pub(super) fn end(&mut self) {
        self.running = None;
    }
}

/// One at a time, the last state always.
async fn run_each(mut changes: watch::Receiver<Option<(ReadinessChange, ShellCommand)>>, slots: CommandSlots) {
    let mut pace = Pace::default();
    let mut log = LogLimiter::new(super::report::REPEAT_EVERY);
    let mut told = None;
    while changes.changed().await.is_ok() {
        if let Some(until) = pace.next(clock::now()) {
            tokio::time::sleep_until(until.into()).await;
        }
        // It is never closed.
        let Ok(_slot) = slots.0.acquire().await else { return };
        let Some((change, command)) = changes.borrow_and_update().clone() else { continue };
        // It went to and fro while the command had to wait.
        if told == Some(change.ready) {
            continue;
        }
        told = Some(change.ready);
        pace.began(clock::now());
        if let Err(error) = run::command(&command, &change).await
            && let Some(suppressed) = log.admit(error.to_string(), clock::now())
        {
            let (tunnel, suppressed) = (change.tunnel.as_str(), (suppressed > 0).then_some(suppressed));
            tracing::warn!(tunnel, suppressed, "{tunnel}: on_change: {error}");
        }
    }
}

/// Runs in any minute: a tunnel that flaps is told of at this rate, each time with its last state.
const MAX_RUNS: usize = 6;

/// See [`MAX_RUNS`].
const MINUTE: Duration = Duration::from_secs(60);

/// How often the command of one tunnel runs. Pure.
#[derive(Debug, Default)]
struct Pace {
    /// When the last runs began, the oldest first.
    began: VecDeque<Instant>,
}

impl Pace {
    /// When the next run may begin; none: now.
    fn next(&self, now: Instant) -> Option<Instant> {
        let oldest = self.began.front().filter(|_| self.began.len() >= MAX_RUNS)?;
        Some(*oldest + MINUTE).filter(|until| *until > now)
    }

    fn began(&mut self, now: Instant) {
        if self.began.len() >= MAX_RUNS {
            self.began.pop_front();
        }
        self.began.push_back(now);
    }
}

#[cfg(test)]
mod tests;
