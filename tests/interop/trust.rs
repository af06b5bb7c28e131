//! Host keys and permanent failures: blocked with a reason and a hint, no storm, and back when the cause is gone.

use std::os::unix::fs::PermissionsExt;

use support::net::{Service, Target, echoes, free_port};
use support::{Daemon, Sshd, eventually, keys, tunnel_toml};

fn blocked(daemon: &Daemon, kind: &str) -> String {
    let tunnel = daemon.wait_for("t", "blocked", |tunnel| tunnel["phase"] == "blocked");
    let failure = &tunnel["last_failure"];
    assert_eq!(failure["kind"], kind, "{failure}");
    assert_eq!(failure["permanent"], true);
    format!("{}\n{}", failure["message"].as_str().unwrap_or_default(), failure["hint"].as_str().unwrap_or_default())
}

#[test]
fn a_key_that_others_can_read_is_refused_with_its_mode_and_the_remedy_and_taken_once_that_is_done() {
    let (sshd, echo, port) = (Sshd::start(), Target::start(Service::Echo), free_port());
    std::fs::set_permissions(&sshd.user_key, PermissionsExt::from_mode(0o644)).expect("chmod");
    let daemon =
        Daemon::start(&tunnel_toml("t", &sshd, &format!("local_forward = [\"{port}:127.0.0.1:{}\"]", echo.port)));
    let said = blocked(&daemon, "identity_permissions");
    assert!(said.contains("0644") && said.contains("chmod 600"), "{said}");
    std::fs::set_permissions(&sshd.user_key, PermissionsExt::from_mode(0o600)).expect("chmod");
    daemon.wait_ready("t");
    assert!(echoes(port));
}

#[test]
fn a_changed_host_key_blocks_the_tunnel_and_makes_no_storm() {
    let (mut sshd, echo, port) = (Sshd::start(), Target::start(Service::Echo), free_port());
    let daemon =
        Daemon::start(&tunnel_toml("t", &sshd, &format!("local_forward = [\"{port}:127.0.0.1:{}\"]", echo.port)));
    daemon.wait_ready("t");
    sshd.crash();
    sshd.change_host_key();
    sshd.launch();
    let said = blocked(&daemon, "host_key_changed");
    assert!(said.contains("known_hosts:1") && said.contains("ssh-keygen") && said.contains("SHA256:"), "{said}");
    let tunnel = daemon.tunnel("t").expect("a status");
    assert!(tunnel["next_start_ms"].as_u64() > Some(60_000), "it waits for a person: {tunnel}");
    let why = String::from_utf8(daemon.cli(&["why", "t"]).stdout).expect("text");
    assert!(why.contains("blocked") && why.contains("host_key_changed"), "{why}");
    assert_eq!(daemon.tunnel("t").expect("a status")["starts"], tunnel["starts"]);
    let line = format!("[127.0.0.1]:{} {}\n", sshd.port, keys::public(&sshd.dir().join("host_key")));
    std::fs::write(&sshd.known_hosts, line).expect("known_hosts");
    daemon.wait_ready("t");
}

#[test]
fn an_unknown_host_key_is_refused_and_accept_new_writes_it_down() {
    let sshd = Sshd::start();
    std::fs::write(&sshd.known_hosts, "").expect("known_hosts");
    let forward = format!("local_forward = [\"{}:127.0.0.1:1\"]", free_port());
    let daemon = Daemon::start(&tunnel_toml("t", &sshd, &forward));
    let said = blocked(&daemon, "host_key_unknown");
    assert!(said.contains("SHA256:") && said.contains("known_hosts"), "{said}");
    daemon.write_config(&tunnel_toml("t", &sshd, &format!("{forward}\nstrict_host_key_checking = \"accept-new\"")));
    let config = std::fs::read_to_string(daemon.config()).expect("a config");
    assert!(daemon.cli(&["reload"]).status.success(), "{config}");
    daemon.wait_for("t", "up", |tunnel| tunnel["phase"] == "up");
    let known = std::fs::read_to_string(&sshd.known_hosts).expect("known_hosts");
    assert!(known.contains(&format!("[127.0.0.1]:{}", sshd.port)), "{known}");
}

#[test]
fn a_key_the_server_does_not_know_blocks_with_what_was_offered() {
    let sshd = Sshd::start();
    std::fs::write(sshd.dir().join("authorized_keys"), "").expect("authorized_keys");
    let daemon = Daemon::start(&tunnel_toml("t", &sshd, &format!("local_forward = [\"{}:127.0.0.1:1\"]", free_port())));
    let said = blocked(&daemon, "auth_rejected");
    assert!(said.contains("user_key") && said.contains("SHA256:"), "{said}");
    sshd.authorize(&keys::public(&sshd.user_key));
    assert!(daemon.cli(&["restart", "t"]).status.success());
    eventually("up after the key was added", || daemon.tunnel("t").filter(|t| t["phase"] == "up"));
}
