//! The core by itself: events in, effects out, without a runtime.

mod busy_port;
mod hosts;
mod last_line;
mod planned_ends;
pub(in crate::tunnel) mod replay;

use std::sync::Arc;
use std::time::Duration;

use tunnel_engine::failure::{Failure, FailureKind};
use tunnel_engine::session::{Doubt, ForwardError, Path, SessionInfo};
use tunnel_engine::spec::Forward;

use super::*;
use crate::config::TunnelSpec;
use crate::plan::TunnelChange;
use crate::tunnel::ForwardState;
use crate::tunnel::test_support::{session_spec, tunnel_spec};

const SECOND: Duration = Duration::from_secs(1);

/// A core, and the time as it passes for it.
struct Bench {
    core: Core,
    now: Moment,
}

impl Bench {
    fn new(spec: TunnelSpec) -> Self {
        let now = Moment::now();
        let mut bench = Self { core: Core::new(spec, 10 * SECOND, 7, now), now };
        bench.effects();
        bench
    }

    /// With its first session, and its remote forwards granted.
    fn up(spec: TunnelSpec) -> Self {
        let mut bench = Self::new(spec);
        let session = logins(&bench.tell(TunnelEvent::Order(Order::Start)))[0];
        let effects = bench.logged_in(session);
        bench.grant(&effects);
        assert_eq!(bench.core.machine.phase(), Phase::Up);
        bench
    }

    fn effects(&mut self) -> Vec<TunnelEffect> {
        std::iter::from_fn(|| self.core.poll_effect()).collect()
    }

    fn tell(&mut self, event: TunnelEvent) -> Vec<TunnelEffect> {
        self.core.handle(event, self.now);
        self.effects()
    }

    fn passes(&mut self, time: Duration) -> Vec<TunnelEffect> {
        self.now = Moment { awake: self.now.awake + time, wall: self.now.wall + time };
        self.tell(TunnelEvent::Due(Vec::new()))
    }

    fn logged_in(&mut self, session: SessionId) -> Vec<TunnelEffect> {
        self.tell(TunnelEvent::LoggedIn { session, info: info(), files: None })
    }

    fn main(&self) -> SessionId {
        self.core.sessions.main.as_ref().expect("a session").id
    }

    /// Answers every request to listen among these effects.
    fn grant(&mut self, effects: &[TunnelEffect]) {
        for request in requests(effects) {
            let (session, forward) = (request.session, request.target.forward);
            let listen = request.target.listen.clone();
            self.tell(TunnelEvent::Requested(Requested { session, forward, listen, report: None, result: Ok(None) }));
        }
    }
}

fn info() -> Arc<SessionInfo> {
    Arc::new(SessionInfo {
        peer: None,
        local: None,
        software: "test".to_owned(),
        kex: "kex".to_owned(),
        cipher: "cipher".to_owned(),
        host_key: "key".to_owned(),
        auth: "none".to_owned(),
        jump_hosts: Vec::new(),
    })
}

fn logins(effects: &[TunnelEffect]) -> Vec<SessionId> {
    let login =
        |effect: &TunnelEffect| if let TunnelEffect::Login(login) = effect { Some(login.session) } else { None };
    effects.iter().filter_map(login).collect()
}

fn requests(effects: &[TunnelEffect]) -> Vec<ListenRequest> {
    let request = |effect: &TunnelEffect| {
        if let TunnelEffect::Forward(ForwardEffect::Listen(request)) = effect {
            Some((**request).clone())
        } else {
            None
        }
    };
    effects.iter().filter_map(request).collect()
}

fn lost() -> Failure {
    Failure::new(FailureKind::ConnectionLost, "lost")
}

fn doubt(bench: &Bench) -> Path {
    Path::Doubtful { since: bench.now.awake, why: Doubt::Unanswered }
}

