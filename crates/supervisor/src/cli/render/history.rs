//! What is known of a tunnel's past: its last 24 hours, and the lines of the log about failures.

use std::time::{Duration, SystemTime};

use tracing::Level;

use super::grid::paragraph;
use super::spans::{short, since};
use super::style::OutputStyle;
use crate::history::{KEPT, OutageReport, TunnelHistory};
use crate::protocol::LogLine;

/// So many lines of the log are shown by `why`.
const LOG_LINES: usize = 10;

/// Availability, mean time to recovery, and the newest outages, each line ended and moved in.
pub(in crate::cli) fn outages(
    history: &TunnelHistory,
    most: usize,
    now: SystemTime,
    indent: usize,
    output: OutputStyle,
) -> String {
    let mut text = paragraph(&availability(history, now), indent, output);
    for outage in history.outages.iter().take(most) {
        text += &paragraph(&one(outage, now), indent + 2, output);
    }
    match history.outages.len().saturating_sub(most) {
        0 => text,
        more => text + &paragraph(&format!("and {more} more"), indent + 2, output),
    }
}

fn availability(history: &TunnelHistory, now: SystemTime) -> String {
    // Where the clock was set meanwhile, it may look like more than is kept.
    let span = since(&history.since, now).map_or_else(|| "24h".to_owned(), |span| short(span.min(KEPT)));
    let Some(share) = history.availability else { return format!("last {span}: not wanted up") };
    let outages = match history.outages.len() {
        0 => "no outage".to_owned(),
        1 => "1 outage".to_owned(),
        many => format!("{many} outages"),
    };
    let mttr =
        history.mttr_s.map(|seconds| format!(", mean time to recovery {}", span_of(seconds))).unwrap_or_default();
    format!("last {span}: ready {} of the time, {outages}{mttr}", percent(share))
}

/// Never `100 %` where something is missing.
fn percent(share: f64) -> String {
    let hundredths = (share * 10_000.0).floor() / 100.0;
    if hundredths >= 100.0 { "100 %".to_owned() } else { format!("{hundredths:.2} %") }
}

fn one(outage: &OutageReport, now: SystemTime) -> String {
    let ago = since(&outage.from, now).map(|span| format!(" ({} ago)", short(span))).unwrap_or_default();
    let length = span_of(outage.seconds);
    let lasted = if outage.until.is_some() { format!("for {length}") } else { format!("for {length} so far") };
    let kind = outage.kind.as_ref().map(|kind| format!("{kind}: ")).unwrap_or_default();
    format!("{}{ago} {lasted}: {kind}{}", outage.from, outage.message)
}

fn span_of(seconds: f64) -> String {
    let span = Duration::try_from_secs_f64(seconds).unwrap_or_default();
    // A tenth of a second distinguishes outages that a redial healed.
    if span < Duration::from_secs(10) { format!("{seconds:.1}s") } else { short(span) }
}

/// The last lines about failures; empty where there are none.
pub(in crate::cli) fn trouble(lines: &[LogLine], output: OutputStyle) -> String {
    let matters = |line: &&LogLine| line.level != Level::INFO || line.message.contains("kind=");
    let chosen: Vec<&LogLine> = lines.iter().filter(matters).collect();
    let newest = &chosen[chosen.len().saturating_sub(LOG_LINES)..];
    newest.iter().map(|line| log_line(line, 2, output)).collect()
}

/// One line of the log.
pub(in crate::cli) fn log_line(line: &LogLine, indent: usize, output: OutputStyle) -> String {
    let LogLine { at, level, message } = line;
    paragraph(&format!("{at} {level}: {message}"), indent, output)
}

#[cfg(test)]
mod tests {
    use super::super::table::tests::now;
    use super::*;
    use crate::word::Word;

    fn history() -> TunnelHistory {
        let outage = |from: &str, until: Option<&str>, seconds, kind: Option<&str>, message: &str| OutageReport {
            from: from.into(),
            until: until.map(str::to_owned),
            seconds,
            kind: kind.map(Word::read),
            message: message.into(),
        };
        TunnelHistory {
            name: "t".into(),
            since: "2026-01-01T00:00:00Z".into(),
            availability: Some(0.999_96),
            mttr_s: Some(1.25),
            outages: vec![
                outage("2026-01-01T00:59:30Z", None, 30.0, Some("keepalive_timeout"), "`h:22` fell silent"),
                outage("2026-01-01T00:30:00Z", Some("2026-01-01T00:30:01Z"), 1.25, None, "restarted"),
            ],
            samples: vec![],
        }
    }

    #[test]
    fn the_past_is_told_with_causes_and_lengths() {
        let expected = "\u{20} last 1h: ready 99.99 % of the time, 2 outages, mean time to recovery 1.2s
    2026-01-01T00:59:30Z (30s ago) for 30s so far: keepalive_timeout: `h:22` fell silent
    2026-01-01T00:30:00Z (30m ago) for 1.2s: restarted
";
        assert_eq!(outages(&history(), 5, now(), 2, OutputStyle::PIPE), expected);
        assert!(
            outages(&history(), 1, now(), 2, OutputStyle::PIPE)
                .ends_with("for 30s so far: keepalive_timeout: `h:22` fell silent\n    and 1 more\n")
        );
        let unwanted = TunnelHistory { availability: None, outages: vec![], ..history() };
        assert_eq!(outages(&unwanted, 5, now(), 0, OutputStyle::PIPE), "last 1h: not wanted up\n");
        let clock_set = TunnelHistory { since: "2018-01-01T00:00:00Z".into(), ..unwanted };
        assert_eq!(outages(&clock_set, 5, now(), 0, OutputStyle::PIPE), "last 1d: not wanted up\n");
    }

    #[test]
    fn at_most_ten_lines_about_failures_are_shown() {
        let line =
            |level: Level, message: String| LogLine { at: "2026-01-01T00:00:00Z".into(), level: level.into(), message };
        let mut lines: Vec<LogLine> = (0..20).map(|number| line(Level::WARN, format!("trouble {number}"))).collect();
        lines.push(line(Level::INFO, "ready".into()));
        lines.push(line(Level::INFO, "session ended kind=connection_lost".into()));
        let text = trouble(&lines, OutputStyle::PIPE);
        assert_eq!(text.lines().count(), 10, "{text}");
        assert!(text.starts_with("  2026-01-01T00:00:00Z warn: trouble 11\n"), "{text}");
        assert!(text.ends_with("info: session ended kind=connection_lost\n") && !text.contains("ready"), "{text}");
        assert_eq!(trouble(&[], OutputStyle::PIPE), "");
    }
}
