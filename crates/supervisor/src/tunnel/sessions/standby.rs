//! `sessions = N`: the sessions beside the main one. They carry connections of local listeners; the remote listeners
//! are the main one's, and one of these takes its place when it is lost.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tunnel_engine::session::SessionInfo;

use super::super::core::{Effects, LoginFailure, Retire, TunnelEffect};
use super::login::PendingLogin;
use super::replacement::DRAIN;
use super::{HostSequence, LiveSession, TunnelSessions};
use crate::config::TunnelSpec;
use crate::history::Moment;
use crate::lifecycle::{Machine, SessionId, StandbyEnd, StandbyRecord};

/// All of them; empty, and free, where `sessions` is 1.
#[derive(Debug, Default)]
pub(in crate::tunnel) struct Standby {
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

    fn is_of(&self, session: SessionId) -> bool {
        self.awaits(session) || self.live().is_some_and(|live| live.id == session)
    }

    fn is_due(&self, now: Instant) -> bool {
        matches!(self.step, StandbyStep::Waiting(at) if at <= now)
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

    /// Those under way are for a config of before.
    pub(super) fn drop_logins(&mut self, now: Instant) {
        let logging_in = |slot: &&mut Slot| matches!(slot.step, StandbyStep::LoggingIn(_));
        self.slots.iter_mut().filter(logging_in).for_each(|slot| slot.step = StandbyStep::Waiting(now));
    }

    pub(in crate::tunnel) fn has(&self, session: SessionId) -> bool {
        self.slots.iter().any(|slot| slot.awaits(session))
    }

    /// Gives out one that answers. Its slot is to be filled again at once.
    pub(super) fn take_clear(&mut self, now: Instant) -> Option<LiveSession> {
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

impl TunnelSessions {
    /// Opens, or releases, as many as the config asks for, while the main session is up and well. `up`: the machine is.
    pub(in crate::tunnel) fn reconcile_standby(
        &mut self,
        up: bool,
        machine: &mut Machine,
        (spec, now, stop_timeout): (&TunnelSpec, Instant, Duration),
        effects: &mut Effects,
    ) {
        let up = up && self.settled().is_some();
        let wanted = if up { usize::try_from(spec.sessions).unwrap_or(usize::MAX) - 1 } else { 0 };
        if wanted == 0 && self.standby.slots.is_empty() {
            return;
        }
        let mut released = self.standby.resize(wanted, now);
        released.extend(self.worn_out(spec, now));
        for live in released {
            let outdated = live.outdated.is_some().then_some(stop_timeout);
            self.release(&live, now + outdated.or(spec.session_lifetime).unwrap_or(DRAIN), effects);
        }
        if self.is_doubtful() {
            return;
        }
        let place = self.place(spec);
        for index in 0..self.standby.slots.len() {
            if !self.standby.slots.get(index).is_some_and(|slot| slot.is_due(now)) {
                continue;
            }
            let (session, hosts) = (machine.next_session_id(), HostSequence::new(vec![place]));
            if let Some(login) = self.log_in(session, hosts, false, spec, effects)
                && let Some(slot) = self.standby.slots.get_mut(index)
            {
                slot.step = StandbyStep::LoggingIn(login);
            }
        }
    }

    /// Those whose time is over, and once the main one is as configured, those that are not. Others carry meanwhile.
    fn worn_out(&mut self, spec: &TunnelSpec, now: Instant) -> Vec<LiveSession> {
        let (lifetime, seed, replaced) = (spec.session_lifetime, self.seed, !self.is_outdated());
        let main = self.main.as_ref().map(|live| live.server.clone());
        self.standby.take_where(now, |live| {
            live.expires(lifetime, seed).is_some_and(|at| at <= now)
                || replaced && live.outdated.is_some()
                || main.as_ref().is_some_and(|main| *main != live.server)
        })
    }

    /// All of them at once: the tunnel is stopped or restarted.
    pub(in crate::tunnel) fn release_standby(&mut self, spec: &TunnelSpec, now: Instant, effects: &mut Effects) {
        for live in self.standby.resize(0, now) {
            self.release(&live, now + spec.session_lifetime.unwrap_or(DRAIN), effects);
        }
    }

    fn release(&mut self, live: &LiveSession, until: Instant, effects: &mut Effects) {
        self.retire(Retire { session: live.id, listens: Vec::new(), silent: live.is_doubtful(), until }, effects);
        self.serve(effects);
    }

    /// When [`TunnelSessions::reconcile_standby`] has something to do by itself.
    pub(in crate::tunnel) fn standby_due(&self, spec: &TunnelSpec) -> Option<Instant> {
        let opens = !self.is_doubtful();
        let due = |slot: &Slot| match &slot.step {
            StandbyStep::Waiting(at) => Some(*at).filter(|_| opens),
            StandbyStep::LoggingIn(_) => None,
            StandbyStep::Up(live) => live.expires(spec.session_lifetime, self.seed),
        };
        self.standby.slots.iter().filter_map(due).min()
    }

    pub(in crate::tunnel) fn standby_up(
        &mut self,
        session: SessionId,
        info: Arc<SessionInfo>,
        now: Moment,
        effects: &mut Effects,
    ) {
        let slot = self.standby.slots.iter_mut().find(|slot| slot.awaits(session));
        let Some(Slot { step: step @ StandbyStep::LoggingIn(_), .. }) = slot else { return };
        let StandbyStep::LoggingIn(login) = &*step else { return };
        let live = LiveSession { settled: true, ..LiveSession::new(login, info, now) };
        *step = StandbyStep::Up(Box::new(live));
        effects.push(TunnelEffect::Keep(session));
        self.serve(effects);
    }

    /// A standby, or the login for one, ended: the others go on, and it is opened again. False: there is none such.
    pub(in crate::tunnel) fn standby_ended(
        &mut self,
        session: SessionId,
        LoginFailure { failure, asked }: &LoginFailure,
        (spec, now): (&TunnelSpec, Instant),
        effects: &mut Effects,
    ) -> bool {
        let draw = self.random.f64();
        let Some(slot) = self.standby.slots.iter_mut().find(|slot| slot.is_of(session)) else { return false };
        let lived = slot.live().map(|live| now.saturating_duration_since(live.since));
        let proven = slot.live().is_some_and(|live| live.proven);
        let end = StandbyEnd { kind: failure.kind(), unreached: failure.unreached(), asked: *asked, lived, proven };
        slot.step = StandbyStep::Waiting(now + slot.ends.ended(&spec.policy, end, now, draw));
        if lived.is_some() {
            self.serve(effects);
        }
        true
    }
}
