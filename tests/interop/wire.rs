//! Settings of the connection itself that a stock sshd, or the kernel, can tell us about: new keys, compression, marks.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use support::autossh::{Autossh, words};
use support::net::{Service, Target, connect, echoes, free_port};
use support::traffic::echo_intact;
use support::{Daemon, Sshd, eventually, keys, tunnel_toml};

/// How many MiB each of eight connections carries both ways; more on a machine with nothing else to do:
/// `TUNNELD_LOAD_MIB=64`.
fn mib() -> usize {
    std::env::var("TUNNELD_LOAD_MIB").ok().and_then(|number| number.parse().ok()).unwrap_or(3)
}

/// A port that leads to a server, and what went through it.
struct Meter {
    port: u16,
    bytes: Arc<[AtomicU64; 2]>,
}

impl Meter {
    fn before(server: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port on loopback");
        let meter = Self { port: listener.local_addr().expect("an address").port(), bytes: Arc::default() };
        let bytes = meter.bytes.clone();
        thread::spawn(move || {
            for near in listener.incoming().flatten() {
                let far = TcpStream::connect(("127.0.0.1", server)).expect("the server");
                for (way, (from, to)) in [(&near, &far), (&far, &near)].into_iter().enumerate() {
                    let (from, to) = (from.try_clone().expect("a handle"), to.try_clone().expect("a handle"));
                    let bytes = bytes.clone();
                    thread::spawn(move || pump(from, to, &bytes[way]));
                }
            }
        });
        meter
    }

    /// To and from the server, so far.
    fn bytes(&self) -> [u64; 2] {
        [0, 1].map(|way| self.bytes[way].load(Ordering::Relaxed))
    }
}

