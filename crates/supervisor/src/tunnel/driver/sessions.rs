//! The living sessions, and how each of them ends.

use futures_util::future::select_all;
use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;
use tunnel_engine::failure::{Failure, FailureKind};
use tunnel_engine::forward::RemoteForwards;
use tunnel_engine::session::{Path, Session};

use super::super::core::{Close, Retire, TunnelEvent};
use super::super::start::Opened;
use super::drain::{Drain, Retired};
use super::pool::{Member, Pool};
use super::{Arrived, JobEnd, TunnelDriver};
use crate::lifecycle::SessionId;

pub(super) struct OpenSession {
    pub(super) id: SessionId,
    pub(super) session: Session,
    /// Takes the connections that the server hands us.
    pub(super) routes: RemoteForwards,
    /// Another took over from it, because it does not answer.
    pub(super) withdrawn: CancellationToken,
    ended: watch::Receiver<Option<Failure>>,
    path: watch::Receiver<Path>,
}

/// What one of the sessions tells next; nothing, when there is none. Cancel-safe.
pub(super) async fn next_event(sessions: &mut [OpenSession]) -> TunnelEvent {
    let told: Vec<_> = sessions.iter_mut().map(|live| Box::pin(live.next_event())).collect();
    if told.is_empty() { std::future::pending().await } else { select_all(told).await.0 }
}

impl OpenSession {
    /// Cancel-safe.
    async fn next_event(&mut self) -> TunnelEvent {
        tokio::select! {
            biased;
            ended = self.ended.wait_for(Option::is_some) => {
                let unknown = || Failure::new(FailureKind::ConnectionLost, "the session ended without a reason");
                let failure = ended.ok().and_then(|failure| (*failure).clone());
                TunnelEvent::SessionEnded(self.id, failure.unwrap_or_else(unknown))
            }
            Ok(()) = self.path.changed() => TunnelEvent::PathChanged(self.id, *self.path.borrow_and_update()),
        }
    }
}

impl TunnelDriver {
    pub(super) fn session(&self, id: SessionId) -> Option<&OpenSession> {
        self.sessions.iter().find(|live| live.id == id)
    }

    /// Gives the session out: it is not used any more.
    pub(super) fn take_session(&mut self, id: SessionId) -> Option<OpenSession> {
        self.marks.release_shell(id);
        let at = self.sessions.iter().position(|live| live.id == id)?;
        Some(self.sessions.remove(at))
    }

    /// Spawns a job that works with a session.
    pub(super) fn with_session<F>(&mut self, id: SessionId, job: impl FnOnce(Session, SessionId) -> F)
    where
        F: Future<Output = JobEnd> + Send + 'static,
    {
        if let Some(session) = self.session(id).map(|live| live.session.clone()) {
            self.jobs.spawn(job(session, id));
        }
    }

    /// The session that has just been logged in is used from now on.
    pub(super) fn keep(&mut self, id: SessionId) {
        let Some(Arrived::Session(arrived, Opened { session, incoming })) = self.arrived.take() else { return };
        if arrived != id {
            return;
        }
        self.sessions.reserve_exact(1);
        self.sessions.push(OpenSession {
            id,
            routes: RemoteForwards::spawn(incoming),
            withdrawn: CancellationToken::new(),
            ended: session.ended(),
            path: session.path(),
            session,
        });
    }

    pub(super) fn serve(&self, sessions: &[SessionId]) {
        let members = sessions.iter().filter_map(|id| self.session(*id));
        let members = members.map(|live| Member { session: live.session.clone(), withdrawn: live.withdrawn.clone() });
        self.pool.send_replace(Pool::of(members.collect()));
    }

    pub(super) fn close(&mut self, Close { session: id, listens, tidy, until }: Close) {
        let tidy = self.session(id).filter(|_| tidy).map(|live| self.marks.tidy(&live.session, &listens));
        let Some(OpenSession { session, routes, .. }) = self.take_session(id) else {
            self.following.extend([TunnelEvent::PortsReleased, TunnelEvent::Closed(id)]);
            return;
        };
        let (released, ports_released) = oneshot::channel();
        self.jobs.spawn(async move {
            // The sender says nothing: it is dropped when the ports are free, or the session is gone.
            let _ = ports_released.await;
            JobEnd::With(TunnelEvent::PortsReleased)
        });
        let drain = Drain { session, listens, tidy: tidy.unwrap_or_default(), until, released };
        self.jobs.spawn(async move {
            drain.run().await;
            drop(routes);
            JobEnd::With(TunnelEvent::Closed(id))
        });
    }

    pub(super) fn retire(&mut self, Retire { session: id, listens, silent, until }: Retire) {
        let Some(OpenSession { session, routes, .. }) = self.take_session(id) else {
            self.following.push_back(TunnelEvent::RetiredEnded(id));
            return;
        };
        let enough = CancellationToken::new();
        self.retired.push((id, enough.clone()));
        let drain_by = self.drain_by.subscribe();
        let retired = Retired { session, routes, listens, silent, until, drain_by, enough };
        self.jobs.spawn(async move {
            retired.run().await;
            JobEnd::Retired(id)
        });
    }
}
