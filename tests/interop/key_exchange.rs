//! A key exchange that takes long, and what it does to the other tunnels of the process.

use std::fs;
use std::path::{Path, PathBuf};

use support::daemon::any_forward;
use support::net::{Service, Target, echoes, free_port};
use support::{Daemon, Sshd, eventually, keys, tunnel_toml};

use crate::ways::know_both;

/// Logins with group 18: seconds of arithmetic in all.
const LOGINS: u64 = 4;

#[test]
fn long_key_exchange_computes_beside_the_thread_that_serves() {
    let (sshd, echo) = (Sshd::start(), Target::start(Service::Echo));
    let (port, slow) = (free_port(), free_port());
    let forward = |port: u16| format!("local_forward = [\"{port}:127.0.0.1:{}\"]", echo.port);
    let other = tunnel_toml("other", &sshd, &forward(port));
    let large = format!("{}\nkex_algorithms = \"diffie-hellman-group18-sha512\"", forward(slow));
    let large = tunnel_toml("large", &sshd, &format!("{large}\nenabled = false"));
    let daemon = Daemon::start(&format!("{other}\n{large}"));
    daemon.wait_ready("other");
    let before = cpu(daemon.pid());
    for login in 1..=LOGINS {
        let verb = if login == 1 { "start" } else { "restart" };
        assert!(daemon.cli(&[verb, "large"]).status.success());
        daemon.wait_for("large", "ready again", |tunnel| tunnel["ready"] == true && tunnel["starts"] == login);
        assert!(echoes(port), "the other tunnel carries");
    }
    assert!(echoes(slow), "so does this one, from its own thread");
    let tunnel = daemon.tunnel("large").expect("a tunnel");
    assert_eq!(tunnel["session"]["kex"], "diffie-hellman-group18-sha512");
    let after = cpu(daemon.pid());
    let (serving, beside) = (after.0 - before.0, after.1 - before.1);
    assert!(beside > 2 * serving, "{serving} ticks of the thread that serves, {beside} of all others");
}

#[test]
fn server_that_has_only_groups_is_served() {
    for (config, kex) in [
        ("KexAlgorithms diffie-hellman-group16-sha512", "diffie-hellman-group16-sha512"),
        ("KexAlgorithms diffie-hellman-group14-sha256", "diffie-hellman-group14-sha256"),
    ] {
        let (sshd, echo, port) = (Sshd::with_config(config), Target::start(Service::Echo), free_port());
        let daemon =
            Daemon::start(&tunnel_toml("t", &sshd, &format!("local_forward = [\"{port}:127.0.0.1:{}\"]", echo.port)));
        assert_eq!(daemon.wait_ready("t")["session"]["kex"], kex);
        assert!(echoes(port));
    }
}

/// OpenSSH takes what its moduli file has; where that is too large for the client, a group of its own.
#[test]
fn group_exchange_is_bounded_unless_the_user_wants_more() {
    for (kex, group) in [
        ("diffie-hellman-group-exchange-sha256", "2048 3072 4096"),
        ("diffie-hellman-group-exchange-sha256,diffie-hellman-group18-sha512", "2048 3072 8192"),
    ] {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let moduli = largest_moduli(&dir.path().join("moduli"));
        let sshd = Sshd::with_config(&format!("LogLevel DEBUG3\nModuliFile {}", moduli.display()));
        let (echo, port) = (Target::start(Service::Echo), free_port());
        let lines = format!("local_forward = [\"{port}:127.0.0.1:{}\"]\nkex_algorithms = \"{kex}\"", echo.port);
        let daemon = Daemon::start(&tunnel_toml("t", &sshd, &lines));
        let tunnel = daemon.wait_ready("t");
        assert_eq!(tunnel["session"]["kex"], "diffie-hellman-group-exchange-sha256");
        assert!(echoes(port));
        eventually("sshd tells the sizes", || sshd.log().contains(&format!("got parameters: {group}")).then_some(()));
    }
}

