//! Host keys and host certificates as OpenSSH's tools make them, against a real sshd.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use support::{Sshd, keys};
use tunnel_engine::failure::FailureKind;
use tunnel_engine::session::Session;
use tunnel_engine::spec::{AlgorithmList, KnownHostsCommand, SessionSpec, StrictHostKeyChecking, UpdateHostKeys};

use crate::login::{Loopback, assert_refused, identity, login, to};

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
    let scan = format!("tunneld trust 127.0.0.1:{} --file ", server.port);
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
async fn unreadable_known_hosts_ends_only_the_strict_login() {
    let server = Sshd::start();
    let folder = server.dir().join("folder");
    std::fs::create_dir(&folder).unwrap();
    let pipe = server.dir().join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    // With a writer, a pipe has nothing to read yet, and no end.
    let _writer = std::fs::OpenOptions::new().read(true).write(true).open(&pipe).unwrap();
    for unreadable in [&folder, &pipe] {
        let mut spec = with_key(&server);
        spec.host_key.user_known_hosts = vec![unreadable.clone()];
        for strict in [StrictHostKeyChecking::No, StrictHostKeyChecking::AcceptNew] {
            spec.host_key.strict = strict;
            login(&spec).await.unwrap_or_else(|failure| panic!("{strict:?} {}: {failure}", unreadable.display()));
        }
        spec.host_key.strict = StrictHostKeyChecking::Yes;
        assert_refused(login(&spec).await, FailureKind::HostKeyUnknown, &["cannot read known_hosts file"]);
    }
    // The other files count all the same.
    let mut spec = known(&server, &format!("[127.0.0.1]:{} {}\n", server.port, keys::public(&server.user_key)));
    spec.host_key.user_known_hosts.insert(0, folder);
    spec.host_key.strict = StrictHostKeyChecking::AcceptNew;
    assert_refused(login(&spec).await, FailureKind::HostKeyChanged, &[]);
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

#[tokio::test]
async fn a_key_in_a_list_of_revoked_keys_is_refused_though_it_is_known() {
    let (server, stranger) = (Sshd::start(), Sshd::start());
    let public = |server: &Sshd| keys::public(&server.dir().join("host_key"));
    let path = |name: &str| server.dir().join(name);
    std::fs::write(path("text"), format!("# stolen\n{} old\n", public(&server))).unwrap();
    std::fs::write(path("spec"), format!("sha256: {}\n", public(&server))).unwrap();
    krl(&path("krl"), &[&server.dir().join("host_key.pub")]);
    krl(&path("hashed"), &[&path("spec")]);
    std::fs::write(path("broken"), "no key at all\n").unwrap();
    for (list, kind) in [
        ("text", "revoked"),
        ("krl", "revoked"),
        ("hashed", "revoked"),
        ("broken", "line 1"),
        ("missing", "No such file"),
    ] {
        let mut spec = with_key(&server);
        spec.host_key.revoked = vec![path(list)];
        // Under `no` too, as with ssh.
        spec.host_key.strict = StrictHostKeyChecking::No;
        let words = [kind, &path(list).display().to_string()];
        assert_refused(login(&spec).await, FailureKind::HostKeyRevoked, &words);
        let mut other = with_key(&stranger);
        other.host_key.revoked = vec![path(list)];
        match login(&other).await {
            Ok(_) => assert_eq!(kind, "revoked", "{list}"),
            Err(failure) => {
                assert_eq!((failure.kind(), kind == "revoked"), (FailureKind::HostKeyRevoked, false), "{list}")
            }
        }
    }
}

#[tokio::test]
async fn a_certificate_is_revoked_by_its_number_its_name_and_its_authority() {
    let case = Certified::new(&["-n", "127.0.0.1", "-z", "7"]);
    let path = |name: &str| case.dir.path().join(name);
    let authority = path("authority.pub");
    for (lines, revoked) in
        [("serial: 7\n", true), ("serial: 5-9\n", true), ("id: host\n", true), ("serial: 8\n", false)]
    {
        std::fs::write(path("spec"), lines).unwrap();
        let mut arguments = vec![Path::new("-s"), &authority];
        let spec_path = path("spec");
        arguments.push(&spec_path);
        krl(&path("krl"), &arguments);
        let mut spec = case.trusting();
        spec.host_key.revoked = vec![path("krl")];
        match revoked {
            true => assert_refused(login(&spec).await, FailureKind::HostKeyRevoked, &["krl"]),
            false => drop(login(&spec).await.unwrap()),
        }
    }
    let mut spec = case.trusting();
    spec.host_key.revoked = vec![authority];
    assert_refused(login(&spec).await, FailureKind::HostKeyRevoked, &["authority.pub"]);
}

#[tokio::test]
async fn a_certificate_that_was_signed_in_a_way_that_is_not_allowed_does_not_count() {
    let case = Certified::new(&["-n", "127.0.0.1"]);
    let mut spec = case.trusting();
    spec.host_key.ca_signatures = AlgorithmList::Replace(vec!["ssh-ed25519".to_owned()]);
    let words = ["rsa-sha2-512", "ca_signature_algorithms"];
    assert_refused(login(&spec).await, FailureKind::HostKeyUnknown, &words);
    spec.host_key.ca_signatures = AlgorithmList::Remove(vec!["ssh-*".to_owned()]);
    login(&spec).await.unwrap();
}

#[tokio::test]
async fn a_command_that_prints_the_key_is_believed_and_says_which_type_to_ask_for() {
    let dir = tempfile::tempdir().unwrap();
    let rsa = keys::generate(dir.path(), "rsa", &["-t", "rsa", "-b", "2048"]);
    let server = Sshd::with_config(&format!("HostKey {}", rsa.display()));
    let (asked, line) = (dir.path().join("asked"), format!("[127.0.0.1]:{} {}", server.port, keys::public(&rsa)));
    let mut spec = known(&server, "");
    let script = format!("echo \"$@\" >> {}; echo '{line}'", asked.display());
    let words = ["/bin/sh", "-c", &script, "sh", "%I", "%H", "%t", "%h", "%p", "%r", "100%%", "%f", "%K"];
    spec.host_key.command = command(&words);
    login(&spec).await.unwrap();
    let said = std::fs::read_to_string(asked).unwrap();
    let runs: Vec<Vec<&str>> = said.lines().map(|line| line.split(' ').collect()).collect();
    let (port, user, name) = (server.port.to_string(), keys::user(), format!("[127.0.0.1]:{}", server.port));
    assert_eq!(runs[0], ["ORDER", &name, "NONE", "127.0.0.1", &port, &user, "100%", "NONE", "NONE"]);
    let public = keys::public(&rsa);
    let (kind, base64) = public.split_once(' ').unwrap();
    let print = fingerprint(&rsa.with_extension("pub"));
    assert_eq!(runs[1..], [["HOSTNAME", &name, kind, "127.0.0.1", &port, &user, "100%", &print, base64]]);
    // A line for the name without its port is not what was asked for.
    spec.host_key.command = command(&["/bin/echo", "127.0.0.1", &public]);
    assert_refused(login(&spec).await, FailureKind::HostKeyUnknown, &[]);
    // What a file says of the name counts beside it.
    std::fs::write(&spec.host_key.user_known_hosts[0], format!("@revoked * {public}\n")).unwrap();
    spec.host_key.command = command(&["/bin/echo", &line]);
    assert_refused(login(&spec).await, FailureKind::HostKeyRevoked, &[":1"]);
}

#[tokio::test]
async fn a_command_is_asked_for_an_order_only_where_the_user_gave_none() {
    let server = Sshd::start();
    let (asked, line) = (server.dir().join("asked"), std::fs::read_to_string(&server.known_hosts).unwrap());
    let mut spec = known(&server, "");
    // It fails when it is asked for an order.
    let script = format!("echo $1 >> {}; test $1 = HOSTNAME && echo '{}'", asked.display(), line.trim());
    spec.host_key.command = command(&["/bin/sh", "-c", &script, "sh", "%I"]);
    for (list, calls) in [
        ("+ssh-rsa", "ORDER\nHOSTNAME\n"),
        ("-*nistp256*", "ORDER\nHOSTNAME\n"),
        ("ssh-ed25519,ssh-dss", "HOSTNAME\n"),
        ("^ssh-ed25519", "HOSTNAME\n"),
    ] {
        spec.algorithms.host_keys = AlgorithmList::parse(list).unwrap();
        login(&spec).await.unwrap_or_else(|failure| panic!("{list}: {failure}"));
        assert_eq!(std::fs::read_to_string(&asked).unwrap(), calls, "{list}");
        std::fs::remove_file(&asked).unwrap();
    }
}

#[tokio::test]
async fn a_certified_key_that_a_plain_line_knows_is_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let [authority, first, certified] =
        ["authority", "first", "certified"].map(|name| keys::generate(dir.path(), name, &[]));
    let certificate = keys::certify(&authority, &certified, &["-h", "-I", "host", "-n", "elsewhere"]);
    // Asked for a plain Ed25519 key, the server shows the first.
    let server = Sshd::with_config(&format!(
        "HostKey {}\nHostKey {}\nHostCertificate {}",
        first.display(),
        certified.display(),
        certificate.display()
    ));
    let mut spec = known(&server, &format!("[127.0.0.1]:{} {}\n", server.port, keys::public(&certified)));
    spec.host_key.user_known_hosts.insert(0, dir.path().join("missing"));
    let name = "ssh-ed25519-cert-v01@openssh.com";
    for list in [
        AlgorithmList::Default,
        AlgorithmList::Replace(vec![name.to_owned()]),
        AlgorithmList::Replace(vec![name.to_owned(), "ssh-ed25519".to_owned()]),
    ] {
        spec.algorithms.host_keys = list;
        login(&spec).await.unwrap_or_else(|failure| panic!("{:?}: {failure}", spec.algorithms.host_keys));
    }
    spec.algorithms.host_keys = AlgorithmList::Replace(vec!["ssh-ed25519".to_owned()]);
    assert_refused(login(&spec).await, FailureKind::HostKeyChanged, &[]);
}

