//! Every algorithm that a list may name, with each server that has it: bytes pass both ways while keys are renewed.
//!
//! `make test-algorithms` does the same with [`FULL`] bytes each way, and prints what each took.

mod directions;
mod openssh;
mod others;

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use support::daemon::Server;
use support::net::{Service, Target, connect, free_port};
use support::traffic::echo_intact;
use support::{Daemon, eventually, tunnel_toml};
use tunnel_engine::examine::AlgorithmOffer;
use tunnel_engine::fuzzing::kex_offer;

const KEX: &[&str] = &[
    "mlkem768x25519-sha256",
    "sntrup761x25519-sha512",
    "sntrup761x25519-sha512@openssh.com",
    "curve25519-sha256",
    "curve25519-sha256@libssh.org",
    "ecdh-sha2-nistp256",
    "ecdh-sha2-nistp384",
    "ecdh-sha2-nistp521",
    "diffie-hellman-group-exchange-sha256",
    "diffie-hellman-group14-sha256",
    "diffie-hellman-group15-sha512",
    "diffie-hellman-group16-sha512",
    "diffie-hellman-group17-sha512",
    "diffie-hellman-group18-sha512",
    "diffie-hellman-group-exchange-sha1",
    "diffie-hellman-group14-sha1",
    "diffie-hellman-group1-sha1",
];
const AEADS: &[&str] = &["aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "chacha20-poly1305@openssh.com"];
const CIPHERS: &[&str] = &["aes128-ctr", "aes192-ctr", "aes256-ctr", "aes128-cbc", "aes192-cbc", "aes256-cbc"];
const MACS: &[&str] = &[
    "hmac-sha2-256-etm@openssh.com",
    "hmac-sha2-512-etm@openssh.com",
    "hmac-sha2-256",
    "hmac-sha2-512",
    "hmac-sha1-etm@openssh.com",
    "hmac-sha1",
];
const HOST_KEYS: &[&str] = &[
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "rsa-sha2-512",
    "rsa-sha2-256",
    "ssh-rsa",
];

/// With this variable each tunnel carries [`FULL`].
const FULL_SIZE: &str = "TUNNELD_TEST_ALGORITHMS";

/// Bytes each way, and after how many keys are renewed: twice at least.
struct Size {
    bytes: usize,
    renewal: &'static str,
    /// Of a compressed session, which counts what passes compressed.
    compressed: &'static str,
    /// The same of a server that can be told.
    of_server: &'static str,
}
const SHORT: Size = Size { bytes: 2 << 20, renewal: "640K", compressed: "24K", of_server: "900K" };
const FULL: Size = Size { bytes: 64 << 20, renewal: "20M", compressed: "512K", of_server: "28M" };
const RENEWALS: usize = 2;

/// So many connections at once.
const FLOWS: usize = 2;

fn size() -> Size {
    if std::env::var_os(FULL_SIZE).is_some() { FULL } else { SHORT }
}

/// A tunnel with lines of config, and what `status` has to say of its session.
struct Cell {
    lines: String,
    agreed: Vec<(&'static str, String)>,
    /// Of its key exchange.
    post_quantum: Option<bool>,
}

impl Cell {
    fn kex(name: &str) -> Self {
        let post_quantum = Some(name.starts_with("sntrup") || name.starts_with("mlkem"));
        Self { lines: format!("kex_algorithms = \"{name}\""), agreed: vec![("kex", name.to_owned())], post_quantum }
    }

    fn cipher(name: &str, mac: Option<&str>) -> Self {
        let mac = mac.map(|mac| format!("\nmacs = \"{mac}\"")).unwrap_or_default();
        Self {
            lines: format!("ciphers = \"{name}\"{mac}"),
            agreed: vec![("cipher", name.to_owned())],
            post_quantum: None,
        }
    }

    fn host_key(name: &str) -> Self {
        // RSA keys sign in several ways, and `status` tells of the key.
        let kind = if name.starts_with("rsa") { "ssh-rsa" } else { name };
        let agreed = vec![("host_key", kind.to_owned())];
        Self { lines: format!("host_key_algorithms = \"{name}\""), agreed, post_quantum: None }
    }

    fn compressed(mut self) -> Self {
        self.lines.push_str("\ncompression = true");
        self
    }
}

/// One tunnel for each of them, which carries bytes both ways on one session and renews its keys.
#[track_caller]
fn all_carry(what: &str, server: &dyn Server, cells: &[Cell]) {
    let Size { bytes, renewal, compressed, .. } = size();
    let echo = Target::start(Service::Echo);
    let ports: Vec<u16> = cells.iter().map(|_| free_port()).collect();
    let tunnels = cells.iter().zip(&ports).enumerate().map(|(number, (cell, port))| {
        let renewal = if cell.lines.contains("compression = true") { compressed } else { renewal };
        let lines = format!("local_forward = [\"{port}:127.0.0.1:{}\"]\nrekey_limit = \"{renewal}\"", echo.port);
        let patient = "connect_timeout = \"60s\"\nenabled = false";
        tunnel_toml(&format!("t{number}"), server, &format!("{lines}\n{patient}\n{}", cell.lines))
    });
    // One line for each exchange.
    let log = "[log]\nlevel = \"warn,tunnel_engine::session=debug\"\n";
    let daemon = Daemon::start(&format!("{log}{}", tunnels.collect::<Vec<_>>().join("\n")));
    let exchanges = || daemon.log().matches(": new keys").count();
    for (number, (cell, port)) in cells.iter().zip(ports).enumerate() {
        let (name, label) = (format!("t{number}"), cell.lines.replace('\n', ", "));
        // One after the other: some servers have one thread, and some methods take seconds there.
        assert!(daemon.cli(&["start", &name]).status.success(), "{}", daemon.log());
        daemon.wait_ready(&name);
        let (before, began) = (exchanges(), Instant::now());
        echo_intact(port, FLOWS, bytes / FLOWS);
        let took = began.elapsed();
        // The log may be behind.
        let renewed = eventually("keys are renewed", || Some(exchanges() - before).filter(|count| *count >= RENEWALS));
        eprintln!("{what}: {label}: {} MiB each way in {took:.1?}, {renewed} new keys", bytes >> 20);
        let tunnel = daemon.tunnel(&name).expect("a status");
        assert_eq!(tunnel["starts"], 1, "{what}: {label}: {}", daemon.log());
        for (key, wanted) in &cell.agreed {
            let agreed = tunnel["session"][key].as_str().expect("a session");
            assert!(agreed.starts_with(wanted.as_str()), "{what}: {label}: {key} is {agreed}");
        }
        if let Some(post_quantum) = cell.post_quantum {
            assert_eq!(tunnel["session"]["post_quantum"], post_quantum, "{what}: {label}");
        }
        assert!(daemon.cli(&["stop", &name]).status.success(), "{}", daemon.log());
    }
}

/// What a server has, by its own first words.
fn offer(port: u16) -> AlgorithmOffer {
    let mut stream = connect(port).expect("the server listens");
    stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout");
    stream.write_all(b"SSH-2.0-test\r\n").expect("it takes our words");
    let mut said = Vec::new();
    loop {
        if let Some(offer) = kex_offer(&said) {
            return offer;
        }
        let mut piece = [0; 4096];
        match stream.read(&mut piece) {
            Ok(read) if read > 0 => said.extend_from_slice(&piece[..read]),
            ended => panic!("it said {said:?}, and then {ended:?}"),
        }
    }
}

/// Those of ours that a server has; at least `least`, so that nothing is left out in silence.
#[track_caller]
fn both(what: &str, ours: &[&'static str], theirs: &[String], least: usize) -> Vec<&'static str> {
    let (both, missing): (Vec<_>, Vec<_>) = ours.iter().partition(|name| theirs.iter().any(|has| has == **name));
    eprintln!("{what}: has not {missing:?}");
    assert!(both.len() >= least, "{what} has only {both:?} of ours");
    both
}
