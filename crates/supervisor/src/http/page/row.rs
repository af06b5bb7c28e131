//! One tunnel as the page shows it: every text and chart, ready to be put in its place. Pure.

use std::time::{Duration, SystemTime};

use serde::Serialize;

use super::super::ready;
use super::{chart, words};
use crate::history::{TunnelHistory, rfc3339};
use crate::lifecycle::{Phase, Want};
use crate::protocol::status::{ForwardStatus, TunnelStatus};

/// The fields are the places of `row.html`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub(super) struct PageRow {
    pub(super) name: String,
    pub(super) mood: RowState,
    pub(super) server: String,
    pub(super) state: String,
    /// RFC 3339.
    pub(super) since: String,
    pub(super) cause: String,
    pub(super) hint: String,
    pub(super) next: String,
    pub(super) forwards: String,
    /// A line each.
    pub(super) forward_lines: String,
    /// A line each.
    pub(super) traffic: String,
    pub(super) ready: String,
    pub(super) down: String,
    pub(super) ready_label: String,
    pub(super) ready_text: String,
    pub(super) rtt: String,
    pub(super) rtt_label: String,
    pub(super) rtt_text: String,
    pub(super) bytes: String,
    pub(super) bytes_label: String,
    pub(super) bytes_text: String,
}

/// What its sign and colour are. The order is that of the table: what needs a person comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum RowState {
    /// It does not come back by itself.
    Trouble,
    /// It is trying.
    Waiting,
    /// Up, with every forward.
    Ready,
    /// Not wanted.
    #[default]
    Off,
}

impl RowState {
    fn of(tunnel: &TunnelStatus) -> Self {
        match (tunnel.want.known(), tunnel.ready, tunnel.phase.known()) {
            (Some(Want::Up), true, _) => Self::Ready,
            (Some(Want::Up), false, Some(Phase::Blocked | Phase::Failed)) => Self::Trouble,
            (Some(Want::Up), false, _) => Self::Waiting,
            (Some(Want::Down) | None, ..) => Self::Off,
        }
    }
}

impl PageRow {
    /// `now` is for times that are shown as distances from it.
    pub(super) fn of(tunnel: &TunnelStatus, history: Option<&TunnelHistory>, now: SystemTime) -> Self {
        let mood = RowState::of(tunnel);
        let failing = matches!(mood, RowState::Trouble | RowState::Waiting);
        let failure = tunnel.last_failure.as_ref().filter(|_| failing && tunnel.phase != Phase::Up);
        let mut row = Self {
            name: tunnel.name.clone(),
            mood,
            server: tunnel.server.clone(),
            state: state(tunnel),
            since: tunnel.told_since().to_owned(),
            cause: if tunnel.ready { String::new() } else { ready::cause(tunnel) },
            hint: failure.map(|failure| failure.hint.clone()).unwrap_or_default(),
            next: if failing { next(tunnel, now) } else { String::new() },
            forwards: forwards(&tunnel.forwards),
            forward_lines: tunnel.forwards.iter().map(forward).collect::<Vec<_>>().join("\n"),
            traffic: traffic(tunnel),
            ..Self::default()
        };
        if let Some(history) = history {
            row.draw(history);
        }
        row
    }

    fn draw(&mut self, history: &TunnelHistory) {
        let samples = &history.samples;
        self.ready = chart::ready(samples);
        self.down = chart::down(samples);
        let outages = match history.outages.len() {
            0 => "no outage".to_owned(),
            1 => "1 outage".to_owned(),
            count => format!("{count} outages"),
        };
        let share =
            history.availability.map_or("not wanted".to_owned(), |share| format!("{} ready", words::percent(share)));
        self.ready_text = share.clone();
        self.ready_label = format!("{share} in the last 24 hours, {outages}");
        self.rtt = chart::rtt(samples);
        self.rtt_text =
            chart::most_rtt(samples).map(|most| format!("RTT, peak {}", words::milliseconds(most))).unwrap_or_default();
        self.rtt_label = match chart::most_rtt(samples) {
            Some(most) => format!("round trip to the server: {} at most", words::milliseconds(most)),
            None => "no round trip was measured".to_owned(),
        };
        self.bytes = chart::bytes(samples);
        let most = words::rate(chart::most_bytes(samples) / chart::SAMPLE.as_secs_f64());
        self.bytes_text = format!("bytes, peak {most}");
        self.bytes_label = format!("bytes in both directions: {most} at most, over five minutes");
    }
}

fn state(tunnel: &TunnelStatus) -> String {
    match (tunnel.ready, tunnel.phase.known()) {
        (true, _) => "ready".to_owned(),
        (false, Some(Phase::Up)) => "up, not ready".to_owned(),
        (false, _) => tunnel.phase.to_string(),
    }
}

/// As a time, which does not change with each look.
fn next(tunnel: &TunnelStatus, now: SystemTime) -> String {
    let Some(ms) = tunnel.next_start_ms else { return tunnel.waits_for.clone().unwrap_or_default() };
    // To the nearest second: now and the wait are read at moments that differ by less.
    let at = now.checked_add(Duration::from_millis(ms.saturating_add(500)));
    at.map(|at| format!("next try at {}", rfc3339(at).replace('T', " ").replace('Z', " UTC"))).unwrap_or_default()
}

