//! `tunneld status NAME`: everything that is known about one tunnel.

use std::time::{Duration, SystemTime};

use super::cause::next;
use super::grid::{Column, GridRow, Keep, grid, paragraph};
use super::history::outages;
use super::numbers::{bytes, round_trip};
use super::spans::{short, since};
use super::state::{tone, word};
use super::style::{OutputStyle, Tone};
use super::text::{pad, printable};
use crate::history::TunnelHistory;
use crate::lifecycle::{ForwardPhase, Phase};
use crate::protocol::status::{
    FailureStatus, ForwardStatus, JumpHostStatus, RefusedStatus, SessionStatus, Status, TunnelStatus,
};

/// Below the heading.
const INDENT: usize = 2;

/// Below a heading of its own.
const DEEPER: usize = 4;

/// Of the words before a fact.
const LABEL: usize = 14;

/// So many outages are listed.
const OUTAGES: usize = 10;

/// Each tunnel of the status, with an empty line between two. Tunnels with a history have it below.
pub(in crate::cli) fn details(
    status: &Status,
    histories: &[TunnelHistory],
    now: SystemTime,
    output: OutputStyle,
) -> String {
    let texts = status.tunnels.iter().map(|tunnel| {
        let history = histories.iter().find(|history| history.name == tunnel.name);
        let past = history.map(|history| outages(history, OUTAGES, now, INDENT, output));
        one(tunnel, now, output) + &past.unwrap_or_default()
    });
    texts.collect::<Vec<_>>().join("\n")
}

/// One tunnel, each line ended.
fn one(tunnel: &TunnelStatus, now: SystemTime, output: OutputStyle) -> String {
    // `since` is about the phase: a tunnel may have been up for longer than it has been ready.
    let before = if tunnel.phase == Phase::Up { ", up since" } else { " since" };
    let heading = printable(&format!("{}: {}{}", tunnel.name, word(tunnel), ago(&tunnel.since, now, before)));
    let mut text = tone(tunnel).paint(paragraph(&heading, 0, output).trim_end(), output.style) + "\n";
    for (label, value) in facts(tunnel) {
        text += &fact(label, &value, output);
    }
    if let Some(session) = &tunnel.session {
        for (label, value) in session_facts(session, now) {
            text += &fact(label, &value, output);
        }
    }
    text += &forwards(tunnel, output);
    text += &refused(tunnel, now, output);
    if let Some(failure) = &tunnel.last_failure {
        text += &last_failure(failure, now, output);
    }
    text
}

fn facts(tunnel: &TunnelStatus) -> Vec<(&'static str, String)> {
    let mut facts = vec![("server", tunnel.server.clone())];
    let enabled = if tunnel.enabled { "" } else { ", not enabled in the config" };
    facts.push(("wanted", format!("{}{enabled}", tunnel.want)));
    let attempts = match tunnel.attempts {
        0 => String::new(),
        1 => ", the last one failed".to_owned(),
        many => format!(", the last {many} failed"),
    };
    facts.push(("starts", format!("{}{attempts}", tunnel.starts)));
    facts.extend(next(tunnel).map(|text| ("next", text)));
    facts
}

fn session_facts(session: &SessionStatus, now: SystemTime) -> Vec<(&'static str, String)> {
    let peer = session.peer.as_deref().unwrap_or("the end of a jump host or proxy command");
    let rtt = session.rtt_ms.map(|ms| format!(", round trip {}", round_trip(ms))).unwrap_or_default();
    let connected = ago(&session.connected_at, now, ", connected since");
    let mut facts = vec![
        ("session", format!("{} at {peer}{connected}{rtt}", session.software)),
        ("key exchange", key_exchange(&session.kex, session.post_quantum)),
        ("cipher", session.cipher.clone()),
        ("host key", session.host_key.clone()),
    ];
    facts.extend(session.auth.as_ref().map(|auth| ("login", auth.clone())));
    facts.extend(session.jump_hosts.iter().map(|host| ("jump host", jump_host(host))));
    facts
}

