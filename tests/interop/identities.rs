//! Every way to prove who we are that a stock sshd takes.

use std::path::Path;
use std::process::{Command, Stdio};

use support::asyncssh::ExpiredPasswords;
use support::net::{Service, Target, echoes, free_port};
use support::process::Process;
use support::{Daemon, Sshd, eventually, keys};

/// A daemon with a tunnel from a port here to `target`, and no identity but what `lines` give.
fn daemon(sshd: &Sshd, target: &Target, lines: &str) -> (Daemon, u16) {
    let port = free_port();
    let config = format!(
        "[[tunnel]]\nname = \"t\"\nhost = \"127.0.0.1\"\nport = {}\nuser = \"{}\"\nuser_known_hosts_file = \"{}\"\n\
         local_forward = [\"{port}:127.0.0.1:{}\"]\n{lines}\n",
        sshd.port,
        keys::user(),
        sshd.known_hosts.display(),
        target.port
    );
    (Daemon::start(&config), port)
}

/// The lines of one key file and no agent.
fn only(key: &Path) -> String {
    format!("identity_file = \"{}\"\nidentity_agent = \"none\"", key.display())
}

#[track_caller]
fn comes_up(sshd: &Sshd, lines: &str) {
    let echo = Target::start(Service::Echo);
    let (daemon, port) = daemon(sshd, &echo, lines);
    daemon.wait_ready("t");
    assert!(echoes(port));
}

#[track_caller]
fn is_blocked(sshd: &Sshd, kind: &str, lines: &str) {
    let (daemon, _) = daemon(sshd, &Target::start(Service::Echo), lines);
    let tunnel = daemon.wait_for("t", "blocked", |tunnel| tunnel["phase"] == "blocked");
    assert_eq!(tunnel["last_failure"]["kind"], kind);
}

#[test]
fn an_rsa_key_signs_with_sha2() {
    let sshd = Sshd::start();
    let key = keys::generate(sshd.dir(), "rsa", &["-t", "rsa", "-b", "2048"]);
    sshd.authorize(&keys::public(&key));
    comes_up(&sshd, &only(&key));
}

#[test]
fn ecdsa_keys_and_the_pem_formats_are_read() {
    let sshd = Sshd::start();
    for (name, options) in [
        ("p256", &["-t", "ecdsa", "-b", "256"][..]),
        ("p384", &["-t", "ecdsa", "-b", "384"]),
        ("pkcs1", &["-t", "rsa", "-b", "2048", "-m", "PEM"]),
        ("pkcs8", &["-t", "rsa", "-b", "2048", "-m", "PKCS8"]),
        ("sec1", &["-t", "ecdsa", "-b", "256", "-m", "PEM"]),
    ] {
        let key = keys::generate(sshd.dir(), name, options);
        sshd.authorize(&keys::public(&key));
        comes_up(&sshd, &only(&key));
    }
}

#[test]
fn an_encrypted_key_is_opened_with_its_passphrase_file() {
    let sshd = Sshd::start();
    let secret = sshd.dir().join("passphrase");
    std::fs::write(&secret, "open sesame\n").expect("a passphrase file");
    for (name, options) in [
        ("openssh", &["-N", "open sesame"][..]),
        ("pkcs8", &["-N", "open sesame", "-t", "rsa", "-b", "2048", "-m", "PKCS8"]),
    ] {
        let key = keys::generate(sshd.dir(), name, options);
        sshd.authorize(&keys::public(&key));
        comes_up(&sshd, &format!("{}\npassphrase_file = \"{}\"", only(&key), secret.display()));
    }
    is_blocked(&sshd, "passphrase_needed", &only(&sshd.dir().join("openssh")));
}

#[test]
fn certificates_of_both_families_are_offered() {
    let sshd = Sshd::start();
    let ca = keys::generate(sshd.dir(), "ca", &[]);
    sshd.authorize(&format!("cert-authority {}", keys::public(&ca)));
    for (name, options) in [("ed", &["-t", "ed25519"][..]), ("rsa", &["-t", "rsa", "-b", "2048"])] {
        let key = keys::generate(sshd.dir(), name, options);
        keys::certify(&ca, &key, &["-I", "test", "-n", &keys::user()]);
        comes_up(&sshd, &only(&key));
    }
    let key = keys::generate(sshd.dir(), "old", &[]);
    keys::certify(&ca, &key, &["-I", "test", "-n", &keys::user(), "-V", "20200101:20200102"]);
    is_blocked(&sshd, "certificate_expired", &only(&key));
}

#[test]
fn the_agent_holds_the_key() {
    let sshd = Sshd::start();
    let socket = sshd.dir().join("agent.sock");
    let mut command = Command::new("ssh-agent");
    command.arg("-D").arg("-a").arg(&socket).stdin(Stdio::null()).stdout(Stdio::null());
    let _agent = Process::spawn(&mut command);
    eventually("the agent listens", || socket.exists().then_some(()));
    let added = Command::new("ssh-add").arg("-q").arg(&sshd.user_key).env("SSH_AUTH_SOCK", &socket).status();
    assert!(added.expect("ssh-add runs").success());
    comes_up(&sshd, &format!("identity_agent = \"{}\"", socket.display()));
    // IdentityFile may name the public half of a key in the agent; the private half is nowhere near.
    let public = sshd.dir().join("alone.pub");
    std::fs::copy(sshd.user_key.with_extension("pub"), &public).expect("a public key");
    comes_up(&sshd, &format!("identity_agent = \"{}\"\nidentity_file = \"{}\"", socket.display(), public.display()));
}

