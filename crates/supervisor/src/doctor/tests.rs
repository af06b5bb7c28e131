//! What the steps of a login and the answers about forwards come to, without a server.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tunnel_engine::examine::{AuthAnswer, LoginStep, Noted};
use tunnel_engine::failure::{Failure, FailureKind};
use tunnel_engine::forward::{ProbeFailureKind, ProbeResult};
use tunnel_engine::hostkey::{KnownLine, LinePosition, Relation};
use tunnel_engine::session::ForwardError;
use tunnel_engine::spec::{Bind, Connect, Listen, SessionSpec};

use super::check::{AUTH, CONNECT, Check, CheckResult, HOST_KEY, RESOLVE};
use super::daemon::DaemonForward;
use super::forward_results::{ForwardResult, ForwardResults, ListenRefusal, ListenResult};
use super::login::{self, LoginReport};
use super::refused::{self, LoginContext};
use super::{DoctorReport, Examined, forwards};
use crate::lifecycle::ForwardPhase;
use crate::tunnel::PortHolder;
use crate::tunnel::test_support::tunnel_spec;

fn checks_of(spec: &SessionSpec, steps: Vec<LoginStep>, failure: Option<&Failure>) -> Vec<Check> {
    let server = spec.destination.host_port();
    let steps: Vec<Noted> = steps.into_iter().map(|step| Noted { server: server.clone(), step }).collect();
    login::checks(&LoginReport { spec, steps: &steps, failure, others: &[] })
}

fn verdicts(checks: &[Check], name: &str) -> Vec<CheckResult> {
    checks.iter().filter(|check| check.check == name).map(|check| check.verdict).collect()
}

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

#[test]
fn what_follows_a_failed_step_is_not_reached() {
    let spec = tunnel_spec("t", &[]).session;
    let failure = Failure::new(FailureKind::Dns, "no such name");
    let checks = checks_of(&spec, Vec::new(), Some(&failure));
    assert_eq!(verdicts(&checks, RESOLVE), [CheckResult::Fail]);
    let last = checks.last().unwrap();
    assert_eq!(last.verdict, CheckResult::Skip);
    assert!(last.message.contains("banner") && last.message.contains("authentication"), "{last:?}");
}

#[test]
fn address_that_is_broken_fails_only_when_no_other_answers() {
    let spec = tunnel_spec("t", &[]).session;
    let (v6, v4) = (address("[2001:db8::1]:22"), address("192.0.2.1:22"));
    let refused = |at| LoginStep::Tried(at, Some("refused the connection".to_owned()));
    let resolved = || LoginStep::Resolved(vec![v6, v4]);
    let works = checks_of(&spec, vec![resolved(), refused(v6), LoginStep::Tried(v4, None), LoginStep::LoggedIn], None);
    assert_eq!(verdicts(&works, CONNECT), [CheckResult::Skip, CheckResult::Pass]);
    assert!(
        works.iter().any(|check| check.action.as_ref().is_some_and(|action| action.contains("\"inet\""))),
        "{works:?}"
    );
    let failure = Failure::new(FailureKind::ConnectRefused, "refused");
    let broken = checks_of(&spec, vec![resolved(), refused(v6), refused(v4)], Some(&failure));
    assert_eq!(verdicts(&broken, CONNECT), [CheckResult::Fail; 3]);
}

