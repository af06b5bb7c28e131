//! No descriptor left: the operator can still ask.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Stdio;

use serde_json::Value;
use support::daemon::{command, said};
use support::net::{Service, Target, connect, free_port};
use support::process::{Process, wrapped};
use support::{Sshd, eventually, tunnel_toml};

/// What was accepted before is served throughout, and what waited is served once there are descriptors again.
#[test]
fn connections_outlast_a_shortage_of_descriptors() {
    let (sshd, echo, port) = (Sshd::start(), Target::start(Service::Echo), free_port());
    let dir = tempfile::tempdir().expect("a folder");
    let (config, socket) = (dir.path().join("t.toml"), dir.path().join("s").display().to_string());
    let forward = format!("local_forward = [\"127.0.0.1:{port}:127.0.0.1:{}\"]", echo.port);
    std::fs::write(&config, format!("control_socket = \"{socket}\"\n{}", tunnel_toml("t", &sshd, &forward)))
        .expect("a config");
    let _daemon = start(&config, Stdio::null);
    let status = || status(&socket);
    let ready = || status().filter(|status| status["tunnels"][0]["ready"] == true);
    eventually("the tunnel is ready", ready);
    let mut first = connect(port).expect("the forward accepts");
    let echoed = |stream: &mut TcpStream| {
        let mut byte = [0];
        stream.write_all(b"x").and_then(|()| stream.read_exact(&mut byte)).expect("an accepted connection is served");
    };
    echoed(&mut first);
    let mut waiting: Vec<TcpStream> = (0..2 * LIMIT).map(|_| connect(port).expect("the kernel accepts")).collect();
    waiting.iter_mut().for_each(|stream| stream.write_all(b"y").expect("the kernel takes a byte"));
    eventually("it is short of descriptors", || status().filter(|status| status["open_files"]["short"] == true));
    echoed(&mut first);
    // From the first to the last, each is served; those before it leave, and make room.
    for mut stream in waiting {
        stream.read_exact(&mut [0]).expect("a connection that waited is served");
    }
    echoed(&mut first);
    let over =
        || status().filter(|status| status["open_files"]["short"] == false && status["tunnels"][0]["starts"] == 1);
    eventually("it is short no more, on the same session", over);
}

/// As many connections as there are descriptors wait for each login.
#[test]
fn users_leave_descriptors_to_logins() {
    const TUNNELS: usize = 3;
    let (sshd, echo, dir) = (Sshd::start(), Target::start(Service::Echo), tempfile::tempdir().expect("a folder"));
    let (config, socket) = (dir.path().join("t.toml"), dir.path().join("s").display().to_string());
    let ports: Vec<u16> = (0..TUNNELS).map(|_| free_port()).collect();
    let tunnels = ports.iter().map(|port| {
        let forward = format!("local_forward = [\"127.0.0.1:{port}:127.0.0.1:{}\"]", echo.port);
        tunnel_toml(&format!("t{port}"), &sshd, &forward)
    });
    let text = format!("control_socket = \"{socket}\"\n{}", tunnels.collect::<String>());
    std::fs::write(&config, text).expect("a config");
    let _daemon = start(&config, Stdio::null);
    let status = || status(&socket);
    let each_ready = |starts: u64| {
        let status = status()?;
        let tunnels = status["tunnels"].as_array()?;
        for tunnel in tunnels {
            assert_ne!(tunnel["phase"], "blocked", "{tunnel}");
        }
        let back = |tunnel: &Value| tunnel["ready"] == true && tunnel["starts"].as_u64() >= Some(starts);
        tunnels.iter().all(back).then_some(())
    };
    eventually("the tunnels are ready", || each_ready(1));
    let mut users: Vec<TcpStream> = Vec::new();
    for round in 2..6 {
        users.extend((0..LIMIT).map(|user| connect(ports[user % TUNNELS]).expect("the kernel accepts")));
        eventually("it is short of descriptors", || status().filter(|status| status["open_files"]["short"] == true));
        sshd.kill_sessions();
        eventually("the tunnels are back", || each_ready(round));
    }
}

/// Enough to start with, and few enough to be used up quickly.
const LIMIT: usize = 64;

/// A daemon that may have so many files open.
fn start(config: &Path, output: impl Fn() -> Stdio) -> Process {
    let mut run = command();
    run.arg("--config").arg(config);
    let mut run = wrapped(&run, "/bin/sh", &["-c", &format!("ulimit -n {LIMIT}; exec \"$0\" \"$@\"")]);
    Process::spawn(run.stdin(Stdio::null()).stdout(output()).stderr(output()))
}

fn status(socket: &str) -> Option<Value> {
    let asked = command().args(["status", "--json", "--control-socket", socket]).output().expect("tunneld runs");
    serde_json::from_slice(&asked.stdout).ok()
}

#[test]
fn status_answers_and_says_so_when_descriptors_are_used_up() {
    let dir = tempfile::tempdir().expect("a folder");
    let (port, socket) = (free_port(), dir.path().join("s").display().to_string());
    let config = dir.path().join("t.toml");
    let text = format!(
        "control_socket = \"{socket}\"\n[[tunnel]]\nname = \"t\"\nhost = \"127.0.0.1\"\nport = 1\nuser = \"nobody\"\n\
         identity_agent = \"none\"\nlocal_forward = [\"127.0.0.1:{port}:127.0.0.1:1\"]\nhold_timeout = \"10m\"\n"
    );
    std::fs::write(&config, text).expect("a config");
    let log = std::fs::File::create(dir.path().join("log")).expect("a log");
    let _daemon = start(&config, || log.try_clone().expect("a log").into());
    let ask = |arguments: &[&str]| {
        command().args(arguments).args(["--control-socket", &socket]).output().expect("tunneld runs")
    };
    let status = || status(&socket);
    assert_eq!(eventually("it answers", status)["open_files"]["short"], false);
    let connect = || TcpStream::connect(("127.0.0.1", port)).ok();
    let _held: Vec<TcpStream> = (0..2 * LIMIT).map(|_| eventually("the kernel accepts", connect)).collect();
    let short = || status().filter(|status| status["open_files"]["short"] == true);
    let status = eventually("it is short of descriptors", short);
    assert_eq!(status["open_files"]["limit"], LIMIT);
    // Each gives its descriptor back to the reserve, and not to the connections that wait for one.
    for _ in 0..20 {
        let output = ask(&["status"]);
        assert!(said(&output).contains("hardly an open file left of 64"), "{}", said(&output));
    }
    let log = std::fs::read_to_string(dir.path().join("log")).expect("a log");
    assert!(log.contains("open files, and 64 are allowed: raise LimitNOFILE="), "{log}");
}
