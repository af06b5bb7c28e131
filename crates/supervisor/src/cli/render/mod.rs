//! Answers as people read them. Pure: `now`, the width and the colours are arguments.

mod cause;
mod details;
mod grid;
mod look;
mod numbers;
mod paragraph;
mod plan;
mod spans;
mod state;
mod table;
mod text;

pub(super) use details::details;
pub(super) use look::{Look, Style};
pub(super) use paragraph::why;
pub(super) use plan::plan;
pub(super) use table::status;
