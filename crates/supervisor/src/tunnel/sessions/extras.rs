//! `sessions = N`: the sessions beside the main one. They carry connections of local listeners; the remote listeners
//! are the main one's, and one of these takes its place when it is lost.

use std::time::Instant;

use tokio::task::Id;
use tunnel_engine::clock;
use tunnel_engine::failure::Failure;

use super::super::actor::{Actor, Event};
use super::dial::{Dial, Opened, Ticket};
use super::news::Ears;
use super::replacement::Leaving;
use super::retired::DRAIN;
use super::{Live, Row};
use crate::lifecycle::{Beside, BesideEnd, Phase};

/// All of them; empty, and free, where `sessions` is 1.
#[derive(Default)]
pub(in crate::tunnel) struct Extras {
    slots: Vec<Slot>,
}

struct Slot {
    /// What its ends in a row have told.
    ends: Beside,
    step: Step,
}

enum Step {
    Waiting(Instant),
    Dialing(Dial),
    Up(Box<Live>),
}

impl Slot {
    fn live(&self) -> Option<&Live> {
        match &self.step {
            Step::Up(live) => Some(live),
            Step::Waiting(_) | Step::Dialing(_) => None,
        }
    }
}

impl Extras {
    pub(super) fn living(&self) -> impl Iterator<Item = &Live> {
        self.slots.iter().filter_map(Slot::live)
    }

    pub(super) fn living_mut(&mut self) -> impl Iterator<Item = &mut Live> {
        self.slots.iter_mut().filter_map(|slot| match &mut slot.step {
            Step::Up(live) => Some(&mut **live),
            Step::Waiting(_) | Step::Dialing(_) => None,
        })
    }

    pub(super) fn retry_now(&mut self, now: Instant) {
        for slot in &mut self.slots {
            if let Step::Waiting(until) = &mut slot.step {
                *until = now;
            }
        }
    }

    pub(super) fn has(&self, ticket: Ticket) -> bool {
        self.slots.iter().any(|slot| matches!(&slot.step, Step::Dialing(dial) if dial.has(ticket)))
    }

    pub(super) fn of_job(&self, job: Id) -> Option<Ticket> {
        self.slots.iter().find_map(|slot| match &slot.step {
            Step::Dialing(dial) => dial.of_job(job),
            Step::Waiting(_) | Step::Up(_) => None,
        })
    }

    /// Gives out one that answers. Its slot is to be filled again at once.
    pub(super) fn take_clear(&mut self, now: Instant) -> Option<Live> {
        let slot = self.slots.iter_mut().find(|slot| slot.live().is_some_and(Live::takes_more))?;
        match std::mem::replace(&mut slot.step, Step::Waiting(now)) {
            Step::Up(live) => Some(*live),
            Step::Waiting(_) | Step::Dialing(_) => None,
        }
    }

    /// Gives out those that `wanted` picks; their slots are to be filled again at once.
    fn take_where(&mut self, now: Instant, wanted: impl Fn(&Live) -> bool) -> Vec<Live> {
        let picked = self.slots.iter_mut().filter(|slot| slot.live().is_some_and(&wanted));
        let steps = picked.map(|slot| std::mem::replace(&mut slot.step, Step::Waiting(now)));
        steps.filter_map(|step| if let Step::Up(live) = step { Some(*live) } else { None }).collect()
    }
}

