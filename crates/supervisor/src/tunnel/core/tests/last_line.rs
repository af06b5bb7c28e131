//! What the log says last is true: a failure in it is followed by its end, and an outage does not stay untold for long,
//! however many there were before. And yet the log is bounded.

use tracing::Level;

use super::*;
use crate::os::RecentLines;
use crate::tunnel::test_support::listen;

/// Nothing is probed: what the server grants is up.
fn up(forwards: &[&str]) -> Bench {
    let mut spec = tunnel_spec("t", forwards);
    spec.probe = ProbeSpec::Off;
    Bench::up(spec)
}

impl Bench {
    /// The session is lost, and after `outage` or somewhat more there is another.
    fn flap(&mut self, outage: Duration) -> Vec<TunnelEffect> {
        let mut login = logins(&self.tell(TunnelEvent::SessionEnded(self.main(), lost())));
        for wait in [outage, 61 * SECOND] {
            if wait == outage || login.is_empty() {
                login.extend(logins(&self.passes(wait)));
            }
        }
        let effects = self.logged_in(login[0]);
        let main = self.main();
        self.tell(TunnelEvent::SessionProven(main));
        effects
    }

    fn refuse(&mut self, request: &ListenRequest) {
        let (session, forward) = (request.session, request.target.forward);
        let listen = request.target.listen.clone();
        let result = Err(ForwardError::Refused { listen: "localhost".to_owned(), reason: None });
        self.tell(TunnelEvent::Requested(Requested { session, forward, listen, report: None, result }));
    }
}

/// The lines since the last look.
fn take(lines: &RecentLines) -> Vec<(Level, String)> {
    let taken = lines.of("t").into_iter().map(|line| (line.level, line.message)).collect();
    lines.forget("t");
    taken
}

#[test]
fn a_failure_is_followed_by_its_end() {
    let (lines, _guard) = listen();
    let mut bench = up(&["R7000:localhost:1"]);
    let mut all = 0;
    for flap in 0..500 {
        let effects = bench.flap(SECOND);
        bench.grant(&effects);
        assert!(bench.core.snapshot().ready);
        let told = take(&lines);
        assert!(told.last().is_none_or(|(level, _)| *level == Level::INFO), "{flap}: {told:?}");
        all += told.len();
    }
    assert!(all < 300, "{all} lines");
}

#[test]
fn the_end_of_a_forward_s_failure_is_told_though_another_is_down() {
    let (lines, _guard) = listen();
    let mut bench = up(&["R7000:localhost:1", "R7001:localhost:1"]);
    let mut told = Vec::new();
    for _ in 0..50 {
        let effects = bench.flap(SECOND);
        requests(&effects).iter().for_each(|request| bench.refuse(request));
        let of_first = |effect: &TunnelEffect| {
            requests(std::slice::from_ref(effect)).iter().any(|request| request.target.name.contains("7000"))
        };
        bench.grant(&effects.into_iter().filter(of_first).collect::<Vec<_>>());
        assert!(!bench.core.snapshot().ready);
        told.extend(take(&lines).into_iter().filter(|(_, line)| line.contains("7000:")));
        assert!(told.last().is_none_or(|(level, _)| *level == Level::INFO), "{told:#?}");
    }
    assert!((2..40).contains(&told.len()), "{told:#?}");
}

#[test]
fn an_outage_is_told_within_two_minutes_after_many_others() {
    let (lines, _guard) = listen();
    let mut bench = up(&[]);
    let mut last = (Level::INFO, String::new());
    for _ in 0..500 {
        bench.flap(SECOND);
        last = take(&lines).pop().unwrap_or(last);
    }
    assert_eq!(last.0, Level::INFO, "{last:?}");
    let mut login = logins(&bench.tell(TunnelEvent::SessionEnded(bench.main(), lost())));
    for _ in 0..120 {
        for session in login {
            let failure = LoginFailure { failure: lost(), asked: None };
            bench.tell(TunnelEvent::LoginFailed { session, failure, files: None });
        }
        login = logins(&bench.passes(SECOND));
    }
    let told = take(&lines);
    assert!(told.iter().any(|(level, line)| *level == Level::WARN && line.starts_with("lost")), "{told:?}");
    assert!(told.len() < 4, "{told:#?}");
}
