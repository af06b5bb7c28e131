//! What keeps a login from working: addresses, host keys, keys, clocks.

use std::path::Path;
use std::process::{Command, Stdio};

use support::net::free_port;
use support::process::Process;
use support::{Sshd, eventually, keys};

use super::{any_forward, examine, examine_by, other_user, own_tunnel, tunnel, with_file};

#[test]
fn config_mistakes_are_told_with_what_to_do() {
    let sshd = Sshd::start();
    let (user, wrong) = (keys::user(), keys::generate(sshd.dir(), "wrong", &[]));
    let locked = keys::generate(sshd.dir(), "locked", &["-N", "secret"]);
    sshd.authorize(&keys::public(&locked));
    let empty = sshd.dir().join("empty_known_hosts");
    std::fs::write(&empty, "").expect("a file");
    let changed = sshd.dir().join("changed_known_hosts");
    let line = |key: &Path| format!("# one\n[127.0.0.1]:{} {}\n", sshd.port, keys::public(key));
    std::fs::write(&changed, line(&wrong)).expect("a file");
    let exposed = keys::generate(sshd.dir(), "exposed", &[]);
    let forward = any_forward(&sshd);
    let own = |lines: &str| own_tunnel(&sshd, &format!("{forward}\n{lines}"));
    let known = |file: &Path| own("").replace(&sshd.known_hosts.display().to_string(), &file.display().to_string());
    std::fs::set_permissions(&exposed, std::os::unix::fs::PermissionsExt::from_mode(0o644)).expect("a mode");
    for (what, config, check, words) in [
        (
            "wrong user",
            tunnel(&sshd, "no-such-user", &sshd.user_key, &forward),
            "auth",
            &["user is `no-such-user`", "authorized_keys"][..],
        ),
        ("key refused", tunnel(&sshd, &user, &wrong, &forward), "auth", &["ssh-copy-id", "chmod go-w"]),
        (
            "no key",
            tunnel(&sshd, &user, &wrong, &forward).replace(&format!("\"{}\"", wrong.display()), "[]"),
            "auth",
            &["there is no key to offer", "set identity_file"],
        ),
        ("changed host key", known(&changed), "host_key", &["changed_known_hosts", "line 2 holds another key"]),
        ("changed host key, again", known(&changed), "host_key", &["changed", "ssh-keygen -f", "-R"]),
        ("unknown host key", known(&empty), "host_key", &["no host key is known", "SHA256:"]),
        (
            "no such name",
            own("").replace("\"127.0.0.1\"", "\"no-such-host.invalid\""),
            "resolve",
            &["could not be resolved", "getent ahosts"],
        ),
        (
            "nothing there",
            own("").replace(&format!("port = {}", sshd.port), &format!("port = {}", free_port())),
            "connect",
            &["refused the connection", "sshd runs there"],
        ),
        ("proxy command", own("proxy_command = \"echo no >&2; exit 7\""), "proxy_command", &["7"]),
        ("jump host", own("proxy_jump = \"u@no-such-jump.invalid\""), "resolve", &["no-such-jump.invalid"]),
    ] {
        eprintln!("{what}");
        examine(&config).fails_only(check, words);
    }
    let two = |check: &str, config: &str, words: &[&str]| {
        let diagnosis = examine(config);
        diagnosis.says("FAIL", check, words);
        diagnosis.says("FAIL", "auth", &[]);
    };
    two("identity", &tunnel(&sshd, &user, &exposed, &forward), &["0644", "chmod 600"]);
    two("identity", &tunnel(&sshd, &user, &sshd.dir().join("missing"), &forward), &["missing"]);
    let passphrase = tunnel(&sshd, &user, &locked, &forward);
    two("identity", &passphrase, &["encrypted", "passphrase_file"]);
    examine(&passphrase).says("FAIL", "auth", &["the server would take it, but", "encrypted"]);
}

#[test]
fn unknown_host_key_is_believed_where_the_config_says_so_and_not_written_down() {
    let sshd = Sshd::start();
    let empty = sshd.dir().join("empty_known_hosts");
    std::fs::write(&empty, "").expect("a file");
    let lines = format!("{}\nstrict_host_key_checking = \"accept-new\"", any_forward(&sshd));
    let config =
        own_tunnel(&sshd, &lines).replace(&sshd.known_hosts.display().to_string(), &empty.display().to_string());
    let diagnosis = examine(&config);
    diagnosis.is_fine();
    diagnosis.says("PASS", "host_key", &["without a line", "nothing was written down"]);
    assert_eq!(std::fs::read_to_string(&empty).expect("the file"), "");
}

