//! Waits for the deadline of a loop. A deadline that stays due after it was handled would make the loop spin: it is
//! slowed down and is_logged.

use std::time::{Duration, Instant};

use crate::clock;

/// Deadlines within one [`PAUSE`] that may be due already when they are waited for. A loop that catches up after a
/// pause of the process has a few, one for each thing that it looks after.
const MAX_OVERDUE: u32 = 64;

/// How long a loop with more of them waits: it still does its work, and costs nothing.
const PAUSE: Duration = Duration::from_secs(1);

/// One loop's deadline.
#[derive(Debug, Default)]
pub struct Alarm {
    /// Since when overdue deadlines are counted, and how many there were.
    overdue: Option<(Instant, u32)>,
    is_logged: bool,
}

impl Alarm {
    /// Waits until `deadline`, for ever without one. Cancel-safe.
    pub async fn wait(&mut self, deadline: Option<Instant>) {
        let Some(deadline) = deadline else { return std::future::pending().await };
        if deadline > clock::now() {
            return tokio::time::sleep_until(deadline.into()).await;
        }
        if let Some((since, count)) = self.overdue
            && count >= MAX_OVERDUE
        {
            if !std::mem::replace(&mut self.is_logged, true) {
                tracing::error!("a deadline of a loop stays due although it was handled; the loop is slowed down");
            }
            tokio::time::sleep_until((since + PAUSE).into()).await;
        }
        let now = clock::now();
        self.overdue = match self.overdue {
            Some((since, count)) if now.saturating_duration_since(since) < PAUSE => Some((since, count + 1)),
            Some(_) | None => Some((now, 1)),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn deadlines_come_when_they_are_due() {
        let mut alarm = Alarm::default();
        let start = clock::now();
        for second in 1..=200 {
            let deadline = start + Duration::from_secs(second);
            alarm.wait(Some(deadline)).await;
            assert_eq!(clock::now(), deadline);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_deadline_that_stays_due_does_not_spin() {
        let mut alarm = Alarm::default();
        let start = clock::now();
        let mut rang = 0;
        while clock::now() < start + Duration::from_secs(60) {
            alarm.wait(Some(start)).await;
            rang += 1;
        }
        assert!(rang <= 61 * MAX_OVERDUE, "{rang}");
    }
}
