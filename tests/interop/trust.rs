//! Host keys and permanent failures: blocked with a reason and a hint, no storm, and back when the cause is gone.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

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
    assert!(daemon.cli(&["restart", "t", "--no-block"]).status.success());
    eventually("up after the key was added", || daemon.tunnel("t").filter(|t| t["phase"] == "up"));
}

#[test]
fn a_revoked_host_key_blocks_until_the_list_changes() {
    let (sshd, echo, port) = (Sshd::start(), Target::start(Service::Echo), free_port());
    let list = sshd.dir().join("revoked");
    let own = sshd.dir().join("host_key.pub");
    let make_krl = |keys: &[&Path]| {
        let mut keygen = Command::new("ssh-keygen");
        assert!(keygen.args(["-q", "-k", "-f"]).arg(&list).args(keys).status().expect("ssh-keygen").success());
    };
    make_krl(&[&own]);
    let lines =
        format!("local_forward = [\"{port}:127.0.0.1:{}\"]\nrevoked_host_keys = \"{}\"", echo.port, list.display());
    let daemon = Daemon::start(&tunnel_toml("t", &sshd, &lines));
    let said = blocked(&daemon, "host_key_revoked");
    assert!(said.contains("SHA256:") && said.contains(&list.display().to_string()), "{said}");
    make_krl(&[&sshd.user_key.with_extension("pub")]);
    daemon.wait_ready("t");
    assert!(echoes(port));
    std::fs::write(&list, format!("# stolen\n{}\n", keys::public(&own))).expect("a list");
    assert!(daemon.cli(&["restart", "t", "--no-block"]).status.success());
    blocked(&daemon, "host_key_revoked");
    std::fs::remove_file(&list).expect("gone");
    assert!(daemon.cli(&["restart", "t", "--no-block"]).status.success());
    eventually("a missing list refuses every key", || {
        let failure = daemon.tunnel("t")?["last_failure"]["message"].as_str()?.to_owned();
        failure.contains("No such file").then_some(())
    });
    std::fs::write(&list, "# nobody\n").expect("a list");
    daemon.wait_ready("t");
    assert!(echoes(port));
}

#[test]
fn a_command_of_ssh_config_says_whom_to_believe() {
    let (sshd, echo, port) = (Sshd::start(), Target::start(Service::Echo), free_port());
    let ssh_config = sshd.dir().join("ssh_config");
    let block = |command: &str| {
        let text = format!(
            "Host db\n Hostname 127.0.0.1\n Port {}\n UserKnownHostsFile none\n GlobalKnownHostsFile none\n \
             KnownHostsCommand {command}\n IdentityFile {}\n IdentityAgent none\n User {}\n",
            sshd.port,
            sshd.user_key.display(),
            keys::user()
        );
        std::fs::write(&ssh_config, text).expect("ssh_config");
    };
    block("/bin/sh -c 'echo the directory is away >&2; exit 1'");
    let config = format!(
        "[[tunnel]]\nname = \"t\"\nhost = \"db\"\nssh_config = \"{}\"\nlocal_forward = [\"{port}:127.0.0.1:{}\"]\n",
        ssh_config.display(),
        echo.port
    );
    let daemon = Daemon::start(&config);
    let failed = daemon.wait_for("t", "failed", |tunnel| !tunnel["last_failure"]["kind"].is_null());
    let failure = &failed["last_failure"];
    assert_eq!(
        (failure["kind"].as_str(), failure["permanent"].as_bool()),
        (Some("known_hosts_command_failed"), Some(false))
    );
    let message = failure["message"].as_str().unwrap_or_default();
    assert!(message.contains("status 1") && message.contains("the directory is away"), "{message}");
    block(&format!("/bin/echo %H {}", keys::public(&sshd.dir().join("host_key"))));
    assert!(daemon.cli(&["reload"]).status.success());
    daemon.wait_ready("t");
    assert!(echoes(port));
    block(&format!("/bin/echo %H {}", keys::public(&sshd.user_key)));
    assert!(daemon.cli(&["reload"]).status.success());
    assert!(daemon.cli(&["restart", "t", "--no-block"]).status.success());
    let said = blocked(&daemon, "host_key_changed");
    assert!(said.contains("known_hosts_command /bin/echo") && !said.contains("ssh-keygen"), "{said}");
}

#[test]
fn a_server_that_announces_its_next_host_key_may_lose_the_first_one() {
    let second = tempfile::tempdir().expect("a folder");
    let next = keys::generate(second.path(), "next", &["-t", "ecdsa"]);
    let mut sshd = Sshd::with_config(&format!("HostKey {}", next.display()));
    let (echo, port) = (Target::start(Service::Echo), free_port());
    let forward = format!("local_forward = [\"{port}:127.0.0.1:{}\"]", echo.port);
    let daemon = Daemon::start(&tunnel_toml("t", &sshd, &format!("{forward}\nupdate_host_keys = true")));
    daemon.wait_ready("t");
    let known = || std::fs::read_to_string(&sshd.known_hosts).expect("known_hosts");
    eventually("the next key in known_hosts", || known().contains(&keys::public(&next)).then_some(()));
    let first = keys::public(&sshd.dir().join("host_key"));
    assert!(known().contains(&first));
    sshd.crash();
    let config = sshd.dir().join("sshd_config");
    let lines = std::fs::read_to_string(&config).expect("sshd_config");
    let without = lines.replace(&format!("HostKey {}/host_key\n", sshd.dir().display()), "");
    assert_ne!(lines, without);
    std::fs::write(&config, without).expect("sshd_config");
    sshd.launch();
    daemon.wait_ready("t");
    eventually("an echo", || echoes(port).then_some(()));
    let known = || std::fs::read_to_string(&sshd.known_hosts).expect("known_hosts");
    eventually("the first key is gone from known_hosts", || (!known().contains(&first)).then_some(()));
}
