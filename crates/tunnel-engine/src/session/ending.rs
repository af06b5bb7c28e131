//! The one reason why a session ended: the first one set counts.

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::failure::Failure;

/// Set once, watched by many.
pub(super) struct EndReason {
    reason: watch::Sender<Option<Failure>>,
    gone: CancellationToken,
}

impl EndReason {
    pub(super) fn new() -> Self {
        Self { reason: watch::Sender::new(None), gone: CancellationToken::new() }
    }

    /// The session is over because of `failure`, unless it is over already.
    pub(super) fn end(&self, failure: Failure) {
        self.reason.send_if_modified(|reason| {
            let first = reason.is_none();
            if first {
                *reason = Some(failure);
            }
            first
        });
        self.gone.cancel();
    }

    pub(super) fn reason(&self) -> Option<Failure> {
        self.reason.borrow().clone()
    }

    pub(super) fn watch(&self) -> watch::Receiver<Option<Failure>> {
        self.reason.subscribe()
    }

    /// Cancelled together with the end: for those who wait for something that can no longer come.
    pub(super) fn gone(&self) -> &CancellationToken {
        &self.gone
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::FailureKind;

    #[test]
    fn the_first_reason_stays() {
        let ending = EndReason::new();
        let watcher = ending.watch();
        ending.end(Failure::new(FailureKind::KeepaliveTimeout, "silent"));
        ending.end(Failure::new(FailureKind::ConnectionLost, "cut"));
        assert_eq!(watcher.borrow().as_ref().map(Failure::kind), Some(FailureKind::KeepaliveTimeout));
        assert!(ending.gone().is_cancelled());
    }
}
