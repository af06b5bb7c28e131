//! `sessions = N`: the sessions beside the main one. They carry connections of local listeners; the remote listeners
//! are the main one's, and one of these takes its place when it is lost.

use std::sync::Arc;
use std::time::Instant;

use tunnel_engine::failure::Failure;
use tunnel_engine::session::SessionInfo;

use super::super::core::{Core, TunnelEffect};
use super::login::PendingLogin;
use super::replacement::{DRAIN, ReplacedSession};
use super::{HostSequence, LiveSession};
use crate::lifecycle::{Phase, SessionId, StandbyEnd, StandbyRecord};

/// All of them; empty, and free, where `sessions` is 1.
#[derive(Debug, Default)]
pub(super) struct Standby {
    slots: Vec<Slot>,
}

#[derive(Debug)]
struct Slot {
    /// What its ends in a row have told.
    ends: StandbyRecord,
    step: StandbyStep,
}

#[derive(Debug)]
enum StandbyStep {
    Waiting(Instant),
    LoggingIn(PendingLogin),
    Up(Box<LiveSession>),
}

impl Slot {
    fn live(&self) -> Option<&LiveSession> {
        match &self.step {
            StandbyStep::Up(live) => Some(live),
            StandbyStep::Waiting(_) | StandbyStep::LoggingIn(_) => None,
        }
    }

    fn awaits(&self, session: SessionId) -> bool {
        matches!(&self.step, StandbyStep::LoggingIn(login) if login.session == session)
    }
}

impl Standby {
    pub(super) fn living(&self) -> impl Iterator<Item = &LiveSession> {
        self.slots.iter().filter_map(Slot::live)
    }

    pub(super) fn living_mut(&mut self) -> impl Iterator<Item = &mut LiveSession> {
        self.slots.iter_mut().filter_map(|slot| match &mut slot.step {
            StandbyStep::Up(live) => Some(&mut **live),
            StandbyStep::Waiting(_) | StandbyStep::LoggingIn(_) => None,
        })
    }

    pub(super) fn retry_now(&mut self, now: Instant) {
        for slot in &mut self.slots {
            if let StandbyStep::Waiting(until) = &mut slot.step {
                *until = now;
            }
        }
    }

    pub(super) fn has(&self, session: SessionId) -> bool {
        self.slots.iter().any(|slot| slot.awaits(session))
    }

    fn slot_of(&mut self, session: SessionId) -> Option<&mut Slot> {
        self.slots.iter_mut().find(|slot| slot.awaits(session))
    }

    /// Gives out one that answers. Its slot is to be filled again at once.
    fn take_clear(&mut self, now: Instant) -> Option<LiveSession> {
        let slot = self.slots.iter_mut().find(|slot| slot.live().is_some_and(LiveSession::takes_more))?;
        match std::mem::replace(&mut slot.step, StandbyStep::Waiting(now)) {
            StandbyStep::Up(live) => Some(*live),
            StandbyStep::Waiting(_) | StandbyStep::LoggingIn(_) => None,
        }
    }

    /// Gives out those that `wanted` picks; their slots are to be filled again at once.
    fn take_where(&mut self, now: Instant, wanted: impl Fn(&LiveSession) -> bool) -> Vec<LiveSession> {
        let picked = self.slots.iter_mut().filter(|slot| slot.live().is_some_and(&wanted));
        let steps = picked.map(|slot| std::mem::replace(&mut slot.step, StandbyStep::Waiting(now)));
        steps.filter_map(|step| if let StandbyStep::Up(live) = step { Some(*live) } else { None }).collect()
    }

    /// Has as many slots as are wanted, and gives out the sessions of those that are too many.
    fn resize(&mut self, wanted: usize, now: Instant) -> Vec<LiveSession> {
        let mut released = Vec::new();
        while self.slots.len() > wanted {
            if let Some(Slot { step: StandbyStep::Up(live), .. }) = self.slots.pop() {
                released.push(*live);
            }
        }
        while self.slots.len() < wanted {
            self.slots.push(Slot { ends: StandbyRecord::default(), step: StandbyStep::Waiting(now) });
        }
        released
    }
}

impl Core {
    /// Opens, or releases, as many as the config asks for, while the main session is up and well.
    pub(in crate::tunnel) fn reconcile_standby(&mut self) {
        let now = self.now.awake;
        let up = self.machine.phase() == Phase::Up && self.sessions.settled().is_some();
        let wanted = if up { usize::try_from(self.spec.sessions).unwrap_or(usize::MAX) - 1 } else { 0 };
        if wanted == 0 && self.sessions.standby.slots.is_empty() {
            return;
        }
        let mut released = self.sessions.standby.resize(wanted, now);
        released.extend(self.worn_out(now));
        for live in released {
            self.release(live);
        }
        if !self.sessions.is_doubtful() {
            self.log_standby_in(now);
        }
    }