fn key_exchange(kex: &str, post_quantum: Option<bool>) -> String {
    let quantum = match post_quantum {
        Some(true) => " (post-quantum)",
        Some(false) => " (not post-quantum)",
        None => "",
    };
    format!("{kex}{quantum}")
}

fn jump_host(host: &JumpHostStatus) -> String {
    let exchange = key_exchange(&host.kex, Some(host.post_quantum));
    format!("{}, {}, key exchange {exchange}", host.server, host.software)
}

/// A label and its value, whose further lines stand below its first.
fn fact(label: &str, value: &str, output: OutputStyle) -> String {
    let text = paragraph(value, INDENT + LABEL, output);
    let label = format!("{:INDENT$}{}", "", pad(label, LABEL, false));
    label + text.get(INDENT + LABEL..).unwrap_or_default()
}

fn heading(text: &str) -> String {
    format!("{:INDENT$}{text}\n", "")
}

const FORWARDS: [Column; 10] = [
    Column { title: "KIND", right: false, keep: Keep::Always },
    Column { title: "LISTEN", right: false, keep: Keep::Flexible },
    Column { title: "CONNECT", right: false, keep: Keep::Until(2) },
    Column { title: "STATE", right: false, keep: Keep::Always },
    Column { title: "CONNS", right: true, keep: Keep::Until(1) },
    Column { title: "OPENED", right: true, keep: Keep::Until(7) },
    Column { title: "FAILED", right: true, keep: Keep::Until(3) },
    Column { title: "HELD", right: true, keep: Keep::Until(6) },
    Column { title: "IN", right: true, keep: Keep::Until(4) },
    Column { title: "OUT", right: true, keep: Keep::Until(5) },
];

fn forwards(tunnel: &TunnelStatus, output: OutputStyle) -> String {
    if tunnel.forwards.is_empty() {
        return heading("no forwards");
    }
    let rows: Vec<GridRow> = tunnel.forwards.iter().map(forward).collect();
    heading("forwards") + &grid(&FORWARDS, &rows, DEEPER, output)
}

fn forward(forward: &ForwardStatus) -> GridRow {
    let cells = vec![
        forward.kind.to_string(),
        forward.listen.clone(),
        forward.connect.clone().unwrap_or_else(|| "SOCKS".to_owned()),
        forward.state.to_string(),
        forward.active.to_string(),
        forward.opened.to_string(),
        forward.failed.to_string(),
        forward.held.to_string(),
        bytes(forward.bytes_in),
        bytes(forward.bytes_out),
    ];
    let tone = match forward.state.known() {
        Some(ForwardPhase::Up) => Tone::Good,
        Some(ForwardPhase::Pending | ForwardPhase::Unverified) => Tone::Warning,
        Some(ForwardPhase::Down | ForwardPhase::Stale) | None => Tone::Bad,
    };
    GridRow { cells, tone, below: forward.message.iter().cloned().collect() }
}

fn refused(tunnel: &TunnelStatus, now: SystemTime, output: OutputStyle) -> String {
    let text = |forward: &ForwardStatus, refused: &RefusedStatus| {
        let RefusedStatus { at, target, message, .. } = refused;
        let when = ago(at, now, "").trim_start().to_owned();
        paragraph(&format!("{when}, by {} to {target}: {message}", forward.listen), DEEPER, output)
    };
    let lines: String = tunnel
        .forwards
        .iter()
        .flat_map(|forward| forward.last_refused.iter().map(move |refused| text(forward, refused)))
        .collect();
    if lines.is_empty() { lines } else { heading("last refused connections") + &lines }
}

fn last_failure(failure: &FailureStatus, now: SystemTime, output: OutputStyle) -> String {
    let FailureStatus { kind, message, hint, at, .. } = failure;
    let when = ago(at, now, "").trim_start().to_owned();
    heading("last failure")
        + &paragraph(&format!("{when}: {kind}: {message}"), DEEPER, output)
        + &paragraph(&format!("hint: {hint}"), DEEPER, output)
}

