//! What an idle tunnel takes of the machine's memory.

use std::fs;

use support::Daemon;

use super::place::Place;

/// Tunnels of the larger daemon. The difference to one tunnel is shared by the others.
const TUNNELS: u64 = 41;

/// Of one tunnel right after the logins, in KiB: twice what a debug build has, whose tasks are larger. The release build has 72.
const MAX_EACH: u64 = 200;

#[test]
fn idle_tunnel_takes_little_memory_and_no_huge_page() {
    let place = Place::new();
    let one = ready_daemon(&place, 1);
    let many = ready_daemon(&place, TUNNELS);
    for daemon in [&one, &many] {
        assert_eq!(kib(daemon, "smaps_rollup", "AnonHugePages:"), 0);
    }
    let [few, more] = [&one, &many].map(|daemon| kib(daemon, "status", "RssAnon:"));
    let each = (more - few) / (TUNNELS - 1);
    println!("{each} KiB a tunnel, {few} KiB with one");
    assert!(each <= MAX_EACH, "{each} KiB a tunnel: {few} with one, {more} with {TUNNELS}");
}

fn ready_daemon(place: &Place, count: u64) -> Daemon {
    let tunnels = (0..count).map(|number| place.named(&format!("t{number}"), &place.local()));
    let daemon = Daemon::start(&tunnels.collect::<String>());
    (0..count).for_each(|number| drop(daemon.wait_ready(&format!("t{number}"))));
    daemon
}

/// A line of a file of proc(5) about the process.
fn kib(daemon: &Daemon, file: &str, line: &str) -> u64 {
    let text = fs::read_to_string(format!("/proc/{}/{file}", daemon.pid())).expect("the process lives");
    let value = text.lines().find_map(|found| found.strip_prefix(line)).expect("the kernel says it");
    value.trim().trim_end_matches(" kB").parse().expect("a number")
}
