//! Every way to prove who we are, with keys as OpenSSH's tools make them, against a real sshd and our own server.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use support::process::Process;
use support::{Sshd, eventually, keys};
use tunnel_engine::demo_server::{AuthFault, Builder, Server};
use tunnel_engine::failure::FailureKind;
use tunnel_engine::spec::{AgentSpec, AlgorithmList, IdentitySpec, SecretSource, SessionSpec};

use crate::login::{assert_refused, identities, identity, login, secret, spec, to};

const PASSPHRASE: &str = "open sesame";

const SMALL: &str = "ecdsa-sha2-nistp256 \
    AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBO2yzR02VGNKgs7XxWT6k3wLHKil83kR5U4ntsFJDEAq9cEkPDLZ5ouWpbaF+JHU+99byeLa+SGdBOUohoOK3VQ=";

#[tokio::test]
async fn a_key_in_any_format_that_ssh_reads_logs_in() {
    let server = Sshd::start();
    let types: &[&[&str]] = &[
        &["-t", "ed25519"],
        &["-t", "ecdsa", "-b", "256"],
        &["-t", "ecdsa", "-b", "384"],
        &["-t", "ecdsa", "-b", "521"],
        &["-t", "rsa", "-b", "2048"],
    ];
    for (index, kind) in types.iter().enumerate() {
        for format in ["RFC4716", "PEM", "PKCS8"] {
            for passphrase in ["", PASSPHRASE] {
                let name = format!("key-{index}-{format}-{}", passphrase.len());
                let options = [kind, &["-m", format, "-N", passphrase][..]].concat();
                let key = keys::generate(server.dir(), &name, &options);
                server.authorize(&keys::public(&key));
                let mut spec = to(&server);
                spec.auth.identities = vec![identity(&key)];
                spec.auth.passphrase = secret(server.dir(), "passphrase", PASSPHRASE);
                let how = login(&spec).await.unwrap_or_else(|failure| panic!("{options:?}: {failure}"));
                assert!(how.starts_with(&format!("publickey {} SHA256:", key.display())), "{how}");
                // Without its public half beside it, it has to be opened before it can be offered.
                std::fs::remove_file(key.with_extension("pub")).unwrap();
                login(&spec).await.unwrap_or_else(|failure| panic!("{options:?} without .pub: {failure}"));
            }
        }
    }
}

/// One ECDSA key in 256: its secret number has fewer bytes than the curve, and OpenSSH leaves the zeros out.
#[tokio::test]
async fn a_key_with_a_small_secret_number_logs_in() {
    let server = Sshd::start();
    for name in ["plain", "locked"] {
        let stored = concat!(env!("CARGO_MANIFEST_DIR"), "/../crates/tunnel-engine/src/auth/small_scalar");
        let key = server.dir().join(name);
        std::fs::copy(Path::new(stored).join(name), &key).unwrap();
        std::fs::set_permissions(&key, PermissionsExt::from_mode(0o600)).unwrap();
        let mut spec = to(&server);
        spec.auth.identities = vec![identity(&key)];
        spec.auth.passphrase = secret(server.dir(), "passphrase", PASSPHRASE);
        server.authorize(SMALL);
        login(&spec).await.unwrap_or_else(|failure| panic!("{name}: {failure}"));
    }
}

#[tokio::test]
async fn rsa_signs_with_sha_2() {
    let server = Sshd::with_config("PubkeyAcceptedAlgorithms rsa-sha2-512");
    let key = keys::generate(server.dir(), "rsa", &["-t", "rsa", "-b", "3072"]);
    server.authorize(&keys::public(&key));
    login(&with(&server, &[&key])).await.unwrap();
}

#[tokio::test]
async fn the_first_key_that_is_taken_ends_it() {
    let server = Sshd::start();
    let second = keys::generate(server.dir(), "second", &[]);
    server.authorize(&keys::public(&second));
    let how = login(&with(&server, &[&second, &server.user_key])).await.unwrap();
    assert!(how.starts_with(&format!("publickey {} SHA256:", second.display())), "{how}");
}

