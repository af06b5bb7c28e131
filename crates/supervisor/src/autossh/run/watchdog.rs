//! The service manager's watchdog, fed while the tunnel's own loop turns.

use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::tunnel::Handle;

/// One question to the tunnel a beat; its answer feeds the watchdog.
pub(super) struct RunWatchdog {
    every: Duration,
    next: Instant,
    answer: Option<oneshot::Receiver<()>>,
}

impl RunWatchdog {
    pub(super) const fn new(every: Duration, now: Instant) -> Self {
        Self { every, next: now, answer: None }
    }

    /// When to call [`RunWatchdog::due`].
    pub(super) const fn next(&self) -> Instant {
        self.next
    }

    /// Asks, when it is time. A question that is still without an answer is dropped for this one.
    pub(super) fn due(&mut self, handle: &Handle, now: Instant) {
        if self.next > now {
            return;
        }
        let (reply, answer) = oneshot::channel();
        self.next = now + self.every;
        self.answer = handle.ask(reply).is_ok().then_some(answer);
    }

    /// Until the tunnel has answered; for ever when it was not asked, or has ended, which is heard of otherwise.
    pub(super) async fn turned(watchdog: Option<&mut Self>) {
        let Some(watchdog) = watchdog else { return std::future::pending().await };
        let turned = match watchdog.answer.as_mut() {
            Some(answer) => answer.await.is_ok(),
            None => std::future::pending().await,
        };
        watchdog.answer = None;
        if !turned {
            std::future::pending().await
        }
    }
}
