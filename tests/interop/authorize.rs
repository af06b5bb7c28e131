//! `tunneld authorize` against a stock sshd: with exactly the line and the block that it prints, each kind of forward
//! works, and whatever else the key asks for is refused.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use support::daemon::said;
use support::net::{Service, Target, echoes, free_port};
use support::socks::{self, Version};
use support::{Daemon, Sshd, eventually, keys, tunnel_toml};
use tunnel_engine::dial::NetDialer;
use tunnel_engine::session::{ChannelRead as _, Inbound, Originator, Session};
use tunnel_engine::spec::{Bind, Connect, Destination, IdentitySpec, Listen, SessionSpec};

/// What `authorize` prints for one server.
struct Permits {
    lines: String,
    block: String,
}

/// The sections of the output for tunnel `t`, in its order.
fn permits(config: &str) -> Vec<Permits> {
    permits_of("t", config)
}

fn permits_of(tunnel: &str, config: &str) -> Vec<Permits> {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("c.toml");
    std::fs::write(&path, config).expect("a config");
    let output = support::daemon::tunneld(&["authorize", tunnel, "--config", &path.display().to_string()]);
    assert!(output.status.success(), "{}", said(&output));
    let text = String::from_utf8(output.stdout).expect("text");
    let sections = text.split("\n\n").map(|section| {
        let lines = section.lines().filter(|line| !line.starts_with('#'));
        let (block, lines): (Vec<_>, Vec<_>) =
            lines.partition(|line| line.starts_with("Match") || line.starts_with(' '));
        Permits { lines: format!("{}\n", lines.join("\n")), block: format!("{}\n", block.join("\n")) }
    });
    sections.collect()
}

/// A key that is limited as printed: by its line alone, then by the block as well.
fn each_way(config: impl Fn(&Sshd) -> String, check: impl Fn(&Sshd, &str)) {
    for block in [false, true] {
        // A server that lets clients choose what to listen on, as some forwards need; the block says so itself.
        let mut server =
            Sshd::with_config(if block { "" } else { "GatewayPorts clientspecified\nStreamLocalBindUnlink yes" });
        let config = config(&server);
        let permits = permits(&config).pop().expect("a section");
        server.authorize_only(&permits.lines);
        if block {
            server.launch_with(&permits.block);
        }
        check(&server, &config);
    }
}

/// Asks for what is not permitted, with the same key.
fn assert_refused(server: &Sshd, opens: &[Connect], listens: &[Listen], commands: bool) {
    let destination = Destination { user: keys::user(), host: "127.0.0.1".to_owned(), port: server.port };
    let mut spec = SessionSpec::to(destination);
    spec.host_key.user_known_hosts = vec![server.known_hosts.clone()];
    spec.auth.identities = vec![IdentitySpec { path: server.user_key.clone(), explicit: true }];
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let (session, _incoming) = Session::open(&spec, &NetDialer::new()).await.expect("a login");
        for target in opens {
            let opened = session.open_direct(target, &Originator::unknown()).await;
            assert!(opened.is_err(), "{target} was opened");
        }
        for listen in listens {
            assert!(session.request_forward(listen).await.is_err(), "listens on {listen}");
        }
        assert_eq!(ran(&session).await, commands);
        session.close().await;
    });
}

/// Does the login run a command?
async fn ran(session: &Session) -> bool {
    let Ok(mut channel) = session.exec("echo it ran").await else { return false };
    matches!(channel.reader.read().await, Inbound::Data(said) if said.starts_with(b"it ran"))
}

fn tcp(host: &str, port: u16) -> Connect {
    Connect::Tcp { host: host.to_owned(), port }
}

fn port(port: u16) -> Listen {
    Listen::Tcp { bind: Bind::Default, port }
}

/// An echo on ::1.
fn echo_on_v6() -> u16 {
    let listener = TcpListener::bind(("::1", 0)).expect("a port on ::1");
    let port = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || listener.incoming().flatten().for_each(|stream| echo(&stream, &stream)));
    port
}

fn echo(mut from: impl Read, mut to: impl Write) {
    let mut buffer = [0; 64];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        if to.write_all(&buffer[..read]).is_err() {
            break;
        }
    }
}

fn comes_back(mut stream: impl Read + Write) -> bool {
    let mut answer = [0; 5];
    stream.write_all(b"hello").is_ok() && stream.read_exact(&mut answer).is_ok() && answer == *b"hello"
}

