//! Probes of a server in memory, on virtual time.

use std::sync::atomic::{AtomicU32, Ordering};

use tunnel_engine::backoff::JUMP_QUESTION;
use tunnel_engine::demo_server::{ConnectFault, MemoryDialer, MemoryNet, Server, Target};
use tunnel_engine::dial::{Dialing, NetDialer};
use tunnel_engine::spec::Route;

use super::*;
use crate::lifecycle::Phase;
use crate::servers::governor::QueueEntry as Turn;
use crate::tunnel::test_support::{context, server, session_spec, tunnel_spec};
use crate::tunnel::{Context, Handle, OpenedLink, Order, spawn};

fn request(last_up: Option<Instant>) -> ReachabilityRequest {
    ReachabilityRequest { last_up, away_since: clock::now(), at_most_every: Duration::from_millis(250) }
}

fn endpoint(spec: &SessionSpec) -> Endpoint {
    Endpoint::of(spec).unwrap()
}

async fn pause(time: Duration) {
    tokio::time::sleep_until((clock::now() + time).into()).await;
}

#[test]
fn probe_interval_grows_and_respects_the_config() {
    let short = Duration::from_millis(250);
    assert_eq!(probe_interval(Duration::ZERO, short), REACHABILITY.first);
    assert_eq!(probe_interval(EARLY_FOR, short), REACHABILITY_LATE.first);
    assert_eq!(probe_interval(Duration::ZERO, Duration::from_secs(7)), Duration::from_secs(7));
    assert_eq!(probe_interval(EARLY_FOR, Duration::from_secs(20)), Duration::from_secs(20));
}

#[test]
fn servers_are_probed_together_within_the_configured_rate() {
    let (now, millisecond) = (clock::now() + Duration::from_secs(60), Duration::from_millis(1));
    let first = probe_interval::next(now, REACHABILITY.first);
    assert!(first <= now + REACHABILITY.first);
    for later in [0, 1, 499] {
        assert_eq!(probe_interval::next(first + later * millisecond, REACHABILITY.first), first + REACHABILITY.first);
        assert_eq!(
            probe_interval::next(first + later * millisecond, REACHABILITY_LATE.first),
            first + REACHABILITY_LATE.first
        );
    }
    let configured = Duration::from_millis(7300);
    assert_eq!(probe_interval::next(now, configured), now + configured);
}

#[test]
fn first_jump_host_is_what_is_probed() {
    let mut spec = session_spec("server", 22);
    spec.dial.via = Route::Jump(Box::new(session_spec("bastion", 2222)));
    assert!(matches!(Endpoint::of(&spec), Some(Endpoint::First { server, .. }) if server == "bastion:2222"));
    spec.dial.via = Route::Command("nc server 22".into());
    assert_eq!(Endpoint::of(&spec), None);
}

#[tokio::test(start_paused = true)]
async fn returned_server_is_found_and_its_connection_used() {
    let server = server();
    let reachability = Reachability::new(Arc::new(server.dialer()), Governor::default());
    let spec = session_spec("server", 22);
    server.set_faults(|faults| faults.connect = ConnectFault::Refuse);
    let now = clock::now();
    let never = reachability.back(endpoint(&spec), &spec, request(None));
    let long_ago = reachability.back(endpoint(&spec), &spec, request(Some(now)));
    let just_now = reachability.back(endpoint(&spec), &spec, request(Some(now + Duration::from_secs(9))));
    let opens = async {
        pause(Duration::from_secs(30)).await;
        server.set_faults(|faults| faults.connect = ConnectFault::None);
        clock::now()
    };
    let (never, long_ago, just_now, opened) = tokio::join!(never, long_ago, just_now, opens);
    assert!(just_now.is_some() && never.is_none() && long_ago.is_none());
    assert!(clock::now() - opened <= REACHABILITY.first);
    drop(just_now);
    assert_eq!(server.counts().connections, 1, "no connection for nothing");
}

#[tokio::test(start_paused = true)]
async fn returned_server_is_found_despite_packet_loss() {
    let server = server();
    let reachability = Reachability::new(Arc::new(server.dialer()), Governor::default());
    let spec = session_spec("server", 22);
    server.set_faults(|faults| faults.connect = ConnectFault::Lost);
    let opens = async {
        pause(Duration::from_secs(600)).await;
        server.set_faults(|faults| faults.connect = ConnectFault::None);
        clock::now()
    };
    let (link, opened) = tokio::join!(reachability.back(endpoint(&spec), &spec, request(None)), opens);
    assert!(link.is_some());
    assert!(clock::now() - opened <= REACHABILITY_LATE.first + SINGLE_PROBE_TIMEOUT);
}

