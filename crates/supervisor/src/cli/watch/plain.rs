//! For a pipe, a file or a terminal that can only write: the table with its time, or a line of JSON, each second.

use std::io::Write;

use tunnel_engine::clock;

use super::events::{self, WatchEvent};
use super::feed::{self, FeedAnswer};
use crate::cli::daemon::DaemonAddress;
use crate::cli::problem::{Problem, print};
use crate::cli::render;
use crate::cli::status::output_style;
use crate::exit;
use crate::protocol::status::Status;

pub(super) fn run(daemon: DaemonAddress, names: Vec<String>, first: Status, json: bool) -> Result<u8, Problem> {
    let (sender, events) = events::channel();
    events::watch_signals(sender.clone(), || {}).map_err(Problem::Start)?;
    let _asks = feed::start(daemon, names, sender).map_err(Problem::Start)?;
    print(&text(&Ok(first), json)?)?;
    while let Ok(event) = events.recv() {
        match event {
            WatchEvent::Quit => break,
            WatchEvent::Answer(FeedAnswer::Status(status)) => print(&text(&status, json)?)?,
            WatchEvent::Answer(_) | WatchEvent::Key(_) | WatchEvent::Resized => {}
        }
    }
    Ok(exit::OK)
}

/// JSON stays JSON while no daemon answers: its reader hears of that on standard error.
fn text(status: &Result<Status, String>, json: bool) -> Result<String, Problem> {
    match (status, json) {
        (Ok(status), true) => Ok(serde_json::to_string(status).map_err(|error| Problem::Output(error.into()))? + "\n"),
        (Ok(status), false) => {
            let now = clock::wall();
            let time = humantime::format_rfc3339_seconds(now);
            Ok(format!("{time}\n{}\n", render::status(status, now, output_style())))
        }
        (Err(trouble), true) => {
            // Without standard error there is no reader to tell.
            let _ = std::io::stderr().write_all(format!("tunneld: {trouble}\n").as_bytes());
            Ok(String::new())
        }
        (Err(trouble), false) => Ok(format!("tunneld: {trouble}\n")),
    }
}
