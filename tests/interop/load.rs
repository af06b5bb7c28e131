//! Many at once: connections through one tunnel, tunnels to one server.

use std::io::{Read, Write};

use support::net::{Service, Target, connect, free_port, pattern};
use support::{Daemon, Sshd, tunnel_toml};

#[test]
fn five_hundred_connections_are_open_at_once_and_each_carries_its_own_bytes() {
    let (sshd, echo, port) = (Sshd::start(), Target::start(Service::Echo), free_port());
    let daemon =
        Daemon::start(&tunnel_toml("t", &sshd, &format!("local_forward = [\"{port}:127.0.0.1:{}\"]", echo.port)));
    daemon.wait_ready("t");
    let mut streams: Vec<_> = (0..500).map(|_| connect(port).expect("none is refused")).collect();
    for (number, stream) in streams.iter_mut().enumerate() {
        stream.write_all(&pattern(number * 4096, 4096)).expect("bytes go in");
    }
    for (number, stream) in streams.iter_mut().enumerate() {
        let mut answer = vec![0; 4096];
        stream.read_exact(&mut answer).expect("bytes come back");
        assert!(answer == pattern(number * 4096, 4096), "connection {number} got the bytes of another connection");
    }
    let tunnel = daemon.tunnel("t").expect("a status");
    assert_eq!(tunnel["forwards"][0]["active"], 500);
}

/// How many tunnels come back to a restarted server. `TUNNELD_LOAD_TUNNELS=500` for a machine with nothing else to do:
/// each login costs the server some tens of milliseconds of one core.
fn fleet() -> usize {
    std::env::var("TUNNELD_LOAD_TUNNELS").ok().and_then(|number| number.parse().ok()).unwrap_or(60)
}

#[test]
fn many_tunnels_come_back_to_a_restarted_stock_server_and_none_is_refused() {
    let (mut sshd, echo) = (Sshd::start(), Target::start(Service::Echo));
    let names: Vec<String> = (0..fleet()).map(|n| format!("t{n}")).collect();
    let forward = || format!("local_forward = [\"127.0.0.1:{}:127.0.0.1:{}\"]", free_port(), echo.port);
    let config: String = names.iter().map(|name| tunnel_toml(name, &sshd, &forward())).collect();
    let daemon = Daemon::start(&config);
    let wait = || {
        let mut arguments = vec!["wait", "--timeout", "300s"];
        arguments.extend(names.iter().map(String::as_str));
        let waited = daemon.cli(&arguments);
        assert!(waited.status.success(), "{}", String::from_utf8_lossy(&waited.stderr));
    };
    wait();
    let before = sshd.log().len();
    sshd.crash();
    support::eventually("all are told", || {
        let status = daemon.status()?;
        status["tunnels"].as_array()?.iter().all(|tunnel| tunnel["ready"] == false).then_some(())
    });
    sshd.launch();
    wait();
    let log = sshd.log();
    let since = &log[before..];
    for refusal in ["MaxStartups", "Not allowed at this time", "drop connection", "penalty"] {
        assert!(!since.contains(refusal), "the server had to refuse logins: {refusal}");
    }
    let logins = since.matches("Accepted publickey for").count();
    assert_eq!(logins, names.len(), "one login each");
}

#[test]
fn two_hundred_tunnels_to_one_stock_server_are_all_ready_and_none_is_refused() {
    let (sshd, echo) = (Sshd::start(), Target::start(Service::Echo));
    let ports: Vec<u16> = (0..200).map(|_| free_port()).collect();
    let config: String = ports
        .iter()
        .enumerate()
        .map(|(n, port)| {
            tunnel_toml(
                &format!("t{n}"),
                &sshd,
                &format!("local_forward = [\"127.0.0.1:{port}:127.0.0.1:{}\"]", echo.port),
            )
        })
        .collect();
    let daemon = Daemon::start(&config);
    let names: Vec<String> = (0..200).map(|n| format!("t{n}")).collect();
    let mut arguments = vec!["wait", "--timeout", "120s"];
    arguments.extend(names.iter().map(String::as_str));
    let waited = daemon.cli(&arguments);
    assert!(waited.status.success(), "{}", String::from_utf8_lossy(&waited.stderr));
    assert!(support::net::echoes(ports[0]) && support::net::echoes(ports[199]));
    assert!(!sshd.log().contains("MaxStartups"), "the server had to refuse logins");
    let status = daemon.status().expect("a status");
    let starts = status["tunnels"].as_array().expect("tunnels").iter().filter_map(|tunnel| tunnel["starts"].as_u64());
    assert_eq!(starts.sum::<u64>(), 200, "one login each\n{}", daemon.log());
}
