//! What is known of one tunnel's last 24 hours. Pure: every change says when it is.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::cause::Cause;
use super::moment::{Moment, millis};
use super::outages::Outages;
use super::rates::Traffic;
use super::samples::{MAX_SAMPLES, SAMPLE, Samples};

/// How far back the record goes.
pub(crate) const KEPT: Duration = Duration::from_secs(SAMPLE.as_secs() * MAX_SAMPLES as u64);

/// A calendar that goes back by more was set; by less it was adjusted.
const SET_BACK: Duration = SAMPLE.saturating_mul(2);

/// How a tunnel is, as far as its availability is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Availability {
    /// Its time does not count.
    NotWanted,
    NotReady,
    Ready,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RecordChange {
    /// Another state, or another cause.
    pub(super) is_news: bool,
    /// The length of the outage that ended, in milliseconds.
    pub(super) ended: Option<u64>,
}

#[derive(Debug)]
pub(super) struct TunnelRecord {
    state: Availability,
    pub(super) begun: u64,
    /// Up to when time has been counted.
    counted: Moment,
    pub(super) samples: Samples,
    pub(super) outages: Outages,
}

impl TunnelRecord {
    /// Of a tunnel that is not wanted so far.
    pub(super) fn new(now: Moment) -> Self {
        Self {
            state: Availability::NotWanted,
            begun: now.wall_ms(),
            counted: now,
            samples: Samples::new(now.wall_ms()),
            outages: Outages::default(),
        }
    }

    /// The tunnel is in this state from now on; `cause`: a failure that has not been told yet, or why the state
    /// changes.
    pub(super) fn change(&mut self, state: Availability, cause: Option<&Cause>, now: Moment) -> RecordChange {
        self.advance(now);
        let mut changed = RecordChange { is_news: self.state != state, ended: None };
        match (self.state, state) {
            (Availability::NotWanted, Availability::NotReady) => self.outages.begin_start(now.wall_ms()),
            (Availability::Ready, Availability::NotReady) => {
                let unknown = || Cause::without_kind("it was not ready, and no failure was told");
                self.outages.begin(now.wall_ms(), cause.cloned().unwrap_or_else(unknown));
            }
            (_, Availability::NotWanted | Availability::Ready) => {
                changed.ended = self.outages.end().map(|outage| outage.length)
            }
            (Availability::NotReady, Availability::NotReady) => {}
        }
        if let (Availability::NotReady, Some(cause)) = (state, cause) {
            changed.is_news |= self.outages.failed(cause);
        }
        self.state = state;
        changed
    }

    /// From then on tunneld did not run, although it was not stopped.
    /// Whether that is the cause of an outage.
    pub(super) fn lost(&mut self, cause: &Cause, at: Moment) -> bool {
        self.state != Availability::NotWanted && self.change(Availability::NotReady, Some(cause), at).is_news
    }

    /// A process that has another monotonic clock goes on with it.
    pub(super) fn resume(&mut self, now: Moment) {
        let gap = now.wall.duration_since(self.counted.wall).unwrap_or_default();
        self.advance(Moment { awake: self.counted.awake + gap, wall: now.wall });
        self.counted = now;
    }

    /// Nothing is known of the last day.
    pub(super) fn is_empty(&self) -> bool {
        self.state == Availability::NotWanted && self.samples.are_empty() && self.outages.past().next().is_none()
    }

    pub(super) fn advance(&mut self, now: Moment) {
        let elapsed = now.awake.saturating_duration_since(self.counted.awake);
        let elapsed_ms = millis(elapsed);
        let (before, wall) = (self.counted.wall_ms(), now.wall_ms());
        let back = (before + elapsed_ms).saturating_sub(wall);
        if back > millis(SET_BACK) {
            self.samples.move_back(back);
            self.outages.move_back(back);
            self.begun = self.begun.saturating_sub(back);
        }
        self.samples.reach(wall);
        if self.state != Availability::NotWanted {
            self.samples.count(wall, elapsed_ms, self.state == Availability::Ready);
            self.outages.count(wall, elapsed_ms);
        }
        self.outages.forget(wall.saturating_sub(millis(KEPT)));
        // What is less than a millisecond is counted the next time.
        let counted = Duration::from_millis(elapsed_ms);
        self.counted = Moment { awake: self.counted.awake + counted, wall: now.wall };
    }

    pub(super) fn flowed(&mut self, traffic: Traffic, rtt: Option<Duration>, now: Moment) {
        self.advance(now);
        self.samples.flowed(traffic, rtt);
    }
}
