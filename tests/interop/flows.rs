//! The connections of one session beside each other: one that stalls stops its own peer, and costs what is bounded.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use nix::sys::socket::{setsockopt, sockopt};
use support::cost::memory_kib;
use support::net::{Service, Target, ask_within, connect, free_port};
use support::patience::within;
use support::traffic::expect_pattern;
use support::{Daemon, Sshd, tunnel_toml};

/// Of each stalled download: more than all buffers on its way.
const BYTES: usize = 24 << 20;
const STALLED: usize = 4;
/// For how long others are asked beside them.
const BESIDE: Duration = Duration::from_secs(20);
/// For one answer, on a machine that is busy with other tests.
const SOON: Duration = Duration::from_secs(5);
/// In KiB: four windows of 2 MiB that readers took nothing of, and buffers.
const MAX_GROWTH: u64 = 24 * 1024;

fn echo_beside(port: u16) -> usize {
    let mut answers = 0;
    let _ = within(BESIDE, || {
        assert_eq!(ask_within(port, b"beside", SOON).expect("an answer"), b"beside");
        answers += 1;
        None::<()>
    });
    answers
}

#[test]
fn stalled_downloads_stop_no_others_and_are_whole_when_they_go_on() {
    let (sshd, echo, source) = (Sshd::start(), Target::start(Service::Echo), Target::start(Service::Source(BYTES)));
    let [to_echo, to_source] = [free_port(), free_port()];
    let lines = format!(
        "local_forward = [\"{to_echo}:127.0.0.1:{}\", \"{to_source}:127.0.0.1:{}\"]\nserver_alive_interval = 1",
        echo.port, source.port
    );
    let daemon = Daemon::start(&tunnel_toml("t", &sshd, &lines));
    daemon.wait_ready("t");
    let before = memory_kib(daemon.pid());
    let stalled: Vec<TcpStream> = (0..STALLED).map(|_| connect(to_source).expect("the forward accepts")).collect();
    assert!(echo_beside(to_echo) > 0);
    let growth = memory_kib(daemon.pid()).saturating_sub(before);
    assert!(growth < MAX_GROWTH, "{growth} KiB for readers that take nothing");
    let tunnel = daemon.tunnel("t").expect("status");
    assert!(tunnel["ready"] == true && tunnel["forwards"][1]["message"].is_null(), "{tunnel:#}");
    for stream in stalled {
        expect_pattern(stream, 0, BYTES);
    }
    assert_eq!(daemon.tunnel("t").expect("status")["starts"], 1);
}

#[test]
fn target_that_reads_nothing_stops_its_own_peer_only() {
    let (sshd, echo) = (Sshd::start(), Target::start(Service::Echo));
    let deaf = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let [to_echo, to_deaf] = [free_port(), free_port()];
    let deaf_port = deaf.local_addr().expect("it is bound").port();
    let held = thread::spawn(move || deaf.accept().expect("a connection").0);
    let lines = format!(
        "local_forward = [\"{to_echo}:127.0.0.1:{}\", \"{to_deaf}:127.0.0.1:{deaf_port}\"]\nserver_alive_interval = 1",
        echo.port
    );
    let daemon = Daemon::start(&tunnel_toml("t", &sshd, &lines));
    daemon.wait_ready("t");
    let before = memory_kib(daemon.pid());
    let mut upload = connect(to_deaf).expect("the forward accepts");
    upload.set_write_timeout(Some(Duration::from_secs(1))).expect("a timeout");
    let piece = vec![7; 1 << 20];
    let mut taken = 0_usize;
    while let Ok(bytes) = upload.write(&piece) {
        taken += bytes;
        assert!(taken < 1 << 30, "it takes everything");
    }
    assert!(echo_beside(to_echo) > 0);
    let growth = memory_kib(daemon.pid()).saturating_sub(before);
    assert!(growth < MAX_GROWTH, "{growth} KiB for a target that takes nothing");
    // All of it arrives when it is read.
    let mut target = held.join().expect("it was accepted");
    drop(upload);
    let mut arrived = 0;
    let mut block = vec![0; 1 << 16];
    while let Ok(bytes @ 1..) = target.read(&mut block) {
        arrived += bytes;
    }
    assert_eq!(arrived, taken);
    assert_eq!(daemon.tunnel("t").expect("status")["starts"], 1);
}

#[test]
fn thousands_of_connections_that_we_close_leave_nothing_behind() {
    const CONNECTIONS: usize = 3000;
    /// In KiB. A library that keeps each would keep more than 3 KiB of it.
    const MAX_GROWTH: u64 = 3 * 1024;
    let (sshd, echo, port) = (Sshd::start(), Target::start(Service::Echo), free_port());
    let line = format!("local_forward = [\"{port}:127.0.0.1:{}\"]", echo.port);
    let daemon = Daemon::start(&tunnel_toml("t", &sshd, &line));
    daemon.wait_ready("t");
    let reset_many = |count: usize| {
        for _ in 0..count {
            let mut stream = connect(port).expect("the forward accepts");
            stream.write_all(b"x").expect("a byte goes in");
            stream.read_exact(&mut [0]).expect("it comes back");
            let reset = nix::libc::linger { l_onoff: 1, l_linger: 0 };
            setsockopt(&stream, sockopt::Linger, &reset).expect("a reset at the end");
        }
    };
    reset_many(300);
    let before = memory_kib(daemon.pid());
    thread::scope(|scope| {
        (0..4).for_each(|_| drop(scope.spawn(|| reset_many(CONNECTIONS / 4))));
    });
    let growth = memory_kib(daemon.pid()).saturating_sub(before);
    assert!(growth < MAX_GROWTH, "{growth} KiB after {CONNECTIONS} connections");
    assert_eq!(daemon.tunnel("t").expect("status")["starts"], 1);
}
