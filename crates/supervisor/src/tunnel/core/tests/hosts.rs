//! A host that logs us in and denies a remote forward.

use super::*;
use tunnel_engine::backoff::BETTER_HOST;

fn two_hosts() -> TunnelSpec {
    let mut spec = tunnel_spec("t", &["R7000:localhost:1"]);
    spec.session = session_spec("a", 22);
    spec.fallbacks = vec![session_spec("b", 22)];
    spec
}

/// The login that begins: its number and its host.
fn login(effects: &[TunnelEffect]) -> (SessionId, String) {
    let login = |effect: &TunnelEffect| {
        let TunnelEffect::Login(login) = effect else { return None };
        Some((login.session, login.spec.destination.host.clone()))
    };
    effects.iter().find_map(login).unwrap_or_else(|| panic!("no login in {effects:?}"))
}

impl Bench {
    /// Starts, and fails at the first host.
    fn start_at_second(spec: TunnelSpec) -> Self {
        let mut bench = Self::new(spec);
        let (first, _) = login(&bench.tell(TunnelEvent::Order(Order::Start)));
        let failure = LoginFailure { failure: lost(), asked: None };
        let (second, host) = login(&bench.tell(TunnelEvent::LoginFailed { session: first, failure, files: None }));
        assert_eq!(host, "b");
        let effects = bench.logged_in(second);
        bench.grant(&effects);
        assert!(bench.core.snapshot().server.contains("b:22"));
        bench
    }

    /// The policy of the server forbids each of these requests.
    fn deny(&mut self, effects: &[TunnelEffect]) -> Vec<TunnelEffect> {
        let denied = |request: ListenRequest| {
            let reason = Some("Server has disabled port forwarding.".to_owned());
            let result = Err(ForwardError::Refused { listen: "localhost:7000".to_owned(), reason });
            let (session, forward, listen) = (request.session, request.target.forward, request.target.listen);
            self.tell(TunnelEvent::Requested(Requested { session, forward, listen, report: None, result }))
        };
        requests(effects).into_iter().flat_map(denied).collect()
    }

    fn kind(&self) -> Option<FailureKind> {
        self.core.snapshot().last_failure.as_ref().map(|last| last.failure.kind())
    }
}

#[test]
fn better_host_that_denies_a_forward_is_left_again() {
    let mut bench = Bench::start_at_second(two_hosts());
    for vain in 0..4 {
        let (back, host) = login(&bench.passes(BETTER_HOST.longest));
        assert_eq!(host, "a");
        let effects = bench.logged_in(back);
        let (away, host) = login(&bench.deny(&effects));
        assert_eq!((host.as_str(), bench.kind()), ("b", Some(FailureKind::RemoteForwardDenied)));
        let effects = bench.logged_in(away);
        bench.grant(&effects);
        assert_eq!((bench.main(), bench.core.machine.phase()), (away, Phase::Up));
        let early = BETTER_HOST.first * 2_u32.pow(vain);
        assert_eq!(logins(&bench.passes(early)), [], "a try after {early:?}");
    }
    let (back, _) = login(&bench.passes(BETTER_HOST.longest));
    let effects = bench.logged_in(back);
    bench.grant(&effects);
    assert_eq!(bench.main(), back, "one that grants it is kept");
    assert_eq!(logins(&bench.passes(BETTER_HOST.longest)), []);
}

#[test]
fn better_host_that_denies_one_of_two_forwards_is_left_again() {
    let forwards = tunnel_spec("t", &["R7000:localhost:1", "R7001:localhost:1"]).forwards;
    let mut bench = Bench::start_at_second(TunnelSpec { forwards, ..two_hosts() });
    let (back, _) = login(&bench.passes(BETTER_HOST.longest));
    let mut asked = bench.logged_in(back);
    asked.retain(|effect| !requests(std::slice::from_ref(effect)).is_empty());
    let (away, host) = login(&bench.deny(&asked[..1]));
    bench.grant(&asked[1..]);
    assert_eq!(host, "b");
    let effects = bench.logged_in(away);
    bench.grant(&effects);
    assert_eq!((bench.main(), bench.core.machine.phase()), (away, Phase::Up));
}

#[test]
fn denied_forward_that_must_be_there_makes_the_next_host_wanted() {
    let mut bench = Bench::new(TunnelSpec { exit_on_forward_failure: true, ..two_hosts() });
    let (first, _) = login(&bench.tell(TunnelEvent::Order(Order::Start)));
    let effects = bench.logged_in(first);
    let effects = bench.deny(&effects);
    assert!(effects.contains(&TunnelEffect::Disconnect(first)), "{effects:?}");
    let (second, host) = login(&effects);
    assert_eq!(host, "b");
    let effects = bench.logged_in(second);
    bench.deny(&effects);
    assert_eq!((bench.core.machine.phase(), bench.kind()), (Phase::Blocked, Some(FailureKind::RemoteForwardDenied)));
}

#[test]
fn denied_forward_that_must_be_there_ends_a_session_that_took_over() {
    let mut bench = Bench::up(TunnelSpec { exit_on_forward_failure: true, ..tunnel_spec("t", &["R7000:localhost:1"]) });
    let step = TunnelChange::ReplaceSession(Box::new(session_spec("other", 22)));
    let (new, _) = login(&bench.tell(TunnelEvent::Order(Order::Apply(vec![step]))));
    let effects = bench.logged_in(new);
    let effects = bench.deny(&effects);
    assert!(effects.contains(&TunnelEffect::Disconnect(new)), "{effects:?}");
    assert_eq!(bench.core.machine.phase(), Phase::Blocked);
}
