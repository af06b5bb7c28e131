//! `tunneld trust` against a stock sshd: which keys it shows, what it writes, and what it refuses.

use std::path::Path;
use std::process::{Command, Output};

use support::daemon::{command, said};
use support::net::{Service, Target, echoes, free_port};
use support::process::wrapped;
use support::pty::Terminal;
use support::{Daemon, Sshd, eventually, keys, tunnel_toml};

/// A server with a key of each usual type; its first is ed25519.
fn many_keys() -> (Sshd, tempfile::TempDir) {
    let dir = tempfile::tempdir().expect("a folder");
    let rsa = keys::generate(dir.path(), "rsa", &["-t", "rsa", "-b", "2048"]);
    let ecdsa = keys::generate(dir.path(), "ecdsa", &["-t", "ecdsa"]);
    (Sshd::with_config(&format!("HostKey {}\nHostKey {}", rsa.display(), ecdsa.display())), dir)
}

/// Without a terminal.
fn trust(server: &Sshd, file: &Path, arguments: &[&str]) -> Output {
    let mut command = command();
    command.arg("trust").arg(format!("127.0.0.1:{}", server.port)).arg("--file").arg(file).args(arguments);
    wrapped(&command, "setsid", &["--wait"]).output().expect("setsid runs")
}

fn fingerprint(key: &Path) -> String {
    let output = Command::new("ssh-keygen").arg("-lf").arg(key.with_extension("pub")).output().expect("ssh-keygen");
    String::from_utf8_lossy(&output.stdout).split_whitespace().nth(1).expect("a fingerprint").to_owned()
}

/// Type and base64 of each line, without its name, which Debian's ssh_config wants hashed.
fn keys_in(text: &str) -> Vec<String> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let mut keys: Vec<_> = lines.map(|line| line.split(' ').skip(1).collect::<Vec<_>>().join(" ")).collect();
    keys.sort();
    keys
}

fn known(file: &Path) -> Vec<String> {
    keys_in(&std::fs::read_to_string(file).unwrap_or_default())
}

#[test]
fn a_blocked_tunnel_goes_on_once_its_key_is_trusted() {
    let (sshd, echo, port) = (Sshd::start(), Target::start(Service::Echo), free_port());
    // Neither the file nor its folder is there yet.
    let file = sshd.dir().join(".ssh/known_hosts");
    let config = tunnel_toml("t", &sshd, &format!("local_forward = [\"{port}:127.0.0.1:{}\"]", echo.port));
    let daemon = Daemon::start(&config.replace(&sshd.known_hosts.display().to_string(), &file.display().to_string()));
    let tunnel = daemon.wait_for("t", "blocked", |tunnel| tunnel["phase"] == "blocked");
    let hint = tunnel["last_failure"]["hint"].as_str().unwrap_or_default();
    let wanted = format!("tunneld trust 127.0.0.1:{} --file {}", sshd.port, file.display());
    assert!(hint.contains(&wanted), "{hint}");
    let key = fingerprint(&sshd.dir().join("host_key"));
    assert!(hint.contains(&key), "{hint}");
    let trusted = trust(&sshd, &file, &["--fingerprint", &key]);
    assert!(trusted.status.success(), "{}", said(&trusted));
    daemon.wait_ready("t");
    assert!(echoes(port));
}

#[test]
fn blocked_tunnel_is_on_its_way_when_trust_has_ended() {
    let (sshd, echo, port) = (Sshd::start(), Target::start(Service::Echo), free_port());
    let file = sshd.dir().join("not-yet");
    let config = tunnel_toml("t", &sshd, &format!("local_forward = [\"{port}:127.0.0.1:{}\"]", echo.port));
    let daemon = Daemon::start(&config.replace(&sshd.known_hosts.display().to_string(), &file.display().to_string()));
    daemon.wait_for("t", "blocked", |tunnel| tunnel["phase"] == "blocked");
    let (config, key) = (daemon.config().display().to_string(), fingerprint(&sshd.dir().join("host_key")));
    let trusted = daemon.cli(&["trust", "t", "--config", &config, "--fingerprint", &key]);
    assert!(trusted.status.success(), "{}", said(&trusted));
    let waited = daemon.cli(&["wait", "t"]);
    assert!(waited.status.success(), "{}", said(&waited));
}

