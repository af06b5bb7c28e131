//! What becomes of each effect.

use std::sync::Arc;

use futures_util::future::select_all;
use tunnel_engine::session::Session;

use super::super::core::{AwayServer, Login, TunnelEffect, TunnelEvent, WatchFiles};
use super::super::observer::Occurrence;
use super::super::stamp_batch;
use super::super::start::{self, LoginEnd};
use super::super::takeover::hold_mark;
use super::drain::cancel;
use super::{Arrived, JobEnd, TunnelDriver};
use crate::lifecycle::SessionId;
use crate::servers::reachability::{Endpoint, Reachability, ReachabilityRequest};

/// How long a new session's first answer is waited for. A server that takes longer has proven nothing, and the loss of
/// its session is answered with the backoff of one that throws us out.
const PROOF_WITHIN: std::time::Duration = std::time::Duration::from_secs(10);

impl TunnelDriver {
    pub(super) fn execute(&mut self, effect: TunnelEffect) {
        match effect {
            TunnelEffect::Login(login) => self.log_in(*login),
            TunnelEffect::AbandonLogin(session) => {
                for (_, job) in self.logins.extract_if(.., |(login, _)| *login == session) {
                    job.abort();
                }
            }
            TunnelEffect::Keep(session) => self.keep(session),
            TunnelEffect::Prove(session) => {
                self.with_session(session, async |session: Session, id| match session.ping(PROOF_WITHIN).await {
                    Ok(_) => JobEnd::With(TunnelEvent::SessionProven(id)),
                    Err(_) => JobEnd::Quietly,
                })
            }
            TunnelEffect::ProbePath(session) => {
                if let Some(live) = self.session(session) {
                    live.session.probe_path();
                }
            }
            TunnelEffect::Serve(sessions) => self.serve(&sessions),
            TunnelEffect::Withdraw(session) => {
                if let Some(live) = self.session(session) {
                    live.withdrawn.cancel();
                }
            }
            TunnelEffect::Close(close) => self.close(*close),
            TunnelEffect::Disconnect(session) => {
                if let Some(live) = self.take_session(session) {
                    self.jobs.spawn(async move {
                        live.session.close().await;
                        JobEnd::Quietly
                    });
                }
            }
            TunnelEffect::TakeBack(session, listens) => {
                self.with_session(session, async move |session: Session, id| {
                    cancel(&session, &listens).await;
                    JobEnd::With(TunnelEvent::ListensTakenBack(id))
                })
            }
            TunnelEffect::Retire(retire) => self.retire(*retire),
            TunnelEffect::EndRetired(session) => {
                for (_, enough) in self.retired.extract_if(.., |(retired, _)| *retired == session) {
                    enough.cancel();
                }
            }
            TunnelEffect::DrainBy(None) => self.drain_by = tokio::sync::watch::Sender::new(None),
            TunnelEffect::DrainBy(until) => drop(self.drain_by.send_replace(until)),
            TunnelEffect::BypassHold => self.context.place.bypass_hold(),
            TunnelEffect::Mark(session) => self.mark(session),
            TunnelEffect::WatchServers(away) => self.watch_servers(away),
            TunnelEffect::StopWatchingServers => self.server_watch = None,
            TunnelEffect::KeepLink => {
                if let Some(Arrived::Link(endpoint, link)) = self.arrived.take() {
                    self.context.ready_link.put(endpoint, link);
                }
            }
            TunnelEffect::WatchFiles(watch) => self.watch_files(*watch),
            TunnelEffect::StopWatchingFiles => self.file_watch = None,
            TunnelEffect::Observe(occurrence) => self.observe(&occurrence),
            TunnelEffect::ObserveFailure(told) => {
                let (failure, forward) = (&told.0, told.1.as_deref());
                self.observe(&Occurrence::Failure { failure, forward });
            }
            TunnelEffect::Record(want, ready, cause, at) => {
                self.context.history.changed(&self.name, want, ready, cause.as_ref(), at);
            }
            TunnelEffect::Tell(event) => self.context.history.push(*event),
            TunnelEffect::RunOnChange(run) => self.on_change.push(run.0, run.1, &self.context.commands),
            TunnelEffect::EndOnChange => self.on_change.end(),
            TunnelEffect::Forward(effect) => self.execute_for_forward(effect),
        }
    }

    fn log_in(&mut self, Login { session, spec, files, last_up, scheduled }: Login) {
        if let Some(failure) = start::known_refusal(&spec, &self.context).filter(|_| scheduled) {
            return self.following.push_back(TunnelEvent::LoginFailed { session, failure, files: None });
        }
        let login = start::log_in(spec, self.context.clone(), files, last_up, scheduled);
        let job = self.jobs.spawn(async move {
            let LoginEnd { result, files } = login.await;
            match result {
                Ok(opened) => JobEnd::LoggedIn(session, opened, files),
                Err(failure) => JobEnd::With(TunnelEvent::LoginFailed { session, failure, files }),
            }
        });
        self.logins.push((session, job));
    }

    fn mark(&mut self, session: SessionId) {
        let Some(live) = self.session(session).map(|live| live.session.clone()) else { return };
        let mark = self.marks.add(&live);
        self.jobs.spawn(async move {
            match hold_mark(&live, &mark).await {
                Ok(shell) => JobEnd::Marked(session, shell),
                Err(why) => JobEnd::With(TunnelEvent::Marked(session, Err(why))),
            }
        });
    }

    fn watch_servers(&mut self, away: Vec<AwayServer>) {
        let asked = away.into_iter().filter_map(|away| {
            let endpoint = Endpoint::at(&away.spec, away.at)?;
            Some(Box::pin(find(self.context.reachability.clone(), endpoint, away)))
        });
        let asked: Vec<_> = asked.collect();
        if !asked.is_empty() {
            self.server_watch = Some(self.jobs.spawn_owned(async move { select_all(asked).await.0 }));
        }
    }

    fn watch_files(&mut self, WatchFiles { session, files, before, blocked_since }: WatchFiles) {
        self.file_watch = Some(self.jobs.spawn_owned(async move {
            let look = stamp_batch::changed(Arc::new(files), before, blocked_since).await;
            JobEnd::FilesChanged(session, look)
        }));
    }

    fn observe(&self, occurrence: &Occurrence<'_>) {
        if let Some(observer) = &self.context.observer {
            observer(occurrence);
        }
    }
}

/// Until the server is back, or is found to have been there.
async fn find(reachability: Reachability, endpoint: Endpoint, away: AwayServer) -> JobEnd {
    let AwayServer { spec, since: away_since, in_doubt, last_up, at_most_every, .. } = away;
    let host = spec.destination.clone();
    if in_doubt && reachability.is_there(&spec).await {
        return JobEnd::ServerThere(host);
    }
    let link =
        reachability.back(endpoint.clone(), &spec, ReachabilityRequest { last_up, away_since, at_most_every }).await;
    JobEnd::ServerBack(host, endpoint, link)
}
