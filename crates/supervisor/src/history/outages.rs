//! The times in which a tunnel was wanted and not ready. Pure.

use std::collections::VecDeque;

use super::cause::Cause;

/// Outages that are kept of one tunnel. More than these in a day is a tunnel that flaps, whose availability says it.
pub(super) const MAX_OUTAGES: usize = 100;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PastOutage {
    /// Milliseconds since 1970.
    pub(super) from: u64,
    /// The same; while it lasts, up to when it has been counted.
    pub(super) until: u64,
    /// Milliseconds, measured: less than from `from` to `until` where the machine slept or its clock was set.
    pub(super) length: u64,
    pub(super) cause: Cause,
}

/// In the order in which they ended, and the one that lasts.
#[derive(Debug, Default)]
pub(super) struct Outages {
    past: VecDeque<PastOutage>,
    open: Option<OpenOutage>,
}

#[derive(Debug)]
struct OpenOutage {
    outage: PastOutage,
    /// A start that succeeds at once is no outage: it becomes one with the first failure.
    is_start: bool,
}

impl Outages {
    /// The tunnel was ready, and is not any more.
    pub(super) fn begin(&mut self, now: u64, cause: Cause) {
        let outage = PastOutage { from: now, until: now, length: 0, cause };
        self.open = Some(OpenOutage { outage, is_start: false });
    }

    /// The tunnel is wanted from now on, and has to start first.
    pub(super) fn begin_start(&mut self, now: u64) {
        self.begin(now, Cause::without_kind("the start did not succeed"));
        self.open.iter_mut().for_each(|open| open.is_start = true);
    }

    /// Something went wrong while it lasts. The first failure is the cause; whether this one is.
    pub(super) fn failed(&mut self, cause: &Cause) -> bool {
        let Some(open) = &mut self.open else { return false };
        let is_cause = open.is_start || (open.outage.cause.kind.is_none() && cause.kind.is_some());
        if is_cause {
            open.outage.cause = cause.clone();
        }
        open.is_start = false;
        is_cause
    }

    /// The length of the outage that ended last, where it was measured.
    pub(super) fn measured(&mut self, length: Option<u64>) {
        if let (Some(outage), Some(length)) = (self.past.back_mut(), length) {
            outage.length = length;
        }
    }

    pub(super) fn count(&mut self, until: u64, elapsed: u64) {
        if let Some(OpenOutage { outage, .. }) = &mut self.open {
            outage.until = until.max(outage.from);
            outage.length += elapsed;
        }
    }

    /// It is over. What ended then, if that was an outage.
    pub(super) fn end(&mut self) -> Option<&PastOutage> {
        let OpenOutage { outage, is_start } = self.open.take()?;
        if is_start {
            return None;
        }
        if self.past.len() >= MAX_OUTAGES {
            self.past.pop_front();
        }
        self.past.push_back(outage);
        self.past.back()
    }

    /// Those that ended before are forgotten.
    pub(super) fn forget(&mut self, before: u64) {
        while self.past.front().is_some_and(|outage| outage.until < before) {
            self.past.pop_front();
        }
    }

    /// The calendar was set back by so much: what is kept moves with it.
    pub(super) fn move_back(&mut self, by: u64) {
        for outage in self.past.iter_mut().chain(self.open.as_mut().map(|open| &mut open.outage)) {
            outage.from = outage.from.saturating_sub(by);
            outage.until = outage.until.saturating_sub(by);
        }
    }

    /// Those that are over, the newest first.
    pub(super) fn past(&self) -> impl DoubleEndedIterator<Item = &PastOutage> {
        self.past.iter().rev()
    }

    /// The one that lasts.
    pub(super) fn open(&self) -> Option<&PastOutage> {
        self.open.as_ref().filter(|open| !open.is_start).map(|open| &open.outage)
    }
}
