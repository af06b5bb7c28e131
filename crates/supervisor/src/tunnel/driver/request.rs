//! One question to the server: will it listen, and does what it listens on carry?

use std::time::{Duration, Instant};

use tunnel_engine::clock;
use tunnel_engine::forward::{ProbeResult, RemoteTarget, Routes, probe_here, probe_local, probe_remote};
use tunnel_engine::session::{ForwardError, RemoteListen, Session};
use tunnel_engine::spec::Listen;

use super::super::core::Probe;
use super::super::refusal::{next_request, with_port};
use super::super::takeover::{Release, ReleaseReport};
use super::drain::cancel;

/// After so long an answer that stays the same is given back all the same, to be counted and told.
const TOLD_AGAIN: Duration = Duration::from_secs(60);

pub(super) struct ListenTask {
    pub(super) session: Session,
    pub(super) routes: Routes,
    pub(super) listen: Listen,
    pub(super) target: RemoteTarget,
}

impl ListenTask {
    /// Asks once, after `taken_back` is cancelled and `release` is done. The port of last time is asked for first, where
    /// the server chose it: people have written it down. Refused, it is asked for once more after `reclaim` has freed it.
    pub(super) async fn run(
        self,
        allocated: Option<u16>,
        taken_back: Option<Listen>,
        release: Option<Release>,
        reclaim: Option<Release>,
    ) -> (Option<ReleaseReport>, Result<Option<u16>, ForwardError>) {
        if let Some(listen) = &taken_back {
            cancel(&self.session, std::slice::from_ref(listen)).await;
        }
        let mut report = match release {
            Some(release) => Some(release.run().await),
            None => None,
        };
        if let (Some(port), Some(reclaim)) = (allocated, reclaim) {
            let asked = self.ask(with_port(&self.listen, allocated)).await;
            if !matches!(asked, Err(ForwardError::Refused { .. })) {
                // A server says the port only when it chose it.
                return (report, asked.map(|_| Some(port)));
            }
            report = Some(reclaim.run().await);
        }
        (report, self.granted(allocated).await)
    }

    /// Asks again and again, by the schedule of a port that has been busy since `busy_since`, until the server says another
    /// thing than it `refused` with; at `until` at the latest, and once a minute. What others see of the forward does not
    /// change meanwhile, so a question that changes nothing costs nothing but itself.
    pub(super) async fn request_until_granted(
        self,
        allocated: Option<u16>,
        refused: ForwardError,
        busy_since: Instant,
        until: Option<Instant>,
    ) -> Result<Option<u16>, ForwardError> {
        let told_again = clock::now() + TOLD_AGAIN;
        let until = until.map_or(told_again, |until| until.min(told_again));
        loop {
            let next = next_request(clock::now(), busy_since, fastrand::f64());
            tokio::time::sleep_until(next.into()).await;
            let answer = self.granted(allocated).await;
            if answer.as_ref() != Err(&refused) || clock::now() >= until {
                return answer;
            }
        }
    }

    async fn granted(&self, allocated: Option<u16>) -> Result<Option<u16>, ForwardError> {
        if let Some(port) = allocated {
            match self.ask(with_port(&self.listen, Some(port))).await {
                Err(ForwardError::Refused { .. }) => {}
                // A server says the port only when it chose it.
                Ok(_) => return Ok(Some(port)),
                Err(error @ (ForwardError::Timeout { .. } | ForwardError::SessionEnded)) => return Err(error),
            }
        }
        self.ask(self.listen.clone()).await
    }

    async fn ask(&self, listen: Listen) -> Result<Option<u16>, ForwardError> {
        let (routes, target, asked) = (self.routes.clone(), self.target.clone(), listen.clone());
        let granted = move |port| routes.add(RemoteListen::of(&with_port(&asked, port)), target);
        self.session.request_forward_then(&listen, granted).await
    }
}

pub(super) async fn probe(probe: Probe, session: &Session, routes: &Routes) -> ProbeResult {
    let Some(listen) = &probe.listen else {
        // A local forward that nothing is asked about has no probe due.
        let Some(check) = probe.target else { return ProbeResult::Nothing };
        return probe_local(session, &probe.connect, &check).await;
    };
    let came = probe_remote(session, routes, &RemoteListen::of(listen)).await;
    match (&came, probe.target) {
        (ProbeResult::Up(_) | ProbeResult::Unverified(_), Some(check)) => {
            let here = probe_here(&probe.connect, probe.family, &check).await;
            if matches!(here, ProbeResult::Up(_)) { came } else { here }
        }
        (ProbeResult::Up(_) | ProbeResult::Unverified(_), None)
        | (ProbeResult::Stale(_) | ProbeResult::Down(_) | ProbeResult::Nothing, _) => came,
    }
}