fn forwards(forwards: &[ForwardStatus]) -> String {
    let up = forwards.iter().filter(|forward| forward.is_in_place()).count();
    format!("{up} of {} in place", forwards.len())
}

fn forward(forward: &ForwardStatus) -> String {
    let ForwardStatus { name, listen, connect, state, active, message, .. } = forward;
    let option = name.split(' ').next().unwrap_or_default();
    let connect = connect.as_deref().unwrap_or("SOCKS");
    let message = message.as_deref().map(|message| format!(": {message}")).unwrap_or_default();
    format!("{option} {listen} → {connect}: {state}, {}{message}", connections(*active))
}

fn connections(count: u64) -> String {
    if count == 1 { "1 connection".to_owned() } else { format!("{count} connections") }
}

fn traffic(tunnel: &TunnelStatus) -> String {
    let sum = |count: fn(&ForwardStatus) -> u64| tunnel.forwards.iter().map(count).sum::<u64>();
    let (active, held) = (sum(|forward| forward.active), sum(|forward| forward.held));
    let mut lines = vec![connections(active)];
    if held > 0 {
        lines.push(format!("{held} waiting"));
    }
    let rate = |what: &str, rate: Option<u64>| rate.map(|rate| format!("{what} {}", words::rate(rate as f64)));
    if tunnel.session.is_some() {
        lines.extend(rate("in", tunnel.rate_in));
        lines.extend(rate("out", tunnel.rate_out));
    }
    if let Some(rtt) = tunnel.session.as_ref().and_then(|session| session.rtt_ms) {
        lines.push(format!("RTT {}", words::milliseconds(rtt)));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::status::example;

    fn now() -> SystemTime {
        humantime::parse_rfc3339("2026-01-01T00:00:00Z").unwrap()
    }

    #[test]
    fn failing_tunnel_says_why_and_what_to_do() {
        let mut tunnel = example::tunnel("db", "backoff", false);
        tunnel.last_failure = Some(example::failure("dns", "no such name"));
        tunnel.next_start_ms = Some(59_700);
        let row = PageRow::of(&tunnel, None, now());
        assert_eq!((row.mood, row.state.as_str(), row.cause.as_str()), (RowState::Waiting, "backoff", "no such name"));
        assert_eq!(row.next, "next try at 2026-01-01 00:01:00 UTC");
    }

    #[test]
    fn time_is_that_of_the_word_beside_it() {
        let since = |phase: &str| {
            let ready_since = Some("2026-01-01T00:57:00Z".into());
            PageRow::of(&TunnelStatus { ready_since, ..example::tunnel("db", phase, false) }, None, now()).since
        };
        assert_eq!(since("up"), "2026-01-01T00:57:00Z");
        assert_eq!(since("backoff"), example::THEN);
    }

    #[test]
    fn ready_tunnel_tells_no_old_failure() {
        let mut tunnel = example::tunnel("db", "up", true);
        tunnel.last_failure = Some(example::failure("dns", "no such name"));
        tunnel.forwards = vec![example::forward("-L 3307", "up")];
        let row = PageRow::of(&tunnel, None, now());
        assert_eq!((row.mood, row.cause.as_str(), row.hint.as_str()), (RowState::Ready, "", ""));
        assert_eq!(row.forwards, "1 of 1 in place");
        assert_eq!(row.forward_lines, "-L 127.0.0.1:3307 → 127.0.0.1:3306: up, 2 connections");
    }

    #[test]
    fn tunnels_that_need_an_operator_come_first() {
        let mood = |want: Want, phase: &str, ready| {
            RowState::of(&TunnelStatus { want: want.into(), ..example::tunnel("a", phase, ready) })
        };
        let moods = [
            mood(Want::Up, "blocked", false),
            mood(Want::Up, "up", false),
            mood(Want::Up, "up", true),
            mood(Want::Down, "stopped", false),
        ];
        assert_eq!(moods, [RowState::Trouble, RowState::Waiting, RowState::Ready, RowState::Off]);
        assert!(moods.is_sorted());
    }

    #[test]
    fn history_becomes_charts_with_labels() {
        let samples = vec![crate::history::SampleReport {
            at: "2026-01-01T00:00:00Z".into(),
            ready: Some(1.0),
            rtt_ms: Some(2.0),
            bytes_in: 307_200,
            bytes_out: 0,
        }];
        let history = TunnelHistory {
            name: "db".into(),
            since: "2026-01-01T00:00:00Z".into(),
            availability: Some(0.5),
            mttr_s: None,
            outages: vec![],
            samples,
        };
        let row = PageRow::of(&example::tunnel("db", "up", true), Some(&history), now());
        assert_eq!(row.ready_label, "50 % ready in the last 24 hours, no outage");
        assert_eq!(row.rtt_label, "round trip to the server: 2 ms at most");
        assert_eq!(row.bytes_text, "bytes, peak 1 KiB/s");
        assert!(!row.ready.is_empty() && !row.rtt.is_empty() && !row.bytes.is_empty());
    }
}