#[tokio::test]
async fn a_command_that_fails_hangs_or_is_not_there_ends_the_login_and_is_named() {
    let server = Sshd::start();
    let mut spec = with_key(&server);
    for (words, want) in [
        (
            &["/bin/sh", "-c", "echo; echo no directory >&2; echo more >&2; exit 3"][..],
            "ended with status 3: `no directory`",
        ),
        (&["/bin/sh", "-c", "kill -9 $$"], "was ended by signal 9"),
        (&["/no/such/program"], "could not be run: No such file"),
        (&["/bin/sh", "-c", "test %I = ORDER"], "ended with status 1"),
        (&["/bin/cat", "/dev/zero"], "printed more than"),
    ] {
        spec.host_key.command = command(words);
        assert_refused(login(&spec).await, FailureKind::KnownHostsCommandFailed, &[want, words[0]]);
    }
    let pid = server.dir().join("pid");
    let hangs = format!("echo $$ > {}; sleep 1000 & wait", pid.display());
    spec.host_key.command = command(&["/bin/sh", "-c", &hangs]);
    spec.timing.connect_timeout = Duration::from_secs(1);
    assert_refused(login(&spec).await, FailureKind::KnownHostsCommandFailed, &["did not end in time"]);
    let group = std::fs::read_to_string(pid).unwrap().trim().parse().unwrap();
    soon("the command and its child are gone", || is_gone(group)).await;
}

