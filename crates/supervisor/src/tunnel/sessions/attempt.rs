//! A start that the machine asked for.

use tokio::sync::watch;
use tokio::task::Id;
use tunnel_engine::clock;
use tunnel_engine::failure::Failure;

use super::super::actor::Actor;
use super::super::locals::Listening;
use super::dial::{Dial, Opened, Ticket};
use super::{Replacement, Row};
use crate::lifecycle::Input;

/// A start under way.
pub(in crate::tunnel) struct Attempt {
    epoch: u64,
    step: Step,
}

enum Step {
    /// Waits for local listeners, without which exit_on_forward_failure makes no session.
    Waiting(Row),
    Dialing(Dial),
}

impl Attempt {
    pub(super) fn has(&self, ticket: Ticket) -> bool {
        matches!(&self.step, Step::Dialing(dial) if dial.has(ticket))
    }

    pub(super) fn of_job(&self, job: Id) -> Option<Ticket> {
        match &self.step {
            Step::Dialing(dial) => dial.of_job(job),
            Step::Waiting(_) => None,
        }
    }
}

impl Actor {
    /// The machine wants a session: another host of the row under way, else a row of all.
    pub(in crate::tunnel) fn open(&mut self, epoch: u64) {
        // Those that have a deadline keep it.
        self.hurry = watch::Sender::new(None);
        // A login that was to replace the session that was lost is as good as a new one.
        if let Some(dial) = self.replacement.take().and_then(Replacement::into_dial) {
            self.server = dial.server.clone();
            self.attempt = Some(Attempt { epoch, step: Step::Dialing(dial) });
            self.bind_listeners();
            return;
        }
        let row = match self.row.take() {
            Some((next, row)) if next == epoch => row,
            Some(_) | None => Row::new(self.hosts.order(&self.destinations(), clock::now())),
        };
        self.attempt = Some(Attempt { epoch, step: Step::Waiting(row) });
        self.bind_listeners();
        self.dial_when_listening();
    }

    /// Goes on with an attempt that waits for local listeners.
    pub(in crate::tunnel) fn dial_when_listening(&mut self) {
        let listening = self.listening();
        let Some(Attempt { epoch, step: Step::Waiting(row) }) = &mut self.attempt else { return };
        let strict = self.spec.exit_on_forward_failure;
        match listening {
            Listening::Pending if strict => {}
            Listening::Failed(failure) if strict => {
                let epoch = *epoch;
                self.attempt = None;
                self.feed(Input::SessionEnded { epoch, kind: failure.kind(), unreached: None });
                self.tell_failure(failure, None);
            }
            Listening::Pending | Listening::Failed(_) | Listening::All => {
                let (epoch, row) = (*epoch, std::mem::take(row));
                if let Some(dial) = self.dial(row) {
                    self.server = dial.server.clone();
                    self.attempt = Some(Attempt { epoch, step: Step::Dialing(dial) });
                }
            }
        }
    }

    /// The login of the attempt ended.
    pub(super) fn opened(&mut self, result: Result<Opened, Failure>) {
        let Some(Attempt { epoch, step: Step::Dialing(mut dial) }) = self.attempt.take() else { return };
        match result {
            Ok(opened) => {
                self.go_live(epoch, opened);
                self.request_forwards();
                self.come_up_when_allowed();
            }
            Err(failure) => {
                let (kind, mut row) = (failure.kind(), std::mem::take(&mut dial.row));
                row.failed(kind, failure.unreached());
                if row.is_last() {
                    let (kind, unreached) = row.verdict(kind);
                    self.feed(Input::SessionEnded { epoch, kind, unreached });
                } else {
                    self.feed(Input::NextHost { epoch, kind });
                    self.row = Some((self.machine.epoch(), row));
                }
                self.tell_failure(failure, None);
            }
        }
    }
}
