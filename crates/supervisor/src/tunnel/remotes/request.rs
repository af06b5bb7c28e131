//! The requests to listen, and what the server answers.

use tunnel_engine::failure::FailureKind;
use tunnel_engine::session::ForwardError;

use super::super::core::{Core, ForwardEffect, ListenMode, ListenRequest, Requested};
use super::super::forward_id::ForwardId;
use super::super::refusal::{ASK_AGAIN, again, judge, with_port};
use super::super::state::ForwardState;
use super::Remote;
use super::holder::after_takeover;

impl Core {
    /// The main session is another one, or there is none: what was asked for on it is not waited for any more.
    pub(in crate::tunnel) fn forget_requests(&mut self) {
        for forward in self.remotes.session_changed() {
            self.effect(ForwardEffect::StopAsking(forward));
        }
    }

    /// Asks the server to listen, for every remote forward that is not in place.
    pub(in crate::tunnel) fn request_forwards(&mut self) {
        // A session of ours that is being closed has yet to give them up.
        if !self.sessions.are_ports_held() {
            self.request_where(|remote| remote.state == ForwardState::Pending, false);
        }
    }

    pub(in crate::tunnel) fn retry_requests(&mut self) {
        let now = self.now.awake;
        self.request_where(|remote| remote.again.is_some_and(|at| at <= now), false);
    }

    /// The server has this listener taken back, and asks for it anew: what it had was not ours, or no program's. Of the
    /// ports that it may choose, another program's is none: it chooses another one.
    pub(in crate::tunnel) fn ask_anew(&mut self, id: ForwardId) {
        let (now, able) = (self.now.awake, self.may_take_over());
        if let Some(remote) = self.remotes.get_mut(id) {
            remote.release = able && remote.probing.is_stale() && remote.held().is_some() && remote.backoff.may(now);
        }
        self.request_where(|remote| remote.id == id && remote.state == ForwardState::Up, true);
    }

    fn request_where(&mut self, wanted: impl Fn(&Remote) -> bool, anew: bool) {
        let Some(session) = self.sessions.main.as_ref().map(|live| live.id) else { return };
        let mut effects = Vec::new();
        for remote in self.remotes.entries.iter_mut().filter(|remote| !remote.asking && wanted(remote)) {
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
            let mode = ListenMode::Once { taken_back, release };
            let target = remote.target(&self.spec, remote.forward.listen.clone());
            effects.push(ForwardEffect::Listen(Box::new(ListenRequest { session, target, allocated, mode })));
        }
        effects.into_iter().for_each(|effect| self.effect(effect));
    }

    /// The server answered.
    pub(in crate::tunnel) fn requested(&mut self, Requested { session, forward, listen, report, result }: Requested) {
        if let Some(report) = report {
            self.taken_over(session, forward, report);
        }
        let able = self.may_take_over();
        let Some(live) = self.sessions.main.as_ref().filter(|live| live.id == session) else { return };
        let (took_over, now) = (live.took_over, self.now.awake);
        let Some(remote) = self.remotes.get_mut(forward) else {
            // Taken out of the config while the server thought about it.
            if let Ok(port) = result {
                self.effect(ForwardEffect::CancelListen(session, with_port(&listen, port)));
            }
            return;
        };
        remote.asking = false;
        remote.waits = false;
        let error = match result {
            Ok(port) => {
                remote.accept(port, &self.spec.name);
                // Its holder has gone: to be proven at once, and not as seldom as a stale one.
                if remote.taken.take_if(|report| report.is_done()).is_some() {
                    remote.probing.forget();
                }
                remote.backoff.granted();
                // A yes for half of the addresses is what a stale port gives, too.
                remote.taken.take_if(|_| !remote.probing.is_stale());
                remote.probing.begin(now);
                return self.come_up_when_allowed();
            }
            // The end of the session says why.
            Err(ForwardError::SessionEnded) => return,
            Err(error) => error,
        };
        let mut failure = judge(&error, &listen);
        let answered = matches!(error, ForwardError::Refused { .. });
        let soon = again(&failure, answered, self.spec.on_remote_port_busy);
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
            return;
        }
        if let Some(report) = remote.taken.as_ref().filter(|report| !report.is_done()) {
            failure = after_takeover(&failure, report, &listen);
        }
        remote.state = ForwardState::Down(failure.clone());
        remote.probing.forget();
        let name = remote.forward.to_string();
        match soon {
            Some(ASK_AGAIN) if answered => {
                remote.waits = true;
                // A takeover is for the core to begin.
                let until = if able { remote.backoff.not_before() } else { None };
                let target = remote.target(&self.spec, remote.forward.listen.clone());
                let (allocated, mode) = (remote.allocated, ListenMode::Until { refused: error, until });
                self.effect(ForwardEffect::Listen(Box::new(ListenRequest { session, target, allocated, mode })));
            }
            Some(_) | None => remote.again = soon.map(|wait| now + wait),
        }
        if self.spec.exit_on_forward_failure && !took_over {
            self.give_up_session(failure, Some(&name));
        } else {
            self.note_failure(failure, Some(&name));
        }
    }
}
