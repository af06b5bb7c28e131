//! The last 24 hours as the paths of small SVG charts, 288 units wide, one a sample, and 24 high. Pure.

use std::fmt::Write;
use std::time::{Duration, SystemTime};

use crate::history::SampleReport;

/// The time that one sample covers: see [`crate::history::TunnelHistory`].
pub(super) const SAMPLE: Duration = Duration::from_secs(300);

/// Units, each one sample.
const WIDTH: i64 = 288;

/// Height in units of the SVG view box.
const HEIGHT: f64 = 24.0;

/// How high a time without readiness is drawn: what is not ready is shown by its height as well as by its colour.
const LOW: f64 = 8.0;

/// A full bar where the tunnel was ready, as far as it was.
pub(super) fn ready(samples: &[SampleReport]) -> String {
    bars(samples, |sample| sample.ready.filter(|share| *share > 0.0).map(|share| share * HEIGHT))
}

/// A low bar where it was wanted, and not ready all the time.
pub(super) fn down(samples: &[SampleReport]) -> String {
    bars(samples, |sample| sample.ready.filter(|share| *share < 1.0).map(|_| LOW))
}

/// Bytes in both directions, to the scale of the largest sample.
pub(super) fn bytes(samples: &[SampleReport]) -> String {
    let most = most_bytes(samples);
    bars(samples, |sample| {
        let bytes = total(sample);
        (bytes > 0.0).then(|| (bytes / most * HEIGHT).max(1.0))
    })
}

/// The largest sum of bytes of one sample.
pub(super) fn most_bytes(samples: &[SampleReport]) -> f64 {
    samples.iter().map(total).fold(0.0, f64::max)
}

/// The longest round trip, in milliseconds.
pub(super) fn most_rtt(samples: &[SampleReport]) -> Option<f64> {
    samples.iter().filter_map(|sample| sample.rtt_ms).max_by(f64::total_cmp)
}

/// A line of round trips, to the scale of the longest; broken where there was none.
pub(super) fn rtt(samples: &[SampleReport]) -> String {
    let most = most_rtt(samples).filter(|most| *most > 0.0).unwrap_or(1.0);
    let mut path = String::new();
    let mut before = None;
    for (at, sample) in placed(samples) {
        let Some(rtt) = sample.rtt_ms else { continue };
        let y = rounded(HEIGHT - rtt / most * (HEIGHT - 2.0) - 1.0);
        let command = if before == Some(at - 1) { 'L' } else { 'M' };
        let _ = write!(path, "{command}{at} {y}h1");
        before = Some(at);
    }
    path
}

/// Bars from the bottom up; neighbours of one height are one.
fn bars(samples: &[SampleReport], height: impl Fn(&SampleReport) -> Option<f64>) -> String {
    let mut joined: Vec<(i64, i64, f64)> = Vec::new();
    for (at, sample) in placed(samples) {
        let Some(height) = height(sample).map(rounded) else { continue };
        match joined.last_mut() {
            Some((from, length, same)) if *from + *length == at && *same == height => *length += 1,
            _ => joined.push((at, 1, height)),
        }
    }
    let mut path = String::new();
    for (from, length, height) in joined {
        let _ = write!(path, "M{from} {HEIGHT}v-{height}h{length}v{height}z");
    }
    path
}

/// Each sample with its place; the newest is at the right edge.
fn placed(samples: &[SampleReport]) -> impl Iterator<Item = (i64, &SampleReport)> {
    let newest = samples.last().and_then(|sample| time(&sample.at));
    samples.iter().filter_map(move |sample| {
        let age = newest?.duration_since(time(&sample.at)?).ok()?;
        let ago = i64::try_from(age.as_secs() / SAMPLE.as_secs()).ok()?;
        let at = WIDTH - 1 - ago;
        (at >= 0).then_some((at, sample))
    })
}

fn time(text: &str) -> Option<SystemTime> {
    humantime::parse_rfc3339(text).ok()
}

fn total(sample: &SampleReport) -> f64 {
    (sample.bytes_in + sample.bytes_out) as f64
}

fn rounded(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(minute: u32, ready: Option<f64>, rtt_ms: Option<f64>, bytes_in: u64) -> SampleReport {
        SampleReport { at: format!("2026-01-01T00:{minute:02}:00Z"), ready, rtt_ms, bytes_in, bytes_out: 0 }
    }

    #[test]
    fn readiness_is_a_high_bar_its_absence_low() {
        let samples = [
            sample(0, Some(1.0), None, 0),
            sample(5, Some(1.0), None, 0),
            sample(10, Some(0.0), None, 0),
            sample(15, None, None, 0),
            sample(20, Some(0.5), None, 0),
        ];
        assert_eq!(ready(&samples), "M283 24v-24h2v24zM287 24v-12h1v12z");
        assert_eq!(down(&samples), "M285 24v-8h1v8zM287 24v-8h1v8z");
    }

    #[test]
    fn samples_stand_where_their_time_is() {
        let samples = [sample(0, None, None, 5), sample(50, None, None, 10)];
        assert_eq!(bytes(&samples), "M277 24v-12h1v12zM287 24v-24h1v24z");
        assert_eq!(bytes(&[]), "");
    }

    #[test]
    fn line_of_round_trips_breaks_where_there_was_none() {
        let samples = [
            sample(0, None, Some(10.0), 0),
            sample(5, None, Some(5.0), 0),
            sample(10, None, None, 0),
            sample(15, None, Some(10.0), 0),
        ];
        assert_eq!(rtt(&samples), "M284 1h1L285 12h1M287 1h1");
        assert_eq!(most_rtt(&samples), Some(10.0));
    }
}
