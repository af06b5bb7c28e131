//! `status`: the table or the JSON, and with the exit code whether all is well.

use std::io::{IsTerminal, stdout};

use tunnel_engine::clock;

use super::problem::{Problem, print};
use super::render::{self, Style};
use super::talk::Daemon;
use crate::exit;
use crate::supervise::snapshot::Status;

pub(super) fn run(daemon: &Daemon, names: Vec<String>, json: bool) -> Result<u8, Problem> {
    let named = !names.is_empty();
    let (status, disabled) = daemon.status(names)?;
    let text = if json {
        serde_json::to_string_pretty(&status).map_err(|error| Problem::Output(error.into()))? + "\n"
    } else {
        render::status(&status, clock::wall(), style())
    };
    print(&text)?;
    Ok(if all_ready(&status, &disabled, named) { exit::OK } else { exit::NO })
}

/// Colours for people who have not said that they want none (no-color.org).
pub(super) fn style() -> Style {
    let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    if wanted && stdout().is_terminal() { Style::Colour } else { Style::Plain }
}

/// Who asks for a tunnel by name wants to know about it, enabled or not.
fn all_ready(status: &Status, disabled: &[String], named: bool) -> bool {
    status.tunnels.iter().all(|tunnel| tunnel.ready || (!named && disabled.contains(&tunnel.name)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::supervise::snapshot::example;

    fn status(tunnels: &[(&str, bool)]) -> Status {
        example::status(tunnels.iter().map(|(name, ready)| example::tunnel(name, "up", *ready)).collect())
    }

    #[test]
    fn a_disabled_tunnel_counts_only_when_it_is_named() {
        let off = ["off".to_owned()];
        assert!(all_ready(&status(&[("a", true), ("off", false)]), &off, false));
        assert!(!all_ready(&status(&[("off", false)]), &off, true));
        assert!(!all_ready(&status(&[("a", true), ("b", false)]), &off, false));
        assert!(all_ready(&status(&[]), &[], false));
    }
}