#[tokio::test(start_paused = true)]
async fn no_probe_runs_without_a_waiting_tunnel() {
    let server = server();
    let reachability = Reachability::new(Arc::new(server.dialer()), Governor::default());
    let spec = session_spec("server", 22);
    server.set_faults(|faults| faults.connect = ConnectFault::Refuse);
    assert!(
        tokio::time::timeout(Duration::from_secs(5), reachability.back(endpoint(&spec), &spec, request(None)))
            .await
            .is_err()
    );
    assert!(reachability.shared.endpoints().waiting.is_empty());
    server.set_faults(|faults| faults.connect = ConnectFault::None);
    pause(Duration::from_secs(60)).await;
    assert_eq!(server.counts().connections, 0);
}

#[tokio::test(start_paused = true)]
async fn server_thought_to_be_away_is_there() {
    let server = server();
    let reachability = Reachability::new(Arc::new(server.dialer()), Governor::default());
    let spec = session_spec("server", 22);
    assert!(reachability.is_there(&spec).await);
    for fault in [ConnectFault::Refuse, ConnectFault::Lost] {
        server.set_faults(|faults| faults.connect = fault.clone());
        assert!(!reachability.is_there(&spec).await);
    }
}

/// `far`, behind the bastion, which says that nothing is there.
fn behind_a_bastion() -> (Server, Reachability, SessionSpec) {
    let bastion = server();
    bastion.set_target("far", Target::Refuse);
    let dialer = NetDialer::over(Arc::new(MemoryNet::default().with("bastion:22", &bastion)));
    let reachability = Reachability::new(Arc::new(dialer), Governor::default());
    let mut spec = session_spec("far", 22);
    spec.dial.via = Route::Jump(Box::new(session_spec("bastion", 22)));
    (bastion, reachability, spec)
}

#[tokio::test(start_paused = true)]
async fn server_behind_a_jump_host_is_probed_over_one_session() {
    let (bastion, reachability, spec) = behind_a_bastion();
    let far = server();
    let endpoint = Endpoint::behind(&spec).unwrap();
    let opens = async {
        pause(Duration::from_secs(30)).await;
        bastion.set_target("far", Target::server(&far));
        clock::now()
    };
    let others = reachability.back(endpoint.clone(), &spec, request(None));
    let (link, other, opened) =
        tokio::join!(reachability.back(endpoint, &spec, request(Some(clock::now()))), others, opens);
    assert!(clock::now() - opened <= JUMP_QUESTION.drawn(0, 1.0));
    assert_eq!((bastion.counts().sessions, far.counts().connections), (1, 1));
    assert!(link.is_some() && other.is_none(), "one connection for all");
    drop(link);
    pause(Duration::from_secs(1)).await;
    assert_eq!(bastion.counts().sessions_now, 0, "the session goes with what it was for");
}

#[tokio::test(start_paused = true)]
async fn lost_jump_host_is_found_again() {
    let (bastion, reachability, spec) = behind_a_bastion();
    let far = server();
    let opens = async {
        pause(Duration::from_secs(10)).await;
        bastion.set_faults(|faults| faults.connect = ConnectFault::Refuse);
        bastion.cut();
        pause(Duration::from_secs(30)).await;
        bastion.set_target("far", Target::server(&far));
        bastion.set_faults(|faults| faults.connect = ConnectFault::None);
        clock::now()
    };
    let (link, opened) = tokio::join!(reachability.back(Endpoint::behind(&spec).unwrap(), &spec, request(None)), opens);
    assert!(link.is_some());
    assert!(clock::now() - opened <= JUMP_QUESTION.drawn(0, 1.0));
    assert_eq!(bastion.counts().sessions, 2);
}

#[tokio::test(start_paused = true)]
async fn jump_host_that_refuses_logins_is_asked_less_often() {
    let (bastion, reachability, mut spec) = behind_a_bastion();
    if let Route::Jump(jump) = &mut spec.dial.via {
        jump.destination.user = "stranger".to_owned();
    }
    let back = reachability.back(Endpoint::behind(&spec).unwrap(), &spec, request(None));
    assert!(tokio::time::timeout(Duration::from_secs(120), back).await.is_err());
    assert!((5..=8).contains(&bastion.counts().connections), "1, 2, 4, 8, 16, 32, 60 s apart: {:?}", bastion.counts());
}

/// Counts the dials to one server.
struct Counting {
    server: MemoryDialer,
    dials: AtomicU32,
}

impl Counting {
    fn dials(&self) -> u32 {
        self.dials.load(Ordering::Relaxed)
    }
}

impl Dialer for Counting {
    fn dial<'a>(&'a self, spec: &'a SessionSpec, deadline: Instant) -> Dialing<'a> {
        self.dials.fetch_add(1, Ordering::Relaxed);
        self.server.dial(spec, deadline)
    }
}