#[test]
fn known_hosts_are_told_file_by_file_with_lines() {
    let spec = tunnel_spec("t", &[]).session;
    let line = |file: &str, line, relation| KnownLine {
        at: LinePosition { file: Arc::from(Path::new(file)), line },
        key: "ssh-ed25519 SHA256:x".to_owned(),
        relation,
    };
    let files: Vec<PathBuf> = ["/a", "/b", "/c"].map(PathBuf::from).to_vec();
    let lines = vec![line("/a", 3, Relation::Other), line("/b", 7, Relation::Same)];
    let key = |lines| LoginStep::HostKey {
        key: "ssh-ed25519 SHA256:y".to_owned(),
        certified: false,
        files: files.clone(),
        lines,
    };
    let believed = checks_of(&spec, vec![key(lines.clone()), LoginStep::Believed, LoginStep::LoggedIn], None);
    assert_eq!(
        verdicts(&believed, HOST_KEY),
        [CheckResult::Skip, CheckResult::Pass, CheckResult::Skip, CheckResult::Pass]
    );
    let failure = Failure::new(FailureKind::HostKeyChanged, "it changed");
    let changed = checks_of(&spec, vec![key(lines[..1].to_vec())], Some(&failure));
    assert_eq!(
        verdicts(&changed, HOST_KEY),
        [CheckResult::Fail, CheckResult::Skip, CheckResult::Skip, CheckResult::Fail]
    );
    assert!(changed.iter().any(|check| check.subject == "/a" && check.message.contains("line 3")), "{changed:?}");
}

#[test]
fn key_refused_before_another_is_no_failure() {
    let spec = tunnel_spec("t", &[]).session;
    let shown = |what: &str, answer| LoginStep::Shown { what: what.to_owned(), answer };
    let resolved = LoginStep::Resolved(vec![address("192.0.2.1:22")]);
    let steps = vec![
        resolved,
        LoginStep::Believed,
        shown("a SHA256:a", AuthAnswer::Refused),
        shown("b SHA256:b", AuthAnswer::Taken),
    ];
    let taken = checks_of(&spec, [steps.clone(), vec![LoginStep::LoggedIn]].concat(), None);
    assert_eq!(verdicts(&taken, AUTH), [CheckResult::Skip, CheckResult::Pass, CheckResult::Pass]);
    let failure = Failure::new(FailureKind::AuthRejected, "the server did not let user `u` in");
    let refused = checks_of(&spec, steps[..3].to_vec(), Some(&failure));
    assert_eq!(verdicts(&refused, AUTH), [CheckResult::Fail, CheckResult::Fail]);
    let helps = |check: &Check| check.action.as_ref().is_some_and(|action| action.contains("authorized_keys"));
    assert!(refused.iter().any(helps), "{refused:?}");
}

#[test]
fn refused_port_is_explained_by_what_was_seen() {
    let why = |port, holder: Result<PortHolder, String>, any_port, may_connect| {
        let error = ForwardError::Refused { listen: "p".to_owned(), reason: None };
        let refusal = ListenRefusal { error, holder, answers: None, any_port };
        let setting = LoginContext { user: "u", may_connect, may_listen: None };
        let (why, action) = refused::listen(&Listen::Tcp { bind: Bind::Default, port }, &refusal, &setting);
        format!("{why} -> {action}")
    };
    let none = || Err("no shell".to_owned());
    for (port, holder, any_port, may_connect, words) in [
        (8080, Ok(PortHolder::Program("7 nginx".to_owned())), None, None, "process 7 nginx"),
        (8080, Ok(PortHolder::Session(String::new())), None, None, "takeover"),
        (8080, Ok(PortHolder::Other("33".to_owned())), None, None, "uid 33"),
        (80, none(), Some(true), None, "below 1024"),
        (80, Ok(PortHolder::Free), Some(false), Some(false), "forbids all forwards"),
        (8080, Ok(PortHolder::Free), Some(true), Some(true), "permitlisten="),
        (8080, Ok(PortHolder::Free), Some(false), Some(true), "instead of `local`"),
        (8080, none(), None, None, "most likely the server's policy"),
    ] {
        let text = why(port, holder, any_port, may_connect);
        assert!(text.contains(words), "{text}");
    }
}