#[tokio::test]
async fn a_pipe_in_place_of_a_file_holds_nothing_up() {
    let server = Sshd::start();
    let pipe = server.dir().join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRUSR | nix::sys::stat::Mode::S_IWUSR).unwrap();
    let mut spec = with(&server, &[&pipe]);
    spec.auth.certificates = vec![pipe.clone()];
    spec.auth.password = Some(SecretSource::File(pipe.clone()));
    assert_refused(login(&spec).await, FailureKind::IdentityUnreadable, &["it is a pipe"]);
    spec.host_key.global_known_hosts = vec![pipe];
    assert_refused(login(&spec).await, FailureKind::HostKeyUnknown, &["it is a pipe"]);
}

#[tokio::test]
async fn certificates_log_in_for_every_type_of_key() {
    let server = Sshd::start();
    let authority = authority_of(&server);
    for kind in ["rsa", "ed25519", "ecdsa"] {
        let key = keys::generate(server.dir(), kind, &["-t", kind]);
        let certificate = keys::certify(&authority, &key, &["-I", "me", "-n", &keys::user()]);
        // The key itself is unknown there: only the certificate can have done it.
        let how = login(&with(&server, &[&key])).await.unwrap_or_else(|failure| panic!("{kind}: {failure}"));
        assert!(how.starts_with(&format!("publickey {} SHA256:", certificate.display())), "{how}");
        // Named by CertificateFile, under a name that is not found by itself.
        let elsewhere = server.dir().join(format!("{kind}.certificate"));
        std::fs::rename(&certificate, &elsewhere).unwrap();
        let mut spec = with(&server, &[&key]);
        assert_refused(login(&spec).await, FailureKind::AuthRejected, &[]);
        spec.auth.certificates = vec![elsewhere];
        login(&spec).await.unwrap_or_else(|failure| panic!("{kind}: {failure}"));
    }
}

#[tokio::test]
async fn an_expired_certificate_is_not_offered_and_is_named_when_nothing_else_works() {
    let server = Sshd::start();
    let authority = authority_of(&server);
    let key = keys::generate(server.dir(), "key", &[]);
    let options = ["-I", "me", "-n", &keys::user(), "-V", "20200101:20200102"];
    let certificate = keys::certify(&authority, &key, &options).display().to_string();
    let refused = login(&with(&server, &[&key])).await;
    assert_refused(refused, FailureKind::CertificateExpired, &[&certificate, "expired", "days ago"]);
    login(&with(&server, &[&key, &server.user_key])).await.unwrap();
}

#[tokio::test]
async fn a_rejected_key_is_told_with_its_fingerprint_and_what_the_server_takes() {
    let server = Sshd::start();
    let key = keys::generate(server.dir(), "stranger", &[]);
    let words =
        ["it rejected ssh-ed25519 SHA256:", &key.display().to_string(), "it takes publickey", "authorized_keys"];
    assert_refused(login(&with(&server, &[&key])).await, FailureKind::AuthRejected, &words);
    assert_refused(login(&with(&server, &[])).await, FailureKind::AuthRejected, &["there is no key", "identity_file"]);
}

#[tokio::test]
async fn a_locked_key_is_opened_only_when_the_server_wants_it() {
    let server = Sshd::start();
    let key = keys::generate(server.dir(), "locked", &["-N", PASSPHRASE]);
    // Unwanted: that it is locked does not matter.
    assert_refused(login(&with(&server, &[&key])).await, FailureKind::AuthRejected, &["it rejected ssh-ed25519"]);
    server.authorize(&keys::public(&key));
    let mut spec = with(&server, &[&key]);
    let words = ["the server would take it", "no passphrase_file is set"];
    assert_refused(login(&spec).await, FailureKind::PassphraseNeeded, &words);
    spec.auth.passphrase = secret(server.dir(), "wrong", "guess");
    assert_refused(login(&spec).await, FailureKind::PassphraseNeeded, &["wrong` does not open it"]);
    // The next key is still offered after one that could not sign.
    spec.auth.identities.push(identity(&server.user_key));
    login(&spec).await.unwrap();
}