impl Actor {
    /// Opens, or lets go, as many as the config asks for, while the main session is up and well.
    pub(in crate::tunnel) fn keep_extras(&mut self) {
        let now = clock::now();
        let up = self.machine.phase() == Phase::Up && self.live.as_ref().is_some_and(|live| live.settled);
        let wanted = if up { usize::try_from(self.spec.sessions).unwrap_or(usize::MAX) - 1 } else { 0 };
        if wanted == 0 && self.extras.slots.is_empty() {
            return;
        }
        while self.extras.slots.len() > wanted {
            if let Some(Slot { step: Step::Up(live), .. }) = self.extras.slots.pop() {
                self.let_go(*live);
            }
        }
        while self.extras.slots.len() < wanted {
            self.extras.slots.push(Slot { ends: Beside::default(), step: Step::Waiting(now) });
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
    fn worn_out(&mut self, now: Instant) -> Vec<Live> {
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
            if let Step::Up(live) = slot.step {
                self.let_go(*live);
            }
        }
    }

    fn let_go(&mut self, live: Live) {
        let until = clock::now() + self.spec.session_lifetime.unwrap_or(DRAIN);
        let silent = live.is_doubtful();
        self.retire(Leaving { live, listens: Vec::new(), silent, until });
        self.publish_pool();
    }

    fn dial_extras(&mut self, now: Instant) {
        let place = self.place();
        for index in 0..self.extras.slots.len() {
            let due =
                self.extras.slots.get(index).is_some_and(|slot| matches!(slot.step, Step::Waiting(at) if at <= now));
            if due
                && let Some(dial) = self.dial(Row::new(vec![place]))
                && let Some(slot) = self.extras.slots.get_mut(index)
            {
                slot.step = Step::Dialing(dial);
            }
        }
    }

    /// When [`Actor::keep_extras`] has something to do by itself.
    pub(in crate::tunnel) fn extras_due(&self) -> Option<Instant> {
        let dials = !self.is_doubtful();
        let due = |slot: &Slot| match &slot.step {
            Step::Waiting(at) => Some(*at).filter(|_| dials),
            Step::Dialing(_) => None,
            Step::Up(live) => live.expires(self.spec.session_lifetime, self.context.seed),
        };
        self.extras.slots.iter().filter_map(due).min()
    }

    /// A login for a slot ended.
    pub(super) fn extra_dialed(&mut self, ticket: Ticket, result: Result<Opened, Failure>) {
        let now = clock::now();
        match result {
            Ok(opened) => {
                let epoch = self.machine.epoch();
                let mut live = self.new_live(epoch, opened);
                live.settled = true;
                let (serial, ears) = (live.serial, live.ears.clone());
                self.listen(serial, ears);
                self.prove_session(serial, &live.session);
                let Some(slot) = self.slot_of(ticket) else { return };
                slot.step = Step::Up(Box::new(live));
                self.publish_pool();
                tracing::debug!(tunnel = self.spec.name, "another session is up");
            }
            Err(failure) => {
                let end =
                    BesideEnd { kind: failure.kind(), unreached: failure.unreached(), lived: None, proven: false };
                let (policy, draw) = (self.spec.policy, self.random.f64());
                let Some(slot) = self.slot_of(ticket) else { return };
                slot.step = Step::Waiting(now + slot.ends.ended(&policy, end, now, draw));
                self.tell_failure(failure.in_context("another session of this tunnel"), None);
            }
        }
    }

    fn slot_of(&mut self, ticket: Ticket) -> Option<&mut Slot> {
        self.extras.slots.iter_mut().find(|slot| matches!(&slot.step, Step::Dialing(dial) if dial.has(ticket)))
    }

    /// Listens to a session that is not the main one.
    pub(super) fn listen(&mut self, serial: u64, mut ears: Ears) {
        self.jobs.spawn(async move {
            let news = ears.next().await;
            Event::News { serial, news, ears: Some(ears) }
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
        let end = BesideEnd { kind: failure.kind(), unreached: failure.unreached(), lived, proven: live.proven };
        slot.step = Step::Waiting(now + slot.ends.ended(&policy, end, now, draw));
        self.publish_pool();
        self.tell_failure(failure.in_context("one of the sessions of this tunnel"), None);
    }

    /// Another living session takes the place of the main one: no login, and the tunnel stays up. `None`: there is
    /// none that answers.
    pub(super) fn promote(&mut self) -> Option<Live> {
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
