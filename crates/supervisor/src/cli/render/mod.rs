//! Answers as people read them. Pure: `now` and the colours are arguments.

mod paragraph;
mod plan;
mod spans;
mod table;

pub(super) use paragraph::why;
pub(super) use plan::plan;
pub(super) use table::{Style, status};

/// What a daemon or server said must not drive the terminal.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}