#[tokio::test]
async fn a_key_that_others_can_read_is_skipped_with_the_chmod_to_run() {
    let server = Sshd::start();
    let key = server.user_key.clone();
    for mode in [0o644, 0o640, 0o604] {
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(mode)).unwrap();
        let words = [&format!("its mode is {mode:04o}"), &format!("chmod 600 {}", key.display())];
        let words: Vec<&str> = words.iter().map(|word| word.as_str()).collect();
        assert_refused(login(&with(&server, &[&key])).await, FailureKind::IdentityPermissions, &words);
    }
    let other = keys::generate(server.dir(), "other", &[]);
    server.authorize(&keys::public(&other));
    login(&with(&server, &[&key, &other])).await.unwrap();
}

#[tokio::test]
async fn a_key_file_that_is_missing_or_no_key_is_named_unless_it_is_a_default() {
    let server = Sshd::start();
    let missing = server.dir().join("missing");
    assert_refused(login(&with(&server, &[&missing])).await, FailureKind::IdentityUnreadable, &["missing"]);
    let nonsense = server.dir().join("nonsense");
    std::fs::write(&nonsense, "hello\n").unwrap();
    std::fs::set_permissions(&nonsense, std::fs::Permissions::from_mode(0o600)).unwrap();
    assert_refused(login(&with(&server, &[&nonsense])).await, FailureKind::IdentityUnreadable, &["not a private key"]);
    let public = server.user_key.with_extension("pub");
    assert_refused(login(&with(&server, &[&public])).await, FailureKind::IdentityUnreadable, &["public key"]);
    let mut spec = to(&server);
    spec.auth.identities = vec![IdentitySpec { path: missing, explicit: false }];
    assert_refused(login(&spec).await, FailureKind::AuthRejected, &["there is no key to offer"]);
    spec.auth.identities.push(identity(&server.user_key));
    login(&spec).await.unwrap();
}

#[tokio::test]
async fn sha1_only_server_is_logged_in_to_when_asked_for() {
    let server = Sshd::with_config("PubkeyAcceptedAlgorithms ssh-rsa,ssh-rsa-cert-v01@openssh.com");
    let key = keys::generate(server.dir(), "rsa", &["-t", "rsa", "-b", "2048"]);
    let mut spec = with(&server, &[&key]);
    // Not the algorithm is at fault with a key that the server does not know.
    assert_refused(login(&spec).await, FailureKind::AuthRejected, &["authorized_keys"]);
    server.authorize(&keys::public(&key));
    let words = ["no signature algorithm in common", "pubkey_accepted_algorithms = \"+ssh-rsa\""];
    assert_refused(login(&spec).await, FailureKind::AuthRejected, &words);
    let failure = login(&spec).await.expect_err("no login");
    assert!(!failure.hint().contains("authorized_keys"), "{}", failure.hint());
    // Also when another key was turned down.
    spec.auth.identities.push(identity(&server.user_key));
    assert_refused(login(&spec).await, FailureKind::AuthRejected, &words);
    let sha1 = AlgorithmList::parse("+ssh-rsa*").unwrap();
    spec.auth.accepted = sha1.clone();
    let how = login(&spec).await.unwrap();
    assert!(how.starts_with(&format!("publickey {} SHA256:", key.display())), "{how}");

    let agent = Agent::start(server.dir(), "agent");
    agent.add(&[], &key);
    let mut spec = agent.only(&server);
    spec.auth.accepted = sha1.clone();
    login(&spec).await.expect("the agent signs with SHA-1");

    let authority = authority_of(&server);
    let certified = keys::generate(server.dir(), "certified", &["-t", "rsa", "-b", "2048"]);
    let certificate = keys::certify(&authority, &certified, &["-I", "me", "-n", &keys::user()]);
    let mut spec = with(&server, &[&certified]);
    spec.auth.accepted = sha1;
    let how = login(&spec).await.expect("a certificate signs with SHA-1");
    assert!(how.contains(&certificate.display().to_string()), "{how}");
}

#[tokio::test]
async fn refused_certificate_is_told_with_its_principals() {
    let server = Sshd::start();
    let authority = authority_of(&server);
    let key = keys::generate(server.dir(), "key", &[]);
    let certificate = keys::certify(&authority, &key, &["-I", "me", "-n", "nobody-else"]);
    let words = ["the server refused the certificate", "for `nobody-else`, not for `", "TrustedUserCAKeys"];
    let refused = login(&with(&server, &[&key])).await;
    assert_refused(refused, FailureKind::AuthRejected, &[&words[..], &[&certificate.display().to_string()]].concat());
}