/// The moduli of this machine with 8191 bits and no others.
fn largest_moduli(path: &Path) -> PathBuf {
    let all = fs::read_to_string("/etc/ssh/moduli").expect("the moduli of openssh-server");
    let large: Vec<&str> = all.lines().filter(|line| line.split(' ').nth(4) == Some("8191")).collect();
    assert!(!large.is_empty(), "Debian's moduli go up to 8191 bits");
    fs::write(path, large.join("\n") + "\n").expect("a file of moduli");
    path.to_owned()
}

/// CPU time of the thread that serves, and of all other threads, in clock ticks.
fn cpu(pid: u32) -> (u64, u64) {
    let mut ticks = (0, 0);
    for thread in fs::read_dir(format!("/proc/{pid}/task")).expect("the daemon's threads").flatten() {
        let Ok(stat) = fs::read_to_string(thread.path().join("stat")) else { continue };
        let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
        let spent: u64 = fields[11..=12].iter().filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
        let first = thread.file_name().to_string_lossy() == pid.to_string();
        *(if first { &mut ticks.0 } else { &mut ticks.1 }) += spent;
    }
    ticks
}

/// Once, and not at each login; again when the server's method is another.
#[test]
fn exchange_that_is_not_post_quantum_is_told_once() {
    let mut sshd = Sshd::with_config("KexAlgorithms curve25519-sha256");
    let daemon = Daemon::start(&tunnel_toml("t", &sshd, &any_forward(&sshd)));
    daemon.wait_ready("t");
    let told = |kex: &str| daemon.log().matches(&format!("t: its key exchange, {kex}, is not post-quantum")).count();
    assert_eq!(told("curve25519-sha256"), 1, "{}", daemon.log());
    for start in 2..=3 {
        sshd.kill_sessions();
        daemon.wait_for("t", "up again", |tunnel| tunnel["starts"] == start && tunnel["ready"] == true);
    }
    assert_eq!(told("curve25519-sha256"), 1, "{}", daemon.log());
    for (kex, times) in
        [("ecdh-sha2-nistp256", 1), ("sntrup761x25519-sha512@openssh.com", 0), ("ecdh-sha2-nistp256", 2)]
    {
        let before = daemon.tunnel("t").expect("a tunnel")["starts"].as_u64();
        sshd.crash();
        sshd.set_first_line(&format!("KexAlgorithms {kex}"));
        sshd.launch();
        daemon
            .wait_for("t", "up again", |tunnel| tunnel["starts"].as_u64() > before && tunnel["session"]["kex"] == kex);
        assert_eq!(told(kex), times, "{}", daemon.log());
    }
}

/// The tunnel's own exchange is post-quantum: what the jump host's protects is the login there.
#[test]
fn jump_hosts_exchange_is_told_beside_the_tunnels() {
    let (server, jump) = (Sshd::start(), Sshd::with_config("KexAlgorithms curve25519-sha256"));
    let known = know_both(&server, &jump);
    let lines = format!("proxy_jump = \"{}@127.0.0.1:{}\"\n{}", keys::user(), jump.port, any_forward(&server));
    let config = tunnel_toml("t", &server, &lines).replace(&server.known_hosts.display().to_string(), &known);
    let daemon = Daemon::start(&config);
    let session = daemon.wait_ready("t")["session"].clone();
    assert_eq!(session["post_quantum"], true, "{session}");
    let host = format!("127.0.0.1:{}", jump.port);
    let (kex, software) = ("curve25519-sha256", session["software"].clone());
    let expected = serde_json::json!([{ "server": host, "software": software, "kex": kex, "post_quantum": false }]);
    assert_eq!(session["jump_hosts"], expected, "{session}");
    let line = format!("t: the key exchange with its jump host {host}, {kex}, is not post-quantum");
    jump.kill_sessions();
    daemon.wait_for("t", "up again", |tunnel| tunnel["starts"] == 2 && tunnel["ready"] == true);
    assert_eq!(daemon.log().matches(&line).count(), 1, "once, and not at each login: {}", daemon.log());
    assert!(!daemon.log().contains("t: its key exchange"), "{}", daemon.log());
}
