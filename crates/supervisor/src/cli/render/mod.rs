//! Answers as people read them. Pure: `now`, the width and the colours are arguments.

mod cause;
mod details;
mod grid;
mod look;
mod numbers;
mod paragraph;
mod past;
mod plan;
mod spans;
mod state;
mod table;
mod text;

pub(super) use cause::cause;
pub(super) use details::details;
pub(super) use grid::{Column, Keep, Row, grid_lines};
pub(super) use look::{Look, Style, Tone};
pub(super) use numbers::bytes;
pub(super) use paragraph::why;
pub(super) use past::{log_line, outages, trouble};
pub(super) use plan::plan;
pub(super) use spans::{short, since};
pub(super) use state::{by_urgency, tone, word};
#[cfg(test)]
pub(super) use table::tests as example;
pub(super) use table::{forwards, rtt, shortage, status, summary};
pub(super) use text::{fit, printable};