#[tokio::test]
async fn too_many_keys_get_the_hint_to_offer_fewer() {
    let server = Sshd::with_config("MaxAuthTries 2");
    let keys: Vec<_> = (0..3).map(|index| keys::generate(server.dir(), &format!("wrong-{index}"), &[])).collect();
    let mut spec = with(&server, &keys.iter().collect::<Vec<_>>());
    spec.auth.identities.push(identity(&server.user_key));
    let words = ["Too many authentication failures", "identities_only"];
    assert_refused(login(&spec).await, FailureKind::AuthRejected, &words);
}

#[tokio::test]
async fn several_keys_in_turn_satisfy_a_server_that_wants_several() {
    let server = Sshd::with_config("AuthenticationMethods publickey,publickey");
    let second = keys::generate(server.dir(), "second", &["-t", "rsa"]);
    server.authorize(&keys::public(&second));
    let how = login(&with(&server, &[&server.user_key, &second])).await.unwrap();
    assert_eq!(how.matches("publickey").count(), 2, "{how}");
    assert_refused(
        login(&with(&server, &[&second])).await,
        FailureKind::AuthRejected,
        &["it took publickey", "wants more"],
    );
}

#[tokio::test]
async fn a_certificate_in_place_of_a_public_key_is_one_of_several() {
    let server = Sshd::with_config("AuthenticationMethods publickey,publickey");
    let certified = keys::generate(server.dir(), "certified", &[]);
    let certificate = keys::certify(&authority_of(&server), &certified, &["-I", "test", "-n", &keys::user()]);
    std::fs::rename(certificate, certified.with_extension("pub")).unwrap();
    let how = login(&with(&server, &[&certified, &server.user_key])).await.unwrap();
    assert!(how.contains("certified.pub") && how.contains("user_key"), "{how}");
}

#[tokio::test]
async fn a_server_that_takes_no_key_is_told_as_such() {
    let server =
        Sshd::with_config("PubkeyAuthentication no\nPasswordAuthentication yes\nKbdInteractiveAuthentication no");
    let words = ["no password_file is set", "it takes password", "the server takes only password"];
    assert_refused(login(&with(&server, &[&server.user_key])).await, FailureKind::AuthRejected, &words);
}

#[tokio::test]
async fn the_agent_signs_for_every_type_of_key() {
    let server = Sshd::start();
    for kind in ["rsa", "ed25519", "ecdsa"] {
        let agent = Agent::start(server.dir(), kind);
        let key = keys::generate(server.dir(), &format!("held-{kind}"), &["-t", kind]);
        server.authorize(&keys::public(&key));
        agent.add(&[], &key);
        std::fs::remove_file(&key).unwrap();
        let how = login(&agent.only(&server)).await.unwrap_or_else(|failure| panic!("{kind}: {failure}"));
        assert!(how.starts_with(&format!("publickey agent key `held-{kind}` SHA256:")), "{how}");
        // The public half as identity file picks the key.
        let mut spec = agent.only(&server);
        spec.auth.identities_only = true;
        assert_refused(login(&spec).await, FailureKind::AuthRejected, &["no key to offer"]);
        spec.auth.identities = vec![identity(&key.with_extension("pub"))];
        login(&spec).await.unwrap_or_else(|failure| panic!("{kind}: {failure}"));
    }
}

