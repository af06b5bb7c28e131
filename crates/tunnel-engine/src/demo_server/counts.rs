//! What the server has seen, to be read or waited for.

use tokio::sync::watch;

/// Counts since the server started; those called `…now` go down again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Connections accepted, those that a fault turned away included. Refused ones never arrive.
    pub connections: u64,
    /// Connections open now.
    pub connections_now: u64,
    /// Proofs offered: keys, certificates, passwords, answers. The `none` request does not count.
    pub auth_attempts: u64,
    /// Logins that were accepted.
    pub sessions: u64,
    /// Sessions that are logged in now.
    pub sessions_now: u64,
    /// Channels that were confirmed, in either direction.
    pub channels: u64,
    /// Channels open now.
    pub channels_now: u64,
    /// Channel opens that arrived from clients, whatever the answer.
    pub opens: u64,
    /// Listeners that clients asked for, listening now.
    pub forwards_now: u64,
    /// Requests to listen that arrived, whatever the answer.
    pub forward_requests: u64,
}

/// The writer's side. A cheap handle.
#[derive(Clone)]
pub(super) struct Counter(watch::Sender<Counts>);

impl Counter {
    pub(super) fn new() -> Self {
        Self(watch::Sender::new(Counts::default()))
    }

    pub(super) fn watch(&self) -> watch::Receiver<Counts> {
        self.0.subscribe()
    }

    pub(super) fn read(&self) -> Counts {
        *self.0.borrow()
    }

    pub(super) fn change(&self, change: impl FnOnce(&mut Counts)) {
        self.0.send_modify(change);
    }

    /// Counts one more in `field` until the guard is dropped.
    pub(super) fn hold(&self, field: fn(&mut Counts) -> &mut u64) -> CountGuard {
        self.0.send_modify(|counts| *field(counts) += 1);
        CountGuard { counter: self.clone(), field }
    }
}

/// One in a count; dropping it takes it out.
pub(super) struct CountGuard {
    counter: Counter,
    field: fn(&mut Counts) -> &mut u64,
}

impl Drop for CountGuard {
    fn drop(&mut self) {
        self.counter.0.send_modify(|counts| {
            let count = (self.field)(counts);
            *count = count.saturating_sub(1);
        });
    }
}
