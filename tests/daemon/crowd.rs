//! More peers than there is room for, and peers that take their time: memory and descriptors are bounded, other peers are not
//! held up, and each connection that was accepted is served.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use support::autossh::{self, Autossh, words};
use support::cost::{descriptors, memory_kib};
use support::net::{Service, Target, connect, echoes, free_port};
use support::patience::{PATIENCE, within};
use support::{Daemon, Sshd, eventually, tunnel_toml};

/// All together, by processes that may each have so many descriptors.
const CROWD: usize = 20_000;
const EACH: usize = 5_000;

/// Connections at once of the forward that they come to.
const MAX_CONNECTIONS: usize = 64;

/// What they may cost, in KiB. Measured with a debug build, before and at most: 20,000 connects 3292 and 4324, silent users of a
/// proxy 2892 and 3336, on the monitor's port 2828 and 6604, on the metrics port 2964 and 4328.
const MAX_GROWTH: u64 = 16 * 1024;

/// Programs that open connections to a port, say so, and keep them until they are dropped.
struct Crowd(Vec<Child>);

impl Crowd {
    fn come(port: u16, many: usize) -> Self {
        // Each from an address of its own: one has no more than some thousand ports. Those that the kernel does not take
        // at once go on trying.
        let script = "import resource, socket, sys\n\
                      port, many, source = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]\n\
                      hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]\n\
                      resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, many + 100), hard))\n\
                      held = []\n\
                      for _ in range(many):\n\
                      \x20   s = socket.socket(); s.setblocking(False); s.bind((source, 0)); s.connect_ex(('127.0.0.1', port)); held.append(s)\n\
                      print('here', flush=True)\n\
                      sys.stdin.read()\n";
        let come = |at: usize| {
            let mut command = Command::new("/usr/bin/python3");
            command.args([
                "-c",
                script,
                &port.to_string(),
                &EACH.min(many).to_string(),
                &format!("127.0.1.{}", at + 1),
            ]);
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("python3 runs")
        };
        let mut crowd = Self((0..many.div_ceil(EACH)).map(come).collect());
        for child in &mut crowd.0 {
            let mut line = String::new();
            BufReader::new(child.stdout.take().expect("its output")).read_line(&mut line).expect("it speaks");
            assert_eq!(line, "here\n");
        }
        crowd
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

#[test]
fn twenty_thousand_connects_wait_for_their_turn_outside() {
    let (sshd, echo) = (Sshd::start(), Target::start(Service::Echo));
    let (crowded, other) = (free_port(), free_port());
    let forward = |port: u16| format!("local_forward = [\"127.0.0.1:{port}:127.0.0.1:{}\"]", echo.port);
    let config = tunnel_toml("crowded", &sshd, &format!("{}\nmax_connections = {MAX_CONNECTIONS}", forward(crowded)))
        + &tunnel_toml("other", &sshd, &forward(other));
    let daemon = Daemon::start(&config);
    daemon.wait_ready("crowded");
    daemon.wait_ready("other");
    let mut first = connect(crowded).expect("the forward accepts");
    first.write_all(b"x").expect("it takes a byte");
    first.read_exact(&mut [0]).expect("it gives it back");
    let (before, open) = (memory_kib(daemon.pid()), descriptors(daemon.pid()));

    let crowd = Crowd::come(crowded, CROWD);
    let active = |tunnel: &serde_json::Value| tunnel["forwards"][0]["active"].as_u64() == Some(MAX_CONNECTIONS as u64);
    daemon.wait_for("crowded", "full", active);
    let most = memory_kib(daemon.pid());
    assert!(most < before + MAX_GROWTH, "{before} KiB before, {most} KiB with {CROWD} connects");
    let held = descriptors(daemon.pid());
    assert!(held <= open + 2 * MAX_CONNECTIONS, "{open} descriptors before, {held} with {CROWD} connects");
    assert!(echoes(other), "another tunnel is held up");
    first.write_all(b"y").expect("it takes a byte");
    first.read_exact(&mut [0]).expect("an accepted connection is served");

    drop(crowd);
    eventually("there is room again", || echoes(crowded).then_some(()));
    first.write_all(b"z").expect("it takes a byte");
    first.read_exact(&mut [0]).expect("an accepted connection is served to the end");
    drop(first);
    daemon.wait_for("crowded", "empty again", |tunnel| tunnel["forwards"][0]["active"] == 0);
    eventually("their descriptors are closed", || (descriptors(daemon.pid()) <= open + 2).then_some(()));
    assert_eq!(daemon.tunnel("crowded").expect("a status")["starts"], 1, "{}", daemon.log());
}

#[test]
fn silent_proxy_users_are_timed_out() {
    let (sshd, echo, port) = (Sshd::start(), Target::start(Service::Echo), free_port());
    let lines = format!("dynamic_forward = [\"127.0.0.1:{port}\"]\nmax_connections = {MAX_CONNECTIONS}");
    let daemon = Daemon::start(&tunnel_toml("t", &sshd, &lines));
    daemon.wait_ready("t");
    let before = memory_kib(daemon.pid());
    // A byte each, and then one an hour: every place is taken.
    let come = || {
        let mut stream = connect(port).expect("the proxy accepts");
        stream.write_all(&[5]).expect("it takes a byte");
        stream
    };
    let mut silent: Vec<TcpStream> = (0..MAX_CONNECTIONS).map(|_| come()).collect();
    let most = memory_kib(daemon.pid());
    assert!(most < before + MAX_GROWTH, "{before} KiB before, {most} KiB with them");
    // A user that comes now waits until theirs is over (30 s), and is served then.
    let served = within(3 * PATIENCE, || {
        let asked = support::socks::request(port, support::socks::Version::V5, echo.port);
        asked.ok().filter(|(_, code)| *code == 0)
    });
    assert!(served.is_some(), "{}", daemon.log());
    for stream in &mut silent {
        assert!(matches!(stream.read(&mut [0]), Ok(0) | Err(_)), "it is still served");
    }
}

/// Any local program can connect to the monitor's forward, and its echo service may answer slowly.
#[test]
fn crowd_on_the_monitor_port_costs_bounded_memory() {
    /// Half a poll is what an exchange may take.
    const POLL: &str = "4";
    let (sshd, port, socks) = (Sshd::start(), free_port(), free_port());
    let slow = slow_echo();
    let autossh = Autossh::new().with("AUTOSSH_POLL", POLL).with("AUTOSSH_LOGLEVEL", "7");
    let line = format!("-M {port}:{slow} -N {} -D {socks} {}", autossh::options(&sshd), autossh::host());
    let running = autossh.start(&words(&line));
    eventually("the monitor's forward listens", || TcpStream::connect(("127.0.0.1", port)).ok());
    let before = memory_kib(running.pid());
    let _crowd = Crowd::come(port, 300);
    autossh.wait_log("timeout on io poll");
    autossh.wait_log("port down, restarting ssh");
    autossh.wait_log("starting ssh (count 2)");
    let most = memory_kib(running.pid());
    assert!(most < before + MAX_GROWTH, "{before} KiB before, {most} KiB with them");
}

/// Says a byte back each second.
fn slow_echo() -> u16 {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let port = listener.local_addr().expect("it is bound").port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let mut byte = [0];
                while stream.read_exact(&mut byte).is_ok() && stream.write_all(&byte).is_ok() {
                    support::patience::last(Duration::from_secs(1));
                }
            });
        }
    });
    port
}