#[test]
fn all_keys_are_shown_and_only_the_confirmed_one_is_written() {
    let (server, dir) = many_keys();
    let file = dir.path().join("known_hosts");
    let asked = trust(&server, &file, &[]);
    assert_eq!(asked.status.code(), Some(1), "{}", said(&asked));
    let keys = [server.dir().join("host_key"), dir.path().join("rsa"), dir.path().join("ecdsa")];
    for key in &keys {
        assert!(said(&asked).contains(&fingerprint(key)), "{}", said(&asked));
    }
    assert!(said(&asked).contains("--fingerprint"), "{}", said(&asked));
    let wrong = trust(&server, &file, &["--fingerprint", "SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"]);
    assert_eq!(wrong.status.code(), Some(1), "{}", said(&wrong));
    assert!(!file.exists());
    let right = trust(&server, &file, &["--fingerprint", &fingerprint(&keys[1])]);
    assert!(right.status.success(), "{}", said(&right));
    let key = keys::public(&keys[1]);
    assert_eq!(known(&file), std::slice::from_ref(&key));
    let again = trust(&server, &file, &[]);
    assert!(again.status.success() && said(&again).contains("known already"), "{}", said(&again));
    assert_eq!(known(&file), [key]);
}

#[test]
fn a_yes_on_a_terminal_writes_what_ssh_keyscan_would() {
    let (server, dir) = many_keys();
    let file = dir.path().join("known_hosts");
    let mut command = command();
    command.arg("trust").arg(format!("127.0.0.1:{}", server.port)).arg("--file").arg(&file);
    let mut terminal = Terminal::run(&command);
    terminal.answers("(yes/no/[fingerprint])? ", 1, "y");
    terminal.answers("Please type 'yes'", 1, "yes");
    assert!(terminal.wait().success(), "{}", terminal.screen());
    let scan = Command::new("ssh-keyscan").args(["-p", &server.port.to_string(), "127.0.0.1"]).output();
    let scan = String::from_utf8(scan.expect("ssh-keyscan runs").stdout).expect("text");
    let wanted = keys_in(&scan);
    assert_eq!(wanted.len(), 3, "{scan}");
    assert_eq!(known(&file), wanted);
    let mut refused = Terminal::run(command.arg("--host-key-alias").arg("other"));
    refused.answers("(yes/no/[fingerprint])? ", 1, "no");
    assert_eq!(refused.wait().code(), Some(1), "{}", refused.screen());
    assert_eq!(known(&file), wanted);
}

#[test]
fn a_changed_key_is_refused_with_its_line() {
    let (server, dir) = many_keys();
    let file = dir.path().join("known_hosts");
    let other = keys::generate(dir.path(), "other", &[]);
    let line = format!("[127.0.0.1]:{} {}", server.port, keys::public(&other));
    std::fs::write(&file, format!("# mine\n{line}\n")).expect("known_hosts");
    for arguments in [&[][..], &["--fingerprint", &fingerprint(&server.dir().join("host_key"))]] {
        let refused = trust(&server, &file, arguments);
        assert_eq!(refused.status.code(), Some(1), "{}", said(&refused));
        let said = said(&refused);
        assert!(said.contains(&format!("{}:2", file.display())) && said.contains("ssh-keygen -f"), "{said}");
    }
    assert_eq!(std::fs::read_to_string(&file).expect("known_hosts"), format!("# mine\n{line}\n"));
}

#[test]
fn a_server_of_the_config_is_asked_by_its_route_and_written_into_its_file() {
    let (jump, inner) = (Sshd::start(), Sshd::start());
    let file = inner.dir().join("own_known_hosts");
    let jump_known = std::fs::read_to_string(&jump.known_hosts).expect("known_hosts");
    std::fs::write(&file, jump_known).expect("known_hosts");
    let config = format!(
        "[[tunnel]]\nname = \"t\"\nhost = \"localhost\"\nport = {}\nuser = \"{user}\"\nhash_known_hosts = true\n\
         identity_file = [\"{}\", \"{}\"]\nuser_known_hosts_file = \"{}\"\nglobal_known_hosts_file = []\n\
         identity_agent = \"none\"\nproxy_jump = \"{user}@127.0.0.1:{}\"\nlocal_forward = [\"{}:127.0.0.1:1\"]\n",
        inner.port,
        inner.user_key.display(),
        jump.user_key.display(),
        file.display(),
        jump.port,
        free_port(),
        user = keys::user(),
    );
    let daemon = Daemon::start(&config);
    daemon.wait_for("t", "blocked", |tunnel| tunnel["phase"] == "blocked");
    let mut command = command();
    command.arg("trust").arg("localhost").arg("--config").arg(daemon.config());
    command.args(["--fingerprint", &fingerprint(&inner.dir().join("host_key"))]);
    let trusted = command.output().expect("tunneld runs");
    assert!(trusted.status.success(), "{}", said(&trusted));
    assert!(std::fs::read_to_string(&file).expect("known_hosts").contains("\n|1|"));
    eventually("up", || daemon.tunnel("t").filter(|tunnel| tunnel["phase"] == "up"));
}
