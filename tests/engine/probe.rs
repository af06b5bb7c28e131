//! Probes through real sessions to the in-process server, on virtual time.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tunnel_engine::demo_server::{LinkFaults, Server, Target};
use tunnel_engine::forward::{
    ForwardStats, ProbeCheck, ProbeFailureKind, ProbeResult, RemoteForwards, RemoteTarget, Routes, probe_local,
    probe_remote,
};
use tunnel_engine::session::{RemoteListen, Session};
use tunnel_engine::spec::{AddressFamily, Bind, Connect, Destination, Listen, SessionSpec, StrictHostKeyChecking};

/// Longer than any probe.
const LONG: Duration = Duration::from_secs(120);

/// A session with one remote forward, and its target.
struct Fixture {
    server: Server,
    session: Session,
    routes: Routes,
    stats: Arc<ForwardStats>,
    listen: RemoteListen,
    target: TcpListener,
    _forwards: RemoteForwards,
}

impl Fixture {
    async fn on(bind: Bind) -> Self {
        let server = Server::builder().accept_none("tester").start_memory().unwrap();
        let (session, incoming) = Session::open(&spec(), &server.dialer()).await.unwrap();
        let forwards = RemoteForwards::spawn(incoming);
        let target = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = target.local_addr().unwrap().port();
        let stats = Arc::<ForwardStats>::default();
        let route = RemoteTarget {
            forward: "2222:target".into(),
            connect: Connect::Tcp { host: "127.0.0.1".to_owned(), port },
            family: AddressFamily::Any,
            permit: Arc::default(),
            max_connections: 1,
            stats: stats.clone(),
            cut: Default::default(),
        };
        let wanted = Listen::Tcp { bind, port: 7000 };
        let (routes, listen) = (forwards.routes(), RemoteListen::of(&wanted));
        let (table, at) = (routes.clone(), listen.clone());
        session.request_forward_then(&wanted, move |_| table.add(at, route)).await.unwrap();
        Self { server, session, routes, stats, listen, target, _forwards: forwards }
    }

    async fn probe(&self) -> ProbeResult {
        tokio::time::timeout(LONG, probe_remote(&self.session, &self.routes, &self.listen)).await.unwrap()
    }
}

#[tokio::test(start_paused = true)]
async fn a_nonce_that_comes_back_proves_a_remote_forward_and_no_user_nor_service_sees_it() {
    let fixture = Fixture::on(Bind::Default).await;
    assert_eq!(fixture.probe().await, ProbeResult::Up(None));
    assert_eq!(fixture.stats.counts(), ForwardStats::default().counts());
    let nobody = tokio::time::timeout(Duration::from_secs(1), fixture.target.accept()).await;
    assert!(nobody.is_err(), "the service was connected to");
}

#[tokio::test(start_paused = true)]
async fn a_nonce_that_comes_back_late_is_a_proof_too() {
    let fixture = Fixture::on(Bind::Default).await;
    fixture.server.set_faults(|faults| faults.link = LinkFaults::delayed(Duration::from_secs(2)));
    assert_eq!(fixture.probe().await, ProbeResult::Up(None));
}

