//! What is kept, how much of it, and what is left out.

use std::time::SystemTime;

use tracing_subscriber::layer::SubscriberExt;

use super::*;

fn line(message: &str) -> RecentLine {
    RecentLine { at: SystemTime::UNIX_EPOCH, level: Level::INFO, message: message.to_owned() }
}

fn messages(lines: &RecentLines, tunnel: &str) -> Vec<String> {
    lines.of(tunnel).into_iter().map(|line| line.message).collect()
}

#[test]
fn last_lines_of_each_tunnel_are_kept() {
    let lines = RecentLines::default();
    for number in 0..MAX_LINES + 3 {
        lines.push("a", line(&number.to_string()));
    }
    lines.push("b", line("its own"));
    let kept = messages(&lines, "a");
    assert_eq!((kept.len(), kept.first().map(String::as_str)), (MAX_LINES, Some("3")));
    assert_eq!(messages(&lines, "b"), ["its own"]);
    assert!(messages(&lines, "c").is_empty());
}

#[test]
fn long_lines_are_cut_and_bound_their_tunnel() {
    let lines = RecentLines::default();
    for _ in 0..MAX_LINES {
        lines.push("a", line(&"ü".repeat(MAX_LINE_BYTES)));
    }
    let kept = messages(&lines, "a");
    assert!(kept.len() < MAX_LINES && kept.iter().all(|line| line.len() == MAX_LINE_BYTES), "{}", kept.len());
    assert!(lines.lock().bytes <= MAX_TUNNEL_BYTES);
}

#[test]
fn all_lines_together_are_bounded_and_oldest_go_first() {
    let lines = RecentLines::default();
    let (tunnels, text) = (10_000, "x".repeat(MAX_LINE_BYTES));
    for number in 0..tunnels {
        lines.push(&format!("t{number}"), line(&text));
    }
    let store = lines.lock();
    assert!(store.bytes <= MAX_BYTES && store.bytes > MAX_BYTES / 2, "{}", store.bytes);
    assert_eq!(store.lines.len(), store.tunnels.len());
    drop(store);
    assert!(messages(&lines, "t0").is_empty());
    assert_eq!(messages(&lines, "t9999").len(), 1);
}

#[test]
fn a_forgotten_tunnel_leaves_nothing() {
    let lines = RecentLines::default();
    lines.push("a", line("one"));
    lines.push("b", line("two"));
    lines.forget("a");
    let store = lines.lock();
    assert_eq!((store.lines.len(), store.tunnels.len(), store.bytes), (1, 1, cost(&line("two"))));
}

#[test]
fn events_are_kept_by_their_tunnel_or_span() {
    let lines = RecentLines::default();
    tracing::subscriber::with_default(tracing_subscriber::registry().with(lines.layer()), || {
        let (hint, kind) = (Some("look at the server"), "dns");
        tracing::warn!(tunnel = "a", server = "h:22", %kind, attempt = 3, hint, "a: no such name\n");
        tracing::error_span!("tunnel", tunnel = "a").in_scope(|| tracing::info!(listen = "[::1]:5", "from the engine"));
        tracing::debug!(tunnel = "a", "too small");
        tracing::info!(target: "russh", tunnel = "a", "of a library");
        tracing::info!("about no tunnel");
    });
    let kept = lines.of("a");
    let texts: Vec<(Level, &str)> = kept.iter().map(|line| (line.level, line.message.as_str())).collect();
    let expected = [
        (Level::WARN, "no such name  kind=dns attempt=3 hint=\"look at the server\""),
        (Level::INFO, "from the engine listen=[::1]:5"),
    ];
    assert_eq!(texts, expected);
}

#[test]
fn an_event_that_no_output_wants_is_not_even_made() {
    let lines = RecentLines::default();
    let made = std::cell::Cell::new(0);
    let value = || {
        made.set(made.get() + 1);
        1
    };
    tracing::subscriber::with_default(tracing_subscriber::registry().with(lines.layer()), || {
        tracing::debug!(tunnel = "a", value = value(), "not wanted");
        tracing::info!(tunnel = "a", value = value(), "wanted");
    });
    assert_eq!(made.get(), 1);
}
