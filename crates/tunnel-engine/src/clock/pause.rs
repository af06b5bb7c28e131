//! Time in which this process did not run: stopped by a signal, starved of CPU, or on a machine that slept. The
//! monotonic clock goes on meanwhile (not in a suspend), so a deadline that passed then says nothing about a peer.

use std::future::Future;
use std::pin::pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::now;

/// How often the process calls [`beat`] where pauses are to be noticed.
pub const BEAT: Duration = Duration::from_secs(2);
/// A wake-up that is later than this was not merely delayed: the process did not run. Longer than the longest
/// computation of ours (a group exchange with a large prime) on a busy machine.
pub const LATE: Duration = Duration::from_secs(1);

static PAUSES: Mutex<Pauses> = Mutex::new(Pauses { last: None, total: Duration::ZERO });

/// A sign that the process runs, at least every [`BEAT`]. Without any, no pause is noticed.
pub fn beat() {
    lock().beat(now());
}

/// Calls [`beat`] until it is dropped. From then on no pause is noticed, and the time until the next beat is none: a
/// process at rest need not wake up for this, because the deadlines that it has show by themselves when they come late.
pub async fn beats() {
    let _at_end = Silence;
    loop {
        beat();
        tokio::time::sleep_until((now() + BEAT).into()).await;
    }
}

struct Silence;

impl Drop for Silence {
    fn drop(&mut self) {
        lock().fall_silent(now());
    }
}

/// For how long the process did not run, of all the time until now. Grows only by pauses longer than [`LATE`]; up to
/// [`BEAT`] of each is left out, because the process may have run for so long after its last sign.
pub fn paused() -> Duration {
    lock().total(now())
}

/// When a wake-up that was planned for `planned` happens `now`: did the process run in between?
pub fn is_late(planned: Instant, now: Instant) -> bool {
    now > planned + LATE
}

/// As [`tokio::time::timeout`], but time in which the process did not run does not count. Where pauses are not noticed
/// (there is no [`beat`]), an end that comes late is put off, so that what came meanwhile is read first.
///
/// # Errors
/// [`Elapsed`] when `future` is not ready in time.
pub async fn timeout<F: Future>(limit: Duration, future: F) -> Result<F::Output, Elapsed> {
    let mut future = pin!(future);
    let (mut deadline, mut counted) = (now().checked_add(limit), paused());
    loop {
        let Some(until) = deadline else { return Ok(future.await) };
        if let Ok(output) = tokio::time::timeout_at(until.into(), &mut future).await {
            return Ok(output);
        }
        let paused = paused();
        if paused == counted && !is_late(until, now()) {
            return Err(Elapsed);
        }
        // What happened meanwhile has yet to be read: there is at least a moment for that.
        deadline = until.checked_add(paused.saturating_sub(counted)).map(|at| at.max(now() + LATE));
        counted = paused;
    }
}

/// The end of a time of which parts are waited for one after the other. It moves by what the process did not run.
#[derive(Debug, Clone, Copy)]
pub struct Deadline {
    at: Instant,
    paused: Duration,
}

impl Deadline {
    /// So long after now.
    pub fn after(limit: Duration) -> Self {
        let now = now();
        // A limit that no clock reaches is as good as a century.
        let at = now.checked_add(limit).unwrap_or(now + Duration::from_secs(100 * 365 * 24 * 3600));
        Self { at, paused: paused() }
    }

    /// When it is, as things are now.
    pub fn at(&self) -> Instant {
        self.at + paused().saturating_sub(self.paused)
    }

    /// Time until the deadline.
    pub fn left(&self) -> Duration {
        self.at().saturating_duration_since(now())
    }
}

/// The time was up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the time is up")]
pub struct Elapsed;

struct Pauses {
    last: Option<Instant>,
    total: Duration,
}

impl Pauses {
    fn beat(&mut self, now: Instant) {
        self.total = self.total(now);
        self.last = Some(now);
    }

    fn fall_silent(&mut self, now: Instant) {
        self.total = self.total(now);
        self.last = None;
    }

    fn total(&self, now: Instant) -> Duration {
        let gap = self.last.map_or(Duration::ZERO, |last| now.saturating_duration_since(last));
        if gap > BEAT + LATE { self.total + (gap - BEAT) } else { self.total }
    }
}

fn lock() -> MutexGuard<'static, Pauses> {
    PAUSES.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_gap_between_two_beats_is_a_pause() {
        let start = now();
        let mut pauses = Pauses { last: None, total: Duration::ZERO };
        assert_eq!(pauses.total(start + 3600 * SECOND), Duration::ZERO, "nothing is known without beats");
        pauses.beat(start);
        pauses.beat(start + 2 * SECOND);
        assert_eq!(pauses.total(start + 5 * SECOND), Duration::ZERO, "a busy machine");
        assert_eq!(pauses.total(start + 62 * SECOND), 58 * SECOND, "seen before the next beat, too");
        pauses.beat(start + 62 * SECOND);
        pauses.beat(start + 64 * SECOND);
        assert_eq!(pauses.total(start + 65 * SECOND), 58 * SECOND);
    }

    #[test]
    fn time_without_beats_is_no_pause() {
        let start = now();
        let mut pauses = Pauses { last: None, total: Duration::ZERO };
        pauses.beat(start);
        pauses.fall_silent(start + 12 * SECOND);
        assert_eq!(pauses.total(start + 3600 * SECOND), 10 * SECOND, "what was noticed before");
        pauses.beat(start + 3600 * SECOND);
        assert_eq!(pauses.total(start + 3601 * SECOND), 10 * SECOND);
    }

    #[tokio::test(start_paused = true)]
    async fn late_end_leaves_a_moment_for_what_came() {
        let (answer, answered) = tokio::sync::oneshot::channel();
        let waiting = crate::task::owned(timeout(SECOND, answered));
        tokio::task::yield_now().await;
        tokio::time::advance(60 * SECOND).await;
        tokio::task::yield_now().await;
        answer.send(1).unwrap();
        assert_eq!(waiting.await.unwrap(), Ok(Ok(1)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_timeout_without_a_pause_is_a_timeout() {
        assert_eq!(timeout(SECOND, std::future::pending::<()>()).await, Err(Elapsed));
        assert_eq!(timeout(SECOND, async { 1 }).await, Ok(1));
        assert_eq!(timeout(Duration::MAX, async { 1 }).await, Ok(1));
    }
}