#[tokio::test]
async fn the_agent_signs_for_certificates_in_it_and_in_files() {
    let server = Sshd::start();
    let authority = authority_of(&server);
    for kind in ["rsa", "ed25519"] {
        let key = keys::generate(server.dir(), kind, &["-t", kind]);
        let certificate = keys::certify(&authority, &key, &["-I", "me", "-n", &keys::user()]);
        let agent = Agent::start(server.dir(), &format!("agent-{kind}"));
        agent.add(&[], &key);
        std::fs::remove_file(&key).unwrap();
        login(&agent.only(&server)).await.unwrap_or_else(|failure| panic!("{kind}: {failure}"));
        let plain = Agent::start(server.dir(), &format!("plain-{kind}"));
        let copy = keys::generate(server.dir(), &format!("copy-{kind}"), &["-t", kind]);
        let file = keys::certify(&authority, &copy, &["-I", "me", "-n", &keys::user()]);
        let elsewhere = server.dir().join("elsewhere-cert.pub");
        std::fs::rename(file, &elsewhere).unwrap();
        plain.add(&[], &copy);
        std::fs::remove_file(&copy).unwrap();
        let mut spec = plain.only(&server);
        assert_refused(login(&spec).await, FailureKind::AuthRejected, &[]);
        spec.auth.certificates = vec![elsewhere];
        login(&spec).await.unwrap_or_else(|failure| panic!("{kind}: {failure}"));
        let _ = std::fs::remove_file(certificate);
    }
}

#[tokio::test]
async fn a_named_file_is_offered_though_the_agent_is_full_of_other_keys() {
    let server = Sshd::start();
    let agent = Agent::start(server.dir(), "full");
    for index in 0..8 {
        agent.add(&[], &keys::generate(server.dir(), &format!("other-{index}"), &[]));
    }
    let mut spec = agent.only(&server);
    let words = ["2 more keys of the agent were not offered", "identities_only"];
    assert_refused(login(&spec).await, FailureKind::AuthRejected, &words);
    spec.auth.identities = vec![identity(&server.user_key)];
    login(&spec).await.unwrap();
}

#[tokio::test]
async fn all_named_keys_are_offered_where_the_server_listens() {
    let server = Sshd::with_config("MaxAuthTries 30");
    let mut spec = to(&server);
    let others = (0..8).map(|index| identity(&keys::generate(server.dir(), &format!("other-{index}"), &[])));
    spec.auth.identities = others.chain([identity(&server.user_key)]).collect();
    login(&spec).await.unwrap();
}

#[tokio::test]
async fn an_agent_that_cannot_be_had_matters_only_when_nothing_else_works() {
    let server = Sshd::start();
    let socket = server.dir().join("no-agent");
    let mut spec = to(&server);
    spec.auth.agent = AgentSpec::Socket(socket.clone());
    let name = socket.display().to_string();
    assert_refused(login(&spec).await, FailureKind::AgentUnavailable, &[&name, "No such file"]);
    spec.auth.identities = vec![identity(&server.user_key.with_extension("pub"))];
    assert_refused(login(&spec).await, FailureKind::AgentUnavailable, &[&name]);
    spec.auth.identities = vec![identity(&server.user_key)];
    login(&spec).await.unwrap();
}

#[tokio::test]
async fn an_agent_that_does_not_answer_does_not_hold_up_a_key_file() {
    let server = Sshd::start();
    let socket = server.dir().join("silent");
    let _listener = UnixListener::bind(&socket).unwrap();
    let mut spec = with(&server, &[&server.user_key]);
    spec.auth.agent = AgentSpec::Socket(socket);
    login(&spec).await.unwrap();
    spec.auth.identities.clear();
    assert_refused(login(&spec).await, FailureKind::AgentUnavailable, &["no answer within"]);
}

#[tokio::test]
async fn an_agent_that_refuses_to_sign_is_named() {
    let server = Sshd::start();
    let agent = Agent::start(server.dir(), "confirming");
    // It would ask a user, and there is no terminal.
    agent.add(&["-c"], &server.user_key);
    let words = ["the server would take it", "the agent refused", "ask for a confirmation"];
    assert_refused(login(&agent.only(&server)).await, FailureKind::AgentUnavailable, &words);
}

