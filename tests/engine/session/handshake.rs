//! From the dial to the authenticated session, and every way not to get there.

use std::time::Duration;

use tunnel_engine::demo_server::{AuthFault, ConnectFault, Faults, Server};
use tunnel_engine::failure::{Failure, FailureKind};
use tunnel_engine::session::Session;
use tunnel_engine::spec::{AlgorithmList, SecretSource};

use super::{channel, counted, open, server, spec, timed};

async fn refused(server: &Server) -> Failure {
    match Session::open(&spec(), &server.dialer()).await {
        Ok(_) => panic!("a session"),
        Err(failure) => failure,
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_says_what_was_negotiated() {
    let server = server();
    let (session, _incoming) = open(&server).await;
    let info = session.info();
    assert_eq!(info.software, "tunneld-demo");
    assert_eq!(info.kex, "mlkem768x25519-sha256");
    assert!(info.host_key.starts_with("ssh-ed25519 SHA256:"), "{}", info.host_key);
    assert_eq!(info.auth, "none");
    assert!(session.ended().borrow().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_refusal_before_the_banner_is_understood() {
    let server = server();
    let mut kinds = Vec::new();
    for words in ["Exceeded MaxStartups", "Not allowed at this time", "HTTP/1.1 400 Bad Request"] {
        server.set_faults(|faults| faults.connect = ConnectFault::SayAndClose(words.to_owned()));
        let failure = refused(&server).await;
        assert!(failure.message().contains(words), "{failure}");
        kinds.push(failure.kind());
    }
    assert_eq!(kinds, [FailureKind::ServerBusy, FailureKind::Penalized, FailureKind::Protocol]);
}

#[tokio::test(start_paused = true)]
async fn one_deadline_covers_the_banner_the_key_exchange_and_the_login_and_leaves_nothing_behind() {
    let server = server();
    type Fault = fn(&mut Faults);
    let stalls: [(Fault, &str); 3] = [
        (|faults| faults.connect = ConnectFault::Silent, "waiting for its banner"),
        (|faults| faults.connect = ConnectFault::StallInKeyExchange, "exchanging keys"),
        (|faults| faults.auth = AuthFault::Stall, "authenticating"),
    ];
    for (stall, phase) in stalls {
        server.set_faults(stall);
        let (failure, took) = timed(refused(&server)).await;
        assert_eq!(failure.kind(), FailureKind::ConnectTimeout, "{failure}");
        assert!(failure.message().ends_with(phase), "{failure}");
        assert!(took < Duration::from_secs(11), "{took:?} while {phase}");
        // A server that is busy with a login looks at its connection only after it.
        server.set_faults(|faults| faults.auth = AuthFault::None);
        counted(&server, "the connection is gone", |counts| counts.connections_now == 0).await;
        server.set_faults(|faults| *faults = Faults::default());
    }
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_is_dropped_leaves_no_task_and_no_connection() {
    let server = server();
    server.set_faults(|faults| faults.connect = ConnectFault::StallInKeyExchange);
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let before = tasks();
    for _ in 0..10 {
        let (spec, dialer) = (spec(), server.dialer());
        let attempt = Session::open(&spec, &dialer);
        assert!(tokio::time::timeout(Duration::from_secs(5), attempt).await.is_err());
    }
    counted(&server, "all connections are gone", |counts| counts.connections_now == 0).await;
    // The ends of the tasks follow within the runtime's next turns.
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert_eq!(tasks(), before);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_breaks_during_the_login_is_no_rejection() {
    let dir = tempfile::tempdir().expect("dir");
    let file = dir.path().join("password");
    std::fs::write(&file, "secret\n").expect("write");
    let server = Server::builder().accept_password("tester", "secret").start_memory().expect("server");
    let mut spec = spec();
    spec.auth.password = Some(SecretSource::File(file));

    server.set_faults(|faults| faults.auth = AuthFault::Drop);
    let failure = Session::open(&spec, &server.dialer()).await.err().expect("broken");
    assert!(!failure.kind().is_permanent(), "{:?}: {failure}", failure.kind());
    assert!(failure.message().contains("during authentication"), "{failure}");

    server.set_faults(|faults| faults.auth = AuthFault::Reject);
    let failure = Session::open(&spec, &server.dialer()).await.err().expect("rejected");
    assert_eq!(failure.kind(), FailureKind::AuthRejected, "{failure}");

    server.set_faults(|faults| faults.auth = AuthFault::None);
    assert!(Session::open(&spec, &server.dialer()).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn nothing_in_common_names_both_lists() {
    let server = server();
    let mut spec = spec();
    // No group: those are computed on threads beside the virtual time.
    spec.algorithms.kex = AlgorithmList::Replace(vec!["ecdh-sha2-nistp521".to_owned()]);
    let failure = Session::open(&spec, &server.dialer()).await.err().expect("nothing in common");
    assert_eq!(failure.kind(), FailureKind::NoCommonAlgorithm, "{failure}");
    assert!(failure.message().contains("ecdh-sha2-nistp521"), "{failure}");
    assert!(failure.message().contains("curve25519-sha256"), "{failure}");
}

#[tokio::test(start_paused = true)]
async fn a_host_key_that_nobody_knows_ends_the_attempt_with_its_own_failure() {
    let server = server();
    let mut spec = spec();
    spec.host_key.strict = tunnel_engine::spec::StrictHostKeyChecking::Yes;
    let failure = Session::open(&spec, &server.dialer()).await.err().expect("unknown");
    assert_eq!(failure.kind(), FailureKind::HostKeyUnknown, "{failure}");
    assert_eq!(server.counts().auth_attempts, 0);
}

#[tokio::test(start_paused = true)]
async fn closing_says_goodbye_within_a_second() {
    let server = server();
    let (session, _incoming) = open(&server).await;
    let ended = session.ended();
    let ((), took) = timed(session.close()).await;
    assert!(took <= Duration::from_secs(1), "{took:?}");
    assert!(ended.borrow().is_some());
    counted(&server, "the session is gone", |counts| counts.sessions_now == 0).await;
    assert!(channel(&session, "echo", 1).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn closing_does_not_wait_for_a_server_that_reads_nothing() {
    let server = server();
    let (session, _incoming) = open(&server).await;
    server.set_faults(|faults| faults.link = tunnel_engine::demo_server::LinkFaults::FROZEN);
    let ((), took) = timed(session.close()).await;
    assert!(took <= Duration::from_secs(1), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_session_ends_with_its_last_handle() {
    let server = server();
    let (session, incoming) = open(&server).await;
    let other = session.clone();
    drop(session);
    assert!(channel(&other, "echo", 1).await.is_ok());
    drop((other, incoming));
    counted(&server, "the session is gone", |counts| counts.sessions_now == 0).await;
}

#[tokio::test(start_paused = true)]
async fn the_servers_goodbye_is_the_reason() {
    let server = server();
    let (session, _incoming) = open(&server).await;
    let mut ended = session.ended();
    server.disconnect(11, "maintenance");
    let reason = ended.wait_for(Option::is_some).await.expect("sender").clone().expect("reason");
    assert_eq!(reason.kind(), FailureKind::ClosedByServer);
    assert!(reason.message().contains("`maintenance`"), "{reason}");
}
