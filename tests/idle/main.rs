//! Idle costs nothing: every mode of the real binary, without users, all at once, over one window of time. What
//! is asserted is the cost of each process, never how long something took.

#![allow(clippy::expect_used, clippy::disallowed_methods, reason = "tests of a real world: they panic, and they wait")]

mod many;
mod memory;
mod modes;
mod place;

use std::time::Duration;

use support::cost::Cost;
use support::patience::within;

use modes::Mode;
use place::Place;

/// How long they are watched. Longer than the pauses of all loops that look at something by themselves, but for the
/// keepalive's.
const WINDOW: Duration = Duration::from_secs(12);

/// Until what a start leaves behind has ended: the first round trip, memory that is given back.
const SETTLING: Duration = Duration::from_secs(4);

/// What a process with one or a few tunnels may use in [`WINDOW`], as a debug build: a hundredth of a processor.
const MAX_CPU: Duration = Duration::from_millis(120);

/// The same, of a mode in which something is tried again and again: a bind and a look for who holds the port each
/// second, a connect each half second.
const MAX_CPU_RETRYING: Duration = Duration::from_millis(300);

/// Wakeups of all threads of one process in [`WINDOW`]. The look for a suspended machine, the feeding of a watchdog
/// and keepalives are some each second at most.
const MAX_WAKEUPS: u64 = 600;

/// The same of an autossh process, of which people have one for each tunnel: nothing is due, so it sleeps.
const MAX_WAKEUPS_AUTOSSH: u64 = 3;

/// Views that one process may publish in [`WINDOW`] when nothing changes: none.
const MAX_VIEWS_AT_REST: usize = 0;

/// The same, of a server or a port that is asked for again and again: each attempt begins and ends.
const MAX_VIEWS_RETRYING: usize = 80;

#[test]
fn idle_daemon_costs_nothing_in_every_mode() {
    let place = Place::new();
    let modes = modes::all(&place);
    modes.iter().for_each(Mode::wait_until_settled);
    wait(SETTLING);
    let before: Vec<_> = modes.iter().map(|mode| (Cost::of(mode.pid()), mode.views())).collect();
    wait(WINDOW);
    let mut failed = Vec::new();
    for (mode, (cost, views)) in modes.iter().zip(before) {
        assert!(
            mode.is_autossh() || views > 0,
            "{}: no view of its start is in the log, which shows nothing",
            mode.name
        );
        let (cost, views) = (Cost::of(mode.pid()) - cost, mode.views() - views);
        let (max_cpu, max_views) =
            if mode.retries() { (MAX_CPU_RETRYING, MAX_VIEWS_RETRYING) } else { (MAX_CPU, MAX_VIEWS_AT_REST) };
        let line = format!("{:28} {:?} on a processor, {} wakeups, {views} views", mode.name, cost.cpu, cost.wakeups);
        println!("{line}");
        let max_wakeups = if mode.is_autossh() { MAX_WAKEUPS_AUTOSSH } else { MAX_WAKEUPS };
        if cost.cpu > max_cpu || cost.wakeups > max_wakeups || views > max_views {
            failed.push(line);
        }
    }
    assert!(failed.is_empty(), "not idle in {WINDOW:?}:\n{}", failed.join("\n"));
}

fn wait(time: Duration) {
    let _ = within(time, || None::<()>);
}