#[test]
fn start_logs_in_and_serves_its_session() {
    let mut bench = Bench::new(tunnel_spec("t", &[]));
    assert_eq!(logins(&bench.tell(TunnelEvent::Order(Order::Start))), [SessionId::from(1)]);
    assert_eq!(bench.core.snapshot().phase, Phase::Connecting);
    let session = SessionId::from(1);
    let effects = bench.logged_in(session);
    for effect in [TunnelEffect::Keep(session), TunnelEffect::Serve(vec![session]), TunnelEffect::Prove(session)] {
        assert!(effects.contains(&effect), "{effect:?} is missing: {effects:?}");
    }
    assert!(bench.core.snapshot().ready);
}

#[test]
fn late_words_about_earlier_sessions_change_nothing() {
    let mut bench = Bench::up(tunnel_spec("t", &["R7000:localhost:1"]));
    let first = bench.main();
    let again = logins(&bench.tell(TunnelEvent::SessionEnded(first, lost())))[0];
    bench.logged_in(again);
    let before = bench.core.snapshot().clone();
    for event in [
        TunnelEvent::SessionEnded(first, lost()),
        TunnelEvent::PathChanged(first, doubt(&bench)),
        TunnelEvent::SessionProven(first),
        TunnelEvent::Closed(first),
        TunnelEvent::LoginFailed {
            session: first,
            failure: LoginFailure { failure: lost(), asked: None },
            files: None,
        },
        TunnelEvent::ListensTakenBack(first),
        TunnelEvent::RetiredEnded(first),
    ] {
        let told = format!("{event:?}");
        assert_eq!(bench.tell(event), [], "{told}");
        assert_eq!(*bench.core.snapshot(), before, "{told}");
    }
}

#[test]
fn stop_gives_up_the_login_under_way() {
    let mut bench = Bench::new(tunnel_spec("t", &[]));
    let session = logins(&bench.tell(TunnelEvent::Order(Order::Start)))[0];
    let effects = bench.tell(TunnelEvent::Order(Order::Stop));
    assert!(effects.contains(&TunnelEffect::AbandonLogin(session)), "{effects:?}");
    assert_eq!(bench.logged_in(session), [], "the session is not kept");
}

#[test]
fn readiness_that_changes_has_a_time_of_its_own() {
    let mut bench = Bench::up(tunnel_spec("t", &[]));
    let (up_since, ready_since) = (bench.core.snapshot().since, bench.core.snapshot().ready_since);
    assert_eq!((bench.core.snapshot().ready, ready_since), (true, up_since));
    bench.now.wall += 60 * SECOND;
    let path = doubt(&bench);
    bench.tell(TunnelEvent::PathChanged(bench.main(), path));
    let snapshot = bench.core.snapshot();
    assert_eq!((snapshot.phase, snapshot.ready), (Phase::Up, false));
    assert_eq!((snapshot.since, snapshot.ready_since), (up_since, bench.now.wall), "the phase is older");
}

#[test]
fn doubtful_session_is_replaced_and_retired_with_its_listeners() {
    let mut bench = Bench::up(tunnel_spec("t", &["R7000:localhost:1"]));
    let old = bench.main();
    let path = doubt(&bench);
    let new = logins(&bench.tell(TunnelEvent::PathChanged(old, path)))[0];
    assert!(!bench.core.snapshot().ready);
    let effects = bench.logged_in(new);
    assert!(
        effects.contains(&TunnelEffect::Withdraw(old)) && effects.contains(&TunnelEffect::Serve(vec![new])),
        "{effects:?}"
    );
    assert_eq!(requests(&effects).len(), 1, "a silent session is not waited for");
    let retired = |effect: &TunnelEffect| matches!(effect, TunnelEffect::Retire(retire) if retire.session == old && retire.silent);
    assert!(effects.iter().any(retired), "{effects:?}");
    // The machine knows the new one by its number.
    bench.tell(TunnelEvent::SessionEnded(new, lost()));
    assert_eq!(bench.core.snapshot().phase, Phase::Connecting);
}

