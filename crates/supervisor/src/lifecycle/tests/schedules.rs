//! The table of schedules in docs/ARCHITECTURE.md says what the constants say.

use std::time::Duration;

use tunnel_engine::backoff::{
    BETTER_HOST, BLOCKED, Backoff, DEVICE, DEVICE_DENIED, DEVICE_REFUSED, JUMP_LOGIN, JUMP_QUESTION, Jitter, LISTENER,
    PENALTY, PROBE, PROBE_STALE, REACHABILITY, REACHABILITY_LATE, REMOTE_PORT, REMOTE_PORT_DENIED, REMOTE_PORT_LATE,
    REPLACEMENT, REPLACEMENT_DOUBTED, REPLACEMENT_IN_DOUBT, SERVER_BUSY, TAKEOVER_CONTESTED, TAKEOVER_LOOK,
    TAKEOVER_OURS,
};

const TABLE: &str = include_str!("../../../../../docs/ARCHITECTURE.md");

const ALL: [(&str, Backoff); 23] = [
    ("SERVER_BUSY", SERVER_BUSY),
    ("PENALTY", PENALTY),
    ("BLOCKED", BLOCKED),
    ("REACHABILITY", REACHABILITY),
    ("REACHABILITY_LATE", REACHABILITY_LATE),
    ("JUMP_LOGIN", JUMP_LOGIN),
    ("JUMP_QUESTION", JUMP_QUESTION),
    ("REPLACEMENT", REPLACEMENT),
    ("REPLACEMENT_IN_DOUBT", REPLACEMENT_IN_DOUBT),
    ("REPLACEMENT_DOUBTED", REPLACEMENT_DOUBTED),
    ("BETTER_HOST", BETTER_HOST),
    ("REMOTE_PORT", REMOTE_PORT),
    ("REMOTE_PORT_LATE", REMOTE_PORT_LATE),
    ("REMOTE_PORT_DENIED", REMOTE_PORT_DENIED),
    ("TAKEOVER_LOOK", TAKEOVER_LOOK),
    ("TAKEOVER_OURS", TAKEOVER_OURS),
    ("TAKEOVER_CONTESTED", TAKEOVER_CONTESTED),
    ("PROBE", PROBE),
    ("PROBE_STALE", PROBE_STALE),
    ("DEVICE", DEVICE),
    ("DEVICE_REFUSED", DEVICE_REFUSED),
    ("DEVICE_DENIED", DEVICE_DENIED),
    ("LISTENER", LISTENER),
];

fn seconds(wait: Duration) -> String {
    format!("{} s", wait.as_secs_f64())
}

/// As the table writes it: first wait, growth, longest, jitter.
fn written(backoff: &Backoff) -> [String; 4] {
    let growth = if backoff.factor > 1.0 { backoff.factor.to_string() } else { "none".to_owned() };
    let jitter = match backoff.jitter {
        Jitter::None => "none".to_owned(),
        Jitter::Less(share) => format!("down to {}", 1.0 - share),
        Jitter::More(share) => format!("up to {}", 1.0 + share),
    };
    [seconds(backoff.first), growth, seconds(backoff.longest), jitter]
}

#[test]
fn table_in_the_docs_has_every_schedule_as_it_is() {
    for (name, backoff) in &ALL {
        let cell = format!("| `{name}` |");
        let row = TABLE.lines().find(|line| line.contains(&cell)).unwrap_or_else(|| panic!("no row for {name}"));
        let (_, after) = row.split_once(&cell).unwrap();
        let cells: Vec<&str> = after.split('|').map(str::trim).take(4).collect();
        for (told, is) in cells.iter().zip(written(backoff)) {
            assert!(told.starts_with(&is), "{name}: the table says `{told}`, and it is `{is}`");
        }
    }
}

#[test]
fn no_schedule_grows_beyond_its_longest_wait_or_shrinks() {
    for (name, backoff) in &ALL {
        let waits: Vec<Duration> = (0..20).map(|before| backoff.wait(before)).collect();
        assert!(waits.is_sorted(), "{name}: {waits:?}");
        assert_eq!((waits.first(), waits.last()), (Some(&backoff.first), Some(&backoff.longest)), "{name}");
    }
}
