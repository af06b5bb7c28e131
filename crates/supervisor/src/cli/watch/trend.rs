//! What one tunnel's round trip and bytes did lately, from the answers that this client got.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::protocol::status::TunnelStatus;

/// Answers that are kept: a minute of them.
const KEPT: usize = 60;

/// A rate is over this time.
const RATE_OVER: Duration = Duration::from_secs(10);

/// Eighths of a cell, from the least to the most.
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

#[derive(Debug, Clone, Copy)]
struct TrendPoint {
    at: Instant,
    rtt_ms: Option<f64>,
    bytes_in: u64,
    bytes_out: u64,
}

/// The newest last.
#[derive(Debug, Default)]
pub(super) struct Trend(VecDeque<TrendPoint>);

impl Trend {
    pub(super) fn note(&mut self, tunnel: &TunnelStatus, at: Instant) {
        let sample = TrendPoint {
            at,
            rtt_ms: tunnel.session.as_ref().and_then(|session| session.rtt_ms),
            bytes_in: tunnel.forwards.iter().map(|forward| forward.bytes_in).sum(),
            bytes_out: tunnel.forwards.iter().map(|forward| forward.bytes_out).sum(),
        };
        // Counters begin anew with the daemon, and without a forward that a reload took out.
        if self.0.back().is_some_and(|last| last.bytes_in > sample.bytes_in || last.bytes_out > sample.bytes_out) {
            self.0.clear();
        }
        if self.0.len() == KEPT {
            self.0.pop_front();
        }
        self.0.push_back(sample);
    }

    /// Bytes a second towards and from the listeners' peers, over the last ten seconds; `None` after one answer.
    pub(super) fn rates(&self) -> Option<(f64, f64)> {
        let last = self.0.back()?;
        let is_recent = |sample: &&TrendPoint| last.at.saturating_duration_since(sample.at) <= RATE_OVER;
        let first = self.0.iter().find(is_recent)?;
        let seconds = last.at.saturating_duration_since(first.at).as_secs_f64();
        let rate = |now: u64, then: u64| amount(now - then) / seconds;
        (seconds > 0.0).then(|| (rate(last.bytes_in, first.bytes_in), rate(last.bytes_out, first.bytes_out)))
    }

    /// Round trips, at most `width` of them; a blank where there was no session.
    pub(super) fn rtt_bars(&self, width: usize) -> String {
        let newest = self.0.iter().skip(self.0.len().saturating_sub(width));
        bars(&newest.map(|sample| sample.rtt_ms).collect::<Vec<_>>())
    }

    /// Bytes in both directions from one answer to the next, at most `width` of them.
    pub(super) fn bytes_bars(&self, width: usize) -> String {
        let total = |sample: &TrendPoint| sample.bytes_in + sample.bytes_out;
        let steps = self.0.iter().zip(self.0.iter().skip(1)).map(|(then, now)| Some(amount(total(now) - total(then))));
        let steps: Vec<_> = steps.collect();
        bars(&steps[steps.len().saturating_sub(width)..])
    }
}

/// The place of a bar among the eight.
pub(super) fn height(bar: char) -> Option<usize> {
    BARS.iter().position(|known| *known == bar)
}

#[expect(clippy::cast_precision_loss, reason = "bars and rates have few digits")]
const fn amount(count: u64) -> f64 {
    count as f64
}

/// A bar for each value, in proportion to the largest; nothing at all is a blank.
fn bars(values: &[Option<f64>]) -> String {
    let most = values.iter().flatten().copied().fold(0.0, f64::max);
    let bar = |value: f64| {
        // Truncates on purpose: the largest is the last bar, and a little of something the first.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 7")]
        let step = (value / most * 7.0).round() as usize;
        BARS[step.min(7)]
    };
    values.iter().map(|value| value.filter(|value| *value > 0.0).map_or(' ', bar)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::render::example::{forward, session};
    use crate::lifecycle::ForwardPhase;
    use crate::protocol::status::{SessionStatus, example};

    fn tunnel(bytes: u64, rtt_ms: Option<f64>) -> TunnelStatus {
        let mut forward = forward(ForwardPhase::Up, 0);
        (forward.bytes_in, forward.bytes_out) = (bytes, 0);
        let session = Some(SessionStatus { rtt_ms, ..session() });
        TunnelStatus { forwards: vec![forward], session, ..example::tunnel("t", "up", true) }
    }

    fn after(samples: &[(u64, Option<f64>)]) -> Trend {
        let (mut trend, start) = (Trend::default(), tunnel_engine::clock::now());
        for (second, (bytes, rtt)) in (0..).zip(samples) {
            trend.note(&tunnel(*bytes, *rtt), start + Duration::from_secs(second));
        }
        trend
    }

    #[test]
    fn a_rate_is_over_the_last_ten_seconds() {
        assert_eq!(after(&[(0, None)]).rates(), None, "one answer says nothing");
        assert_eq!(after(&[(0, None), (500, None), (1000, None)]).rates(), Some((500.0, 0.0)));
        let mut long: Vec<_> = (0..30).map(|_| (0, None)).collect();
        long.push((1000, None));
        assert_eq!(after(&long).rates(), Some((100.0, 0.0)));
    }

    #[test]
    fn counters_that_began_anew_are_no_negative_rate() {
        assert_eq!(after(&[(5000, None), (10, None)]).rates(), None);
        assert_eq!(after(&[(5000, None), (10, None), (30, None)]).rates(), Some((20.0, 0.0)));
    }

    #[test]
    fn bars_are_in_proportion_to_the_largest() {
        let trend = after(&[(0, Some(1.0)), (10, None), (10, Some(2.0)), (80, Some(8.0))]);
        assert_eq!(trend.rtt_bars(10), "▂ ▃█");
        assert_eq!(trend.bytes_bars(10), "▂ █");
        assert_eq!(trend.rtt_bars(1), "█");
        assert_eq!(after(&[]).bytes_bars(5), "");
    }

    #[test]
    fn a_minute_is_kept() {
        let many: Vec<_> = (0..500).map(|second| (second, Some(1.0))).collect();
        assert_eq!(after(&many).0.len(), KEPT);
    }
}
