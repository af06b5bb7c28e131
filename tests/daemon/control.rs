//! The verbs, the control socket, and peers that talk nonsense to it.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;

use support::daemon::{any_forward, said};
use support::net::{Service, Target, connect, echoes, free_port};
use support::patience::PATIENCE;
use support::{Daemon, Sshd, eventually, tunnel_toml};

#[test]
fn a_tunnel_is_stopped_started_and_restarted_by_name() {
    let (sshd, echo, port) = (Sshd::start(), Target::start(Service::Echo), free_port());
    let daemon =
        Daemon::start(&tunnel_toml("t", &sshd, &format!("local_forward = [\"{port}:127.0.0.1:{}\"]", echo.port)));
    daemon.wait_ready("t");
    assert_eq!(daemon.cli(&["status"]).status.code(), Some(0));
    assert!(daemon.cli(&["stop", "t"]).status.success());
    daemon.wait_for("t", "stopped", |t| t["phase"] == "stopped" && t["want"] == "down");
    assert!(connect(port).is_err(), "a stopped tunnel does not listen");
    assert_eq!(daemon.cli(&["status"]).status.code(), Some(1), "an enabled tunnel is not ready");
    eventually("the server has no session", || sshd.sessions().is_empty().then_some(()));
    assert!(daemon.cli(&["start", "t"]).status.success());
    assert!(echoes(port), "start returns when the tunnel is ready");
    let before = sshd.sessions();
    assert!(daemon.cli(&["restart", "t"]).status.success());
    assert_eq!(daemon.cli(&["status"]).status.code(), Some(0), "and so does restart");
    eventually("another session", || (sshd.sessions() != before && echoes(port)).then_some(()));
}

#[test]
fn an_unknown_name_is_refused_with_the_nearest_one() {
    let sshd = Sshd::start();
    let daemon = Daemon::start(&tunnel_toml("web-db", &sshd, &any_forward(&sshd)));
    let answer = daemon.cli(&["stop", "web-bd"]);
    assert_eq!(answer.status.code(), Some(1));
    let said = String::from_utf8_lossy(&answer.stderr).into_owned();
    assert!(said.contains("web-bd") && said.contains("web-db"), "{said}");
    let answer = daemon.cli(&["why", "nobody"]);
    assert_eq!(answer.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&answer.stderr).contains("`nobody`"), "{answer:?}");
}

#[test]
fn wait_gives_up_with_the_reason() {
    let config = format!(
        "[[tunnel]]\nname = \"far\"\nhost = \"127.0.0.1\"\nport = {}\nlocal_forward = [\"{}:127.0.0.1:1\"]\n",
        free_port(),
        free_port()
    );
    let daemon = Daemon::start(&config);
    let waited = daemon.cli(&["wait", "far", "--timeout", "500ms"]);
    assert_eq!(waited.status.code(), Some(1));
    let said = said(&waited);
    assert!(said.contains("connect_refused"), "{said}");
    let why = String::from_utf8(daemon.cli(&["why", "far"]).stdout).expect("text");
    assert!(why.contains("far") && why.contains("connect_refused"), "{why}");
}

#[test]
fn gate_time_and_max_start_fail_the_tunnel_until_reset() {
    let tunnel = |name: &str, line: &str| {
        format!(
            "[[tunnel]]\nname = \"{name}\"\nhost = \"127.0.0.1\"\nport = {}\nlocal_forward = [\"{}:127.0.0.1:1\"]\n{line}\n",
            free_port(),
            free_port()
        )
    };
    let config = format!(
        "{}{}",
        tunnel("gate", "gate_time = 30"),
        tunnel("three", "max_start = 3\nbackoff = { min = \"10ms\" }")
    );
    let daemon = Daemon::start(&config);
    let gate = daemon.wait_for("gate", "failed", |t| t["phase"] == "failed");
    assert_eq!(gate["starts"], 1);
    let waited = daemon.cli(&["wait", "gate", "--timeout", "1h"]);
    assert_eq!(waited.status.code(), Some(1), "nothing can come of waiting");
    assert!(said(&waited).contains("gate_time"), "{}", said(&waited));
    let three = daemon.wait_for("three", "failed", |t| t["phase"] == "failed");
    assert_eq!(three["starts"], 3);
    let why = String::from_utf8(daemon.cli(&["why", "three"]).stdout).expect("text");
    assert!(why.contains("max_start"), "{why}");
    assert!(daemon.cli(&["reset-failed", "three"]).status.success());
    eventually("it used up three more", || (daemon.log().matches("gave up after 3 starts").count() == 2).then_some(()));
}

/// A connection of a client that does not speak our protocol.
fn stranger(path: &Path) -> UnixStream {
    let stream = UnixStream::connect(path).expect("the socket accepts");
    stream.set_read_timeout(Some(PATIENCE)).expect("a read timeout");
    stream.set_write_timeout(Some(PATIENCE)).expect("a write timeout");
    stream
}

