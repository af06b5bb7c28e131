//! `events`: what happened, and with `--follow` what happens, a line each.

use std::time::Duration;

use super::daemon::DaemonAddress;
use super::problem::{Problem, print, printable};
use crate::exit;
use crate::history::{Event, EventName};
use crate::protocol::EventsRequest;
use crate::word::Word;

pub(super) fn run(daemon: &DaemonAddress, asked: EventsRequest, json: bool) -> Result<u8, Problem> {
    for event in daemon.events(asked)? {
        let event = event?;
        let line = if json {
            serde_json::to_string(&event).map_err(|error| Problem::Output(error.into()))?
        } else {
            printable(&line(&event))
        };
        print(&(line + "\n"))?;
    }
    Ok(exit::OK)
}

/// Whole seconds, rounded up: an event that is just within the time is shown.
pub(super) const fn seconds(time: Duration) -> u64 {
    let more = if time.subsec_nanos() > 0 { 1 } else { 0 };
    time.as_secs().saturating_add(more)
}

fn line(event: &Event) -> String {
    let at = humantime::format_rfc3339_millis(event.at);
    let tunnel = event.tunnel.as_deref().unwrap_or("tunneld");
    let what = event.phase.as_ref().filter(|_| event.event == EventName::Phase);
    let what = what.map_or(event.event.as_str(), Word::as_str);
    let kind = event.kind.as_ref().map(|kind| format!("{kind}: ")).unwrap_or_default();
    format!("{at} {tunnel} {what}: {kind}{}", event.message)
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::history::Cause;
    use crate::lifecycle::Phase;

    #[test]
    fn line_names_tunnel_phase_and_cause() {
        let cause = Cause { kind: Some(Word::read("connect_refused")), message: "nothing listens".to_owned() };
        let event = Event::of_tunnel("db", EventName::Phase, Some(Phase::Backoff), cause, SystemTime::UNIX_EPOCH);
        assert_eq!(line(&event), "1970-01-01T00:00:00.000Z db backoff: connect_refused: nothing listens");
        let event = Event::of_daemon(EventName::Reloaded, "generation 2", SystemTime::UNIX_EPOCH);
        assert_eq!(line(&event), "1970-01-01T00:00:00.000Z tunneld reloaded: generation 2");
    }

    #[test]
    fn part_of_a_second_counts_as_one() {
        assert_eq!((seconds(Duration::from_millis(1500)), seconds(Duration::from_secs(3))), (2, 3));
    }
}
