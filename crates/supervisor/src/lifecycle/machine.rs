//! The machine: inputs and deadlines in, effects and the next deadline out.

mod readers;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use tunnel_engine::backoff::BLOCKED;
use tunnel_engine::failure::{FailureKind, Unreached};

use crate::spec::BackoffKind;

use super::judge::{SessionEnd, Streak, Verdict, judge};
use super::state::{MachineState, Move, StartRecord, next};
use super::{Effect, Input, Phase, Policy, SessionId, Want, backoff};

/// A deadline further away than this is as good as none, and this much can be added to any clock.
const FAR: Duration = Duration::from_secs(30 * 365 * 24 * 3600);

/// Decides when one tunnel starts, waits, blocks and gives up. Feed it inputs, and time when its deadline has come;
/// after each, carry out every effect.
#[derive(Debug)]
pub struct Machine {
    policy: Policy,
    rng: fastrand::Rng,
    want: Want,
    state: MachineState,
    since: Instant,
    session: SessionId,
    /// The last number that was given out.
    last_id: SessionId,
    starts: u64,
    starts_total: u64,
    run: Run,
    streak: Streak,
    last: Option<FailureKind>,
    /// The newest attempt was made because its wait ran out, and for nothing else.
    scheduled: bool,
    effects: VecDeque<Effect>,
}

/// From a Start (out of rest, or after having given up) to the next.
#[derive(Debug, Clone, Copy)]
struct Run {
    began: Instant,
    /// Counted against `max_start`.
    starts: u32,
    /// Its first start is still to come.
    fresh: bool,
}

impl Run {
    const fn new(now: Instant) -> Self {
        Self { began: now, starts: 0, fresh: true }
    }
}

impl Machine {
    /// At rest. `seed` decides the jitter and nothing else; the same seed and inputs give the same effects.
    pub fn new(policy: Policy, seed: u64, now: Instant) -> Self {
        Self {
            policy,
            rng: fastrand::Rng::with_seed(seed),
            want: Want::Down,
            state: MachineState::Stopped,
            since: now,
            session: SessionId::default(),
            last_id: SessionId::default(),
            starts: 0,
            starts_total: 0,
            run: Run::new(now),
            streak: Streak::default(),
            last: None,
            scheduled: false,
            effects: VecDeque::new(),
        }
    }

    /// Something happened. Any input is welcome in any phase, and one about an old session is harmless.
    pub fn handle(&mut self, input: Input, now: Instant) {
        match input {
            Input::SessionUp { session }
            | Input::SessionProven { session }
            | Input::NextHost { session, .. }
            | Input::SessionEnded { session, .. }
                if session != self.session =>
            {
                return;
            }
            Input::Start => self.want = Want::Up,
            Input::Stop => self.want = Want::Down,
            Input::Restart => {
                self.want = Want::Up;
                // A person asked: the starts that were used up by then are not held against it. autossh's count is one
                // of all starts.
                if self.policy.backoff.kind != BackoffKind::Autossh {
                    self.run.starts = 0;
                }
            }
            Input::ResetFailed => self.forget(),
            Input::RetryNow
            | Input::PathBack
            | Input::FilesChanged
            | Input::SessionUp { .. }
            | Input::SessionProven { .. }
            | Input::NextHost { .. }
            | Input::SessionEnded { .. } => {}
        }
        match next(self.state.phase(), input) {
            Move::Stay => {}
            Move::Begin => {
                self.begin(now);
                self.start(now);
            }
            Move::Start => self.start(now),
            Move::StartUnlessAsked if matches!(self.state, MachineState::Backoff { polite: true, .. }) => {}
            Move::StartUnlessAsked => self.start(now),
            Move::Close => self.close(now),
            Move::Rest => self.enter(MachineState::Stopped, now),
            Move::Replace => {
                self.close(now);
                self.start(now);
            }
            Move::Remember => self.remember(input),
            Move::CameUp => self.came_up(now),
            Move::Proven => self.proven(),
            Move::Another(kind) => self.another(kind, now),
            Move::Judge { kind, unreached, asked } => self.ended((kind, unreached, asked), now),
            Move::Closed => match self.want {
                Want::Up => self.start(now),
                Want::Down => self.enter(MachineState::Stopped, now),
            },
        }
    }