#[test]
fn words_of_a_policy_count_more_than_a_holder() {
    let why = |words: &str, holder| {
        let error = ForwardError::Refused { listen: "p".to_owned(), reason: Some(words.to_owned()) };
        let refusal = ListenRefusal { error, holder, answers: None, any_port: Some(false) };
        let setting = LoginContext { user: "u", may_connect: Some(false), may_listen: None };
        let listen = Listen::Tcp { bind: Bind::Address("127.0.0.1".to_owned()), port: 13307 };
        let (why, action) = refused::listen(&listen, &refusal, &setting);
        format!("{why} -> {action}")
    };
    let session = || Ok(PortHolder::Session(String::new()));
    for holder in [Err("no shell".to_owned()), session()] {
        let unlisted = why("port forwarding refused", holder);
        assert!(unlisted.contains("`permitlisten=`") && unlisted.contains("name 127.0.0.1:13307,"), "{unlisted}");
        assert!(!unlisted.contains("restrict") && !unlisted.contains("takeover"), "{unlisted}");
    }
    let disabled = why("Server has disabled port forwarding.", session());
    assert!(disabled.contains("forbids all forwards") && !disabled.contains("takeover"), "{disabled}");
}

#[test]
fn note_of_another_address_fails_beside_a_daemon_too() {
    let spec = tunnel_spec("t", &["R3:h:4"]);
    let check = |note: Option<&str>| {
        let held = DaemonForward {
            pid: 7,
            state: ForwardPhase::Up.into(),
            message: note.map(str::to_owned),
            failure_kind: None,
        };
        let listen = Some(ListenResult::Held(held));
        let forwards = vec![ForwardResult { listen, ..ForwardResult::default() }];
        let facts = ForwardResults { forwards, may_connect: None, shell: None, unfinished: false };
        forwards::checks(&spec, &spec.session, &facts).remove(0)
    };
    let narrowed =
        check(Some("the server listens on 127.0.0.1:3, not on 192.0.2.1:3: see GatewayPorts in its sshd_config"));
    assert_eq!(narrowed.verdict, CheckResult::Fail);
    assert!(narrowed.message.contains("not on 192.0.2.1:3"), "{narrowed:?}");
    let standby = check(Some("1 of 2 sessions are up"));
    assert!(standby.verdict == CheckResult::Pass && standby.message.ends_with("1 of 2 sessions are up"), "{standby:?}");
    assert_eq!(check(None).verdict, CheckResult::Pass);
}

#[test]
fn prohibited_target_is_explained_by_what_else_is_allowed() {
    let target = Connect::Tcp { host: "db".to_owned(), port: 5432 };
    let action = |may_connect, may_listen| {
        let setting = LoginContext { user: "u", may_connect, may_listen };
        refused::target(&target, ProbeFailureKind::Prohibited, "", false, &setting)
    };
    assert!(action(Some(true), None).starts_with("the login may connect elsewhere"), "{}", action(Some(true), None));
    assert!(action(Some(false), Some(true)).contains("instead of `remote`"));
    assert!(action(Some(false), None).contains("AllowTcpForwarding yes"));
    assert!([action(Some(true), None), action(None, None)].iter().all(|action| action.contains("db:5432")));
}

#[test]
fn forwards_without_a_session_are_skipped_and_nothing_fails() {
    let spec = tunnel_spec("t", &["L1:h:2", "R3:h:4", "D5"]);
    let mut facts = ForwardResults { forwards: Vec::new(), may_connect: None, shell: None, unfinished: false };
    facts.forwards.extend(
        spec.forwards
            .iter()
            .map(|_| ForwardResult { listen: Some(ListenResult::Free("free".to_owned())), ..ForwardResult::default() }),
    );
    facts.forwards[1] = ForwardResult { target: Some(ProbeResult::Up(None)), ..ForwardResult::default() };
    let checks = forwards::checks(&spec, &spec.session, &facts);
    let verdicts: Vec<CheckResult> = checks.iter().map(|check| check.verdict).collect();
    let (pass, skip) = (CheckResult::Pass, CheckResult::Skip);
    assert_eq!(verdicts, [pass, skip, skip, pass, pass, skip]);
    let report = DoctorReport { tunnels: vec![Examined { name: "t".to_owned(), server: String::new(), checks }] };
    assert!(!report.has_failed());
    let json = serde_json::to_value(&report).unwrap();
    let first = &json["tunnels"][0]["checks"][0];
    assert_eq!(
        (&first["verdict"], &first["check"], &first["action"]),
        (&"PASS".into(), &"listen".into(), &serde_json::Value::Null)
    );
}