#[test]
fn replacement_asks_for_ports_when_they_are_taken_back() {
    let mut bench = Bench::up(tunnel_spec("t", &["R7000:localhost:1"]));
    let old = bench.main();
    let mut session = session_spec("server", 22);
    session.timing.server_alive_count_max = 7;
    let step = TunnelChange::ReplaceSession(Box::new(session));
    let new = logins(&bench.tell(TunnelEvent::Order(Order::Apply(vec![step]))))[0];
    let effects = bench.logged_in(new);
    assert!(
        effects
            .iter()
            .any(|effect| matches!(effect, TunnelEffect::TakeBack(id, listens) if *id == old && !listens.is_empty()))
    );
    assert_eq!(requests(&effects).len(), 0);
    let effects = bench.tell(TunnelEvent::ListensTakenBack(old));
    assert_eq!(requests(&effects).len(), 1);
    assert!(effects.iter().any(|effect| matches!(effect, TunnelEffect::Retire(retire) if retire.session == old)));
}

#[test]
fn standby_replaces_a_lost_session_without_a_login() {
    let mut spec = tunnel_spec("t", &[]);
    spec.sessions = 2;
    let mut bench = Bench::new(spec);
    let first = logins(&bench.tell(TunnelEvent::Order(Order::Start)))[0];
    let second = logins(&bench.logged_in(first))[0];
    bench.logged_in(second);
    let effects = bench.tell(TunnelEvent::SessionEnded(first, lost()));
    assert_eq!((bench.main(), bench.core.snapshot().phase), (second, Phase::Up));
    assert!(effects.contains(&TunnelEffect::Serve(vec![second])), "{effects:?}");
    assert_eq!(logins(&effects).len(), 1, "its own place is filled again");
}

#[test]
fn server_that_is_away_is_watched_while_the_tunnel_waits() {
    let mut bench = Bench::new(tunnel_spec("t", &[]));
    let session = logins(&bench.tell(TunnelEvent::Order(Order::Start)))[0];
    let failure = Failure::new(FailureKind::ConnectRefused, "refused").not_reached();
    let effects =
        bench.tell(TunnelEvent::LoginFailed { session, failure: LoginFailure { failure, asked: None }, files: None });
    let Some(TunnelEffect::WatchServers(away)) =
        effects.iter().find(|effect| matches!(effect, TunnelEffect::WatchServers(_)))
    else {
        panic!("{effects:?}");
    };
    let host = away[0].spec.destination.clone();
    let effects = bench.tell(TunnelEvent::ServerBack(host));
    assert!(effects.contains(&TunnelEffect::KeepLink), "{effects:?}");
    assert_eq!(logins(&effects).len(), 1);
}

#[test]
fn removed_forward_is_cancelled_though_its_answer_comes_late() {
    let mut bench = Bench::new(tunnel_spec("t", &["R7000:localhost:1"]));
    let session = logins(&bench.tell(TunnelEvent::Order(Order::Start)))[0];
    let request = requests(&bench.logged_in(session)).remove(0);
    let forward: Forward = bench.core.spec.forwards[0].clone();
    bench.tell(TunnelEvent::Order(Order::Apply(vec![TunnelChange::RemoveForward(forward)])));
    let listen = request.target.listen.clone();
    let (forward, result) = (request.target.forward, Ok(None));
    let late = Requested { session, forward, listen: listen.clone(), report: None, result };
    assert_eq!(bench.tell(TunnelEvent::Requested(late)), [ForwardEffect::CancelListen(session, listen).into()]);
}

#[test]
fn unchanged_tunnel_keeps_its_snapshot() {
    let mut bench = Bench::up(tunnel_spec("t", &[]));
    let before = bench.core.snapshot().clone();
    bench.passes(3600 * SECOND);
    assert!(Arc::ptr_eq(&before, bench.core.snapshot()));
}