#[test]
fn nonsense_on_the_control_socket_closes_that_connection_and_touches_nothing_else() {
    let sshd = Sshd::start();
    let daemon = Daemon::start(&tunnel_toml("t", &sshd, &any_forward(&sshd)));
    daemon.wait_ready("t");
    let path = daemon.dir().join("control.sock");
    let mode = std::fs::metadata(&path).expect("the socket").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    for nonsense in
        [&b"GET / HTTP/1.1\r\n\r\n"[..], b"\xff\xfe\x00\n", b"{}\n", b"{\"version\":999999,\"request\":{}}\n"]
    {
        let mut stream = stranger(&path);
        stream.write_all(nonsense).expect("it reads");
        let mut answer = Vec::new();
        if let Err(error) = stream.read_to_end(&mut answer) {
            assert_eq!(error.kind(), ErrorKind::ConnectionReset, "it closes");
        }
        assert!(answer.len() < 4096, "{}", String::from_utf8_lossy(&answer));
    }
    // A line without an end: cut off at the bound, not kept.
    let mut stream = stranger(&path);
    let endless = vec![b'x'; 1 << 20];
    let cut = (0..64).find_map(|_| stream.write_all(&endless).err()).expect("64 MiB without a newline are not taken");
    assert!(matches!(cut.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset), "it closes: {cut}");
    assert_eq!(daemon.tunnel("t").expect("it answers still")["ready"], true);
}

/// The socket's mode keeps others out, and where it does not, the daemon asks the kernel who they are. Needs root, to
/// be another.
#[test]
fn another_user_gets_no_answer_and_takes_no_place() {
    /// More than there are places on the socket.
    const TRIES: &str = "300";
    if !nix::unistd::getuid().is_root() {
        assert!(std::env::var_os("CI").is_none(), "the tests run without root here");
        let _ = Write::write_all(&mut std::io::stderr(), b"\nNOT TESTED: another user needs root\n");
        return;
    }
    let sshd = Sshd::start();
    let daemon = Daemon::start(&tunnel_toml("t", &sshd, &any_forward(&sshd)));
    daemon.wait_ready("t");
    let path = daemon.dir().join("control.sock");
    let script = "import os, socket, sys\n\
                  os.setgroups([]); os.setgid(65534); os.setuid(65534)\n\
                  held, said = [], set()\n\
                  for _ in range(int(sys.argv[2])):\n\
                  \x20   s = socket.socket(socket.AF_UNIX); held.append(s)\n\
                  \x20   try:\n\
                  \x20       s.connect(sys.argv[1]); s.sendall(b'{\"version\":1,\"request\":{\"verb\":\"stop\",\"names\":[\"t\"]}}\\n')\n\
                  \x20       said.add(s.makefile().readline().strip())\n\
                  \x20   except OSError as error: said.add(type(error).__name__)\n\
                  print('\\n'.join(sorted(said)))\n";
    let ask_as_nobody = || {
        let asked = Command::new("/usr/bin/python3").args(["-c", script]).arg(&path).arg(TRIES).output();
        let asked = asked.expect("python3 runs");
        assert!(asked.status.success(), "{}", said(&asked));
        String::from_utf8_lossy(&asked.stdout).trim().to_owned()
    };
    let open = |path: &Path, mode| std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).expect("a mode");
    open(daemon.dir(), 0o711);
    assert_eq!(ask_as_nobody(), "PermissionError");
    open(&path, 0o666);
    let answer = ask_as_nobody();
    assert!(answer.lines().all(|line| line.contains("\"denied\"") || line == "BrokenPipeError"), "{answer}");
    assert!(answer.contains("only root and the daemon's own user may ask"), "{answer}");
    assert_eq!(daemon.tunnel("t").expect("it answers its own")["want"], "up");
    let told = daemon.log().lines().filter(|line| line.contains("refused a control client")).count();
    assert_eq!(told, 1, "once a minute, not each time\n{}", daemon.log());
}

#[test]
fn status_names_every_field_of_the_contract() {
    let (sshd, echo, port) = (Sshd::start(), Target::start(Service::Echo), free_port());
    let daemon =
        Daemon::start(&tunnel_toml("t", &sshd, &format!("local_forward = [\"{port}:127.0.0.1:{}\"]", echo.port)));
    let tunnel = daemon.wait_ready("t");
    let status = daemon.status().expect("a status");
    let keys =
        |value: &serde_json::Value| -> Vec<String> { value.as_object().expect("an object").keys().cloned().collect() };
    let has = |value: &serde_json::Value, wanted: &str| {
        for key in wanted.split_whitespace() {
            assert!(keys(value).iter().any(|found| found == key), "{key} is missing in {value}");
        }
    };
    has(&status, "version pid config generation started_at tunnels");
    has(&tunnel, "name want phase ready since starts server session last_failure next_start_ms waits_for forwards");
    has(&tunnel["session"], "peer software kex cipher host_key rtt_ms connected_at");
    has(&tunnel["forwards"][0], "kind listen connect state active opened failed held bytes_in bytes_out message");
    assert!(tunnel["session"]["software"].as_str().is_some_and(|name| name.starts_with("OpenSSH_")));
    assert!(tunnel["session"]["host_key"].as_str().is_some_and(|key| key.starts_with("ssh-ed25519 SHA256:")));
    daemon.wait_for("t", "measured", |t| t["session"]["rtt_ms"].as_f64() > Some(0.0));
    assert_eq!(tunnel["last_failure"], serde_json::Value::Null);
    assert_eq!(tunnel["forwards"][0]["connect"], format!("127.0.0.1:{}", echo.port));
}
