//! Host keys and host certificates as OpenSSH's tools make them, against a real sshd.

use std::path::Path;
use std::process::Command;

use support::{Sshd, keys};
use tunnel_engine::failure::FailureKind;
use tunnel_engine::spec::{SessionSpec, StrictHostKeyChecking};

use crate::login::{assert_refused, identity, login, to};

fn with_key(server: &Sshd) -> SessionSpec {
    let mut spec = to(server);
    spec.auth.identities = vec![identity(&server.user_key)];
    spec
}

/// A known_hosts file in place of the server's own.
fn known(server: &Sshd, lines: &str) -> SessionSpec {
    let path = server.dir().join("other_known_hosts");
    std::fs::write(&path, lines).unwrap();
    let mut spec = with_key(server);
    spec.host_key.user_known_hosts = vec![path];
    spec
}

#[tokio::test]
async fn a_known_key_is_believed_and_an_unknown_one_is_not() {
    let server = Sshd::start();
    login(&with_key(&server)).await.unwrap();
    let fingerprint = fingerprint(&server.dir().join("host_key.pub"));
    let scan = format!("ssh-keyscan -p {} 127.0.0.1 >> ", server.port);
    assert_refused(login(&known(&server, "")).await, FailureKind::HostKeyUnknown, &[&fingerprint, &scan]);
}

#[tokio::test]
async fn a_file_hashed_by_ssh_keygen_is_understood() {
    let server = Sshd::start();
    let text = std::fs::read_to_string(&server.known_hosts).unwrap();
    let spec = known(&server, &text);
    let file = &spec.host_key.user_known_hosts[0];
    assert!(Command::new("ssh-keygen").args(["-q", "-H", "-f"]).arg(file).status().unwrap().success());
    assert!(std::fs::read_to_string(file).unwrap().starts_with("|1|"));
    login(&spec).await.unwrap();
}

#[tokio::test]
async fn a_server_known_by_rsa_only_is_asked_for_its_rsa_key() {
    let dir = tempfile::tempdir().unwrap();
    let rsa = keys::generate(dir.path(), "rsa", &["-t", "rsa", "-b", "2048"]);
    // It has an ed25519 key as well, which would come first otherwise.
    let server = Sshd::with_config(&format!("HostKey {}", rsa.display()));
    let line = format!("[127.0.0.1]:{} {}\n", server.port, keys::public(&rsa));
    login(&known(&server, &line)).await.unwrap();
    login(&known(&server, &line.replace(&format!("[127.0.0.1]:{}", server.port), "127.0.0.1"))).await.unwrap();
}

#[tokio::test]
async fn accept_new_believes_once_and_then_for_good() {
    let mut server = Sshd::start();
    let mut spec = known(&server, "# no newline at the end");
    spec.host_key.strict = StrictHostKeyChecking::AcceptNew;
    login(&spec).await.unwrap();
    spec.host_key.strict = StrictHostKeyChecking::Yes;
    login(&spec).await.unwrap();
    server.crash();
    server.change_host_key();
    server.launch();
    for strict in [StrictHostKeyChecking::AcceptNew, StrictHostKeyChecking::No] {
        spec.host_key.strict = strict;
        let file = spec.host_key.user_known_hosts[0].display();
        let remove = format!("ssh-keygen -f {file} -R '[127.0.0.1]:{}'", server.port);
        assert_refused(login(&spec).await, FailureKind::HostKeyChanged, &[&format!("{file}:2"), &remove]);
    }
}

#[tokio::test]
async fn a_host_certificate_of_a_trusted_authority_is_believed() {
    let case = Certified::new(&["-n", "127.0.0.1,other"]);
    login(&case.trusting()).await.unwrap();
    let pattern = Certified::new(&["-n", "127.0.*"]);
    login(&pattern.trusting()).await.unwrap();
}

#[tokio::test]
async fn a_host_certificate_that_does_not_count_leaves_the_plain_key_to_be_judged() {
    for (options, why) in [
        (&["-n", "elsewhere"][..], "it is for `elsewhere`"),
        (&[], "not for this name"),
        (&["-n", "127.0.0.1", "-V", "20200101:20200102"], "it has expired"),
        (&["-n", "127.0.0.1", "-V", "+1d:+2d"], "it is not valid yet"),
    ] {
        let case = Certified::new(options);
        let mut spec = case.trusting();
        assert_refused(login(&spec).await, FailureKind::HostKeyUnknown, &[why]);
        spec.host_key.user_known_hosts.push(case.server.known_hosts.clone());
        login(&spec).await.unwrap_or_else(|failure| panic!("{options:?}: {failure}"));
    }
}

#[tokio::test]
async fn a_certificate_of_a_revoked_authority_is_refused_though_its_key_is_known() {
    let case = Certified::new(&["-n", "127.0.0.1"]);
    let mut spec = case.trusting();
    let file = &spec.host_key.user_known_hosts[0];
    let lines = std::fs::read_to_string(file).unwrap();
    std::fs::write(file, format!("{lines}@revoked * {}\n", keys::public(&case.authority()))).unwrap();
    let place = format!("{}:2", file.display());
    spec.host_key.user_known_hosts.push(case.server.known_hosts.clone());
    assert_refused(login(&spec).await, FailureKind::HostKeyRevoked, &[&place, "@revoked"]);
}

/// A server that shows a certificate for its host key.
struct Certified {
    server: Sshd,
    dir: tempfile::TempDir,
}

impl Certified {
    fn new(options: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let authority = keys::generate(dir.path(), "authority", &["-t", "rsa", "-b", "2048"]);
        let key = keys::generate(dir.path(), "certified", &["-t", "ecdsa"]);
        let certificate = keys::certify(&authority, &key, &[&["-h", "-I", "host"], options].concat());
        let lines = format!("HostKey {}\nHostCertificate {}", key.display(), certificate.display());
        let server = Sshd::with_config(&lines);
        let line = format!("[127.0.0.1]:{} {}\n", server.port, keys::public(&key));
        std::fs::write(&server.known_hosts, line).unwrap();
        Self { server, dir }
    }

    fn authority(&self) -> std::path::PathBuf {
        self.dir.path().join("authority")
    }

    fn trusting(&self) -> SessionSpec {
        known(&self.server, &format!("@cert-authority 127.0.0.* {}\n", keys::public(&self.authority())))
    }
}

fn fingerprint(public: &Path) -> String {
    let output = Command::new("ssh-keygen").arg("-lf").arg(public).output().unwrap();
    String::from_utf8(output.stdout).unwrap().split(' ').nth(1).unwrap().to_owned()
}
