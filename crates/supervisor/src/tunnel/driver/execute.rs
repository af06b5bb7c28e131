//! What becomes of each effect.

use std::sync::Arc;

use futures_util::future::select_all;
use tunnel_engine::session::Session;

use super::super::core::{AwayServer, Effect, Event, Login, WatchFiles};
use super::super::observer::Occurrence;
use super::super::stamp_batch;
use super::super::start;
use super::super::takeover::hold_mark;
use super::drain::cancel;
use super::{Arrived, Driver, Ended};
use crate::lifecycle::SessionId;
use crate::supervise::reachability::{Endpoint, Reachability, ReachabilityRequest};

/// How long a new session's first answer is waited for. A server that takes longer has proven nothing, and the loss of
/// its session is answered with the backoff of one that throws us out.
const PROOF_WITHIN: std::time::Duration = std::time::Duration::from_secs(10);

impl Driver {
    pub(super) fn execute(&mut self, effect: Effect) {
        match effect {
            Effect::Login(login) => self.log_in(*login),
            Effect::AbandonLogin(session) => {
                for (_, job) in self.logins.extract_if(.., |(login, _)| *login == session) {
                    job.abort();
                }
            }
            Effect::Keep(session) => self.keep(session),
            Effect::Prove(session) => {
                self.with_session(session, async |session: Session, id| match session.ping(PROOF_WITHIN).await {
                    Ok(_) => Ended::With(Event::SessionProven(id)),
                    Err(_) => Ended::Quietly,
                })
            }
            Effect::ProbePath(session) => {
                if let Some(live) = self.session(session) {
                    live.session.probe_path();
                }
            }
            Effect::Serve(sessions) => self.serve(&sessions),
            Effect::Withdraw(session) => {
                if let Some(live) = self.session(session) {
                    live.withdrawn.cancel();
                }
            }
            Effect::Close(close) => self.close(*close),
            Effect::Disconnect(session) => {
                if let Some(live) = self.take_session(session) {
                    self.jobs.spawn(async move {
                        live.session.close().await;
                        Ended::Quietly
                    });
                }
            }
            Effect::TakeBack(session, listens) => self.with_session(session, async move |session: Session, id| {
                cancel(&session, &listens).await;
                Ended::With(Event::ListensTakenBack(id))
            }),
            Effect::Retire(retire) => self.retire(*retire),
            Effect::EndRetired(session) => {
                for (_, enough) in self.retired.extract_if(.., |(retired, _)| *retired == session) {
                    enough.cancel();
                }
            }
            Effect::DrainBy(None) => self.drain_by = tokio::sync::watch::Sender::new(None),
            Effect::DrainBy(until) => drop(self.drain_by.send_replace(until)),
            Effect::BypassHold => self.context.place.bypass_hold(),
            Effect::Mark(session) => self.mark(session),
            Effect::WatchServers(away) => self.watch_servers(away),
            Effect::StopWatchingServers => self.server_watch = None,
            Effect::KeepLink => {
                if let Some(Arrived::Link(endpoint, link)) = self.arrived.take() {
                    self.context.ready_link.put(endpoint, link);
                }
            }
            Effect::WatchFiles(watch) => self.watch_files(*watch),
            Effect::StopWatchingFiles => self.file_watch = None,
            Effect::Observe(occurrence) => self.observe(&occurrence),
            Effect::ObserveFailure(told) => {
                let (failure, forward) = (&told.0, told.1.as_deref());
                self.observe(&Occurrence::Failure { failure, forward });
            }
            Effect::Record(want, ready, cause, at) => {
                self.context.history.changed(&self.name, want, ready, cause.as_ref(), at);
            }
            Effect::Tell(event) => self.context.history.push(*event),
            Effect::RunOnChange(run) => self.on_change.push(run.0, run.1, &self.context.commands),
            Effect::EndOnChange => self.on_change.end(),
            Effect::Forward(effect) => self.execute_for_forward(effect),
        }
    }

    fn log_in(&mut self, Login { session, spec, files, last_up, scheduled }: Login) {
        let login = start::log_in(spec, self.context.clone(), files, last_up, scheduled);
        let job = self.jobs.spawn(async move {
            let (result, files) = login.await;
            match result {
                Ok(opened) => Ended::LoggedIn(session, opened, files),
                Err(failure) => Ended::LoginFailed(session, failure, files),
            }
        });
        self.logins.push((session, job));
    }

    fn mark(&mut self, session: SessionId) {
        let Some(live) = self.session(session).map(|live| live.session.clone()) else { return };
        let mark = self.marks.add(&live);
        self.jobs.spawn(async move {
            match hold_mark(&live, &mark).await {
                Ok(shell) => Ended::Marked(session, shell),
                Err(why) => Ended::With(Event::Marked(session, Err(why))),
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
            Ended::FilesChanged(session, look)
        }));
    }

    fn observe(&self, occurrence: &Occurrence<'_>) {
        if let Some(observer) = &self.context.observer {
            observer(occurrence);
        }
    }
}

/// Until the server is back, or is found to have been there.
async fn find(reachability: Reachability, endpoint: Endpoint, away: AwayServer) -> Ended {
    let AwayServer { spec, since: away_since, in_doubt, last_up, at_most_every, .. } = away;
    let host = spec.destination.clone();
    if in_doubt && reachability.is_there(&spec).await {
        return Ended::ServerThere(host);
    }
    let link =
        reachability.back(endpoint.clone(), &spec, ReachabilityRequest { last_up, away_since, at_most_every }).await;
    Ended::ServerBack(host, endpoint, link)
}
