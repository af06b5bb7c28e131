//! A table that folds: on a narrow terminal it drops the columns that matter least, then shortens one, so that no row is
//! wider than the terminal.

use std::fmt::Write;

use super::style::{OutputStyle, Tone};
use super::text::{cells, fit, pad, printable, wrap};

/// Between two columns.
const GAP: usize = 2;

/// The column that may be shortened keeps this much before another column is dropped for it.
const FLEXIBLE_CELLS: usize = 32;

/// What a column is called, and what becomes of it where there is no room.
#[derive(Debug, Clone, Copy)]
pub(in crate::cli) struct Column {
    pub(in crate::cli) title: &'static str,
    /// Numbers stand under each other at their right ends.
    pub(in crate::cli) right: bool,
    pub(in crate::cli) keep: Keep,
}

/// What a narrow terminal does to a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) enum Keep {
    /// It stays.
    Always,
    /// It stays, and may be shortened.
    Flexible,
    /// It is dropped; the highest number first.
    Until(u8),
}

/// A line of the table, and the lines of text that belong to it.
#[derive(Debug, Clone)]
pub(in crate::cli) struct GridRow {
    /// One for each column.
    pub(in crate::cli) cells: Vec<String>,
    pub(in crate::cli) tone: Tone,
    /// Wrapped below the row, two columns further in.
    pub(in crate::cli) below: Vec<String>,
}

/// The header and a line for each row, without the lines below, each at most so wide.
pub(in crate::cli) fn grid_lines(columns: &[Column], rows: &[GridRow], room: Option<usize>) -> (String, Vec<String>) {
    let wanted: Vec<usize> = columns.iter().enumerate().map(|(at, column)| widest(column, rows, at)).collect();
    let shown = shown(columns, &wanted, room);
    let of_row = |row: &GridRow| {
        let cells: Vec<String> = row.cells.iter().map(|cell| printable(cell)).collect();
        line(&cells, &shown, columns)
    };
    (line(&titles(columns), &shown, columns), rows.iter().map(of_row).collect())
}

/// The table with its header, each line ended and moved in by `indent`.
pub(super) fn grid(columns: &[Column], rows: &[GridRow], indent: usize, output: OutputStyle) -> String {
    let room = output.width.map(|width| width.saturating_sub(indent));
    let (header, lines) = grid_lines(columns, rows, room);
    let mut text = format!("{:indent$}{header}\n", "");
    for (line, row) in lines.iter().zip(rows) {
        text += &row.tone.paint(&format!("{:indent$}{line}", ""), output.style);
        text.push('\n');
        for below in &row.below {
            text += &paragraph(below, indent + GAP, output);
        }
    }
    text
}

/// A text below a heading, wrapped and moved in, each line ended.
pub(in crate::cli) fn paragraph(text: &str, indent: usize, output: OutputStyle) -> String {
    let text = printable(text);
    let lines = match output.width {
        Some(width) => wrap(&text, width.saturating_sub(indent)),
        None => vec![text],
    };
    let mut wrapped = String::new();
    for line in lines {
        let _ = writeln!(wrapped, "{:indent$}{line}", "");
    }
    wrapped
}

fn titles(columns: &[Column]) -> Vec<String> {
    columns.iter().map(|column| column.title.to_owned()).collect()
}

fn widest(column: &Column, rows: &[GridRow], at: usize) -> usize {
    let cells = rows.iter().filter_map(|row| row.cells.get(at)).map(|cell| cells(&printable(cell)));
    cells.chain([column.title.len()]).max().unwrap_or(0)
}

/// The columns that are shown, each with its width.
fn shown(columns: &[Column], wanted: &[usize], room: Option<usize>) -> Vec<(usize, usize)> {
    let mut shown: Vec<(usize, usize)> = wanted.iter().copied().enumerate().collect();
    let Some(room) = room else { return shown };
    let taken = |shown: &[(usize, usize)], most: usize| -> usize {
        let widths = shown.iter().map(|(at, width)| match columns[*at].keep {
            Keep::Flexible => (*width).min(most),
            Keep::Always | Keep::Until(_) => *width,
        });
        widths.sum::<usize>() + GAP * shown.len().saturating_sub(1)
    };
    let least = |(place, (at, _)): (usize, &(usize, usize))| match columns[*at].keep {
        Keep::Until(rank) => Some((rank, place)),
        Keep::Always | Keep::Flexible => None,
    };
    while taken(&shown, FLEXIBLE_CELLS) > room {
        let Some((_, place)) = shown.iter().enumerate().filter_map(least).max() else { break };
        shown.remove(place);
    }
    let over = taken(&shown, usize::MAX).saturating_sub(room);
    let flexible = shown.iter_mut().find(|(at, _)| columns[*at].keep == Keep::Flexible);
    if let Some((_, width)) = flexible {
        *width = width.saturating_sub(over).max(1);
    }
    shown
}

/// Nothing stands at the end of a line.
fn line(row: &[String], shown: &[(usize, usize)], columns: &[Column]) -> String {
    let cells: Vec<String> = shown
        .iter()
        .map(|(at, width)| pad(&fit(row.get(*at).map_or("", String::as_str), *width), *width, columns[*at].right))
        .collect();
    cells.join("  ").trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::render::style::ColourChoice;

    const COLUMNS: [Column; 4] = [
        Column { title: "NAME", right: false, keep: Keep::Flexible },
        Column { title: "STATE", right: false, keep: Keep::Always },
        Column { title: "RTT", right: true, keep: Keep::Until(1) },
        Column { title: "SERVER", right: false, keep: Keep::Until(2) },
    ];

    fn row(name: &str) -> GridRow {
        let cells = [name, "ready", "0.4ms", "root@host:22"].map(str::to_owned).to_vec();
        GridRow { cells, tone: Tone::Good, below: vec!["a remark that is somewhat longer than that".into()] }
    }

    fn at(width: Option<usize>) -> String {
        grid(&COLUMNS, &[row("a"), row("ein-langer-name")], 0, OutputStyle { width, style: ColourChoice::Plain })
    }

    #[test]
    fn a_pipe_gets_every_column() {
        let expected = "\
NAME             STATE    RTT  SERVER
a                ready  0.4ms  root@host:22
  a remark that is somewhat longer than that
ein-langer-name  ready  0.4ms  root@host:22
  a remark that is somewhat longer than that
";
        assert_eq!(at(None), expected);
    }

    #[test]
    fn the_least_important_column_goes_first() {
        assert!(at(Some(43)).contains("SERVER"), "{}", at(Some(43)));
        assert!(!at(Some(42)).contains("SERVER") && at(Some(42)).contains("RTT"), "{}", at(Some(42)));
        assert!(!at(Some(25)).contains("RTT") && at(Some(25)).contains("STATE"), "{}", at(Some(25)));
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        for width in 8..60 {
            for line in at(Some(width)).lines() {
                assert!(cells(line) <= width, "{width}: {line}");
            }
        }
        assert!(at(Some(16)).contains("ein-lang…"), "{}", at(Some(16)));
    }
}