#[tokio::test]
async fn a_login_that_is_given_up_while_the_command_runs_takes_the_command_with_it() {
    let server = Sshd::start();
    let pid = server.dir().join("pid");
    // Asked by the handshake itself, which runs on by itself.
    let hangs = format!("test %I = ORDER || {{ echo $$ > {}; sleep 1000 & wait; }}", pid.display());
    let mut spec = with_key(&server);
    spec.host_key.command = command(&["/bin/sh", "-c", &hangs]);
    // Not ended by its own time.
    spec.timing.connect_timeout = Duration::from_secs(600);
    let attempt = tunnel_engine::task::owned(async move { login(&spec).await });
    let group = soon("the command runs", || std::fs::read_to_string(&pid).ok()?.trim().parse().ok()).await;
    assert_eq!(is_gone(group), None);
    drop(attempt);
    soon("the command and its child are gone", || is_gone(group)).await;
}

/// A group without members is no group: nothing of it is left, and no child waits to be reaped.
fn is_gone(group: i32) -> Option<()> {
    let asked = nix::sys::signal::killpg(nix::unistd::Pid::from_raw(group), None);
    (asked == Err(nix::errno::Errno::ESRCH)).then_some(())
}

#[tokio::test]
async fn known_hosts_follows_the_keys_that_a_known_server_announces() {
    let second = tempfile::tempdir().unwrap();
    let rsa = keys::generate(second.path(), "rsa", &["-t", "rsa", "-b", "2048"]);
    let server = Sshd::with_config(&format!("HostKey {}", rsa.display()));
    let own = std::fs::read_to_string(&server.known_hosts).unwrap();
    let (name, gone) = (format!("[127.0.0.1]:{}", server.port), keys::generate(second.path(), "gone", &[]));
    let before = format!("# mine\n{own}other {}\n{name} {}\n", keys::public(&gone), keys::public(&gone));
    let after = format!("# mine\n{own}other {}\n{name} {}\n", keys::public(&gone), keys::public(&rsa));
    // The old key is known under another name: then ssh leaves all as it is.
    let mut spec = known(&server, &before);
    spec.host_key.update = UpdateHostKeys::Yes;
    let file = spec.host_key.user_known_hosts[0].clone();
    let (session, _incoming) = Session::open(&spec, &Loopback).await.unwrap();
    session.ping(Duration::from_secs(10)).await.unwrap();
    assert_eq!(std::fs::read_to_string(&file).unwrap(), before);
    session.close().await;
    let (before, after) = (before.replace("other", "#other"), after.replace("other", "#other"));
    std::fs::write(&file, before).unwrap();
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o640)).unwrap();
    let (session, _incoming) = Session::open(&spec, &Loopback).await.unwrap();
    let look = || std::fs::read_to_string(&file).ok().filter(|text| *text == after);
    soon(&format!("{} becomes {after}", file.display()), look).await;
    assert_eq!(
        std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&file).unwrap().permissions()) & 0o777,
        0o640
    );
    session.close().await;
    // Once more, and hashed.
    std::fs::write(&file, &own).unwrap();
    assert!(Command::new("ssh-keygen").args(["-q", "-H", "-f"]).arg(&file).status().unwrap().success());
    let hashed = std::fs::read_to_string(&file).unwrap();
    let (session, _incoming) = Session::open(&spec, &Loopback).await.unwrap();
    let look = || std::fs::read_to_string(&file).ok().filter(|text| text.lines().count() == 2);
    let text = soon("a second line", look).await;
    assert!(text.starts_with(&hashed) && text.lines().all(|line| line.starts_with("|1|")), "{text}");
    session.close().await;
    spec.host_key.user_known_hosts = vec![file];
    spec.algorithms.host_keys = AlgorithmList::Replace(vec!["rsa-sha2-512".to_owned()]);
    login(&spec).await.unwrap();
}

