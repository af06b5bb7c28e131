//! What the table says, to the letter, and that it fits.

use tunnel_engine::spec::ForwardKind;

use super::super::style::ColourChoice;
use super::super::text::cells;
use super::*;
use crate::lifecycle::{ForwardPhase, Want};
use crate::protocol::status::{FailureStatus, SessionStatus, example as example_of};

/// 2026-01-01T01:00:00Z.
pub(in crate::cli) fn now() -> SystemTime {
    humantime::parse_rfc3339("2026-01-01T01:00:00Z").unwrap()
}

pub(in crate::cli) fn forward(state: ForwardPhase, active: u64) -> ForwardStatus {
    ForwardStatus {
        name: "-L 3307".into(),
        kind: ForwardKind::Local.into(),
        listen: "127.0.0.1:3307".into(),
        connect: Some("127.0.0.1:3306".into()),
        state: state.into(),
        active,
        opened: 17,
        failed: 0,
        held: 0,
        bytes_in: 1,
        bytes_out: 1,
        message: (state != ForwardPhase::Up).then(|| "the server refused to listen".into()),
        failure_kind: None,
        last_refused: vec![],
    }
}

pub(in crate::cli) fn session() -> SessionStatus {
    SessionStatus {
        peer: Some("192.168.110.8:2222".into()),
        software: "OpenSSH_9.2p1".into(),
        kex: "mlkem768x25519-sha256".into(),
        post_quantum: Some(true),
        cipher: "chacha20-poly1305@openssh.com".into(),
        host_key: "ssh-ed25519 SHA256:abc".into(),
        auth: Some("publickey ~/.ssh/id_ed25519 SHA256:def".into()),
        jump_hosts: vec![],
        rtt_ms: Some(0.42),
        connected_at: example_of::THEN.into(),
    }
}

/// Ready; waiting; blocked; up with a forward missing; stopped by hand; disabled.
pub(in crate::cli) fn example() -> Status {
    let ready = TunnelStatus {
        session: Some(session()),
        rate_in: Some(1500),
        rate_out: Some(0),
        forwards: vec![forward(ForwardPhase::Up, 2), forward(ForwardPhase::Up, 0)],
        ..example_of::tunnel("web-db", "up", true)
    };
    let failure = |kind: &str, permanent, message: &str, hint: &str| {
        Some(FailureStatus { permanent, hint: hint.into(), ..example_of::failure(kind, message) })
    };
    let waiting = TunnelStatus {
        attempts: 2,
        last_failure: failure("connect_refused", false, "`b:22` refused the connection", "check that sshd runs"),
        next_start_ms: Some(12_400),
        ..example_of::tunnel("b", "backoff", false)
    };
    let blocked = TunnelStatus {
        attempts: 1,
        last_failure: failure("auth_rejected", true, "`b:22` took none of our keys", "add the public key"),
        next_start_ms: Some(240_000),
        ..example_of::tunnel("blocked-one", "blocked", false)
    };
    let partly = TunnelStatus {
        forwards: vec![forward(ForwardPhase::Up, 0), forward(ForwardPhase::Down, 0)],
        ..example_of::tunnel("c", "up", false)
    };
    let down = |name: &str, enabled| TunnelStatus {
        want: Want::Down.into(),
        enabled,
        ..example_of::tunnel(name, "stopped", false)
    };
    example_of::status(vec![ready, waiting, blocked, partly, down("by-hand", true), down("off", false)])
}

fn at(width: usize) -> String {
    status(&example(), now(), OutputStyle { width: Some(width), style: ColourChoice::Plain })
}

#[test]
fn what_is_not_ready_comes_first_with_cause_and_remedy() {
    let expected = "\
NAME         STATE      SINCE  STARTS    RTT  FORWARDS  CONNS     IN/s  OUT/s  SERVER
blocked-one  blocked       1h       3      -       0/0      0        -      -  evgeniy@ssh-server:2222
  auth_rejected: `b:22` took none of our keys
  hint: add the public key
  looked at again in 4m, and at once when a key, certificate or known_hosts file changes, when a reload changes its config, or by `tunneld restart blocked-one`
b            backoff       1h       3      -       0/0      0        -      -  evgeniy@ssh-server:2222
  connect_refused: `b:22` refused the connection
  hint: check that sshd runs
  next start in 12s
c            not ready     1h       3      -       1/2      0        -      -  evgeniy@ssh-server:2222
  local forward 127.0.0.1:3307 is down: the server refused to listen
by-hand      stopped       1h       3      -       0/0      0        -      -  evgeniy@ssh-server:2222
  stopped by an operator: `tunneld start by-hand` starts it
web-db       ready         1h       3  0.4ms       2/2      2  1.5 KiB    0 B  evgeniy@ssh-server:2222
off          disabled      1h       3      -       0/0      0        -      -  evgeniy@ssh-server:2222

1 of 5 ready, 1 disabled; not ready: blocked-one (blocked), b (backoff), c (not ready), by-hand (stopped)
";
    assert_eq!(status(&example(), now(), OutputStyle::PIPE), expected);
}

