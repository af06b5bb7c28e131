//! One question to the server: will it listen, and does what it listens on carry?

use std::pin::pin;
use std::time::{Duration, Instant};

use tunnel_engine::clock;
use tunnel_engine::forward::{ProbeResult, RemoteTarget, Routes, probe_here, probe_local, probe_remote};
use tunnel_engine::session::{ForwardError, RemoteListen, Session};
use tunnel_engine::spec::Listen;

use super::super::core::Probe;
use super::super::refusal::{next_request, with_port};
use super::super::takeover::{Release, ReleaseReport};
use super::drain::cancel;
use crate::servers::takeovers::TakeoverTurns;

/// After so long an answer that stays the same is given back all the same, to be counted and told.
const TOLD_AGAIN: Duration = Duration::from_secs(60);

pub(super) struct ListenTask {
    pub(super) session: Session,
    pub(super) routes: Routes,
    pub(super) listen: Listen,
    pub(super) target: RemoteTarget,
    pub(super) takeovers: TakeoverTurns,
    /// `user@host:port`.
    pub(super) server: String,
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
        let mut report = None;
        if let Some(release) = release {
            // Of a stale port the server gives the half that it has.
            match self.take_over(release, allocated, taken_back.is_none()).await {
                Ok(released) => report = Some(released),
                Err(answer) => return (None, answer),
            }
        }
        if let Some(reclaim) = reclaim.filter(|_| allocated.is_some()) {
            let asked = self.ask_for(allocated).await;
            if !matches!(asked, Err(ForwardError::Refused { .. })) {
                return (report, asked);
            }
            match self.take_over(reclaim, allocated, true).await {
                Ok(released) => report = Some(released),
                Err(answer) => return (report, answer),
            }
        }
        (report, self.granted(allocated).await)
    }

    /// Has the port or path released, when it is this tunnel's turn at the server. Until then it is asked for by the schedule
    /// of a busy port, if `asks`: it may come free by itself, and `Err` is the answer then.
    async fn take_over(
        &self,
        release: Release,
        allocated: Option<u16>,
        asks: bool,
    ) -> Result<ReleaseReport, Result<Option<u16>, ForwardError>> {
        let (mut ended, since) = (self.session.ended(), clock::now());
        let mut turn = pin!(self.takeovers.turn(&self.server));
        loop {
            let next = next_request(clock::now(), since, fastrand::f64());
            let turn = tokio::select! {
                biased;
                turn = &mut turn => Some(turn),
                _ = ended.wait_for(Option::is_some) => return Err(Err(ForwardError::SessionEnded)),
                () = tokio::time::sleep_until(next.into()), if asks => None,
            };
            if let Some(_under_way) = turn {
                return Ok(release.run().await);
            }
            let answer = self.ask_for(allocated).await;
            if !matches!(answer, Err(ForwardError::Refused { .. })) {
                return Err(answer);
            }
        }
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
        if allocated.is_some() {
            let answer = self.ask_for(allocated).await;
            if !matches!(answer, Err(ForwardError::Refused { .. })) {
                return answer;
            }
        }
        self.ask_for(None).await
    }

    /// For this port, where the server chose it.
    async fn ask_for(&self, allocated: Option<u16>) -> Result<Option<u16>, ForwardError> {
        let answer = self.ask(with_port(&self.listen, allocated)).await;
        // A server says the port only when it chose it.
        answer.map(|port| allocated.or(port))
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
