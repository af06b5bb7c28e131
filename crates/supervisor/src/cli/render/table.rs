//! The status table: a line a tunnel, and below each one that is not ready its cause and what to do.

use std::fmt::Write;
use std::time::{Duration, SystemTime};

use super::printable;
use super::spans::{short, since};
use crate::supervise::snapshot::{OpenFilesStatus, Status, TunnelStatus};

const HEADER: [&str; COLUMNS] = ["NAME", "PHASE", "READY", "SINCE", "SERVER", "FORWARDS"];
const COLUMNS: usize = 6;

/// Whether the output takes colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) enum Style {
    Plain,
    Colour,
}

/// The whole table, its header included, each line ended.
pub(in crate::cli) fn status(status: &Status, now: SystemTime, style: Style) -> String {
    let rows: Vec<[String; COLUMNS]> = status.tunnels.iter().map(|tunnel| row(tunnel, now)).collect();
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([HEADER[column].len()]).max().unwrap_or(0)
    };
    let widths: [usize; COLUMNS] = std::array::from_fn(width);
    let mut text = shortage(status);
    text += &line(&HEADER.map(str::to_owned), &widths);
    for (tunnel, row) in status.tunnels.iter().zip(&rows) {
        text += &paint(&line(row, &widths), tunnel, style);
        if let Some(cause) = cause(tunnel) {
            let _ = writeln!(text, "  {}", printable(&cause));
        }
    }
    text
}

/// What holds all tunnels up, in a line of its own before the table.
fn shortage(status: &Status) -> String {
    match status.open_files {
        Some(OpenFilesStatus { limit, short: true }) => format!(
            "tunneld has hardly an open file left of {limit}: new connections and sessions wait; raise LimitNOFILE= of the unit, or lower max_connections\n\n"
        ),
        _ => String::new(),
    }
}

/// Why a tunnel is not ready, or not wholly as it was asked for, in one line; `None` when it is, or when nobody wants
/// it to be.
pub(super) fn cause(tunnel: &TunnelStatus) -> Option<String> {
    if tunnel.want != "up" {
        return None;
    }
    let mut parts = Vec::new();
    match (&tunnel.last_failure, tunnel.phase.as_str()) {
        // A living session: the failure that is kept is that of an older one.
        (_, "up") => parts.extend(forward_causes(tunnel)),
        (Some(failure), _) => {
            parts.push(format!("{}: {}", failure.kind, failure.message));
            parts.push(format!("hint: {}", failure.hint));
        }
        (None, _) => {}
    }
    parts.extend(tunnel.next_start_ms.map(|ms| format!("next start in {}", short(Duration::from_millis(ms)))));
    parts.extend(tunnel.waits_for.as_ref().map(|what| match tunnel.phase.as_str() {
        "connecting" => format!("waits for {what}"),
        _ => what.clone(),
    }));
    if parts.is_empty() { None } else { Some(parts.join("; ")) }
}

fn forward_causes(tunnel: &TunnelStatus) -> impl Iterator<Item = String> {
    tunnel.forwards.iter().filter_map(|forward| {
        let (kind, listen, state) = (&forward.kind, &forward.listen, &forward.state);
        match (state.as_str(), forward.message.as_deref()) {
            ("up", None) => None,
            ("up", Some(but)) => Some(format!("{kind} forward {listen} is up, but {but}")),
            (_, why) => Some(format!("{kind} forward {listen} is {state}: {}", why.unwrap_or("not in place yet"))),
        }
    })
}

fn row(tunnel: &TunnelStatus, now: SystemTime) -> [String; COLUMNS] {
    let since = since(&tunnel.since, now).map_or_else(|| "-".to_owned(), short);
    let ready = if tunnel.ready { "yes" } else { "no" };
    [&tunnel.name, &tunnel.phase, ready, &since, &tunnel.server, &forwards(tunnel)].map(printable)
}

fn forwards(tunnel: &TunnelStatus) -> String {
    let up = tunnel.forwards.iter().filter(|forward| forward.state == "up").count();
    let sum = |count: fn(&crate::supervise::snapshot::ForwardStatus) -> u64| -> u64 {
        tunnel.forwards.iter().map(count).sum()
    };
    let mut text = format!("{up}/{} up", tunnel.forwards.len());
    for (count, word) in [(sum(|f| f.active), "open"), (sum(|f| f.held), "held"), (sum(|f| f.failed), "failed")] {
        if count > 0 {
            let _ = write!(text, ", {count} {word}");
        }
    }
    text
}