#[tokio::test(start_paused = true)]
async fn a_port_that_answers_without_us_is_stale() {
    let fixture = Fixture::on(Bind::Default).await;
    for stranger in [Target::Hang, Target::Echo, Target::Reset, Target::Sink] {
        fixture.server.set_target("127.0.0.1", stranger);
        let finding = fixture.probe().await;
        assert!(matches!(&finding, ProbeResult::Stale(words) if words.contains("127.0.0.1:7000")), "{finding:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_port_that_refuses_is_down() {
    let fixture = Fixture::on(Bind::Default).await;
    fixture.server.set_target("127.0.0.1", Target::Refuse);
    let finding = fixture.probe().await;
    assert!(
        matches!(&finding, ProbeResult::Down(disproof) if disproof.cause == ProbeFailureKind::NotListening),
        "{finding:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_server_that_forbids_it_leaves_it_unverified() {
    let fixture = Fixture::on(Bind::Default).await;
    fixture.server.set_faults(|faults| faults.deny_channels = true);
    let finding = fixture.probe().await;
    assert!(matches!(&finding, ProbeResult::Unverified(words) if words.contains("forbids")), "{finding:?}");
}

#[tokio::test(start_paused = true)]
async fn a_silent_session_proves_nothing() {
    let fixture = Fixture::on(Bind::Default).await;
    fixture.server.set_faults(|faults| faults.link = LinkFaults::BLACKHOLE);
    assert_eq!(fixture.probe().await, ProbeResult::Nothing);
}

#[tokio::test(start_paused = true)]
async fn an_address_that_the_server_made_loopback_is_told() {
    let fixture = Fixture::on(Bind::Address("192.0.2.7".to_owned())).await;
    fixture.server.set_target("192.0.2.7", Target::Refuse);
    let finding = fixture.probe().await;
    let ProbeResult::Up(Some(note)) = finding else { panic!("{finding:?}") };
    assert!(note.contains("127.0.0.1:7000, not on 192.0.2.7:7000"), "{note}");
}

#[tokio::test(start_paused = true)]
async fn users_who_come_during_a_probe_go_on_with_what_they_said_and_take_the_only_place() {
    let fixture = Fixture::on(Bind::Default).await;
    // The nonce never comes: any connection may be it, until the probe is over.
    fixture.server.set_target("127.0.0.1", Target::Hang);
    let (session, routes, listen) = (fixture.session.clone(), fixture.routes.clone(), fixture.listen.clone());
    let probe = tunnel_engine::task::owned(async move { probe_remote(&session, &routes, &listen).await });
    let mut opens = fixture.server.watch_counts();
    opens.wait_for(|counts| counts.opens == 1).await.unwrap();
    let mut talks = fixture.server.connect_forward(7000).unwrap();
    talks.write_all(b"tunneld-probe but no nonce").await.unwrap();
    let (mut service, _) = fixture.target.accept().await.unwrap();
    let mut heard = [0; 26];
    service.read_exact(&mut heard).await.unwrap();
    assert_eq!(&heard, b"tunneld-probe but no nonce", "at once, as it is no nonce");
    drop((talks, service));
    while fixture.stats.counts().active > 0 {
        tokio::task::yield_now().await;
    }
    let mut listens = fixture.server.connect_forward(7000).unwrap();
    let (mut service, _) = fixture.target.accept().await.unwrap();
    assert!(matches!(probe.await.unwrap(), ProbeResult::Stale(_)), "one that says nothing waits for the probe's end");
    service.write_all(b"SSH-2.0-x").await.unwrap();
    listens.read_exact(&mut [0; 9]).await.unwrap();
    assert_eq!(fixture.stats.counts().opened, 2);
}

#[tokio::test(start_paused = true)]
async fn a_full_listener_is_proven_all_the_same() {
    let fixture = Fixture::on(Bind::Default).await;
    let mut user = fixture.server.connect_forward(7000).unwrap();
    user.write_all(b"x").await.unwrap();
    let (_service, _) = fixture.target.accept().await.unwrap();
    assert_eq!(fixture.probe().await, ProbeResult::Up(None));
    assert_eq!((fixture.stats.counts().opened, fixture.stats.counts().failed), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_local_forward_is_proven_by_its_target() {
    let fixture = Fixture::on(Bind::Default).await;
    let probe = async |host: &str, check: ProbeCheck| {
        let target = Connect::Tcp { host: host.to_owned(), port: 1 };
        tokio::time::timeout(LONG, probe_local(&fixture.session, &target, &check)).await.unwrap()
    };
    assert_eq!(probe("echo", ProbeCheck::Accepts).await, ProbeResult::Up(None));
    let refused = probe("refuse", ProbeCheck::Accepts).await;
    let ProbeResult::Down(disproof) = refused else { panic!("{refused:?}") };
    assert_eq!(disproof.cause, ProbeFailureKind::Refused);
    assert!(disproof.words.contains("refuse:1") && disproof.words.contains("Connection refused"), "{disproof:?}");
    let (put, mut take) = mpsc::channel(1);
    fixture.server.set_target("sshd", Target::Hand(put));
    let speak = async {
        let mut stream: tokio::io::DuplexStream = take.recv().await.unwrap();
        stream.write_all(b"SSH-2.0-x\r\n").await.unwrap();
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await.unwrap();
        rest
    };
    let (finding, rest) = tokio::join!(probe("sshd", ProbeCheck::Says("SSH-".into())), speak);
    assert_eq!((finding, rest), (ProbeResult::Up(None), Vec::new()), "closed, and nothing said");
    fixture.server.set_faults(|faults| faults.deny_channels = true);
    let forbidden = probe("echo", ProbeCheck::Accepts).await;
    assert!(
        matches!(&forbidden, ProbeResult::Down(disproof) if disproof.cause == ProbeFailureKind::Prohibited),
        "{forbidden:?}"
    );
    fixture.server.set_faults(|faults| faults.link = LinkFaults::BLACKHOLE);
    assert_eq!(probe("echo", ProbeCheck::Accepts).await, ProbeResult::Nothing);
}

fn spec() -> SessionSpec {
    let mut spec = SessionSpec::to(Destination { user: "tester".to_owned(), host: "server".to_owned(), port: 22 });
    spec.host_key.strict = StrictHostKeyChecking::No;
    spec.timing.server_alive_interval = Duration::ZERO;
    spec
}
