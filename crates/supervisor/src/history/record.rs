//! What is known of one tunnel's last 24 hours. Pure: every change says when it is.

use std::time::Duration;

use super::cause::Cause;
use super::moment::{Moment, millis};
use super::outages::Outages;
use super::rates::Traffic;
use super::samples::{MAX_SAMPLES, SAMPLE, Samples};

/// How far back the record goes.
pub(super) const KEPT: Duration = Duration::from_secs(SAMPLE.as_secs() * MAX_SAMPLES as u64);

/// A calendar that goes back by more was set; by less it was adjusted.
const SET_BACK: Duration = SAMPLE.saturating_mul(2);

/// How a tunnel is, as far as its availability is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Its time does not count.
    NotWanted,
    NotReady,
    Ready,
}

#[derive(Debug)]
pub(super) struct Record {
    state: State,
    /// When the record began.
    pub(super) begun: u64,
    /// Up to when time has been counted.
    counted: Moment,
    pub(super) samples: Samples,
    pub(super) outages: Outages,
}

impl Record {
    /// Of a tunnel that is not wanted so far.
    pub(super) fn new(now: Moment) -> Self {
        Self {
            state: State::NotWanted,
            begun: now.wall_ms(),
            counted: now,
            samples: Samples::new(now.wall_ms()),
            outages: Outages::default(),
        }
    }

    /// The tunnel is in this state from now on; `cause`: a failure that has not been told yet, or why the state changes.
    pub(super) fn change(&mut self, state: State, cause: Option<&Cause>, now: Moment) {
        self.advance(now);
        match (self.state, state) {
            (State::NotWanted, State::NotReady) => self.outages.begin_start(now.wall_ms()),
            (State::Ready, State::NotReady) => {
                let unknown = || Cause::without_kind("it was not ready, and no failure was told");
                self.outages.begin(now.wall_ms(), cause.cloned().unwrap_or_else(unknown));
            }
            (_, State::NotWanted | State::Ready) => {
                self.outages.end();
            }
            (State::NotReady, State::NotReady) => {}
        }
        if let (State::NotReady, Some(cause)) = (state, cause) {
            self.outages.failed(cause);
        }
        self.state = state;
    }

    /// Counts the time up to now.
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
        if self.state != State::NotWanted {
            self.samples.count(wall, elapsed_ms, self.state == State::Ready);
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