#[test]
fn slow_clients_of_the_metrics_port_make_room() {
    let (sshd, echo, port, http) = (Sshd::start(), Target::start(Service::Echo), free_port(), free_port());
    let forward = format!("local_forward = [\"127.0.0.1:{port}:127.0.0.1:{}\"]", echo.port);
    let daemon =
        Daemon::start(&format!("[metrics]\nlisten = \"127.0.0.1:{http}\"\n{}", tunnel_toml("t", &sshd, &forward)));
    daemon.wait_ready("t");
    let (before, open) = (memory_kib(daemon.pid()), descriptors(daemon.pid()));
    let slow: Vec<TcpStream> = (0..1000)
        .filter_map(|_| {
            let mut stream = connect(http).ok()?;
            stream.write_all(b"G").ok()?;
            Some(stream)
        })
        .collect();
    assert!(slow.len() > 500, "only {} came", slow.len());
    assert_eq!(support::http::get(http, "/ready").expect("a scraper is answered").code, 200);
    let most = memory_kib(daemon.pid());
    assert!(most < before + MAX_GROWTH, "{before} KiB before, {most} KiB with them");
    assert!(descriptors(daemon.pid()) < open + 100, "{open} descriptors before, {}", descriptors(daemon.pid()));
    assert!(echoes(port), "the tunnel carries");
}