/// Tunnels that have been told to start, and what counts their dials.
fn started(server: &Server, tunnels: u64, specify: impl Fn(&mut SessionSpec)) -> (Vec<Handle>, Arc<Counting>) {
    let counting = Arc::new(Counting { server: server.dialer(), dials: AtomicU32::new(0) });
    let shared = context(Arc::new(NetDialer::over(counting.clone())));
    let tunnel = |seed| {
        let mut spec = tunnel_spec(&format!("t{seed}"), &[]);
        spec.policy.backoff.jitter = 0.2;
        specify(&mut spec.session);
        let (ready_link, place) = (OpenedLink::default(), Turn::default());
        let handle = spawn(spec, Context { seed, ready_link, place, ..shared.clone() });
        handle.order(Order::Start).unwrap();
        handle
    };
    ((0..tunnels).map(tunnel).collect(), counting)
}

/// Virtual seconds that are watched.
const WATCHED: u32 = 600;

#[tokio::test(start_paused = true)]
async fn one_dial_a_second_stands_for_all_tunnels_whose_server_is_away() {
    let server = server();
    server.set_faults(|faults| faults.connect = ConnectFault::Refuse);
    let (tunnels, counting) = started(&server, 100, |_| {});
    pause(EARLY_FOR + Duration::from_secs(60)).await;
    let starts = |tunnels: &[Handle]| tunnels.iter().map(|tunnel| tunnel.view().starts).collect::<Vec<_>>();
    let (before, dials) = (starts(&tunnels), counting.dials());
    pause(Duration::from_secs(WATCHED.into())).await;
    let dials = counting.dials() - dials;
    assert!(dials <= WATCHED + WATCHED / 10, "{dials} dials in {WATCHED} s");
    for (before, after) in before.iter().zip(starts(&tunnels)) {
        assert!(after - before >= 9, "each goes on with its starts: {before} and {after}");
    }
    let view = tunnels[50].view().clone();
    assert_eq!(view.last_failure.clone().unwrap().failure.message(), "`server:22` refused the connection");
    // The first that dials finds it, and the others come with that one, in turn.
    server.set_faults(|faults| faults.connect = ConnectFault::None);
    let back = clock::now();
    for tunnel in &tunnels {
        tunnel.watch().wait_for(|view| view.ready).await.unwrap();
    }
    assert!(clock::now() - back <= Duration::from_secs(3), "{:?}", clock::now() - back);
}

#[tokio::test(start_paused = true)]
async fn start_whose_answer_is_known_is_over_at_once() {
    let server = server();
    server.set_faults(|faults| faults.connect = ConnectFault::Refuse);
    let (tunnels, _) = started(&server, 20, |_| {});
    pause(Duration::from_secs(30)).await;
    let (mut view, until) = (tunnels[7].watch(), clock::now() + EARLY_FOR / 2);
    let before = view.borrow_and_update().starts;
    while let Ok(Ok(())) = tokio::time::timeout_at(until.into(), view.changed()).await {
        assert_eq!(view.borrow_and_update().phase, Phase::Backoff, "it has nothing to wait for");
    }
    assert!(view.borrow().starts >= before + 3, "each start counts: {before} and {}", view.borrow().starts);
    assert_eq!(u64::from(view.borrow().attempts), view.borrow().starts);
}

#[tokio::test(start_paused = true)]
async fn tunnels_whose_dials_differ_are_told_nothing_of_each_other() {
    let server = server();
    server.set_faults(|faults| faults.connect = ConnectFault::Refuse);
    let next = AtomicU32::new(0);
    let (tunnels, counting) = started(&server, 20, |spec| {
        spec.dial.bind_address = Some(format!("127.0.0.{}", next.fetch_add(1, Ordering::Relaxed) + 1));
    });
    pause(EARLY_FOR + Duration::from_secs(60)).await;
    let dials = counting.dials();
    pause(Duration::from_secs(WATCHED.into())).await;
    // Each is asked for every 10 s, and dialled about once a minute.
    let (dials, each) = (counting.dials() - dials, WATCHED / 10 + WATCHED / 60);
    assert!(dials >= 20 * each, "{dials}");
    drop(tunnels);
}

#[tokio::test(start_paused = true)]
async fn start_that_is_asked_for_dials_whatever_others_were_told() {
    let server = server();
    server.set_faults(|faults| faults.connect = ConnectFault::Refuse);
    let (tunnels, counting) = started(&server, 10, |_| {});
    pause(EARLY_FOR + Duration::from_secs(60)).await;
    for order in [|| Order::RetryNow, || Order::NetworkChanged, || Order::Restart] {
        let before = counting.dials();
        for tunnel in &tunnels {
            tunnel.order(order()).unwrap();
        }
        pause(Duration::from_millis(100)).await;
        assert!(counting.dials() - before >= 10, "{}", counting.dials() - before);
        pause(Duration::from_secs(120)).await;
    }
}
