//! `status`: the table or the JSON, and with the exit code whether all is well.

use std::io::{IsTerminal, stdout};

use ratatui::crossterm::terminal;
use tunnel_engine::clock;

use super::daemon::DaemonAddress;
use super::problem::{Problem, pretty, print_answer};
use super::render::{self, ColourChoice, OutputStyle};
use crate::exit;
use crate::protocol::status::Status;

pub(super) fn run(daemon: &DaemonAddress, names: Vec<String>, json: bool) -> Result<u8, Problem> {
    let named = !names.is_empty();
    let status = daemon.status(names)?;
    let text = match (json, named) {
        (true, _) => pretty(&status)?,
        (false, false) => render::status(&status, clock::wall(), output_style()),
        (false, true) => render::details(&status, &daemon.histories(&status), clock::wall(), output_style()),
    };
    print_answer(&text, if all_ready(&status, named) { exit::OK } else { exit::NO })
}

/// What standard output takes.
pub(super) fn output_style() -> OutputStyle {
    if !stdout().is_terminal() {
        return OutputStyle::PIPE;
    }
    // A serial line, or a terminal of a test, may not know how wide it is.
    let width = terminal::size().ok().map(|(columns, _)| usize::from(columns)).filter(|width| *width > 0);
    OutputStyle { width, style: style() }
}

/// Colours for people who have not said that they want none (no-color.org), on terminals that know some.
pub(super) fn style() -> ColourChoice {
    let none = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    if none || is_dumb() || !stdout().is_terminal() { ColourChoice::Plain } else { ColourChoice::Colour }
}

/// A terminal that can only write, one line after the other.
pub(super) fn is_dumb() -> bool {
    std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb")
}

/// The locale takes ASCII only. As setlocale(3), the first of these that says something; without any it is C.
pub(super) fn is_ascii() -> bool {
    let named = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(named).unwrap_or_default();
    let locale = locale.to_string_lossy();
    !["UTF-8", "utf8", "utf-8", "UTF8"].into_iter().any(|name| locale.contains(name))
}

/// A question about a tunnel by name is about that tunnel, enabled or not.
fn all_ready(status: &Status, named: bool) -> bool {
    status.tunnels.iter().all(|tunnel| tunnel.ready || !(named || tunnel.counts()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::status::example;

    fn status(tunnels: &[(&str, bool)]) -> Status {
        example::status(tunnels.iter().map(|(name, ready)| example::tunnel(name, "up", *ready)).collect())
    }

    #[test]
    fn a_disabled_tunnel_counts_only_when_it_is_named() {
        let mut one_off = status(&[("a", true), ("off", false)]);
        assert!(!all_ready(&one_off, false), "it is enabled");
        one_off.tunnels[1].enabled = false;
        assert!(all_ready(&one_off, false));
        assert!(!all_ready(&one_off, true));
        assert!(all_ready(&status(&[]), false));
    }
}
