//! The records of all tunnels, shared by those who write and those who read.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::cause::Cause;
use super::event::Event;
use super::events::{Events, Following};
use super::moment::Moment;
use super::rates::{Rates, Readings, Traffic};
use super::record::{Record, State};
use super::report::TunnelHistory;
use crate::lifecycle::Want;

/// How often the counters of all tunnels are read: rates are about the last ten seconds.
pub const SAMPLE_EVERY: Duration = Duration::from_secs(10);

/// A handle to all records.
#[derive(Debug, Clone, Default)]
pub struct Recorder(Arc<Mutex<Records>>);

#[derive(Debug, Default)]
struct Records {
    tunnels: HashMap<String, Known>,
    events: Events,
}

#[derive(Debug)]
struct Known {
    record: Record,
    readings: Readings,
}

impl Recorder {
    /// How a tunnel is from now on, and why, where it is not as it was or something failed.
    pub(crate) fn changed(&self, name: &str, want: Want, ready: bool, cause: Option<&Cause>, now: Moment) {
        let state = match (want, ready) {
            (Want::Down, _) => State::NotWanted,
            (Want::Up, false) => State::NotReady,
            (Want::Up, true) => State::Ready,
        };
        self.lock().known(name, now).record.change(state, cause, now);
    }

    /// Takes a reading of a tunnel's counters.
    pub(crate) fn sample(&self, name: &str, traffic: Traffic, rtt: Option<Duration>, now: Moment) {
        let mut records = self.lock();
        let known = records.known(name, now);
        let added = known.readings.add(traffic, now.awake);
        known.record.flowed(added, rtt, now);
    }

    /// Bytes a second over about the last ten, where that is known.
    pub(crate) fn rates(&self, name: &str, traffic: Traffic, now: Moment) -> Option<Rates> {
        self.lock().tunnels.get(name)?.readings.rates(traffic, now.awake)
    }

    /// The last 24 hours of these tunnels, in this order.
    pub(crate) fn report<'a>(&self, names: impl Iterator<Item = &'a str>, now: Moment) -> Vec<TunnelHistory> {
        let mut records = self.lock();
        let report = |name: &str| {
            let record = &mut records.known(name, now).record;
            record.advance(now);
            record.report(name, now.wall_ms())
        };
        names.map(report).collect()
    }

    /// Something happened.
    pub(crate) fn tell(&self, event: Event) {
        self.lock().events.add(event);
    }

    /// What has happened, and with `follow` what happens from then on: nothing is left out between the two.
    pub(crate) fn events(&self, follow: bool) -> (Vec<Arc<Event>>, Option<Following>) {
        let events = &mut self.lock().events;
        (events.kept(), follow.then(|| events.follow()))
    }

    fn lock(&self) -> MutexGuard<'_, Records> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Records {
    fn known(&mut self, name: &str, now: Moment) -> &mut Known {
        self.tunnels
            .entry(name.to_owned())
            .or_insert_with(|| Known { record: Record::new(now), readings: Readings::default() })
    }
}
