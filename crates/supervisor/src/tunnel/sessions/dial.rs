//! One login under way.

use std::time::Instant;

use tokio::task::{AbortHandle, Id};
use tunnel_engine::clock;
use tunnel_engine::failure::Failure;
use tunnel_engine::session::{IncomingChannels, Session};
use tunnel_engine::spec::{Destination, SessionSpec};

use super::super::actor::{Actor, TunnelEvent};
use super::super::file_stamps::{FileStamps, WatchedFiles};
use super::super::handle::Context;
use super::super::start::{self, StampsBefore};
use super::HostSequence;

/// A session that has just been authenticated.
pub(in crate::tunnel) struct Opened {
    pub(super) session: Session,
    pub(super) incoming: IncomingChannels,
    pub(super) server: Destination,
}

/// What came of a login.
pub(in crate::tunnel) struct Dialed {
    pub(in crate::tunnel) result: Result<Opened, Failure>,
    /// How the files that it reads looked before; `None` where the server was not reached.
    pub(in crate::tunnel) before: Option<FileStamps>,
}

/// Names one login: whoever holds it when the result comes takes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::tunnel) struct LoginId(u64);

/// A login under way. Dropping it gives it up.
pub(in crate::tunnel) struct Dial {
    login: LoginId,
    job: AbortHandle,
    pub(super) server: Destination,
    /// The hosts that follow when this one fails.
    pub(super) row: HostSequence,
}

impl Dial {
    pub(super) fn has(&self, login: LoginId) -> bool {
        self.login == login
    }

    pub(super) fn of_job(&self, job: Id) -> Option<LoginId> {
        (self.job.id() == job).then_some(self.login)
    }
}

impl Drop for Dial {
    fn drop(&mut self) {
        self.job.abort();
    }
}

impl Actor {
    /// All hosts of the config, in order of preference.
    pub(super) fn destinations(&self) -> Vec<&Destination> {
        self.spec.servers().map(|spec| &spec.destination).collect()
    }

    /// The place of the host in use among them; the last one for a host that is no longer among them.
    pub(super) fn place(&self) -> usize {
        let hosts = self.destinations();
        hosts.iter().position(|host| **host == self.server).unwrap_or(hosts.len().saturating_sub(1))
    }

    /// Logs in to the next host of the row; `None` when there is none left.
    pub(super) fn dial(&mut self, mut row: HostSequence) -> Option<Dial> {
        let place = row.next()?;
        let spec = self.spec.servers().nth(place)?.clone();
        let server = spec.destination.clone();
        self.dials += 1;
        let login = LoginId(self.dials);
        let watched = WatchedFiles::of(&spec, &self.spec.ssh_config_files);
        let scheduled = self.live.is_none() && self.machine.is_scheduled();
        let start = begin(spec, self.context.clone(), watched, self.last_up, scheduled);
        let job = self.jobs.spawn(async move { TunnelEvent::Dialed { login, dialed: start.await } });
        Some(Dial { login, job, server, row })
    }
}

/// One start: the server's turn first, then all of it before `connect_timeout`.
async fn begin(
    spec: SessionSpec,
    context: Context,
    watched: WatchedFiles,
    last_up: Option<Instant>,
    scheduled: bool,
) -> Dialed {
    let permit = context.governor.permit_at(&context.place, &spec, last_up).await;
    let first_look = StampsBefore::at(watched);
    let result = start::session(&spec, &context, scheduled, &first_look).await;
    let outcome = result.as_ref().map(drop).map_err(Failure::kind);
    permit.finish(&spec.destination.host_port(), outcome);
    let result = result.map(|(session, incoming)| Opened { session, incoming, server: spec.destination });
    Dialed { result, before: first_look.take() }
}

impl Actor {
    /// A login ended.
    pub(in crate::tunnel) fn dialed(&mut self, login: LoginId, Dialed { result, before }: Dialed) {
        let now = clock::now();
        if self.attempt.as_ref().is_some_and(|attempt| attempt.has(login)) {
            self.looked_before(before);
            self.learn(self.server.clone(), result.is_ok(), now);
            self.opened(result);
        } else if let Some(dial) = self.replacement.as_mut().and_then(|replacement| replacement.take_dial(login)) {
            self.learn(dial.server.clone(), result.is_ok(), now);
            self.replaced(dial, result);
        } else if self.extras.has(login) {
            self.extra_dialed(login, result);
        }
    }

    fn learn(&mut self, host: Destination, worked: bool, now: Instant) {
        if worked {
            self.hosts.worked(&host);
        } else if !self.spec.fallbacks.is_empty() {
            self.hosts.failed(&host, now);
        }
    }

    /// The ticket of the login that this job was.
    pub(in crate::tunnel) fn ticket_of(&self, job: Id) -> Option<LoginId> {
        let attempt = self.attempt.as_ref().and_then(|attempt| attempt.of_job(job));
        let replacement = || self.replacement.as_ref().and_then(|replacement| replacement.of_job(job));
        attempt.or_else(replacement).or_else(|| self.extras.of_job(job))
    }
}
