//! `status --watch`: on a terminal a live screen with keys, elsewhere the table, or a line of JSON, again each second.
//!
//! ```text
//! keys ───────┐
//! signals ────┼─► events ─► App (pure) ─► view (pure) ─► terminal
//! answers ────┘              └─► asks ─► feed ─► daemon
//! ```
//!
//! The terminal is written to by one thread, a frame at a time: a slow one is given fewer frames, never a queue of them.

mod app;
mod events;
mod feed;
mod keys;
mod plain;
mod screen;
mod trend;
mod view;

use std::io::{IsTerminal, stdout};
use std::time::Duration;

use super::daemon::DaemonAddress;
use super::problem::Problem;
use super::status::is_dumb;

/// How often the daemon is asked. People do not read faster.
const PERIOD: Duration = Duration::from_secs(1);

pub(super) fn run(daemon: DaemonAddress, names: Vec<String>, json: bool) -> Result<u8, Problem> {
    // Without a daemon there is nothing to watch; one that goes away later may come back.
    let first = daemon.status(names.clone())?;
    if stdout().is_terminal() && !json && !is_dumb() {
        screen::run(daemon, names, first)
    } else {
        plain::run(daemon, names, first, json)
    }
}
