//! What keeps a forward from listening or from reaching its target.

use std::os::unix::net::UnixListener;

use support::Sshd;
use support::net::{Service, Target, free_port};

use super::{examine, other_user, own_tunnel, tunnel};

#[test]
fn policies_of_the_server_are_told_apart() {
    let echo = Target::start(Service::Echo);
    let (local, remote) = (free_port(), free_port());
    let both = format!(
        "local_forward = [\"{local}:127.0.0.1:{0}\"]\nremote_forward = [\"{remote}:127.0.0.1:{0}\"]",
        echo.port
    );
    let name_of = |port: u16| format!("name 127.0.0.1:{port}");
    for (policy, fails, words, passes) in [
        ("AllowTcpForwarding no", "listen", &["forbids all forwards", "AllowTcpForwarding yes"][..], None),
        ("AllowTcpForwarding no", "target", &["the server forbids it", "AllowTcpForwarding yes"], None),
        (
            "AllowTcpForwarding local",
            "listen",
            &["lets this login connect, and not listen", "instead of `local`"],
            Some("target"),
        ),
        (
            "AllowTcpForwarding remote",
            "target",
            &["may listen there and not connect", "instead of `remote`"],
            Some("listen"),
        ),
        (
            "PermitListen 1",
            "listen",
            &["may listen on other", "PermitListen", &format!("localhost:{remote}")],
            Some("target"),
        ),
        ("PermitOpen 127.0.0.1:1", "target", &["PermitOpen", &name_of(echo.port)], Some("listen")),
    ] {
        let sshd = Sshd::with_config(policy);
        eprintln!("{policy}");
        let diagnosis = examine(&own_tunnel(&sshd, &both));
        match passes {
            Some(passes) => {
                diagnosis.fails_only(fails, words);
                diagnosis.says("PASS", passes, &[if passes == "listen" { "-R" } else { "-L" }]);
            }
            None => diagnosis.says("FAIL", fails, words),
        }
    }
}

#[test]
fn gateway_ports_that_narrow_a_listener_are_noticed() {
    let echo = Target::start(Service::Echo);
    let lines = format!("remote_forward = [\"*:{}:127.0.0.1:{}\"]", free_port(), echo.port);
    let narrow = Sshd::with_config("GatewayPorts no");
    examine(&own_tunnel(&narrow, &lines))
        .fails_only("listen", &["on its loopback only", "GatewayPorts clientspecified"]);
    let wide = Sshd::with_config("GatewayPorts clientspecified");
    examine(&own_tunnel(&wide, &lines)).is_fine();
}

#[test]
fn holders_of_addresses_are_named_on_both_sides() {
    let (echo, held) = (Target::start(Service::Echo), Target::start(Service::Echo));
    let sshd = Sshd::start();
    let pid = std::process::id().to_string();
    let remote = format!("remote_forward = [\"127.0.0.1:{}:127.0.0.1:{}\"]", held.port, echo.port);
    examine(&own_tunnel(&sshd, &remote)).fails_only("listen", &["a program of this user listens there", &pid]);
    let local = format!("local_forward = [\"127.0.0.1:{}:127.0.0.1:{}\"]", held.port, echo.port);
    examine(&own_tunnel(&sshd, &local)).fails_only("listen", &["is held by pid", &pid, "ss -lptn"]);
    assert_eq!(held.accepted(), 0, "it was looked at from outside");
}

#[test]
fn login_without_a_shell_still_tells_a_busy_port_from_a_forbidden_one() {
    let (echo, held) = (Target::start(Service::Echo), Target::start(Service::Echo));
    let sshd = Sshd::with_config("ForceCommand /bin/false");
    let lines = format!("remote_forward = [\"127.0.0.1:{}:127.0.0.1:{}\"]", held.port, echo.port);
    examine(&own_tunnel(&sshd, &lines)).fails_only("listen", &["something listens there", "ss -lptn"]);
    let Some(user) = other_user() else { return };
    let sshd = Sshd::start();
    let lines = format!("remote_forward = [\"81:127.0.0.1:{}\"]", echo.port);
    examine(&tunnel(&sshd, user, &sshd.user_key, &lines)).fails_only("listen", &["below 1024", user, "above 1023"]);
}

#[test]
fn socket_files_on_the_server_are_judged_and_none_is_left() {
    let (echo, sshd) = (Target::start(Service::Echo), Sshd::start());
    let path = sshd.dir().join("r.sock");
    let lines = format!("remote_forward = [\"{}:127.0.0.1:{}\"]", path.display(), echo.port);
    let diagnosis = examine(&own_tunnel(&sshd, &lines));
    diagnosis.is_fine();
    diagnosis.says("PASS", "listen", &["leads back here"]);
    assert!(!path.exists(), "sshd leaves the file, and it would be in the tunnel's way");
    drop(UnixListener::bind(&path).expect("a socket"));
    examine(&own_tunnel(&sshd, &lines))
        .fails_only("listen", &["a stale socket file", "StreamLocalBindUnlink yes", "rm "]);
    examine(&own_tunnel(&sshd, &format!("{lines}\non_remote_port_busy = \"takeover\""))).is_fine();
    assert!(path.exists(), "what was there is left");
    let elsewhere = sshd.dir().join("no/r.sock").display().to_string();
    examine(&own_tunnel(&sshd, &lines.replace(&path.display().to_string(), &elsewhere)))
        .fails_only("listen", &["folder does not exist"]);
    let closed = Sshd::with_config("ForceCommand /bin/false");
    let diagnosis = examine(&own_tunnel(&closed, &lines));
    diagnosis.is_fine();
    diagnosis.says("SKIP", "listen", &["leave its file behind"]);
    examine(&own_tunnel(&closed, &format!("{lines}\non_remote_port_busy = \"takeover\"")))
        .fails_only("takeover", &["POSIX shell"]);
}

#[test]
fn targets_are_connected_to_once_and_their_refusals_told() {
    let (echo, sshd) = (Target::start(Service::Echo), Sshd::start());
    let closed = free_port();
    let local = |target: &str| format!("local_forward = [\"{}:{target}\"]", free_port());
    let remote = |target: &str| format!("remote_forward = [\"{}:{target}\"]", free_port());
    examine(&own_tunnel(&sshd, &local(&format!("127.0.0.1:{}", echo.port)))).is_fine();
    assert_eq!(echo.accepted(), 1, "an explicit order, and no more than that");
    for lines in [local(&format!("127.0.0.1:{closed}")), remote(&format!("127.0.0.1:{closed}"))] {
        examine(&own_tunnel(&sshd, &lines)).fails_only("target", &["refused", "start the service"]);
    }
    for lines in [local("no-such-target.invalid:80"), remote("no-such-target.invalid:80")] {
        examine(&own_tunnel(&sshd, &lines)).fails_only("target", &["no-such-target.invalid", "resolve"]);
    }
}