#[test]
fn full_agent_uses_up_the_tries_of_the_server() {
    let sshd = Sshd::start();
    let socket = sshd.dir().join("agent.sock");
    let mut command = Command::new("ssh-agent");
    command.arg("-D").arg("-a").arg(&socket).stdin(Stdio::null()).stdout(Stdio::null());
    let _agent = Process::spawn(&mut command);
    eventually("the agent listens", || socket.exists().then_some(()));
    let mut add = Command::new("ssh-add");
    add.arg("-q").env("SSH_AUTH_SOCK", &socket);
    for number in 0..7 {
        add.arg(keys::generate(sshd.dir(), &format!("other{number}"), &[]));
    }
    assert!(add.arg(&sshd.user_key).status().expect("ssh-add runs").success());
    let lines = format!("{}\nidentity_agent = \"{}\"", any_forward(&sshd), socket.display());
    let config = own_tunnel(&sshd, &lines).replace("identity_agent = \"none\"\n", "");
    let unnamed = config.replace(&format!("identity_file = \"{}\"\n", sshd.user_key.display()), "identity_file = []\n");
    let diagnosis = examine(&unnamed);
    diagnosis.fails_only("auth", &["identities_only"]);
    diagnosis.says("FAIL", "auth", &["2 more of the agent were not offered"]);
    diagnosis.says("FAIL", "auth", &["other0", "refused"]);
    examine(&format!("{config}identities_only = true\n")).is_fine();
}

#[test]
fn key_that_a_rule_keeps_back_is_told_as_not_offered() {
    let sshd = Sshd::start();
    let lines = format!("{}\npubkey_accepted_algorithms = \"rsa-sha2-512\"", any_forward(&sshd));
    examine(&own_tunnel(&sshd, &lines)).fails_only("auth", &["not offered", "pubkey_accepted_algorithms"]);
}

#[test]
fn certificates_are_held_against_both_clocks() {
    let sshd = Sshd::start();
    let ca = keys::generate(sshd.dir(), "ca", &[]);
    sshd.authorize(&format!("cert-authority,command=\"echo 1000000000\" {}", keys::public(&ca)));
    let with = |name: &str, validity: &str| {
        let key = keys::generate(sshd.dir(), name, &[]);
        keys::certify(&ca, &key, &["-I", "test", "-n", &keys::user(), "-V", validity]);
        examine(&tunnel(&sshd, &keys::user(), &key, &any_forward(&sshd)))
    };
    let early = with("early", "+10h:+20h");
    early.says("FAIL", "certificate", &["becomes valid in", "this machine's clock says", "date -u"]);
    early.says("FAIL", "auth", &[]);
    // The server's clock, by the words of its `date`.
    with("valid", "-1h:+1h").fails_only("clock", &["behind this machine's", "NTP"]);
}

#[test]
fn family_that_is_broken_fails_nothing_while_the_other_works() {
    if other_user().is_none() {
        return;
    }
    let sshd = Sshd::start();
    let hosts = sshd.dir().join("hosts");
    std::fs::write(&hosts, "::1 both.test\n127.0.0.1 both.test localhost\n").expect("a file");
    let lines = format!("{}\nhost_key_alias = \"[127.0.0.1]:{}\"", any_forward(&sshd), sshd.port);
    let config = own_tunnel(&sshd, &lines).replace("host = \"127.0.0.1\"", "host = \"both.test\"");
    let diagnosis = examine_by(&config, |doctor| with_file(&doctor, "/etc/hosts", &hosts));
    diagnosis.is_fine();
    diagnosis.says("PASS", "resolve", &["::1", "127.0.0.1"]);
    diagnosis.says("SKIP", "connect", &["[::1]", "refused", "address_family = \"inet\""]);
    diagnosis.says("PASS", "connect", &["127.0.0.1"]);
}

#[test]
fn known_hosts_of_the_user_behind_sudo_is_pointed_out() {
    if other_user().is_none() {
        return;
    }
    let sshd = Sshd::start();
    let home = sshd.dir().join("home");
    std::fs::create_dir_all(home.join(".ssh")).expect("a folder");
    std::fs::copy(&sshd.known_hosts, home.join(".ssh/known_hosts")).expect("known_hosts");
    let passwd = sshd.dir().join("passwd");
    let users = std::fs::read_to_string("/etc/passwd").expect("users");
    std::fs::write(&passwd, format!("{users}\ncaller:x:4711:4711::{}:/bin/sh\n", home.display())).expect("a file");
    let missing = sshd.dir().join("known_hosts_of_root").display().to_string();
    let config = own_tunnel(&sshd, &any_forward(&sshd)).replace(&sshd.known_hosts.display().to_string(), &missing);
    let diagnosis = examine_by(&config, |doctor| {
        let mut doctor = with_file(&doctor, "/etc/passwd", &passwd);
        doctor.env("SUDO_USER", "caller");
        doctor
    });
    diagnosis.fails_only("host_key", &["of the user `caller` who called sudo", "known_hosts:1", "without sudo"]);
}