#[test]
fn the_right_key_is_found_among_wrong_ones() {
    let sshd = Sshd::start();
    let wrong = keys::generate(sshd.dir(), "wrong", &[]);
    let lines = format!(
        "identity_file = [\"{}\", \"{}\"]\nidentity_agent = \"none\"",
        wrong.display(),
        sshd.user_key.display()
    );
    comes_up(&sshd, &lines);
}

#[test]
fn keys_that_a_rule_leaves_out_are_never_shown() {
    let sshd = Sshd::start();
    let rsa = keys::generate(sshd.dir(), "rsa", &["-t", "rsa", "-b", "2048"]);
    sshd.authorize(&keys::public(&rsa));
    let both =
        format!("identity_file = [\"{}\", \"{}\"]\nidentity_agent = \"none\"", sshd.user_key.display(), rsa.display());
    comes_up(&sshd, &format!("{both}\npubkey_accepted_algorithms = \"-ssh-ed25519*\""));
    assert!(!sshd.log().contains("ED25519"), "{}", sshd.log());
    comes_up(&sshd, &format!("{both}\nrequired_rsa_size = 3072"));
    assert!(sshd.log().contains("ED25519"), "{}", sshd.log());

    for (rule, key) in [
        ("pubkey_accepted_algorithms = \"ssh-ed25519\"", &rsa),
        ("required_rsa_size = 3072", &rsa),
        ("pubkey_accepted_algorithms = \"rsa-sha2-512\"", &sshd.user_key),
    ] {
        let (daemon, _) = daemon(&sshd, &Target::start(Service::Echo), &format!("{}\n{rule}", only(key)));
        daemon.wait_for("t", "blocked", |tunnel| tunnel["last_failure"]["kind"] == "auth_rejected");
        let why = support::daemon::said(&daemon.cli(&["why", "t"]));
        let name = rule.split(' ').next().expect("a key");
        assert!(why.contains(&key.display().to_string()) && why.contains(name), "{why}");
    }
}

#[test]
fn lists_that_are_shared_with_ssh_may_name_what_only_ssh_has() {
    let sshd = Sshd::start();
    let shared = "host_key_algorithms = \"ssh-dss,sk-ssh-ed25519@openssh.com,ssh-ed25519\"\n\
                  pubkey_accepted_algorithms = \"ssh-dss*,ssh-ed25519*\"\n\
                  kex_algorithms = \"mlkem768nistp256-sha256,curve25519-sha256\"";
    comes_up(&sshd, &format!("{}\n{shared}", only(&sshd.user_key)));
}

#[test]
fn a_short_rsa_host_key_is_not_believed() {
    let mut sshd = Sshd::start();
    sshd.crash();
    for name in ["host_key", "host_key.pub"] {
        std::fs::remove_file(sshd.dir().join(name)).expect("the host key");
    }
    let host_key = keys::generate(sshd.dir(), "host_key", &["-t", "rsa", "-b", "2048"]);
    let line = format!("[127.0.0.1]:{} {}\n", sshd.port, keys::public(&host_key));
    std::fs::write(&sshd.known_hosts, line).expect("known_hosts");
    sshd.launch();
    let lines = |size: u32| format!("{}\nrequired_rsa_size = {size}", only(&sshd.user_key));
    comes_up(&sshd, &lines(2048));
    is_blocked(&sshd, "no_common_algorithm", &lines(2049));
}

#[test]
fn password_that_must_be_changed_blocks_the_tunnel_at_once() {
    for method in ["password", "keyboard-interactive", "keyboard-interactive in German"] {
        let server = ExpiredPasswords::start(method);
        let password = server.dir().join("password");
        std::fs::write(&password, "old\n").expect("a password file");
        let config = format!(
            "[[tunnel]]\nname = \"t\"\nhost = \"127.0.0.1\"\nport = {}\nuser = \"me\"\nidentity_agent = \"none\"\n\
             user_known_hosts_file = \"{}\"\npassword_file = \"{}\"\nlocal_forward = [\"{}:127.0.0.1:9\"]\n",
            server.port,
            server.known_hosts.display(),
            password.display(),
            free_port()
        );
        let daemon = Daemon::start(&config);
        let tunnel = daemon.wait_for("t", "blocked", |tunnel| tunnel["phase"] == "blocked");
        assert_eq!(tunnel["last_failure"]["kind"], "password_change_required", "{method}: {tunnel}");
        assert_eq!(server.passwords_seen(), 1, "{method}");
        let why = support::daemon::said(&daemon.cli(&["why", "t"]));
        assert!(why.contains("set a new password"), "{method}: {why}");
    }
}
