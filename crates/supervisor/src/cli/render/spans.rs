//! Spans of time as people read them.

use std::time::{Duration, SystemTime};

/// Two units at most: `3d4h`, `12m5s`, `8s`.
pub(in crate::cli) fn short(span: Duration) -> String {
    let seconds = span.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    let pair = |big: u64, unit: &str, small: u64, below: &str| {
        if small == 0 { format!("{big}{unit}") } else { format!("{big}{unit}{small}{below}") }
    };
    match (days, hours, minutes) {
        (0, 0, 0) if seconds == 0 && !span.is_zero() => format!("{}ms", span.subsec_millis()),
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, minutes) => pair(minutes, "m", seconds % 60, "s"),
        (0, hours, minutes) => pair(hours, "h", minutes, "m"),
        (days, hours, _) => pair(days, "d", hours, "h"),
    }
}

/// Whole seconds from an RFC 3339 time until `now`, as the times of the status have no finer ones; `None` where the
/// text is no time. A clock that was set back reads as zero.
pub(in crate::cli) fn since(text: &str, now: SystemTime) -> Option<Duration> {
    let then = humantime::parse_rfc3339(text).ok()?;
    let span = now.duration_since(then).unwrap_or_default();
    Some(Duration::from_secs(span.as_secs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_has_two_units_at_most() {
        let of = |seconds| short(Duration::from_secs(seconds));
        assert_eq!(of(8), "8s");
        assert_eq!(of(60), "1m");
        assert_eq!(of(725), "12m5s");
        assert_eq!(of(3600), "1h");
        assert_eq!(of(3 * 3600 + 12 * 60 + 7), "3h12m");
        assert_eq!(of(3 * 86_400 + 4 * 3600 + 59), "3d4h");
        assert_eq!(short(Duration::from_millis(250)), "250ms");
        assert_eq!(short(Duration::ZERO), "0s");
    }

    #[test]
    fn a_time_in_the_future_is_no_time_ago() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(100);
        assert_eq!(since("1970-01-01T00:00:40Z", now), Some(Duration::from_secs(60)));
        assert_eq!(since("1970-01-01T00:00:40.5Z", now), Some(Duration::from_secs(59)));
        assert_eq!(since("2970-01-01T00:00:00Z", now), Some(Duration::ZERO));
        assert_eq!(since("yesterday", now), None);
    }
}
