//! Answers as people read them. Pure: `now`, the width and the colours are arguments.

mod cause;
mod details;
mod grid;
mod history;
mod numbers;
mod paragraph;
mod plan;
mod spans;
mod state;
mod style;
mod table;
mod text;

pub(super) use cause::cause;
pub(super) use details::details;
pub(super) use grid::{Column, GridRow, Keep, grid_lines, paragraph};
pub(super) use history::{log_line, outages, trouble};
pub(super) use numbers::bytes;
pub(super) use paragraph::{why, why_in_outage};
pub(super) use plan::plan;
pub(super) use spans::{short, since};
pub(super) use state::{by_urgency, tone, word};
pub(super) use style::{ColourChoice, OutputStyle, Tone};
#[cfg(test)]
pub(super) use table::tests as example;
pub(super) use table::{forwards, rtt, shortage, status, summary};
pub(super) use text::{fit, printable};