fn pump(mut from: TcpStream, mut to: TcpStream, bytes: &AtomicU64) {
    let mut block = vec![0; 64 << 10];
    while let Ok(read @ 1..) = from.read(&mut block) {
        bytes.fetch_add(read as u64, Ordering::Relaxed);
        if to.write_all(&block[..read]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(std::net::Shutdown::Write);
}

/// Says `bytes` zeros to an echo behind `port` and hears them again.
fn echo_zeros(port: u16, bytes: usize) {
    let mut stream = connect(port).expect("the forward accepts");
    let mut sender = stream.try_clone().expect("a second handle");
    let sending = thread::spawn(move || sender.write_all(&vec![0; bytes]).expect("the tunnel takes bytes"));
    let mut heard = vec![1; bytes];
    stream.read_exact(&mut heard).expect("the tunnel gives bytes");
    assert!(heard.iter().all(|byte| *byte == 0));
    sending.join().expect("all bytes are sent");
}

/// How often keys were renewed after the logins, by sshd's log.
fn renewals(sshd: &Sshd) -> usize {
    sshd.log().lines().filter(|line| line.contains("SSH2_MSG_KEXINIT received") && !line.contains("[preauth]")).count()
}

#[test]
fn keys_are_renewed_at_quiet_moments_and_a_busy_session_never_dies_of_it() {
    // The smallest window: two of them more under way than at the moment of the question, and russh gives up.
    let (sshd, echo, port) = (Sshd::with_config("LogLevel DEBUG1"), Target::start(Service::Echo), free_port());
    let daemon = Daemon::start(&tunnel_toml(
        "t",
        &sshd,
        &format!(
            "local_forward = [\"{port}:127.0.0.1:{}\"]\nrekey_limit = \"64K\"\nreceive_window = \"64KiB\"",
            echo.port
        ),
    ));
    daemon.wait_ready("t");
    for round in 1..=2 {
        let before = renewals(&sshd);
        echo_intact(port, 8, mib() << 20);
        assert_eq!(daemon.tunnel("t").expect("a status")["starts"], 1, "{}", daemon.log());
        eventually("keys are renewed when it is quiet", || (renewals(&sshd) > before).then_some(()));
        assert!(echoes(port), "round {round}");
    }
    assert_eq!(daemon.tunnel("t").expect("a status")["starts"], 1, "{}", daemon.log());
}

#[test]
fn without_a_limit_keys_are_the_servers_business() {
    let (sshd, echo, port) = (Sshd::with_config("LogLevel DEBUG1"), Target::start(Service::Echo), free_port());
    let lines = format!("local_forward = [\"{port}:127.0.0.1:{}\"]", echo.port);
    let daemon = Daemon::start(&tunnel_toml("t", &sshd, &lines));
    daemon.wait_ready("t");
    echo_intact(port, 2, 1 << 20);
    assert_eq!(renewals(&sshd), 0);
}

#[test]
fn compression_makes_the_same_bytes_fewer_on_the_wire() {
    const BYTES: usize = 8 << 20;
    let (sshd, echo) = (Sshd::start(), Target::start(Service::Echo));
    for (compression, at_most) in [(false, u64::MAX), (true, BYTES as u64 / 20)] {
        let (meter, port) = (Meter::before(sshd.port), free_port());
        let config = tunnel_toml(
            "t",
            &sshd,
            &format!("local_forward = [\"{port}:127.0.0.1:{}\"]\ncompression = {compression}", echo.port),
        )
        .replace(&format!("port = {}\n", sshd.port), &format!("port = {}\n", meter.port))
        .replace("user_known_hosts_file", "strict_host_key_checking = \"no\"\nuser_known_hosts_file");
        let daemon = Daemon::start(&config);
        daemon.wait_ready("t");
        let before = meter.bytes();
        echo_zeros(port, BYTES);
        for (now, before) in meter.bytes().into_iter().zip(before) {
            let carried = now - before;
            assert!(carried <= at_most, "{carried} bytes for {BYTES}");
            assert!(compression || carried > BYTES as u64, "{carried} bytes for {BYTES}");
        }
    }
}

#[test]
fn compressed_bytes_stay_intact_on_many_connections_while_both_sides_renew_keys() {
    let sshd = Sshd::with_config("RekeyLimit 256K\nLogLevel DEBUG1");
    let (echo, port) = (Target::start(Service::Echo), free_port());
    let lines = format!(
        "local_forward = [\"{port}:127.0.0.1:{}\"]\ncompression = true\nrekey_limit = \"1M\"\nserver_alive_interval = 1",
        echo.port
    );
    let daemon = Daemon::start(&tunnel_toml("t", &sshd, &lines));
    daemon.wait_ready("t");
    echo_intact(port, 8, mib() << 20);
    echo_intact(port, 1, mib() << 20);
    assert!(renewals(&sshd) > 2, "{}", renewals(&sshd));
    assert_eq!(daemon.tunnel("t").expect("a status")["starts"], 1, "{}", daemon.log());
}

#[test]
fn the_connection_is_marked_as_ip_qos_says_and_only_then() {
    let sshd = Sshd::start();
    for (line, mark) in [("ip_qos = \"af21\"", Some("tos:0x48")), ("", None)] {
        let daemon =
            Daemon::start(&tunnel_toml("t", &sshd, &format!("{}\n{line}", support::daemon::any_forward(&sshd))));
        daemon.wait_ready("t");
        let sockets = Command::new("ss").args(["-tnpH", "--tos", "dport", "=", &sshd.port.to_string()]).output();
        let sockets = String::from_utf8_lossy(&sockets.expect("ss runs").stdout).into_owned();
        let ours = sockets.split("\nESTAB").find(|one| one.contains(&format!("pid={},", daemon.pid())));
        let ours = ours.unwrap_or_else(|| panic!("no socket of pid {} in\n{sockets}", daemon.pid()));
        assert_eq!(ours.contains("tos:0x48"), mark.is_some(), "{ours}");
    }
}

#[test]
fn a_start_goes_on_trying_as_connection_attempts_says() {
    let mut sshd = Sshd::start();
    sshd.crash();
    let lines = format!("{}\nconnection_attempts = 600\nconnect_timeout = 600", support::daemon::any_forward(&sshd));
    let daemon = Daemon::start(&tunnel_toml("t", &sshd, &lines));
    daemon.wait_for("t", "connecting", |tunnel| tunnel["phase"] == "connecting" && tunnel["starts"] == 1);
    sshd.launch();
    let tunnel = daemon.wait_ready("t");
    assert_eq!((&tunnel["starts"], &tunnel["last_failure"]), (&1.into(), &serde_json::Value::Null));
}

#[test]
fn an_autossh_line_compresses_and_comes_from_an_interface() {
    let (sshd, echo, port) = (Sshd::start(), Target::start(Service::Echo), free_port());
    let meter = Meter::before(sshd.port);
    let line = format!(
        "-M 0 -N -C -B lo -p {} -F none -o IdentityAgent=none -o StrictHostKeyChecking=no -o UserKnownHostsFile=none \
         -i {} -L {port}:127.0.0.1:{} {}@127.0.0.1",
        meter.port,
        sshd.user_key.display(),
        echo.port,
        keys::user()
    );
    let autossh = Autossh::new();
    let _running = autossh.start(&words(&line));
    eventually("the forward carries", || echoes(port).then_some(()));
    let before = meter.bytes();
    echo_zeros(port, 4 << 20);
    assert!(meter.bytes()[1] - before[1] < 400_000, "{:?} {before:?}", meter.bytes());
    let absent =
        words(&line.replace("-B lo", "-B no-such-if").replace(&format!("{port}:127"), &format!("{}:127", free_port())));
    let elsewhere = Autossh::new();
    let _waiting = elsewhere.start(&absent);
    elsewhere.wait_log("there is no interface `no-such-if`");
}