#[test]
fn no_line_wraps_on_a_narrow_terminal() {
    let mut example = example();
    example.tunnels[1].name = "ein-sehr-langer-name.der-nicht-auf-eine-schmale-zeile-passt".into();
    if let Some(failure) = &mut example.tunnels[2].last_failure {
        failure.message =
            "日本語のサーバーは、私たちの鍵を一つも受け取りませんでした: no route at all to that host".into();
    }
    for width in [20, 40, 60, 80, 200] {
        for line in status(&example, now(), OutputStyle { width: Some(width), style: ColourChoice::Plain }).lines() {
            assert!(cells(line) <= width, "{width}: {line}");
        }
    }
    let names = |width, titles: &[&str]| titles.iter().all(|title| at(width).contains(title));
    assert!(names(80, &["SINCE", "STARTS", "RTT", "FORWARDS", "CONNS"]), "{}", at(80));
    assert!(names(60, &["NAME", "STATE", "SINCE", "RTT", "FORWARDS", "CONNS"]), "{}", at(60));
    assert!(names(40, &["NAME", "STATE", "SINCE", "FORWARDS"]), "{}", at(40));
}

#[test]
fn held_and_failed_connections_have_columns_once_there_are_some() {
    let mut example = example();
    assert!(!status(&example, now(), OutputStyle::PIPE).contains("HELD"));
    example.tunnels[0].forwards[0].held = 3;
    example.tunnels[0].forwards[0].failed = 9;
    let text = status(&example, now(), OutputStyle::PIPE);
    assert!(text.contains("CONNS  HELD  FAILED     IN/s  OUT/s  SERVER"), "{text}");
    assert!(text.contains("    2     3       9  1.5 KiB    0 B  evgeniy"), "{text}");
}

#[test]
fn many_that_are_not_ready_are_counted() {
    let tunnels = (0..9).map(|at| example_of::tunnel(&format!("t{at}"), "connecting", false)).collect();
    let text = status(&example_of::status(tunnels), now(), OutputStyle::PIPE);
    assert!(text.ends_with("0 of 9 ready; not ready: t0 (connecting), t1 (connecting), t2 (connecting), t3 (connecting), t4 (connecting) and 4 more\n"), "{text}");
}

#[test]
fn a_config_without_tunnels_is_said_to_be_one() {
    let text = status(&example_of::status(vec![]), now(), OutputStyle::PIPE);
    assert_eq!(text, "no tunnels in `/etc/tunneld.toml`\n");
}

#[test]
fn shortage_of_open_files_is_told_before_the_table() {
    let open_files = Some(OpenFilesStatus { limit: 64, short: true });
    let text = status(&Status { open_files, ..example() }, now(), OutputStyle::PIPE);
    assert!(text.starts_with("tunneld has hardly an open file left of 64: "), "{text}");
}

#[test]
fn time_beside_ready_and_not_ready_is_that_of_the_readiness() {
    let mut status = example();
    for tunnel in &mut status.tunnels {
        tunnel.ready_since = Some("2026-01-01T00:57:00Z".into());
    }
    let text = super::status(&status, now(), OutputStyle::PIPE);
    for row in ["c            not ready     3m ", "web-db       ready         3m ", "b            backoff       1h "] {
        assert!(text.contains(row), "{row} in\n{text}");
    }
}

#[test]
fn missing_address_of_a_ready_forward_is_shown() {
    let mut status = example();
    status.tunnels[0].forwards[0].message = Some("`[::1]:3307` is held by pid 7".into());
    let text = super::status(&status, now(), OutputStyle::PIPE);
    assert!(text.contains("  local forward 127.0.0.1:3307 is up, but `[::1]:3307` is held by pid 7\n"), "{text}");
}

#[test]
fn colours_change_nothing_but_colours() {
    let coloured = status(&example(), now(), OutputStyle { width: None, style: ColourChoice::Colour });
    assert!(coloured.contains("\u{1b}[32mweb-db"), "{coloured}");
    assert!(coloured.contains("\u{1b}[31mblocked-one"), "{coloured}");
    let mut plain = coloured;
    for code in ["\u{1b}[32m", "\u{1b}[31m", "\u{1b}[33m", "\u{1b}[0m"] {
        plain = plain.replace(code, "");
    }
    assert_eq!(plain, status(&example(), now(), OutputStyle::PIPE));
}

#[test]
fn what_a_server_said_cannot_drive_the_terminal() {
    let mut example = example();
    if let Some(failure) = &mut example.tunnels[1].last_failure {
        failure.message = "\u{1b}[2J gone".into();
    }
    assert!(!status(&example, now(), OutputStyle::PIPE).contains('\u{1b}'));
}
