//! Writes down what a core was told and what it answered, and tells it all again to a new one.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::{Core, TunnelEffect, TunnelEvent};
use crate::config::TunnelSpec;
use crate::history::Moment;
use crate::tunnel::Snapshot;

thread_local! {
    /// Of the one tunnel of a test that asked for it; a test's runtime has one thread.
    static RECORDING: RefCell<Option<CoreRecording>> = const { RefCell::new(None) };
}

/// One run of one core.
#[derive(Default)]
pub(in crate::tunnel) struct CoreRecording {
    begin: Option<(TunnelSpec, Duration, u64, Moment)>,
    steps: Vec<RecordedStep>,
}

/// An event, and what followed from it.
struct RecordedStep {
    event: TunnelEvent,
    now: Moment,
    effects: Vec<TunnelEffect>,
    timeout: Option<Instant>,
    snapshot: Arc<Snapshot>,
}

/// The next core that this thread makes is recorded.
pub(in crate::tunnel) fn record() {
    RECORDING.set(Some(CoreRecording::default()));
}

/// What was recorded since.
pub(in crate::tunnel) fn take() -> CoreRecording {
    RECORDING.take().expect("a recording")
}

pub(in crate::tunnel::core) fn begin(spec: &TunnelSpec, stop_timeout: Duration, seed: u64, now: Moment) {
    RECORDING.with_borrow_mut(|recording| {
        if let Some(recording) = recording {
            recording.begin.get_or_insert((spec.clone(), stop_timeout, seed, now));
        }
    });
}

pub(in crate::tunnel::core) fn note(core: &Core, event: TunnelEvent, now: Moment) {
    RECORDING.with_borrow_mut(|recording| {
        if let Some(recording) = recording {
            let (effects, timeout) = (core.effects.iter().cloned().collect(), core.poll_timeout());
            recording.steps.push(RecordedStep { event, now, effects, timeout, snapshot: core.snapshot().clone() });
        }
    });
}

impl CoreRecording {
    /// Tells the same events to a new core, and holds it to the same effects, deadlines and snapshots. Returns how many
    /// events and effects there were.
    pub(in crate::tunnel) fn replay(self) -> (usize, usize) {
        let (spec, stop_timeout, seed, began) = self.begin.expect("a core");
        let mut core = Core::new(spec, stop_timeout, seed, began);
        while core.poll_effect().is_some() {}
        let mut counts = (0, 0);
        for (at, step) in self.steps.into_iter().enumerate() {
            let told = format!("event {at}: {:?}", step.event);
            core.handle(step.event, step.now);
            let effects: Vec<TunnelEffect> = std::iter::from_fn(|| core.poll_effect()).collect();
            assert_eq!(effects, step.effects, "{told}");
            assert_eq!(core.poll_timeout(), step.timeout, "{told}");
            assert_eq!(*core.snapshot(), step.snapshot, "{told}");
            counts = (counts.0 + 1, counts.1 + effects.len());
        }
        counts
    }
}
