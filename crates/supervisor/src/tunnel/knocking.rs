//! While a tunnel waits because its server is away: somebody asks whether it is back.

use std::time::Instant;

use tokio::task::AbortHandle;
use tunnel_engine::clock;
use tunnel_engine::dial::Link;
use tunnel_engine::failure::Failure;

use super::actor::{Actor, Event};
use crate::config::BackoffKind;
use crate::lifecycle::{Input, Phase};
use crate::supervise::knocker::{Door, Waiting, first_hop};

/// What a tunnel knows of its server's absence.
#[derive(Default)]
pub(super) struct Knocking {
    /// Since when the first machine on the way cannot be reached.
    away_since: Option<Instant>,
    job: Option<AbortHandle>,
}

impl Knocking {
    /// While somebody asks: since when the server has been away.
    pub(super) fn watched_since(&self) -> Option<Instant> {
        self.away_since.filter(|_| self.job.is_some())
    }

    fn stop(&mut self) {
        if let Some(job) = self.job.take() {
            job.abort();
        }
    }
}

impl Actor {
    /// A start failed: at the level of TCP, or later.
    pub(super) fn note_absence(&mut self, failure: &Failure) {
        if failure.is_unreached() {
            self.knocking.away_since.get_or_insert_with(clock::now);
        } else {
            self.knocking.away_since = None;
        }
    }

    /// Another network: the outage begins anew.
    pub(super) fn forget_absence(&mut self) {
        self.knocking.stop();
        if let Some(since) = &mut self.knocking.away_since {
            *since = clock::now();
        }
    }

    /// Has the server watched while the tunnel waits for it, and at no other time. autossh's formula knows no such thing.
    pub(super) fn keep_knocking(&mut self) {
        let phase = self.machine.phase();
        if phase == Phase::Up {
            self.knocking.away_since = None;
        }
        let ours = self.machine.policy().backoff.kind == BackoffKind::Exponential && phase == Phase::Backoff;
        let away_since = self.knocking.away_since.filter(|_| ours && first_hop(&self.spec.session).is_some());
        match (away_since, self.knocking.job.is_some()) {
            (Some(away_since), false) => {
                let at_most_every = self.machine.policy().backoff.min;
                let wish = Waiting { last_up: self.last_up, away_since, at_most_every };
                let (knocker, spec) = (self.context.knocker.clone(), self.spec.session.clone());
                let job = self.jobs.spawn(async move { Event::ServerBack { link: knocker.back(&spec, wish).await } });
                self.knocking.job = Some(job);
            }
            (None, true) => self.knocking.stop(),
            (Some(_), true) | (None, false) => {}
        }
    }

    /// The server can be reached; perhaps the connection is ours.
    pub(super) fn server_back(&mut self, link: Option<Link>) {
        self.knocking.job = None;
        if self.machine.phase() != Phase::Backoff {
            return;
        }
        if let Some((door, link)) = Door::of(&self.spec.session).zip(link) {
            self.context.ready_link.put(door, link);
        }
        self.feed(Input::PathBack);
    }
}
