//! Where one tunnel stands among those that want to start.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::Governor;
use super::pacing::StartRequest;

/// One tunnel's. A cheap handle.
#[derive(Debug, Clone, Default)]
pub struct QueueEntry(Arc<Mutex<QueueEntryState>>);

#[derive(Debug, Default)]
struct QueueEntryState {
    request: Option<StartRequest>,
    bypasses_hold: bool,
}

impl QueueEntry {
    /// An operator wants this tunnel's next start now: it waits its turn, but no hold.
    pub fn bypass_hold(&self) {
        self.state().bypasses_hold = true;
    }

    pub(super) fn take_bypass(&self) -> bool {
        std::mem::take(&mut self.state().bypasses_hold)
    }

    pub(super) fn set_request(&self, request: StartRequest) {
        self.state().request = Some(request);
    }

    /// What a start waits for, as a person reads it; `None` when it waits for nothing.
    pub fn waits_for(&self, governor: &Governor, now: Instant) -> Option<String> {
        let request = self.state().request?;
        let mut pacing = governor.pacing();
        let (server, before, held_until) = pacing.standing(request)?;
        Some(match held_until.filter(|until| *until > now) {
            Some(until) => {
                let seconds = until.saturating_duration_since(now).as_secs() + 1;
                format!("{server} to take logins again, in {seconds} s")
            }
            None => format!("its turn at {server}: {before} before it"),
        })
    }

    fn state(&self) -> MutexGuard<'_, QueueEntryState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
