//! The requests to listen, and what the server answers.

use std::time::Instant;

use tunnel_engine::backoff::REMOTE_PORT;
use tunnel_engine::failure::FailureKind;
use tunnel_engine::session::ForwardError;

use super::super::core::{Effects, ForwardEffect, ListenMode, ListenRequest, Requested};
use super::super::forwards::ForwardId;
use super::super::locals::ForwardFailed;
use super::super::refusal::{again, judge, with_port};
use super::super::state::ForwardState;
use super::super::takeover::HeldAddress;
use super::holder::after_takeover;
use super::{Remote, Remotes};
use crate::config::TunnelSpec;
use crate::lifecycle::SessionId;

/// What an answer of the server comes to.
#[derive(Debug)]
pub(in crate::tunnel) enum Answer {
    Nothing,
    Granted,
    Refused(ForwardFailed),
}

impl Remotes {
    /// Asks the server to listen, for every remote forward that is not in place. `able`: the holder of a port or path may be
    /// ended.
    pub(in crate::tunnel) fn request_pending(
        &mut self,
        session: SessionId,
        can: (bool, &TunnelSpec, Instant),
        effects: &mut Effects,
    ) {
        self.request_where(session, false, |remote| remote.state == ForwardState::Pending, can, effects);
    }

    pub(in crate::tunnel) fn request_due(
        &mut self,
        session: SessionId,
        (able, spec, now): (bool, &TunnelSpec, Instant),
        effects: &mut Effects,
    ) {
        let is_due = |remote: &Remote| remote.again.is_some_and(|at| at <= now);
        self.request_where(session, false, is_due, (able, spec, now), effects);
    }

    /// The server has this listener taken back, and asks for it anew: what it had was not ours, or no program's. Of the
    /// ports that it may choose, another program's is none: it chooses another one. `able`: the holder may be ended.
    pub(in crate::tunnel) fn request_anew(
        &mut self,
        id: ForwardId,
        session: SessionId,
        (able, spec, now): (bool, &TunnelSpec, Instant),
        effects: &mut Effects,
    ) {
        if let Some(remote) = self.get_mut(id) {
            remote.release = able && remote.probing.is_stale() && remote.held().is_some() && remote.backoff.may(now);
        }
        let granted = |remote: &Remote| remote.id == id && remote.state == ForwardState::Up;
        self.request_where(session, true, granted, (able, spec, now), effects);
    }

    fn request_where(
        &mut self,
        session: SessionId,
        anew: bool,
        wanted: impl Fn(&Remote) -> bool,
        (able, spec, now): (bool, &TunnelSpec, Instant),
        effects: &mut Effects,
    ) {
        for remote in self.entries.iter_mut().filter(|remote| !remote.asking && wanted(remote)) {
            remote.asking = true;
            remote.again = None;
            let allocated = remote.allocated.filter(|_| !(anew && remote.probing.is_stale()));
            if anew && allocated != remote.allocated {
                remote.probing.change_port();
                effects.push(ForwardEffect::Unroute(session, remote.listen()));
            }
            // The server may have said yes in this moment to the request that ends here.
            let waited = std::mem::take(&mut remote.waits);
            if waited {
                effects.push(ForwardEffect::StopAsking(remote.id));
            }
            let taken_back = (anew || waited).then(|| remote.listen());
            let release = std::mem::take(&mut remote.release).then(|| remote.held()).flatten();
            let may_reclaim = able && allocated.is_some() && remote.backoff.may(now);
            let reclaim = may_reclaim.then(|| HeldAddress::of(&with_port(&remote.forward.listen, allocated))).flatten();
            let mode = ListenMode::Once { taken_back, release, reclaim };
            let target = remote.target(spec, remote.forward.listen.clone());
            effects.push(ForwardEffect::Listen(Box::new(ListenRequest { session, target, allocated, mode })));
        }
    }