#[tokio::test]
async fn an_update_of_known_hosts_outlives_the_end_of_the_session() {
    /// The update has a second, and this machine may be busy.
    const LOGINS: usize = 10;
    let second = tempfile::tempdir().unwrap();
    let next = keys::generate(second.path(), "next", &["-t", "ecdsa"]);
    let server = Sshd::with_config(&format!("HostKey {}", next.display()));
    let mut spec = with_key(&server);
    spec.host_key.update = UpdateHostKeys::Yes;
    for _ in 0..LOGINS {
        let (session, _incoming) = Session::open(&spec, &Loopback).await.unwrap();
        session.close().await;
        if std::fs::read_to_string(&server.known_hosts).unwrap().contains(&keys::public(&next)) {
            return;
        }
    }
    panic!("the next key is not known after {LOGINS} logins");
}

#[tokio::test]
async fn only_a_line_of_the_users_own_lets_known_hosts_follow() {
    let second = tempfile::tempdir().unwrap();
    let rsa = keys::generate(second.path(), "rsa", &["-t", "rsa", "-b", "2048"]);
    let server = Sshd::with_config(&format!("HostKey {}", rsa.display()));
    let own = std::fs::read_to_string(&server.known_hosts).unwrap();
    let unported = own.replace(&format!("[127.0.0.1]:{}", server.port), "127.0.0.1");
    for (user, global, printed) in [("", own.as_str(), ""), ("", "", own.as_str()), (unported.as_str(), "", "")] {
        let mut spec = known(&server, user);
        spec.host_key.update = UpdateHostKeys::Yes;
        let system = second.path().join("system");
        std::fs::write(&system, global).unwrap();
        spec.host_key.global_known_hosts = vec![system];
        spec.host_key.command = command(&["/bin/echo", printed]);
        let (session, _incoming) = Session::open(&spec, &Loopback).await.unwrap();
        // The announcement came before the answer to this.
        session.ping(Duration::from_secs(10)).await.unwrap();
        session.ping(Duration::from_secs(10)).await.unwrap();
        assert_eq!(std::fs::read_to_string(&spec.host_key.user_known_hosts[0]).unwrap(), user);
        session.close().await;
    }
}

#[tokio::test]
async fn a_server_on_this_machine_is_believed_unchecked_where_that_is_wished_and_it_has_no_alias() {
    let server = Sshd::start();
    let mut spec = known(&server, "");
    spec.host_key.trust_loopback = true;
    login(&spec).await.unwrap();
    spec.host_key.alias = Some("name".to_owned());
    assert_refused(login(&spec).await, FailureKind::HostKeyUnknown, &[]);
    spec.host_key.alias = None;
    spec.host_key.revoked = vec![server.dir().join("missing")];
    assert_refused(login(&spec).await, FailureKind::HostKeyRevoked, &["missing"]);
}

fn command(words: &[&str]) -> Option<KnownHostsCommand> {
    Some(KnownHostsCommand::new(words.iter().map(|word| (*word).to_owned()).collect()).unwrap())
}

/// Makes a list of ssh-keygen's.
fn krl(list: &Path, arguments: &[&Path]) {
    let mut keygen = Command::new("ssh-keygen");
    assert!(keygen.args(["-q", "-k", "-f"]).arg(list).args(arguments).status().unwrap().success());
}

/// Waits beside the session that brings it about.
async fn soon<T>(what: &str, look: impl Fn() -> Option<T>) -> T {
    let patience = Duration::from_secs(30);
    let found = tokio::time::timeout(patience, async {
        let mut again = tokio::time::interval(Duration::from_millis(10));
        loop {
            again.tick().await;
            if let Some(found) = look() {
                return found;
            }
        }
    });
    found.await.unwrap_or_else(|_| panic!("{what}: not within {patience:?}"))
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
