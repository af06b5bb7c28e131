//! `sessions = N`: the sessions beside the main one. They carry connections of local listeners; the remote listeners
//! are the main one's, and one of these takes its place when it is lost.

use std::time::Instant;

use tokio::task::Id;
use tunnel_engine::clock;
use tunnel_engine::failure::Failure;

use super::super::actor::{Actor, TunnelEvent};
use super::dial::{Dial, LoginId, Opened};
use super::replacement::ReplacedSession;
use super::retired::DRAIN;
use super::session_watch::SessionWatch;
use super::{HostSequence, LiveSession};
use crate::lifecycle::{Phase, StandbyEnd, StandbyRecord};

/// All of them; empty, and free, where `sessions` is 1.
#[derive(Default)]
pub(in crate::tunnel) struct Extras {
    slots: Vec<Slot>,
}

struct Slot {
    /// What its ends in a row have told.
    ends: StandbyRecord,
    step: ExtraStep,
}

enum ExtraStep {
    Waiting(Instant),
    Dialing(Dial),
    Up(Box<LiveSession>),
}

impl Slot {
    fn live(&self) -> Option<&LiveSession> {
        match &self.step {
            ExtraStep::Up(live) => Some(live),
            ExtraStep::Waiting(_) | ExtraStep::Dialing(_) => None,
        }
    }
}

impl Extras {
    pub(super) fn living(&self) -> impl Iterator<Item = &LiveSession> {
        self.slots.iter().filter_map(Slot::live)
    }

    pub(super) fn living_mut(&mut self) -> impl Iterator<Item = &mut LiveSession> {
        self.slots.iter_mut().filter_map(|slot| match &mut slot.step {
            ExtraStep::Up(live) => Some(&mut **live),
            ExtraStep::Waiting(_) | ExtraStep::Dialing(_) => None,
        })
    }

    pub(super) fn retry_now(&mut self, now: Instant) {
        for slot in &mut self.slots {
            if let ExtraStep::Waiting(until) = &mut slot.step {
                *until = now;
            }
        }
    }

    pub(super) fn has(&self, login: LoginId) -> bool {
        self.slots.iter().any(|slot| matches!(&slot.step, ExtraStep::Dialing(dial) if dial.has(login)))
    }

    pub(super) fn of_job(&self, job: Id) -> Option<LoginId> {
        self.slots.iter().find_map(|slot| match &slot.step {
            ExtraStep::Dialing(dial) => dial.of_job(job),
            ExtraStep::Waiting(_) | ExtraStep::Up(_) => None,
        })
    }

    /// Gives out one that answers. Its slot is to be filled again at once.
    pub(super) fn take_clear(&mut self, now: Instant) -> Option<LiveSession> {
        let slot = self.slots.iter_mut().find(|slot| slot.live().is_some_and(LiveSession::takes_more))?;
        match std::mem::replace(&mut slot.step, ExtraStep::Waiting(now)) {
            ExtraStep::Up(live) => Some(*live),
            ExtraStep::Waiting(_) | ExtraStep::Dialing(_) => None,
        }
    }

    /// Gives out those that `wanted` picks; their slots are to be filled again at once.
    fn take_where(&mut self, now: Instant, wanted: impl Fn(&LiveSession) -> bool) -> Vec<LiveSession> {
        let picked = self.slots.iter_mut().filter(|slot| slot.live().is_some_and(&wanted));
        let steps = picked.map(|slot| std::mem::replace(&mut slot.step, ExtraStep::Waiting(now)));
        steps.filter_map(|step| if let ExtraStep::Up(live) = step { Some(*live) } else { None }).collect()
    }
}

impl Actor {
    /// Opens, or lets go, as many as the config asks for, while the main session is up and well.
    pub(in crate::tunnel) fn reconcile_extras(&mut self) {
        let now = clock::now();
        let up = self.machine.phase() == Phase::Up && self.live.as_ref().is_some_and(|live| live.settled);
        let wanted = if up { usize::try_from(self.spec.sessions).unwrap_or(usize::MAX) - 1 } else { 0 };
        if wanted == 0 && self.extras.slots.is_empty() {
            return;
        }
        while self.extras.slots.len() > wanted {
            if let Some(Slot { step: ExtraStep::Up(live), .. }) = self.extras.slots.pop() {
                self.let_go(*live);
            }
        }
        while self.extras.slots.len() < wanted {
            self.extras.slots.push(Slot { ends: StandbyRecord::default(), step: ExtraStep::Waiting(now) });
        }
        let worn_out = self.worn_out(now);
        for live in worn_out {
            self.let_go(live);
        }
        if !self.is_doubtful() {
            self.dial_extras(now);
        }
    }

    /// Those whose time is over. Others carry meanwhile.
    fn worn_out(&mut self, now: Instant) -> Vec<LiveSession> {
        let (lifetime, seed) = (self.spec.session_lifetime, self.context.seed);
        let main = self.live.as_ref().map(|live| live.server.clone());
        self.extras.take_where(now, |live| {
            live.expires(lifetime, seed).is_some_and(|at| at <= now)
                || live.outdated
                || main.as_ref().is_some_and(|main| *main != live.server)
        })
    }