    /// The server answered on the main session. `able`: the holder of a port or path may be ended.
    pub(in crate::tunnel) fn answered(
        &mut self,
        Requested { session, forward, listen, result, .. }: Requested,
        (able, spec, now): (bool, &TunnelSpec, Instant),
        effects: &mut Effects,
    ) -> Answer {
        let Some(remote) = self.get_mut(forward) else {
            // Taken out of the config while the server thought about it.
            if let Ok(port) = result {
                effects.push(ForwardEffect::CancelListen(session, with_port(&listen, port)));
            }
            return Answer::Nothing;
        };
        remote.asking = false;
        remote.waits = false;
        let error = match result {
            Ok(port) => {
                remote.accept(port, &spec.name, effects);
                // Its holder has gone: to be proven at once, and not as seldom as a stale one.
                if remote.taken.take_if(|report| report.is_done()).is_some() {
                    remote.probing.forget();
                }
                remote.backoff.granted();
                // A yes for half of the addresses is what a stale port gives, too.
                remote.taken.take_if(|_| !remote.probing.is_stale());
                remote.probing.begin(now);
                return Answer::Granted;
            }
            // The end of the session says why.
            Err(ForwardError::SessionEnded) => return Answer::Nothing,
            Err(error) => error,
        };
        let mut failure = judge(&error, &listen, spec.on_remote_port_busy);
        let answered = matches!(error, ForwardError::Refused { .. });
        let soon = again(&failure, answered, spec.on_remote_port_busy);
        if able
            && answered
            && failure.kind() == FailureKind::RemotePortBusy
            && remote.held().is_some()
            && remote.backoff.may(now)
        {
            // Not told yet: it may be free in a moment.
            remote.release = true;
            remote.again = Some(now);
            remote.state = ForwardState::Down(failure);
            remote.probing.forget();
            return Answer::Nothing;
        }
        if let Some(report) = remote.taken.as_ref().filter(|report| !report.is_done()) {
            failure = after_takeover(&failure, report, &listen);
        }
        remote.state = ForwardState::Down(failure.clone());
        remote.probing.forget();
        let forward = remote.forward.to_string();
        match soon {
            Some(schedule) if schedule == REMOTE_PORT && answered => {
                remote.waits = true;
                // A takeover is for the core to begin.
                let until = if able { remote.backoff.not_before() } else { None };
                let busy_since = *remote.busy_since.get_or_insert(now);
                let target = remote.target(spec, remote.forward.listen.clone());
                let (allocated, mode) = (remote.allocated, ListenMode::Until { refused: error, busy_since, until });
                effects.push(ForwardEffect::Listen(Box::new(ListenRequest { session, target, allocated, mode })));
            }
            Some(_) | None => {
                remote.busy_since = None;
                remote.again = soon.map(|schedule| now + schedule.drawn(0, remote.draw));
            }
        }
        Answer::Refused(ForwardFailed { failure, forward, fatal: true })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tunnel::core::TunnelEffect;
    use crate::tunnel::test_support::{forward, tunnel_spec};

    /// One remote forward of a tunnel that may take ports over, or not.
    struct Bench {
        remotes: Remotes,
        spec: TunnelSpec,
        effects: Effects,
        now: Instant,
    }

    const SESSION: u64 = 1;

    impl Bench {
        fn new() -> Self {
            Self::of("R7000:localhost:1")
        }

        fn of(rule: &str) -> Self {
            let (spec, mut remotes) = (tunnel_spec("t", &[rule]), Remotes::new(7));
            remotes.add(ForwardId::default(), forward(rule));
            let mut bench = Self { remotes, spec, effects: Effects::default(), now: tunnel_engine::clock::now() };
            bench.request_pending(false);
            bench
        }

        fn request_pending(&mut self, able: bool) {
            self.remotes.request_pending(SESSION.into(), (able, &self.spec, self.now), &mut self.effects);
        }

        fn request(&mut self) -> Option<ListenRequest> {
            match self.effects.pop() {
                Some(TunnelEffect::Forward(ForwardEffect::Listen(request))) => Some(*request),
                Some(TunnelEffect::Observe(_)) => self.request(),
                other => {
                    assert_eq!(other, None, "a request");
                    None
                }
            }
        }

        fn answered(&mut self, result: Result<Option<u16>, ForwardError>, able: bool) -> Answer {
            let (forward, listen) = (ForwardId::default(), self.spec.forwards[0].listen.clone());
            let answer = Requested { session: SESSION.into(), forward, listen, report: None, result };
            self.remotes.answered(answer, (able, &self.spec, self.now), &mut self.effects)
        }
    }

    fn refused() -> ForwardError {
        ForwardError::Refused { listen: "localhost:7000".to_owned(), reason: None }
    }

    #[test]
    fn port_is_asked_for_once_until_the_server_answers() {
        let mut bench = Bench::new();
        let request = bench.request().expect("a request");
        assert_eq!(request.mode, ListenMode::Once { taken_back: None, release: None, reclaim: None });
        bench.request_pending(false);
        assert_eq!(bench.request(), None);
        assert!(matches!(bench.answered(Ok(None), false), Answer::Granted) && bench.remotes.all_up());
    }

    #[test]
    fn busy_port_is_asked_for_on_the_same_session() {
        let mut bench = Bench::new();
        bench.request();
        assert!(matches!(bench.answered(Err(refused()), false), Answer::Refused(_)));
        let again = bench.request().expect("another request");
        assert_eq!(again.mode, ListenMode::Until { refused: refused(), busy_since: bench.now, until: None });
        bench.remotes.session_changed(&mut bench.effects);
        assert_eq!(bench.effects.pop(), Some(ForwardEffect::StopAsking(ForwardId::default()).into()));
    }

    #[test]
    fn holder_is_ended_before_a_busy_port_is_told_of() {
        let mut bench = Bench::new();
        bench.request();
        assert!(matches!(bench.answered(Err(refused()), true), Answer::Nothing));
        assert_eq!(bench.remotes.due(), Some(bench.now));
        bench.remotes.request_due(SESSION.into(), (true, &bench.spec, bench.now), &mut bench.effects);
        let request = bench.request().expect("a request");
        assert!(matches!(request.mode, ListenMode::Once { taken_back: None, release: Some(_), .. }), "{request:?}");
    }

    #[test]
    fn port_that_the_server_chose_is_reclaimed_on_the_next_session() {
        let mut bench = Bench::of("R0:localhost:1");
        bench.request();
        bench.answered(Ok(Some(4000)), true);
        for (able, reclaim) in [(true, Some(HeldAddress::Port(4000))), (false, None)] {
            bench.remotes.session_changed(&mut bench.effects);
            bench.request_pending(able);
            let request = bench.request().expect("a request");
            assert_eq!(request.mode, ListenMode::Once { taken_back: None, release: None, reclaim });
            bench.answered(Ok(Some(4000)), able);
        }
    }
}