fn socket_echo(path: &Path) {
    let listener = UnixListener::bind(path).expect("a socket");
    std::thread::spawn(move || listener.incoming().flatten().for_each(|stream| echo(&stream, &stream)));
}

fn state(daemon: &Daemon, forward: usize) -> String {
    daemon.tunnel("t").expect("a status")["forwards"][forward]["state"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn local_forwards_reach_their_targets_and_no_other() {
    let (echo, other, v6) = (Target::start(Service::Echo), Target::start(Service::Echo), echo_on_v6());
    let ports = [free_port(), free_port()];
    let config = |server: &Sshd| {
        let lines = format!("local_forward = [\"{}:127.0.0.1:{}\", \"{}:[::1]:{v6}\"]", ports[0], echo.port, ports[1]);
        tunnel_toml("t", server, &lines)
    };
    each_way(config, |server, config| {
        let daemon = Daemon::start(config);
        daemon.wait_ready("t");
        assert!(ports.iter().all(|port| echoes(*port)));
        let opens = [tcp("127.0.0.1", other.port), tcp("localhost", echo.port), tcp("127.0.0.1", server.port)];
        assert_refused(server, &opens, &[port(free_port())], false);
    });
}

#[test]
fn remote_forwards_are_proven_and_no_other_port_is_given() {
    let echo = Target::start(Service::Echo);
    let ports = [free_port(), free_port(), free_port()];
    let config = |server: &Sshd| {
        let to = format!("127.0.0.1:{}", echo.port);
        let [a, b, c] = ports;
        let lines =
            format!("remote_forward = [\"{a}:{to}\", \"[::1]:{b}:{to}\", \"*:{c}:{to}\"]\ngateway_ports = false");
        tunnel_toml("t", server, &lines)
    };
    each_way(config, |server, config| {
        let daemon = Daemon::start(config);
        daemon.wait_ready("t");
        assert_eq!([0, 1, 2].map(|at| state(&daemon, at)), ["up", "up", "up"], "{}", daemon.log());
        assert!(echoes(ports[0]) && echoes(ports[2]));
        assert!(comes_back(TcpStream::connect(("::1", ports[1])).expect("::1")));
        let other = free_port();
        let everywhere = Listen::Tcp { bind: Bind::Any, port: other };
        let opens = [tcp("127.0.0.1", echo.port), tcp("localhost", ports[0])];
        assert_refused(server, &opens, &[port(other), everywhere], false);
    });
}

#[test]
fn a_port_of_the_servers_choice_is_given_without_a_way_in() {
    let echo = Target::start(Service::Echo);
    let config = |server: &Sshd| tunnel_toml("t", server, &format!("remote_forward = [\"0:127.0.0.1:{}\"]", echo.port));
    each_way(config, |server, config| {
        let daemon = Daemon::start(config);
        let tunnel = daemon.wait_ready("t");
        assert_eq!(state(&daemon, 0), "unverified");
        let listen = tunnel["forwards"][0]["listen"].as_str().unwrap_or_default().to_owned();
        let port = listen.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port");
        assert!(echoes(port), "{listen}");
        let everywhere = Listen::Tcp { bind: Bind::Any, port: free_port() };
        assert_refused(server, &[tcp("127.0.0.1", echo.port), tcp("127.0.0.1", port)], &[everywhere], false);
    });
}

#[test]
fn unix_sockets_work_both_ways() {
    let (echo, dir) = (Target::start(Service::Echo), tempfile::tempdir().expect("a folder"));
    let path = |name: &str| -> PathBuf { dir.path().join(name) };
    ["target", "other"].iter().for_each(|name| socket_echo(&path(name)));
    let config = |server: &Sshd| {
        let (here, target, there) = (path("here"), path("target"), server.dir().join("there"));
        let lines = format!(
            "local_forward = [\"{}:{}\"]\nremote_forward = [\"{}:127.0.0.1:{}\"]",
            here.display(),
            target.display(),
            there.display(),
            echo.port
        );
        tunnel_toml("t", server, &lines)
    };
    each_way(config, |server, config| {
        let daemon = Daemon::start(config);
        daemon.wait_ready("t");
        assert!(comes_back(UnixStream::connect(path("here")).expect("our socket")));
        assert!(comes_back(UnixStream::connect(server.dir().join("there")).expect("the server's socket")));
        let opens = [Connect::Unix(path("other")), tcp("127.0.0.1", echo.port)];
        assert_refused(server, &opens, &[port(free_port())], false);
    });
}

#[test]
fn a_remote_socket_that_is_not_probed_gives_no_way_to_other_sockets() {
    let (echo, dir) = (Target::start(Service::Echo), tempfile::tempdir().expect("a folder"));
    let target = dir.path().join("target");
    socket_echo(&target);
    let mut server = Sshd::start();
    let there = server.dir().join("there");
    let lines = format!("remote_forward = [\"{}:127.0.0.1:{}\"]\nprobe = \"off\"", there.display(), echo.port);
    let config = tunnel_toml("t", &server, &lines);
    let permits = permits(&config).pop().expect("a section");
    server.authorize_only(&permits.lines);
    server.launch_with(&permits.block);
    let daemon = Daemon::start(&config);
    daemon.wait_ready("t");
    assert!(comes_back(UnixStream::connect(&there).expect("the server's socket")));
    server.kill_sessions();
    eventually("the socket again", || comes_back(UnixStream::connect(&there).ok()?).then_some(()));
    assert_refused(&server, &[Connect::Unix(target), tcp("127.0.0.1", echo.port)], &[port(free_port())], false);
}

#[test]
fn socks_both_ways_opens_no_port_and_runs_no_command() {
    let echo = Target::start(Service::Echo);
    let (here, there) = (free_port(), free_port());
    let config = |server: &Sshd| {
        tunnel_toml("t", server, &format!("dynamic_forward = [\"{here}\"]\nremote_forward = [\"{there}\"]"))
    };
    each_way(config, |server, config| {
        let daemon = Daemon::start(config);
        daemon.wait_ready("t");
        for proxy in [here, there] {
            let (stream, code) = socks::request(proxy, Version::V5, echo.port).expect("an answer");
            assert!(code == 0 && comes_back(stream), "{proxy}: {code}");
        }
        assert_refused(server, &[], &[port(free_port())], false);
    });
}

#[test]
fn a_takeover_may_run_its_commands() {
    let (echo, port) = (Target::start(Service::Echo), free_port());
    let config = |server: &Sshd| {
        let lines =
            format!("remote_forward = [\"{port}:127.0.0.1:{}\"]\non_remote_port_busy = \"takeover\"", echo.port);
        tunnel_toml("t", server, &lines)
    };
    each_way(config, |server, config| {
        let gone = Daemon::start(config);
        gone.wait_ready("t");
        // Its session lives on at the server, as after a power cut.
        gone.signal(nix::sys::signal::Signal::SIGSTOP);
        let daemon = Daemon::start(config);
        daemon.wait_ready("t");
        assert!(echoes(port), "{}", daemon.log());
        assert_refused(server, &[tcp("127.0.0.1", echo.port)], &[self::port(free_port())], true);
        gone.signal(nix::sys::signal::Signal::SIGKILL);
    });
}

#[test]
fn tunnels_with_one_login_are_permitted_together() {
    let echo = Target::start(Service::Echo);
    let (here, there) = (free_port(), free_port());
    let mut server = Sshd::start();
    let local = tunnel_toml("l", &server, &format!("local_forward = [\"{here}:127.0.0.1:{}\"]", echo.port));
    let remote = tunnel_toml("r", &server, &format!("remote_forward = [\"{there}:127.0.0.1:{}\"]", echo.port));
    let config = local + &remote;
    let [of_local, of_remote] = ["l", "r"].map(|name| permits_of(name, &config).pop().expect("a section"));
    assert_eq!((&of_local.lines, &of_local.block), (&of_remote.lines, &of_remote.block), "sshd reads the first alone");
    server.authorize_only(&of_local.lines);
    server.launch_with(&of_local.block);
    let daemon = Daemon::start(&config);
    for (tunnel, port) in [("l", here), ("r", there)] {
        daemon.wait_ready(tunnel);
        assert!(echoes(port), "{}", daemon.log());
    }
    assert_refused(&server, &[tcp("127.0.0.1", server.port)], &[port(free_port())], false);
}

#[test]
fn a_jump_host_leads_to_the_next_server_only() {
    let echo = Target::start(Service::Echo);
    let (mut jump, mut server, listen) = (Sshd::start(), Sshd::start(), free_port());
    let known = server.dir().join("both");
    let both = [&jump, &server].map(|one| std::fs::read_to_string(&one.known_hosts).expect("known_hosts"));
    std::fs::write(&known, both.concat()).expect("known_hosts");
    let lines = format!(
        "proxy_jump = {{ host = \"127.0.0.1\", port = {}, user = \"{}\", identity_file = \"{}\", identity_agent = \"none\", \
         user_known_hosts_file = \"{}\" }}\nlocal_forward = [\"{listen}:127.0.0.1:{}\"]",
        jump.port,
        keys::user(),
        jump.user_key.display(),
        known.display(),
        echo.port
    );
    let config = tunnel_toml("t", &server, &lines);
    let sections = permits(&config);
    assert_eq!(sections.len(), 2);
    for (one, permits) in [&mut jump, &mut server].into_iter().zip(&sections) {
        one.authorize_only(&permits.lines);
        one.launch_with(&permits.block);
    }
    let daemon = Daemon::start(&config);
    daemon.wait_ready("t");
    assert!(echoes(listen));
    let opens = [tcp("127.0.0.1", echo.port), tcp("localhost", server.port)];
    assert_refused(&jump, &opens, &[port(free_port())], false);
}

/// A server whose login has this home, the tunnel's config, and its key, which is not let in yet.
fn before_install(home: &Path, port: u16, echo: u16) -> (Sshd, String) {
    let keys_file = home.join(".ssh/authorized_keys");
    let home = home.display();
    let server = Sshd::with_config(&format!("SetEnv HOME={home}\nAuthorizedKeysFile {home}/.ssh/authorized_keys"));
    std::fs::create_dir(keys_file.parent().expect("a folder")).expect("a folder");
    // As some editors leave it: without a newline at its end.
    std::fs::write(&keys_file, keys::public(&server.user_key).trim_end()).expect("authorized_keys");
    let key = keys::generate(server.dir(), "tunnel_key", &[]);
    let config = tunnel_toml("t", &server, &format!("local_forward = [\"{port}:127.0.0.1:{echo}\"]"));
    let config = config.replace(&server.user_key.display().to_string(), &key.display().to_string());
    (server, config)
}

/// With the login's own key in an agent, and no terminal.
fn install(server: &Sshd, config: &Path, arguments: &[&str]) -> std::process::Output {
    let over = format!("{}@127.0.0.1:{}", keys::user(), server.port);
    let mut command = std::process::Command::new("ssh-agent");
    command.args(["sh", "-c", "ssh-add -q \"$0\" && exec setsid --wait \"$@\""]).arg(&server.user_key);
    command.arg(support::daemon::binary()).args(["authorize", "t", "--install", &over, "--config"]);
    command.arg(config).args(arguments).output().expect("ssh-agent runs")
}

#[test]
fn installed_line_lets_the_tunnel_in_and_is_added_once() {
    let (echo, port, home) = (Target::start(Service::Echo), free_port(), tempfile::tempdir().expect("a home"));
    let (server, config) = before_install(home.path(), port, echo.port);
    let (path, file) = (server.dir().join("t.toml"), home.path().join(".ssh/authorized_keys"));
    std::fs::write(&path, &config).expect("a config");
    let before = std::fs::read_to_string(&file).expect("authorized_keys");
    let unasked = install(&server, &path, &[]);
    assert_eq!(unasked.status.code(), Some(1), "{}", said(&unasked));
    assert_eq!(std::fs::read_to_string(&file).expect("authorized_keys"), before);
    for expected in ["appended to", "has this already"] {
        let installed = install(&server, &path, &["--yes"]);
        assert!(installed.status.success() && said(&installed).contains(expected), "{}", said(&installed));
    }
    let line = permits(&config).pop().expect("a section").lines;
    assert_eq!(std::fs::read_to_string(&file).expect("authorized_keys"), format!("{before}\n{}\n", line.trim()));
    let daemon = Daemon::start(&config);
    daemon.wait_ready("t");
    assert!(echoes(port));
}

#[test]
fn another_line_of_the_same_key_is_told_at_install() {
    let (echo, port, home) = (Target::start(Service::Echo), free_port(), tempfile::tempdir().expect("a home"));
    let (server, config) = before_install(home.path(), port, echo.port);
    let (path, file) = (server.dir().join("t.toml"), home.path().join(".ssh/authorized_keys"));
    std::fs::write(&path, &config).expect("a config");
    let free = keys::public(&server.dir().join("tunnel_key"));
    std::fs::write(&file, format!("{}\n{free}", keys::public(&server.user_key).trim_end())).expect("authorized_keys");
    let installed = install(&server, &path, &["--yes"]);
    assert!(installed.status.success(), "{}", said(&installed));
    assert!(said(&installed).contains("an earlier line there has the same key"), "{}", said(&installed));
}
