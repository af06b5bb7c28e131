//! The ways to a server that is not reached directly.

use support::net::{Service, Target, echoes, free_port};
use support::traffic::echo_intact;
use support::{Daemon, Sshd, eventually, keys, tunnel_toml};

/// Lets the key of `server` into `jump`, and writes both host keys into one file.
pub(super) fn know_both(server: &Sshd, jump: &Sshd) -> String {
    jump.authorize(&keys::public(&server.user_key));
    let both = server.dir().join("both");
    let lines =
        [&server.known_hosts, &jump.known_hosts].map(|path| std::fs::read_to_string(path).expect("known_hosts"));
    std::fs::write(&both, lines.concat()).expect("known_hosts");
    both.display().to_string()
}

/// Each of the three programs renews the keys of its connections, while 25 flows go each way round.
#[test]
fn fifty_flows_both_ways_go_through_a_jump_host_under_rekey() {
    let sshd = || Sshd::with_config("RekeyLimit 3M\nLogLevel DEBUG1");
    let (server, jump, echo) = (sshd(), sshd(), Target::start(Service::Echo));
    let (local, remote) = (free_port(), free_port());
    let known = know_both(&server, &jump);
    let config = tunnel_toml(
        "t",
        &server,
        &format!(
            "proxy_jump = \"{0}@127.0.0.1:{1}\"\nrekey_limit = \"2M\"\nlocal_forward = [\"{local}:127.0.0.1:{2}\"]\n\
             remote_forward = [\"{remote}:127.0.0.1:{2}\"]",
            keys::user(),
            jump.port,
            echo.port
        ),
    );
    let daemon = Daemon::start(&config.replace(&server.known_hosts.display().to_string(), &known));
    daemon.wait_ready("t");
    let remote = std::thread::spawn(move || echo_intact(remote, 25, 2 << 20));
    echo_intact(local, 25, 2 << 20);
    remote.join().expect("connections from the server carry their bytes");
    assert_eq!(jump.sessions().len(), 1);
    for sshd in [&server, &jump] {
        // 100 MiB pass each.
        let renewed = sshd.log().matches("SSH2_MSG_KEXINIT received").count();
        assert!(renewed >= 20, "{renewed} key exchanges");
    }
    assert_eq!(daemon.tunnel("t").expect("a status")["starts"], 1, "{}", daemon.log());
}

#[test]
fn a_jump_host_has_a_key_of_its_own() {
    let (server, jump, echo, port) = (Sshd::start(), Sshd::start(), Target::start(Service::Echo), free_port());
    // Each server lets its own key in, and each file knows its own server.
    let hop = format!(
        "proxy_jump = [{{ host = \"127.0.0.1\", port = {}, user = \"{}\", identity_file = \"{}\", identity_agent = \"none\", \
         user_known_hosts_file = \"{}\" }}]\nlocal_forward = [\"{port}:127.0.0.1:{}\"]",
        jump.port,
        keys::user(),
        jump.user_key.display(),
        jump.known_hosts.display(),
        echo.port
    );
    let daemon = Daemon::start(&tunnel_toml("t", &server, &hop));
    daemon.wait_ready("t");
    assert!(echoes(port));
    assert_eq!(jump.sessions().len(), 1);
}

/// What the inner session is answered came through the jump host: it need not be asked, too.
#[test]
fn answers_through_a_jump_host_prove_it_alive() {
    let told = "LogLevel DEBUG1";
    let (server, jump, echo) = (Sshd::with_config(told), Sshd::with_config(told), Target::start(Service::Echo));
    let hop = format!(
        "server_alive_interval = 1\nproxy_jump = [{{ host = \"127.0.0.1\", port = {}, user = \"{}\", identity_file = \"{}\", \
         identity_agent = \"none\", user_known_hosts_file = \"{}\", server_alive_interval = 1 }}]\nlocal_forward = [\"{}:127.0.0.1:{}\"]",
        jump.port,
        keys::user(),
        jump.user_key.display(),
        jump.known_hosts.display(),
        free_port(),
        echo.port
    );
    let daemon = Daemon::start(&tunnel_toml("t", &server, &hop));
    daemon.wait_ready("t");
    let asked = |sshd: &Sshd| sshd.log().matches("keepalive@openssh.com").count();
    let before = [&server, &jump].map(asked);
    eventually("the server is asked again and again", || (asked(&server) >= before[0] + 5).then_some(()));
    let jump_asked = asked(&jump) - before[1];
    assert!(jump_asked <= 1, "{jump_asked} questions to the jump host:\n{}", jump.log());
}

#[test]
fn a_proxy_command_carries_the_session() {
    let (server, jump, echo, port) = (Sshd::start(), Sshd::start(), Target::start(Service::Echo), free_port());
    let known = know_both(&server, &jump);
    let command = format!(
        "ssh -F none -i {} -o UserKnownHostsFile={known} -o BatchMode=yes -p {} -W %h:%p 127.0.0.1",
        server.user_key.display(),
        jump.port
    );
    let lines = format!("proxy_command = \"{command}\"\nlocal_forward = [\"{port}:127.0.0.1:{}\"]", echo.port);
    let daemon = Daemon::start(&tunnel_toml("t", &server, &lines));
    daemon.wait_ready("t");
    assert!(echoes(port));
}

#[test]
fn a_jump_host_that_is_down_is_named() {
    let server = Sshd::start();
    let dead = free_port();
    let lines = format!("proxy_jump = \"127.0.0.1:{dead}\"\nlocal_forward = [\"{}:127.0.0.1:1\"]", free_port());
    let daemon = Daemon::start(&tunnel_toml("t", &server, &lines));
    let tunnel = daemon.wait_for("t", "failing", |tunnel| !tunnel["last_failure"].is_null());
    let failure = &tunnel["last_failure"];
    assert_eq!(failure["kind"], "jump_failed", "{failure}");
    assert!(failure["message"].as_str().is_some_and(|text| text.contains(&format!("127.0.0.1:{dead}"))), "{failure}");
}

#[test]
fn a_proxy_command_that_fails_says_its_last_words() {
    let server = Sshd::start();
    let lines = format!(
        "proxy_command = \"echo no way through >&2; exit 3\"\nlocal_forward = [\"{}:127.0.0.1:1\"]",
        free_port()
    );
    let daemon = Daemon::start(&tunnel_toml("t", &server, &lines));
    let tunnel = daemon.wait_for("t", "failing", |tunnel| !tunnel["last_failure"].is_null());
    let failure = &tunnel["last_failure"];
    assert_eq!(failure["kind"], "proxy_command_failed", "{failure}");
    assert!(failure["message"].as_str().is_some_and(|text| text.contains("no way through")), "{failure}");
}
