//! One sample each five minutes: how long the tunnel was wanted and ready, what flowed, and the round trip. Pure.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::rates::Traffic;
use super::report::{SampleReport, rounded};

/// The time that one sample covers.
pub(super) const SAMPLE: Duration = Duration::from_secs(300);

/// Samples that are kept: 24 hours.
pub(super) const MAX_SAMPLES: usize = 288;

const SAMPLE_MS: u64 = SAMPLE.as_millis() as u64;

/// Twenty bytes: a tunnel has 288 of them, and there may be thousands of tunnels. Bytes need no more than the seven
/// digits of an `f32` for a chart.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Sample {
    /// Milliseconds in which the tunnel was wanted up.
    pub(super) wanted: u32,
    /// Milliseconds of `wanted`.
    pub(super) ready: u32,
    /// Milliseconds; 0: unknown.
    #[serde(skip_serializing_if = "is_zero")]
    rtt: f32,
    #[serde(skip_serializing_if = "is_zero")]
    bytes_in: f32,
    #[serde(skip_serializing_if = "is_zero")]
    bytes_out: f32,
}

fn is_zero(value: &f32) -> bool {
    *value == 0.0
}

impl Sample {
    /// As a client receives it. `at`: its beginning.
    pub(super) fn report(&self, at: String) -> SampleReport {
        SampleReport {
            at,
            ready: (self.wanted > 0).then(|| f64::from(self.ready) / f64::from(self.wanted)),
            rtt_ms: (self.rtt > 0.0).then(|| rounded(self.rtt.into())),
            bytes_in: self.bytes_in as u64,
            bytes_out: self.bytes_out as u64,
        }
    }
}

/// When the sample of this time begins.
pub(super) const fn begin_of(wall_ms: u64) -> u64 {
    wall_ms / SAMPLE_MS * SAMPLE_MS
}

/// Without gaps: time in which tunneld did not run has samples in which nothing was wanted.
#[derive(Debug)]
pub(super) struct Samples {
    /// The last one's number, counted from 1970.
    newest: u64,
    /// At least one.
    kept: VecDeque<Sample>,
}

impl Samples {
    pub(super) fn new(wall_ms: u64) -> Self {
        Self { newest: wall_ms / SAMPLE_MS, kept: VecDeque::from([Sample::default()]) }
    }

    /// Makes room up to this time. Earlier times change nothing.
    pub(super) fn reach(&mut self, wall_ms: u64) {
        let slot = wall_ms / SAMPLE_MS;
        let ahead = slot.saturating_sub(self.newest);
        for _ in 0..ahead.min(MAX_SAMPLES as u64) {
            if self.kept.len() >= MAX_SAMPLES {
                self.kept.pop_front();
            } else {
                // One at a time would grow to twice the need.
                self.kept.reserve_exact(MAX_SAMPLES - self.kept.len());
            }
            self.kept.push_back(Sample::default());
        }
        self.newest += ahead;
    }

    /// The calendar was set back by so much: what is kept moves with it.
    pub(super) const fn move_back(&mut self, by_ms: u64) {
        self.newest = self.newest.saturating_sub(by_ms / SAMPLE_MS);
    }

    /// Counts wanted time that ends at `until_ms`, spread over the samples that it touches.
    pub(super) fn count(&mut self, until_ms: u64, elapsed_ms: u64, ready: bool) {
        self.reach(until_ms);
        let oldest = self.newest - (self.kept.len() as u64 - 1).min(self.newest);
        let mut left = elapsed_ms;
        let mut until = until_ms.max(self.newest * SAMPLE_MS);
        while left > 0 {
            // The end of a sample belongs to it.
            let slot = (until.saturating_sub(1) / SAMPLE_MS).max(oldest);
            let is_first = slot == oldest && self.kept.len() < MAX_SAMPLES;
            let part = if is_first { left } else { left.min(until - slot * SAMPLE_MS) };
            if let Some(sample) = self.slot(slot) {
                let part = u32::try_from(part).unwrap_or(u32::MAX);
                sample.wanted = sample.wanted.saturating_add(part);
                sample.ready = sample.ready.saturating_add(if ready { part } else { 0 });
            }
            if slot == oldest {
                return;
            }
            left -= part;
            until -= part.min(until);
        }
    }

    /// What has flowed since the last call, and the round trip of now.
    pub(super) fn flowed(&mut self, traffic: Traffic, rtt: Option<Duration>) {
        let Some(sample) = self.kept.back_mut() else { return };
        sample.bytes_in += traffic.bytes_in as f32;
        sample.bytes_out += traffic.bytes_out as f32;
        if let Some(rtt) = rtt {
            sample.rtt = rtt.as_secs_f32() * 1000.0;
        }
    }

    /// What an earlier process wrote down of the sample that begins then.
    pub(super) fn replace(&mut self, at_ms: u64, sample: Sample) {
        self.reach(at_ms);
        if let Some(kept) = self.slot(at_ms / SAMPLE_MS) {
            *kept = sample;
        }
    }

    /// Those that begin from `from_ms` on and before `until_ms`, and say something.
    pub(super) fn between(&self, from_ms: u64, until_ms: u64) -> impl Iterator<Item = (u64, &Sample)> {
        let said = |sample: &Sample| *sample != Sample::default();
        self.iter().filter(move |(at, sample)| (from_ms..until_ms).contains(at) && said(sample))
    }

    pub(super) fn are_empty(&self) -> bool {
        self.kept.iter().all(|sample| *sample == Sample::default())
    }

    /// The oldest first, each with the time at which it begins, in milliseconds since 1970.
    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = (u64, &Sample)> {
        let oldest = self.newest.saturating_sub(self.kept.len() as u64 - 1);
        self.kept.iter().enumerate().map(move |(at, sample)| ((oldest + at as u64) * SAMPLE_MS, sample))
    }

    /// Milliseconds wanted, and of these ready.
    pub(super) fn totals(&self) -> (u64, u64) {
        self.kept.iter().fold((0, 0), |(wanted, ready), sample| {
            (wanted + u64::from(sample.wanted), ready + u64::from(sample.ready))
        })
    }

    fn slot(&mut self, slot: u64) -> Option<&mut Sample> {
        let back = usize::try_from(self.newest.checked_sub(slot)?).ok()?;
        let at = self.kept.len().checked_sub(back + 1)?;
        self.kept.get_mut(at)
    }
}
