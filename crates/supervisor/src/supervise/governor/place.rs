//! Where one tunnel stands among those that want to start.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::Governor;
use super::pacing::Ticket;

/// One tunnel's. A cheap handle.
#[derive(Debug, Clone, Default)]
pub struct Place(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    ticket: Option<Ticket>,
    insists: bool,
}

impl Place {
    /// An operator wants this tunnel's next start now: it waits its turn, but no hold.
    pub fn insist(&self) {
        self.state().insists = true;
    }

    pub(super) fn take_insistence(&self) -> bool {
        std::mem::take(&mut self.state().insists)
    }

    pub(super) fn waits_with(&self, ticket: Ticket) {
        self.state().ticket = Some(ticket);
    }

    /// What a start waits for, as a person reads it; `None` when it waits for nothing.
    pub fn waits_for(&self, governor: &Governor, now: Instant) -> Option<String> {
        let ticket = self.state().ticket?;
        let mut pacing = governor.pacing();
        let (server, before, held_until) = pacing.standing(ticket)?;
        Some(match held_until.filter(|until| *until > now) {
            Some(until) => {
                let seconds = until.saturating_duration_since(now).as_secs() + 1;
                format!("{server} to take logins again, in {seconds} s")
            }
            None => format!("its turn at {server}: {before} before it"),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
