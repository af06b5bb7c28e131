//! Many tunnels of one daemon share its wakeups: what each of them does again and again is done together.

use std::time::Duration;

use support::Daemon;
use support::cost::Cost;

use super::place::Place;
use super::{SETTLING, wait};

/// Of each kind.
const TUNNELS: u64 = 30;

/// How long they are watched.
const WINDOW: Duration = Duration::from_secs(10);

/// What all of them together may use of a processor in [`WINDOW`], as a debug build, which uses some ten times as much as
/// a release build: where each of them asks its server a question each second…
const MAX_CPU_ASKING: Duration = Duration::from_millis(600);

/// …and where they wait, and one question stands for all of them.
const MAX_CPU_WAITING: Duration = Duration::from_millis(200);

/// What a daemon does whatever it has to look after, and what other programs of this machine take from it.
const OWN: u64 = 60;

#[test]
fn many_tunnels_share_their_wakeups() {
    let place = Place::new();
    let echo = place.echo.port;
    let keepalive = || format!("server_alive_interval = 1\n{}", place.local());
    let held = || std::net::TcpListener::bind("127.0.0.1:0").expect("a port on loopback");
    let holders: Vec<_> = (0..2 * TUNNELS).map(|_| held()).collect();
    let busy = |at: u64| {
        let holder = &holders[usize::try_from(at).expect("few")];
        format!("127.0.0.1:{}:127.0.0.1:{echo}", holder.local_addr().expect("bound").port())
    };
    let busy_here = |at: u64| format!("local_forward = [\"{}\"]", busy(at));
    let busy_there = |at: u64| format!("remote_forward = [\"{}\"]", busy(TUNNELS + at));
    let (there, nowhere) = (place.sshd.port, place.nowhere);
    let away = all(&place, |_| place.local()).replace(&format!("\nport = {there}\n"), &format!("\nport = {nowhere}\n"));
    // What a question, an answer, or a try costs at most, in wakeups of its own a second. A tunnel that is woken for
    // each has two of them, and four where it asks the server.
    let modes = [
        ("keepalive each second", all(&place, |_| keepalive()), "ready", 1.2, MAX_CPU_ASKING),
        ("port busy", all(&place, busy_here), "listen_in_use", 0.2, MAX_CPU_WAITING),
        ("remote port busy", all(&place, busy_there), "remote_port_busy", 1.6, MAX_CPU_ASKING),
        ("server away", away, "connect_refused", 0.6, MAX_CPU_WAITING),
    ];
    let daemons = modes.map(|(name, config, settled, most, cpu)| (name, Daemon::start(&config), settled, most, cpu));
    for (_, daemon, settled, ..) in &daemons {
        for at in 0..TUNNELS {
            daemon.wait_for(&format!("t{at}"), settled, |tunnel| {
                if *settled == "ready" { tunnel["ready"] == true } else { tunnel["last_failure"]["kind"] == *settled }
            });
        }
    }
    wait(SETTLING);
    let before = daemons.each_ref().map(|(_, daemon, ..)| Cost::of_first_thread(daemon.pid()));
    wait(WINDOW);
    let mut failed = Vec::new();
    for ((name, daemon, _, most, max_cpu), before) in daemons.iter().zip(before) {
        let Cost { cpu, wakeups } = Cost::of_first_thread(daemon.pid()) - before;
        let each = wakeups.saturating_sub(OWN) as f64 / TUNNELS as f64 / WINDOW.as_secs_f64();
        let line = format!("{name}: {wakeups} wakeups, {each:.2} a tunnel and second, {cpu:?} on a processor");
        println!("{line}");
        if each > *most || cpu > *max_cpu {
            failed.push(format!("{line}; {most} and {max_cpu:?} are allowed"));
        }
    }
    drop(holders);
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

fn all(place: &Place, lines: impl Fn(u64) -> String) -> String {
    (0..TUNNELS).map(|at| place.named(&format!("t{at}"), &lines(at))).collect()
}
