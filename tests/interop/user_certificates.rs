//! User certificates against a real sshd, where ssh is let in and where it is not: what the scripts cert-userkey and
//! principals-command of OpenSSH's own tests check.

use std::path::{Path, PathBuf};
use std::process::Command;

use support::daemon::Server;
use support::net::{Service, Target, echoes, free_port};
use support::{Daemon, Sshd, keys, tunnel_toml};

/// All tunnels of a table log in at the same time.
const LOGINS_AT_ONCE: &str = "MaxStartups 100";
const UP: &str = "up";

struct Authority {
    dir: tempfile::TempDir,
    key: PathBuf,
}

impl Authority {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let key = keys::generate(dir.path(), "ca", &["-t", "rsa", "-b", "2048"]);
        Self { dir, key }
    }

    /// A new key that it signed with these options of ssh-keygen.
    fn signed(&self, name: &str, key: &[&str], options: &str) -> PathBuf {
        let key = keys::generate(self.dir.path(), name, key);
        let options: Vec<&str> = ["-I", "test", "-z", "7"].into_iter().chain(options.split_whitespace()).collect();
        keys::certify(&self.key, &key, &options);
        key
    }

    /// The lines of sshd_config that trust it.
    fn trusted(&self) -> String {
        format!("{LOGINS_AT_ONCE}\nTrustedUserCAKeys {}", self.key.with_extension("pub").display())
    }
}

/// The server for a tunnel that logs in with this key.
struct LoggingInWith<'a> {
    sshd: &'a Sshd,
    key: &'a Path,
}

impl Server for LoggingInWith<'_> {
    fn port(&self) -> u16 {
        self.sshd.port
    }
    fn user_key(&self) -> &Path {
        self.key
    }
    fn known_hosts(&self) -> &Path {
        &self.sshd.known_hosts
    }
}

/// One tunnel a row: its key file, and `up` or the kind of the failure that blocks it.
#[track_caller]
fn each_is_let_in_or_not(sshd: &Sshd, rows: &[(PathBuf, &str)]) {
    let echo = Target::start(Service::Echo);
    let ports: Vec<u16> = rows.iter().map(|_| free_port()).collect();
    let tunnel = |((key, _), port): (&(PathBuf, &str), &u16)| {
        let forward = format!("local_forward = [\"{port}:127.0.0.1:{}\"]", echo.port);
        tunnel_toml(&name(key), &LoggingInWith { sshd, key }, &forward)
    };
    let daemon = Daemon::start(&rows.iter().zip(&ports).map(tunnel).collect::<String>());
    for ((key, expected), port) in rows.iter().zip(ports) {
        let settled = |tunnel: &serde_json::Value| tunnel["ready"] == true || tunnel["phase"] == "blocked";
        let tunnel = daemon.wait_for(&name(key), "settled", settled);
        let found = if tunnel["ready"] == true { UP } else { tunnel["last_failure"]["kind"].as_str().unwrap_or("?") };
        assert_eq!(found, *expected, "{}: {}", name(key), tunnel["last_failure"]);
        if found == UP {
            assert!(echoes(port), "{}", name(key));
        }
    }
}

fn name(key: &Path) -> String {
    key.file_name().expect("a key file").to_string_lossy().into_owned()
}