    /// Time passed. Before the deadline of [`Machine::poll_timeout`] this does nothing.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.lifetime_over(now) {
            match self.state.phase() {
                Phase::Connecting | Phase::Up => self.close(now),
                Phase::Backoff | Phase::Blocked => self.give_up(FailureKind::MaxLifetime, now),
                Phase::Stopped | Phase::Failed | Phase::Stopping => {}
            }
        } else if self.next_start().is_some_and(|at| at <= now) {
            self.start(now);
            self.scheduled = true;
        }
    }

    /// This process did not run for `pause`. It counts neither for `gate_time` nor as the life of a session.
    pub fn did_not_run(&mut self, pause: Duration) {
        if let MachineState::Connecting { attempt, .. } | MachineState::Up { attempt, .. } = &mut self.state {
            attempt.started = later(attempt.started, pause);
        }
        if let MachineState::Up { since, .. } = &mut self.state {
            *since = later(*since, pause);
        }
    }

    /// A number for a session that is opened beside the machine's own: a standby, or a replacement.
    pub fn next_session_id(&mut self) -> SessionId {
        self.last_id = self.last_id.next();
        self.last_id
    }

    /// The session under this number takes the place of the one that was opened last.
    pub fn session_replaced(&mut self, session: SessionId) {
        self.session = session;
    }

    /// The next thing to do, in order; `None` when all is done.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// When to call [`Machine::handle_timeout`]. It changes with every input.
    pub fn poll_timeout(&self) -> Option<Instant> {
        if matches!(self.phase(), Phase::Stopped | Phase::Failed | Phase::Stopping) {
            return None;
        }
        self.next_start().into_iter().chain(self.lifetime_end()).min()
    }

    /// Applies a changed policy without touching the session. A running wait becomes no longer than the new policy's
    /// longest, unless the server asked for it.
    pub fn retune(&mut self, policy: Policy, now: Instant) {
        self.policy = policy;
        if let MachineState::Backoff { until, polite: false } = &mut self.state {
            let longest = later(self.since, backoff::longest(&policy)).max(now);
            *until = (*until).min(longest);
        }
    }

    fn begin(&mut self, now: Instant) {
        self.run = Run::new(now);
        self.streak = Streak::default();
    }

    fn forget(&mut self) {
        self.streak = Streak::default();
        self.last = None;
        self.starts = 0;
        self.run.starts = 0;
    }

    fn start(&mut self, now: Instant) {
        if self.lifetime_over(now) {
            return self.give_up(FailureKind::MaxLifetime, now);
        }
        if self.starts_used_up() {
            return self.give_up(FailureKind::MaxStart, now);
        }
        let attempt = StartRecord { started: now, first: self.run.fresh };
        self.scheduled = false;
        self.run.fresh = false;
        self.run.starts = self.run.starts.saturating_add(1);
        self.starts = self.starts.saturating_add(1);
        self.starts_total = self.starts_total.saturating_add(1);
        self.session = self.next_session_id();
        self.effects.push_back(Effect::Open { session: self.session });
        self.enter(MachineState::Connecting { attempt, retry_now: false, path_back: false, files_changed: false }, now);
    }

    fn close(&mut self, now: Instant) {
        self.effects.push_back(Effect::Close { session: self.session });
        self.enter(MachineState::Stopping, now);
    }

    fn remember(&mut self, input: Input) {
        if let MachineState::Connecting { retry_now, path_back, files_changed, .. } = &mut self.state {
            *retry_now |= input == Input::RetryNow;
            *path_back |= input == Input::PathBack;
            *files_changed |= input == Input::FilesChanged;
        }
    }

    fn came_up(&mut self, now: Instant) {
        if let MachineState::Connecting { attempt, .. } = self.state {
            self.enter(MachineState::Up { attempt, since: now, proven: false }, now);
        }
    }

    fn proven(&mut self) {
        if let MachineState::Up { proven, .. } = &mut self.state {
            *proven = true;
        }
    }

    /// One start after another without a wait, all of them one start to `gate_time`.
    fn another(&mut self, kind: FailureKind, now: Instant) {
        let MachineState::Connecting { attempt: before, retry_now, path_back, files_changed } = self.state else {
            return;
        };
        self.last = Some(kind);
        self.run.fresh = before.first;
        let scheduled = self.scheduled;
        self.start(now);
        self.scheduled = scheduled;
        if let MachineState::Connecting { attempt, .. } = self.state {
            self.state = MachineState::Connecting { attempt, retry_now, path_back, files_changed };
        }
    }

    fn ended(&mut self, (kind, unreached, asked): (FailureKind, Option<Unreached>, Option<Duration>), now: Instant) {
        let (attempt, up, [retry_now, path_back, files_changed]) = match self.state {
            MachineState::Connecting { attempt, retry_now, path_back, files_changed } => {
                (attempt, None, [retry_now, path_back, files_changed])
            }
            MachineState::Up { attempt, since, proven } => (attempt, Some((since, proven)), [false; 3]),
            MachineState::Stopped
            | MachineState::Backoff { .. }
            | MachineState::Blocked { .. }
            | MachineState::Failed { .. }
            | MachineState::Stopping => {
                return;
            }
        };
        self.last = Some(kind);
        let end = SessionEnd {
            kind,
            unreached,
            asked,
            at: now,
            age: now.saturating_duration_since(attempt.started),
            lived: up.map(|(since, _)| now.saturating_duration_since(since)),
            proven: up.is_some_and(|(_, proven)| proven),
            first: attempt.first,
            starts_used_up: self.starts_used_up(),
        };
        let (verdict, streak) = judge(&self.policy, &self.streak, &end, self.rng.f64());
        self.streak = streak;
        match verdict {
            Verdict::Retry { wait: Duration::ZERO, .. } => self.start(now),
            Verdict::Retry { polite: false, .. } if retry_now || path_back => self.start(now),
            Verdict::Retry { wait, polite } => {
                self.enter(MachineState::Backoff { until: later(now, wait), polite }, now)
            }
            Verdict::Block if retry_now || files_changed => self.start(now),
            Verdict::Block => self.enter(MachineState::Blocked { recheck: later(now, BLOCKED.first) }, now),
            Verdict::GiveUp(reason) => self.give_up(reason, now),
        }
    }

    fn give_up(&mut self, reason: FailureKind, now: Instant) {
        self.enter(MachineState::Failed { reason }, now);
    }

    /// The one place that assigns `state`. `since` belongs to the phase: an attempt after an attempt is one Connecting.
    fn enter(&mut self, state: MachineState, now: Instant) {
        let (from, to) = (self.state.phase(), state.phase());
        if from != to {
            tracing::trace!(%from, %to, session = %self.session, "phase");
            self.since = now;
        }
        self.state = state;
    }

    fn starts_used_up(&self) -> bool {
        self.policy.max_start.is_some_and(|max| self.run.starts >= max)
    }

    fn lifetime_end(&self) -> Option<Instant> {
        self.policy.max_lifetime.map(|lifetime| later(self.run.began, lifetime))
    }

    fn lifetime_over(&self, now: Instant) -> bool {
        self.lifetime_end().is_some_and(|end| end <= now)
    }
}

/// `now` plus `wait`, for waits of any length.
fn later(now: Instant, wait: Duration) -> Instant {
    now.checked_add(wait.min(FAR)).unwrap_or(now)
}