    /// All of them at once: the tunnel is stopped or restarted.
    pub(super) fn let_extras_go(&mut self) {
        for slot in std::mem::take(&mut self.extras.slots) {
            if let ExtraStep::Up(live) = slot.step {
                self.let_go(*live);
            }
        }
    }

    fn let_go(&mut self, live: LiveSession) {
        let until = clock::now() + self.spec.session_lifetime.unwrap_or(DRAIN);
        let silent = live.is_doubtful();
        self.retire(ReplacedSession { live, listens: Vec::new(), silent, until });
        self.publish_pool();
    }

    fn dial_extras(&mut self, now: Instant) {
        let place = self.place();
        for index in 0..self.extras.slots.len() {
            let due = self
                .extras
                .slots
                .get(index)
                .is_some_and(|slot| matches!(slot.step, ExtraStep::Waiting(at) if at <= now));
            if due
                && let Some(dial) = self.dial(HostSequence::new(vec![place]))
                && let Some(slot) = self.extras.slots.get_mut(index)
            {
                slot.step = ExtraStep::Dialing(dial);
            }
        }
    }

    /// When [`Actor::reconcile_extras`] has something to do by itself.
    pub(in crate::tunnel) fn extras_due(&self) -> Option<Instant> {
        let dials = !self.is_doubtful();
        let due = |slot: &Slot| match &slot.step {
            ExtraStep::Waiting(at) => Some(*at).filter(|_| dials),
            ExtraStep::Dialing(_) => None,
            ExtraStep::Up(live) => live.expires(self.spec.session_lifetime, self.context.seed),
        };
        self.extras.slots.iter().filter_map(due).min()
    }

    /// A login for a slot ended.
    pub(super) fn extra_dialed(&mut self, login: LoginId, result: Result<Opened, Failure>) {
        let now = clock::now();
        match result {
            Ok(opened) => {
                let epoch = self.machine.epoch();
                let mut live = self.new_live(epoch, opened);
                live.settled = true;
                let (serial, watch) = (live.serial, live.watch.clone());
                self.listen(serial, watch);
                self.prove_session(serial, &live.session);
                let Some(slot) = self.slot_of(login) else { return };
                slot.step = ExtraStep::Up(Box::new(live));
                self.publish_pool();
                tracing::debug!(tunnel = self.spec.name, "another session is up");
            }
            Err(failure) => {
                let end =
                    StandbyEnd { kind: failure.kind(), unreached: failure.unreached(), lived: None, proven: false };
                let (policy, draw) = (self.spec.policy, self.random.f64());
                let Some(slot) = self.slot_of(login) else { return };
                slot.step = ExtraStep::Waiting(now + slot.ends.ended(&policy, end, now, draw));
                self.log_failure(failure.in_context("another session of this tunnel"), None);
            }
        }
    }

    fn slot_of(&mut self, login: LoginId) -> Option<&mut Slot> {
        self.extras.slots.iter_mut().find(|slot| matches!(&slot.step, ExtraStep::Dialing(dial) if dial.has(login)))
    }

    /// Listens to a session that is not the main one.
    pub(super) fn listen(&mut self, serial: u64, mut watch: SessionWatch) {
        self.jobs.spawn(async move {
            let event = watch.next().await;
            TunnelEvent::News { serial, event, watch: Some(watch) }
        });
    }

    pub(super) fn is_extra(&self, serial: u64) -> bool {
        self.extras.living().any(|live| live.serial == serial)
    }

    /// One of them ended by itself: the others go on, and it is dialled again.
    pub(super) fn extra_lost(&mut self, serial: u64, failure: Failure) {
        let now = clock::now();
        let (policy, draw) = (self.spec.policy, self.random.f64());
        let Some(slot) =
            self.extras.slots.iter_mut().find(|slot| slot.live().is_some_and(|live| live.serial == serial))
        else {
            return;
        };
        let Some(live) = slot.live() else { return };
        let lived = Some(now.saturating_duration_since(live.since));
        let end = StandbyEnd { kind: failure.kind(), unreached: failure.unreached(), lived, proven: live.proven };
        slot.step = ExtraStep::Waiting(now + slot.ends.ended(&policy, end, now, draw));
        self.publish_pool();
        self.log_failure(failure.in_context("one of the sessions of this tunnel"), None);
    }

    /// Another living session takes the place of the main one: no login, and the tunnel stays up. `None`: there is
    /// none that answers.
    pub(super) fn promote(&mut self) -> Option<LiveSession> {
        let old_epoch = self.live.as_ref()?.epoch;
        let mut next = self.extras.take_clear(clock::now())?;
        next.epoch = old_epoch;
        next.took_over = true;
        self.server = next.server.clone();
        let old = self.live.replace(next);
        self.remotes.session_changed();
        self.publish_pool();
        self.request_forwards();
        old
    }
}
