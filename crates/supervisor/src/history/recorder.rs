//! The records of all tunnels, shared by those who write and those who read.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::cause::Cause;
use super::event::Event;
use super::events::{Events, Following};
use super::moment::Moment;
use super::rates::{Rates, Readings, Traffic};
use super::record::{Availability, TunnelRecord};
use super::report::TunnelHistory;
use super::samples::begin_of;
use super::store::{self, SampleLine, StateLine, StoreLine, Writer};
use crate::lifecycle::Want;

/// How often the counters of all tunnels are read: rates are about the last ten seconds.
pub const SAMPLE_EVERY: Duration = Duration::from_secs(10);

/// How often the file is told that tunneld still runs: after an end that was not a stop, its time is known to a minute.
const ALIVE_EVERY_MS: u64 = 60_000;

/// A handle to all records.
#[derive(Debug, Clone, Default)]
pub struct Recorder(Arc<Mutex<Records>>);

#[derive(Debug, Default)]
struct Records {
    tunnels: HashMap<String, RecordedTunnel>,
    events: Events,
    /// None: in memory only.
    writer: Option<Writer>,
    /// When the file was told last that tunneld runs.
    alive_at: u64,
    /// Samples that begin before are in the file.
    written_to: u64,
}

#[derive(Debug)]
struct RecordedTunnel {
    record: TunnelRecord,
    readings: Readings,
}

impl RecordedTunnel {
    fn of(record: TunnelRecord) -> Self {
        Self { record, readings: Readings::default() }
    }
}

impl Recorder {
    /// With what earlier processes left in this folder, to which this one adds. Blocking.
    pub fn open(folder: Option<&Path>) -> Self {
        let recorder = Self::default();
        let now = Moment::now();
        let records = &mut *recorder.lock();
        (records.alive_at, records.written_to) = (now.wall_ms(), begin_of(now.wall_ms()));
        if let Some((known, writer)) = folder.and_then(|folder| store::open(folder, now)) {
            records.tunnels = known.into_iter().map(|(name, record)| (name, RecordedTunnel::of(record))).collect();
            records.writer = Some(writer);
        }
        recorder.clone()
    }

    /// Of all others, no time counts from now on: they may have left the config since what is known of them was written.
    pub(crate) fn only<'a>(&self, wanted: impl Iterator<Item = &'a str>, now: Moment) {
        let wanted: HashSet<&str> = wanted.collect();
        let names: Vec<String> =
            self.lock().tunnels.keys().filter(|name| !wanted.contains(name.as_str())).cloned().collect();
        for name in names {
            self.changed(&name, Want::Down, false, None, now);
        }
    }

    /// How a tunnel is from now on, and why, where it is not as it was or something failed.
    pub(crate) fn changed(&self, name: &str, want: Want, ready: bool, cause: Option<&Cause>, now: Moment) {
        let state = match (want, ready) {
            (Want::Down, _) => Availability::NotWanted,
            (Want::Up, false) => Availability::NotReady,
            (Want::Up, true) => Availability::Ready,
        };
        let mut records = self.lock();
        let changed = records.known(name, now).record.change(state, cause, now);
        if changed.is_news {
            let line = StateLine::new(name, now.wall_ms(), state, cause);
            records.write(&StoreLine::State(StateLine { length: changed.ended, ..line }));
        }
    }

    /// Called after each round of readings: writes what is due.
    pub(crate) fn tick(&self, now: Moment) {
        let mut records = self.lock();
        let (now_ms, begin) = (now.wall_ms(), begin_of(now.wall_ms()));
        if records.written_to != begin {
            records.tunnels.values_mut().for_each(|known| known.record.advance(now));
            records.tunnels.retain(|_, known| !(known.record.is_empty() && known.readings.are_stale(now.awake)));
            records.write_samples(begin);
        }
        if now_ms.abs_diff(records.alive_at) >= ALIVE_EVERY_MS {
            records.alive_at = now_ms;
            records.write(&StoreLine::Alive { at: now_ms });
        }
    }

    /// tunneld was stopped. Waits for the disk, within bounds.
    pub fn end(&self) {
        let now = Moment::now();
        let mut records = self.lock();
        records.tunnels.values_mut().for_each(|known| known.record.advance(now));
        records.write_samples(u64::MAX);
        records.write(&StoreLine::Stopped { at: now.wall_ms() });
        if let Some(writer) = records.writer.take() {
            drop(records);
            writer.end();
        }
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

    pub(crate) fn push(&self, event: Event) {
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
    fn known(&mut self, name: &str, now: Moment) -> &mut RecordedTunnel {
        self.tunnels.entry(name.to_owned()).or_insert_with(|| RecordedTunnel::of(TunnelRecord::new(now)))
    }

    fn write(&mut self, line: &StoreLine) {
        if let Some(writer) = &mut self.writer {
            writer.write(line.encoded());
        }
    }

    /// Those that begin before `until`, of all tunnels at once.
    fn write_samples(&mut self, until: u64) {
        let from = std::mem::replace(&mut self.written_to, until);
        let Some(writer) = &mut self.writer else { return };
        let mut text = Vec::new();
        for (name, known) in &self.tunnels {
            for (at, sample) in known.record.samples.between(from, until) {
                text.extend(StoreLine::Sample(SampleLine { tunnel: name.clone(), at, sample: *sample }).encoded());
            }
        }
        if !text.is_empty() {
            writer.write(text);
        }
    }
}
