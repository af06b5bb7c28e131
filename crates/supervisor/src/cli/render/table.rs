//! The status table: a line a tunnel, those that are not ready first, and below each of them its cause and what to do.

use std::time::SystemTime;

use super::cause::cause;
use super::grid::{Column, GridRow, Keep, grid, paragraph};
use super::numbers::{bytes, round_trip};
use super::spans::{short, since};
use super::state::{by_urgency, tone, word};
use super::style::OutputStyle;
use crate::protocol::status::{ForwardStatus, OpenFilesStatus, Status, TunnelStatus};

/// So many tunnels that are not ready are named in the last line; the table has them all.
const NAMED: usize = 5;

/// The whole table, its header included, each line ended.
pub(in crate::cli) fn status(status: &Status, now: SystemTime, output: OutputStyle) -> String {
    let mut text = shortage(status).map(|line| paragraph(&line, 0, output) + "\n").unwrap_or_default();
    if status.tunnels.is_empty() {
        return text + &paragraph(&format!("no tunnels in `{}`", status.config), 0, output);
    }
    let tunnels = by_urgency(&status.tunnels);
    let columns: Vec<Cells> = COLUMNS.into_iter().filter(|column| column.is_shown(&tunnels)).collect();
    let heads: Vec<Column> = columns.iter().map(|column| column.head).collect();
    let row = |tunnel: &&TunnelStatus| GridRow {
        cells: columns.iter().map(|column| (column.cell)(tunnel, now)).collect(),
        tone: tone(tunnel),
        below: cause(tunnel),
    };
    let rows: Vec<GridRow> = tunnels.iter().map(row).collect();
    text += &grid(&heads, &rows, 0, output);
    text + &summary(&tunnels).map(|line| "\n".to_owned() + &paragraph(&line, 0, output)).unwrap_or_default()
}

/// A column and what it says of a tunnel.
#[derive(Clone, Copy)]
struct Cells {
    head: Column,
    cell: fn(&TunnelStatus, SystemTime) -> String,
    /// Shown only where it counts something.
    count: Option<fn(&ForwardStatus) -> u64>,
}

impl Cells {
    const fn new(title: &'static str, right: bool, keep: Keep, cell: fn(&TunnelStatus, SystemTime) -> String) -> Self {
        Self { head: Column { title, right, keep }, cell, count: None }
    }

    const fn where_counted(self, count: fn(&ForwardStatus) -> u64) -> Self {
        Self { count: Some(count), ..self }
    }

    fn is_shown(&self, tunnels: &[&TunnelStatus]) -> bool {
        self.count.is_none_or(|count| tunnels.iter().any(|tunnel| sum(tunnel, count) > 0))
    }
}

const COLUMNS: [Cells; 12] = [
    Cells::new("NAME", false, Keep::Flexible, |tunnel, _| tunnel.name.clone()),
    Cells::new("STATE", false, Keep::Always, |tunnel, _| word(tunnel).to_owned()),
    Cells::new("SINCE", true, Keep::Until(2), |tunnel, now| {
        since(tunnel.told_since(), now).map_or_else(|| "-".to_owned(), short)
    }),
    Cells::new("STARTS", true, Keep::Until(8), |tunnel, _| tunnel.starts.to_string()),
    Cells::new("RTT", true, Keep::Until(6), |tunnel, _| rtt(tunnel)),
    Cells::new("FORWARDS", true, Keep::Until(1), |tunnel, _| forwards(tunnel)),
    Cells::new("CONNS", true, Keep::Until(5), |tunnel, _| sum(tunnel, |forward| forward.active).to_string()),
    Cells::new("HELD", true, Keep::Until(3), |tunnel, _| sum(tunnel, |forward| forward.held).to_string())
        .where_counted(|forward| forward.held),
    Cells::new("FAILED", true, Keep::Until(4), |tunnel, _| sum(tunnel, |forward| forward.failed).to_string())
        .where_counted(|forward| forward.failed),
    Cells::new("IN/s", true, Keep::Until(7), |tunnel, _| rate(tunnel.rate_in)),
    Cells::new("OUT/s", true, Keep::Until(7), |tunnel, _| rate(tunnel.rate_out)),
    Cells::new("SERVER", false, Keep::Until(9), |tunnel, _| tunnel.server.clone()),
];

fn sum(tunnel: &TunnelStatus, count: impl Fn(&ForwardStatus) -> u64) -> u64 {
    tunnel.forwards.iter().map(count).sum()
}

fn rate(bytes_a_second: Option<u64>) -> String {
    bytes_a_second.map_or_else(|| "-".to_owned(), bytes)
}

/// Of the session, once it was measured.
pub(in crate::cli) fn rtt(tunnel: &TunnelStatus) -> String {
    let ms = tunnel.session.as_ref().and_then(|session| session.rtt_ms);
    ms.map_or_else(|| "-".to_owned(), round_trip)
}

/// Those that are in place, of all: an `unverified` one is, as far as the server lets it be known.
pub(in crate::cli) fn forwards(tunnel: &TunnelStatus) -> String {
    let up = tunnel.forwards.iter().filter(|forward| forward.is_in_place()).count();
    format!("{up}/{}", tunnel.forwards.len())
}

/// What holds all tunnels up, in a line of its own before the table.
pub(in crate::cli) fn shortage(status: &Status) -> Option<String> {
    match status.open_files {
        Some(OpenFilesStatus { limit, short: true }) => Some(format!(
            "tunneld has hardly an open file left of {limit}: new connections wait, as the last are for logins; raise LimitNOFILE= of the unit, or lower max_connections"
        )),
        _ => None,
    }
}

/// The last line: what a long table is about. One tunnel needs none.
pub(in crate::cli) fn summary(tunnels: &[&TunnelStatus]) -> Option<String> {
    if tunnels.len() < 2 {
        return None;
    }
    let (disabled, counted): (Vec<&TunnelStatus>, Vec<&TunnelStatus>) =
        tunnels.iter().partition(|tunnel| !tunnel.counts());
    let missing: Vec<&TunnelStatus> = counted.iter().filter(|tunnel| !tunnel.ready).copied().collect();
    let mut text = format!("{} of {} ready", counted.len() - missing.len(), counted.len());
    if !disabled.is_empty() {
        text += &format!(", {} disabled", disabled.len());
    }
    if !missing.is_empty() {
        let named: Vec<String> =
            missing.iter().take(NAMED).map(|tunnel| format!("{} ({})", tunnel.name, word(tunnel))).collect();
        let more = missing.len() - named.len();
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        text += &format!("; not ready: {}{more}", named.join(", "));
    }
    Some(text)
}

#[cfg(test)]
pub(in crate::cli) mod tests;