/// ` 2026-01-01T00:00:00Z (1h ago)` behind a word; empty where the text is no time.
fn ago(at: &str, now: SystemTime, before: &str) -> String {
    let span = since(at, now).map(|span: Duration| format!("{before} {at} ({} ago)", short(span)));
    span.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::style::ColourChoice;
    use super::super::table::tests::{example, now};
    use super::super::text::cells;
    use super::*;

    fn of(index: usize, output: OutputStyle) -> String {
        one(&example().tunnels[index], now(), output)
    }

    #[test]
    fn session_and_forwards_of_a_ready_tunnel_are_unfolded() {
        let expected = "\
web-db: ready, up since 2026-01-01T00:00:00Z (1h ago)
  server        evgeniy@ssh-server:2222
  wanted        up
  starts        3
  session       OpenSSH_9.2p1 at 192.168.110.8:2222, connected since 2026-01-01T00:00:00Z (1h ago), round trip 0.4ms
  key exchange  mlkem768x25519-sha256 (post-quantum)
  cipher        chacha20-poly1305@openssh.com
  host key      ssh-ed25519 SHA256:abc
  login         publickey ~/.ssh/id_ed25519 SHA256:def
  forwards
    KIND   LISTEN          CONNECT         STATE  CONNS  OPENED  FAILED  HELD   IN  OUT
    local  127.0.0.1:3307  127.0.0.1:3306  up         2      17       0     0  1 B  1 B
    local  127.0.0.1:3307  127.0.0.1:3306  up         0      17       0     0  1 B  1 B
";
        assert_eq!(of(0, OutputStyle::PIPE), expected);
    }

    #[test]
    fn each_jump_host_is_told_with_its_key_exchange() {
        let mut tunnel = example().tunnels.swap_remove(0);
        let host = |server: &str, kex: &str, post_quantum| JumpHostStatus {
            server: server.to_owned(),
            software: "OpenSSH_8.4p1".to_owned(),
            kex: kex.to_owned(),
            post_quantum,
        };
        let hosts = vec![host("outer:22", "curve25519-sha256", false), host("inner:22", "mlkem768x25519-sha256", true)];
        tunnel.session.as_mut().unwrap().jump_hosts = hosts;
        let text = one(&tunnel, now(), OutputStyle::PIPE);
        let expected = "  jump host     outer:22, OpenSSH_8.4p1, key exchange curve25519-sha256 (not post-quantum)
  jump host     inner:22, OpenSSH_8.4p1, key exchange mlkem768x25519-sha256 (post-quantum)
  forwards
";
        assert!(text.contains(expected), "{text}");
    }

    #[test]
    fn a_waiting_tunnel_tells_attempts_next_start_and_failure() {
        let text = of(1, OutputStyle::PIPE);
        assert!(text.contains("  starts        3, the last 2 failed\n  next          next start in 12s\n"), "{text}");
        assert!(
            text.contains("  last failure\n    2026-01-01T00:59:30Z (30s ago): connect_refused: `b:22` refused"),
            "{text}"
        );
        assert!(text.ends_with("    hint: check that sshd runs\n"), "{text}");
    }

    #[test]
    fn refused_connections_are_listed_with_their_target() {
        let mut status = example();
        status.tunnels[0].forwards[0].last_refused = vec![RefusedStatus {
            at: "2026-01-01T00:59:00Z".into(),
            target: "db:1".into(),
            code: Some(2),
            message: "the server could not connect: Connection refused".into(),
        }];
        let text = details(&status, &[], now(), OutputStyle::PIPE);
        assert!(
            text.contains("    2026-01-01T00:59:00Z (1m ago), by 127.0.0.1:3307 to db:1: the server could not connect"),
            "{text}"
        );
    }

    #[test]
    fn no_line_wraps_on_a_narrow_terminal() {
        let mut status = example();
        status.tunnels[0].forwards[0].listen = "/run/user/1000/a-rather-long-folder/for-a-socket/app.sock".into();
        for width in [20, 40, 60, 80, 200] {
            let text = details(&status, &[], now(), OutputStyle { width: Some(width), style: ColourChoice::Plain });
            for line in text.lines() {
                assert!(cells(line) <= width, "{width}: {line}");
            }
        }
    }
}