#[tokio::test]
async fn a_password_logs_in_where_the_server_takes_one() {
    for (server, how) in [
        (Server::builder().accept_password("me", "pw"), "password"),
        (Server::builder().accept_interactive("me", "pw"), "keyboard-interactive"),
    ] {
        let own = Own::start(server).await;
        let mut spec = own.spec();
        assert_refused(login(&spec).await, FailureKind::AuthRejected, &["no password_file is set"]);
        spec.auth.password = secret(own.dir.path(), "wrong", "pw2");
        let words = ["it rejected the password", "the server refused the password in `", "wrong`: check it"];
        assert_refused(login(&spec).await, FailureKind::AuthRejected, &words);
        let failure = login(&spec).await.expect_err("no login");
        assert!(!failure.hint().contains("set password_file"), "{}", failure.hint());
        spec.auth.password = Some(SecretSource::File(own.dir.path().join("missing")));
        assert_refused(login(&spec).await, FailureKind::IdentityUnreadable, &["password_file `"]);
        spec.auth.password = secret(own.dir.path(), "password", "pw");
        assert_eq!(login(&spec).await.unwrap(), how);
    }
}

#[tokio::test]
async fn questions_are_not_answered_where_that_is_forbidden() {
    let own = Own::start(Server::builder().accept_interactive("me", "pw")).await;
    let mut spec = own.spec();
    spec.auth.password = secret(own.dir.path(), "password", "pw");
    assert_eq!(login(&spec).await.unwrap(), "keyboard-interactive");
    spec.auth.interactive = false;
    assert_eq!(login(&spec).await.expect_err("no login").kind(), FailureKind::AuthRejected);
}

#[tokio::test]
async fn a_server_that_asks_for_nothing_gets_nothing() {
    let own = Own::start(Server::builder().accept_none("me")).await;
    assert_eq!(login(&own.spec()).await.unwrap(), "none");
}

#[tokio::test]
async fn a_connection_lost_while_authenticating_is_no_rejection() {
    let own = Own::start(Server::builder().accept_password("me", "pw")).await;
    own.server.set_faults(|faults| faults.auth = AuthFault::Drop);
    let mut spec = own.spec();
    spec.auth.password = secret(own.dir.path(), "password", "pw");
    let failure = login(&spec).await.expect_err("no login");
    assert!(!failure.kind().is_permanent(), "{:?}: {failure}", failure.kind());
}

fn with(server: &Sshd, keys: &[&PathBuf]) -> SessionSpec {
    let mut spec = to(server);
    spec.auth.identities = identities(keys);
    spec
}

/// A key whose certificates `server` takes.
fn authority_of(server: &Sshd) -> PathBuf {
    let authority = keys::generate(server.dir(), "authority", &[]);
    server.authorize(&format!("cert-authority {}", keys::public(&authority)));
    authority
}

/// A running ssh-agent.
struct Agent {
    socket: PathBuf,
    _process: Process,
}

impl Agent {
    fn start(dir: &Path, name: &str) -> Self {
        let socket = dir.join(format!("{name}.socket"));
        let mut command = Command::new("ssh-agent");
        command.arg("-D").arg("-a").arg(&socket).stdout(Stdio::null()).stderr(Stdio::null());
        command.env_remove("DISPLAY").env("SSH_ASKPASS", "/bin/false");
        let process = Process::spawn(&mut command);
        eventually("ssh-agent listens", || std::os::unix::net::UnixStream::connect(&socket).ok());
        Self { socket, _process: process }
    }

    fn add(&self, options: &[&str], key: &Path) {
        let mut command = Command::new("ssh-add");
        command.arg("-q").args(options).arg(key).env("SSH_AUTH_SOCK", &self.socket).stderr(Stdio::null());
        assert!(command.status().unwrap().success());
    }

    /// A login by this agent and nothing else.
    fn only(&self, server: &Sshd) -> SessionSpec {
        let mut spec = to(server);
        spec.auth.agent = AgentSpec::Socket(self.socket.clone());
        spec
    }
}

/// Our own server on loopback.
struct Own {
    server: Server,
    dir: tempfile::TempDir,
}

impl Own {
    async fn start(builder: Builder) -> Self {
        let server = builder.start_tcp().await.unwrap();
        Self { server, dir: tempfile::tempdir().unwrap() }
    }

    fn spec(&self) -> SessionSpec {
        let port = self.server.address().unwrap().port();
        let known_hosts = self.dir.path().join("known_hosts");
        std::fs::write(&known_hosts, self.server.known_hosts("127.0.0.1", port).unwrap()).unwrap();
        spec(port, &known_hosts, "me")
    }
}