/// Two spaces between columns, none at the end.
fn line(cells: &[String; COLUMNS], widths: &[usize; COLUMNS]) -> String {
    let mut text = String::new();
    for (cell, width) in cells.iter().zip(widths) {
        let _ = write!(text, "{cell:width$}  ");
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}

/// Green is ready, red waits for a person, yellow is on its way; what nobody wants is left as it is.
fn paint(line: &str, tunnel: &TunnelStatus, style: Style) -> String {
    let colour = match (style, tunnel.ready, tunnel.phase.as_str()) {
        (Style::Plain, ..) => return line.to_owned(),
        (Style::Colour, true, _) => "32",
        (Style::Colour, false, "blocked" | "failed") => "31",
        (Style::Colour, false, _) if tunnel.want == "up" => "33",
        (Style::Colour, ..) => return line.to_owned(),
    };
    format!("\u{1b}[{colour}m{}\u{1b}[0m\n", line.trim_end())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::supervise::snapshot::{FailureStatus, ForwardStatus, example as example_of};

    /// 2026-01-01T01:00:00Z.
    pub(in crate::cli::render) fn now() -> SystemTime {
        humantime::parse_rfc3339("2026-01-01T01:00:00Z").unwrap()
    }

    fn forward(state: &str, active: u64) -> ForwardStatus {
        ForwardStatus {
            name: "-L 3307".into(),
            kind: "local".into(),
            listen: "127.0.0.1:3307".into(),
            connect: Some("127.0.0.1:3306".into()),
            state: state.into(),
            active,
            opened: 17,
            failed: 0,
            held: 0,
            bytes_in: 1,
            bytes_out: 1,
            message: (state != "up").then(|| "the server refused to listen".into()),
            last_refused: vec![],
        }
    }

    /// Ready; waiting; blocked; up with a forward missing; not wanted.
    pub(in crate::cli::render) fn example() -> Status {
        let ready = TunnelStatus {
            forwards: vec![forward("up", 2), forward("up", 0)],
            ..example_of::tunnel("web-db", "up", true)
        };
        let failure = |kind: &str, permanent, message: &str, hint: &str| {
            Some(FailureStatus { permanent, hint: hint.into(), ..example_of::failure(kind, message) })
        };
        let waiting = TunnelStatus {
            last_failure: failure("connect_refused", false, "`b:22` refused the connection", "check that sshd runs"),
            next_start_ms: Some(12_400),
            ..example_of::tunnel("b", "backoff", false)
        };
        let blocked = TunnelStatus {
            last_failure: failure("auth_rejected", true, "`b:22` took none of our keys", "add the public key"),
            ..example_of::tunnel("blocked-one", "blocked", false)
        };
        let partly = TunnelStatus {
            forwards: vec![forward("up", 0), forward("down", 0)],
            ..example_of::tunnel("c", "up", false)
        };
        let off = TunnelStatus { want: "down".into(), ..example_of::tunnel("off", "stopped", false) };
        example_of::status(vec![ready, waiting, blocked, partly, off])
    }

    #[test]
    fn shortage_of_open_files_is_told_before_the_table() {
        let open_files = Some(OpenFilesStatus { limit: 64, short: true });
        let text = status(&Status { open_files, ..example() }, now(), Style::Plain);
        assert!(text.starts_with("tunneld has hardly an open file left of 64: "), "{text}");
    }

    #[test]
    fn the_table_is_aligned_and_says_what_is_wrong() {
        let expected = "\
NAME         PHASE    READY  SINCE  SERVER                   FORWARDS
web-db       up       yes    1h     evgeniy@ssh-server:2222  2/2 up, 2 open
b            backoff  no     1h     evgeniy@ssh-server:2222  0/0 up
  connect_refused: `b:22` refused the connection; hint: check that sshd runs; next start in 12s
blocked-one  blocked  no     1h     evgeniy@ssh-server:2222  0/0 up
  auth_rejected: `b:22` took none of our keys; hint: add the public key
c            up       no     1h     evgeniy@ssh-server:2222  1/2 up
  local forward 127.0.0.1:3307 is down: the server refused to listen
off          stopped  no     1h     evgeniy@ssh-server:2222  0/0 up
";
        assert_eq!(status(&example(), now(), Style::Plain), expected);
    }

    #[test]
    fn an_address_that_a_ready_forward_did_not_get_is_said() {
        let mut status = example();
        status.tunnels[0].forwards[0].message = Some("`[::1]:3307` is held by pid 7".into());
        let text = super::status(&status, now(), Style::Plain);
        assert!(text.contains("  local forward 127.0.0.1:3307 is up, but `[::1]:3307` is held by pid 7\n"), "{text}");
    }

    #[test]
    fn colours_change_nothing_but_colours() {
        let coloured = status(&example(), now(), Style::Colour);
        assert!(coloured.contains("\u{1b}[32mweb-db"), "{coloured}");
        assert!(coloured.contains("\u{1b}[31mblocked-one"), "{coloured}");
        let mut plain = coloured;
        for code in ["\u{1b}[32m", "\u{1b}[31m", "\u{1b}[33m", "\u{1b}[0m"] {
            plain = plain.replace(code, "");
        }
        assert_eq!(plain, status(&example(), now(), Style::Plain));
    }

    #[test]
    fn what_a_server_said_cannot_drive_the_terminal() {
        let mut example = example();
        if let Some(failure) = &mut example.tunnels[1].last_failure {
            failure.message = "\u{1b}[2J gone".into();
        }
        assert!(!status(&example, now(), Style::Plain).contains('\u{1b}'));
    }
}