    /// Those whose time is over. Others carry meanwhile.
    fn worn_out(&mut self, now: Instant) -> Vec<LiveSession> {
        let (lifetime, seed) = (self.spec.session_lifetime, self.sessions.seed);
        let main = self.sessions.main.as_ref().map(|live| live.server.clone());
        self.sessions.standby.take_where(now, |live| {
            live.expires(lifetime, seed).is_some_and(|at| at <= now)
                || live.outdated
                || main.as_ref().is_some_and(|main| *main != live.server)
        })
    }

    /// All of them at once: the tunnel is stopped or restarted.
    pub(super) fn release_standby(&mut self) {
        for live in self.sessions.standby.resize(0, self.now.awake) {
            self.release(live);
        }
    }

    fn release(&mut self, live: LiveSession) {
        let until = self.now.awake + self.spec.session_lifetime.unwrap_or(DRAIN);
        let silent = live.is_doubtful();
        self.retire(ReplacedSession { session: live.id, silent, until }, Vec::new());
        self.serve();
    }

    fn log_standby_in(&mut self, now: Instant) {
        let place = self.place();
        for index in 0..self.sessions.standby.slots.len() {
            let slot = self.sessions.standby.slots.get(index);
            if !slot.is_some_and(|slot| matches!(slot.step, StandbyStep::Waiting(at) if at <= now)) {
                continue;
            }
            let session = self.machine.next_session_id();
            if let Some(login) = self.log_in(session, HostSequence::new(vec![place]))
                && let Some(slot) = self.sessions.standby.slots.get_mut(index)
            {
                slot.step = StandbyStep::LoggingIn(login);
            }
        }
    }

    /// When [`Core::reconcile_standby`] has something to do by itself.
    pub(in crate::tunnel) fn standby_due(&self) -> Option<Instant> {
        let opens = !self.sessions.is_doubtful();
        let due = |slot: &Slot| match &slot.step {
            StandbyStep::Waiting(at) => Some(*at).filter(|_| opens),
            StandbyStep::LoggingIn(_) => None,
            StandbyStep::Up(live) => live.expires(self.spec.session_lifetime, self.sessions.seed),
        };
        self.sessions.standby.slots.iter().filter_map(due).min()
    }

    /// A login for a slot ended.
    pub(super) fn standby_logged_in(&mut self, session: SessionId, result: Result<Arc<SessionInfo>, Failure>) {
        let now = self.now;
        match result {
            Ok(info) => {
                let Some(slot) = self.sessions.standby.slot_of(session) else { return };
                let StandbyStep::LoggingIn(login) = &slot.step else { return };
                let mut live = LiveSession::new(login.logged_in(info), now);
                live.settled = true;
                slot.step = StandbyStep::Up(Box::new(live));
                self.effect(TunnelEffect::Keep(session));
                self.prove_session(session);
                self.serve();
                tracing::debug!(tunnel = self.spec.name, "another session is up");
            }
            Err(failure) => {
                let end =
                    StandbyEnd { kind: failure.kind(), unreached: failure.unreached(), lived: None, proven: false };
                let (policy, draw) = (self.spec.policy, self.sessions.random.f64());
                let Some(slot) = self.sessions.standby.slot_of(session) else { return };
                slot.step = StandbyStep::Waiting(now.awake + slot.ends.ended(&policy, end, now.awake, draw));
                self.note_failure(failure.in_context("another session of this tunnel"), None);
            }
        }
    }

    /// One of them ended by itself: the others go on, and it is opened again.
    pub(super) fn standby_lost(&mut self, session: SessionId, failure: Failure) {
        let now = self.now.awake;
        let (policy, draw) = (self.spec.policy, self.sessions.random.f64());
        let mut slots = self.sessions.standby.slots.iter_mut();
        let Some(slot) = slots.find(|slot| slot.live().is_some_and(|live| live.id == session)) else { return };
        let Some(live) = slot.live() else { return };
        let lived = Some(now.saturating_duration_since(live.since));
        let end = StandbyEnd { kind: failure.kind(), unreached: failure.unreached(), lived, proven: live.proven };
        slot.step = StandbyStep::Waiting(now + slot.ends.ended(&policy, end, now, draw));
        self.serve();
        self.note_failure(failure.in_context("one of the sessions of this tunnel"), None);
    }

    /// Another living session takes the place of the main one: no login, and the tunnel stays up. `None`: there is
    /// none that answers.
    pub(super) fn promote(&mut self) -> Option<LiveSession> {
        self.sessions.main.as_ref()?;
        let mut next = self.sessions.standby.take_clear(self.now.awake)?;
        next.took_over = true;
        self.machine.session_replaced(next.id);
        self.sessions.server = next.server.clone();
        let old = self.sessions.main.replace(next);
        self.forwards.remotes.session_changed(&mut self.effects);
        self.serve();
        self.request_forwards();
        old
    }
}