#[test]
fn certificate_is_judged_by_its_fields_as_by_ssh() {
    let (authority, me) = (Authority::new(), keys::user());
    let sshd = Sshd::with_config(&authority.trusted());
    let rows = [
        ("valid-interval", "-n USER -V -1w:+2w", UP),
        ("source-address-right", "-n USER -O source-address=127.0.0.0/8", UP),
        ("force-command", "-n USER -O force-command=false", UP),
        ("unknown-extension", "-n USER -O extension:x@example.com=1", UP),
        ("several-principals", "-n mekmitasdigoat,USER", UP),
        ("wrong-principal", "-n gregorsamsa", "auth_rejected"),
        ("no-principals", "", "auth_rejected"),
        ("source-address-wrong", "-n USER -O source-address=10.0.0.0/8", "auth_rejected"),
        ("unknown-critical", "-n USER -O critical:x@example.com=1", "auth_rejected"),
        ("host-certificate", "-n USER -h", "identity_unreadable"),
        ("not-yet-valid", "-n USER -V 20950101:20960101", "certificate_expired"),
        ("expired", "-n USER -V 19800101:19900101", "certificate_expired"),
    ];
    let rows = rows.map(|(name, options, expected)| {
        let options = options.replace("USER", &me);
        (authority.signed(name, &[], &options), expected)
    });
    each_is_let_in_or_not(&sshd, &rows);
}

#[test]
fn certificates_of_every_type_log_in_unless_they_are_revoked() {
    let (authority, me) = (Authority::new(), keys::user());
    let types: [&[&str]; 5] = [
        &["-t", "ed25519"],
        &["-t", "ecdsa", "-b", "256"],
        &["-t", "ecdsa", "-b", "384"],
        &["-t", "ecdsa", "-b", "521"],
        &["-t", "rsa", "-b", "2048"],
    ];
    let signed = |state: &str, n: usize, key| authority.signed(&format!("{state}-{n}"), key, &format!("-n {me}"));
    let good: Vec<_> = types.iter().enumerate().map(|(n, key)| (signed("good", n, key), UP)).collect();
    let revoked: Vec<_> =
        types.iter().enumerate().map(|(n, key)| (signed("revoked", n, key), "auth_rejected")).collect();
    let list = authority.dir.path().join("krl");
    let mut command = Command::new("ssh-keygen");
    command.arg("-kqf").arg(&list).args(revoked.iter().map(|(key, _)| key.with_extension("pub")));
    assert!(command.status().expect("ssh-keygen runs").success());
    let sshd = Sshd::with_config(&format!("{}\nRevokedKeys {}", authority.trusted(), list.display()));
    each_is_let_in_or_not(&sshd, &[good, revoked].concat());

    let rsa = authority.signed("rsa-512", types[4], &format!("-t rsa-sha2-512 -n {me}"));
    let only = "PubkeyAcceptedAlgorithms rsa-sha2-512-cert-v01@openssh.com";
    each_is_let_in_or_not(&Sshd::with_config(&format!("{}\n{only}", authority.trusted())), &[(rsa, UP)]);
}

#[test]
fn principals_come_from_a_command_a_file_or_the_authoritys_line() {
    let authority = Authority::new();
    let principals = authority.dir.path().join("principals");
    std::fs::write(&principals, "command=\"false\" mekmitasdigoat\n").expect("a file of principals");
    let trusted = authority.trusted();
    // The command is told the id and the serial number of the certificate, and prints a principal made of them.
    let command = "AuthorizedPrincipalsCommand /usr/bin/printf %%s-%%s\\n %i %s\nAuthorizedPrincipalsCommandUser";
    for (config, authorized, principal) in [
        (format!("{command} {}\n{trusted}", keys::user()), String::new(), "test-7"),
        (format!("AuthorizedPrincipalsFile {}\n{trusted}", principals.display()), String::new(), "mekmitasdigoat"),
        (
            LOGINS_AT_ONCE.to_owned(),
            format!("cert-authority,principals=\"gregorsamsa\" {}\n", keys::public(&authority.key)),
            "gregorsamsa",
        ),
    ] {
        let sshd = Sshd::with_config(&config);
        sshd.authorize_only(&authorized);
        let right = authority.signed(&format!("right-{principal}"), &[], &format!("-n {principal}"));
        let wrong = authority.signed(&format!("wrong-{principal}"), &[], &format!("-n {}", keys::user()));
        each_is_let_in_or_not(&sshd, &[(right, UP), (wrong, "auth_rejected")]);
    }
}
