//! A start that the machine asked for.

use tokio::sync::watch;
use tokio::task::Id;
use tunnel_engine::clock;
use tunnel_engine::failure::Failure;

use super::super::actor::Actor;
use super::super::locals::ListenSummary;
use super::dial::{Dial, LoginId, Opened};
use super::{HostSequence, Replacement};
use crate::lifecycle::Input;

/// A start under way.
pub(in crate::tunnel) struct LoginAttempt {
    epoch: u64,
    step: LoginPhase,
}

enum LoginPhase {
    /// Waits for local listeners, without which exit_on_forward_failure makes no session.
    Waiting(HostSequence),
    Dialing(Dial),
}

impl LoginAttempt {
    pub(super) fn has(&self, login: LoginId) -> bool {
        matches!(&self.step, LoginPhase::Dialing(dial) if dial.has(login))
    }

    pub(super) fn of_job(&self, job: Id) -> Option<LoginId> {
        match &self.step {
            LoginPhase::Dialing(dial) => dial.of_job(job),
            LoginPhase::Waiting(_) => None,
        }
    }
}

impl Actor {
    /// The machine wants a session: another host of the row under way, else a row of all.
    pub(in crate::tunnel) fn open(&mut self, epoch: u64) {
        // Those that have a deadline keep it.
        self.drain_deadline = watch::Sender::new(None);
        // A login that was to replace the session that was lost is as good as a new one.
        if let Some(dial) = self.replacement.take().and_then(Replacement::into_dial) {
            self.server = dial.server.clone();
            self.attempt = Some(LoginAttempt { epoch, step: LoginPhase::Dialing(dial) });
            self.bind_listeners();
            return;
        }
        let row = match self.row.take() {
            Some((next, row)) if next == epoch => row,
            Some(_) | None => HostSequence::new(self.hosts.order(&self.destinations(), clock::now())),
        };
        self.attempt = Some(LoginAttempt { epoch, step: LoginPhase::Waiting(row) });
        self.bind_listeners();
        self.dial_when_listening();
    }

    /// Goes on with an attempt that waits for local listeners.
    pub(in crate::tunnel) fn dial_when_listening(&mut self) {
        let listening = self.listening();
        let Some(LoginAttempt { epoch, step: LoginPhase::Waiting(row) }) = &mut self.attempt else { return };
        let strict = self.spec.exit_on_forward_failure;
        match listening {
            ListenSummary::Pending if strict => {}
            ListenSummary::Failed(failure) if strict => {
                let epoch = *epoch;
                self.attempt = None;
                self.feed(Input::SessionEnded { epoch, kind: failure.kind(), unreached: None });
                self.log_failure(failure, None);
            }
            ListenSummary::Pending | ListenSummary::Failed(_) | ListenSummary::All => {
                let (epoch, row) = (*epoch, std::mem::take(row));
                if let Some(dial) = self.dial(row) {
                    self.server = dial.server.clone();
                    self.attempt = Some(LoginAttempt { epoch, step: LoginPhase::Dialing(dial) });
                }
            }
        }
    }

    /// The login of the attempt ended.
    pub(super) fn opened(&mut self, result: Result<Opened, Failure>) {
        let Some(LoginAttempt { epoch, step: LoginPhase::Dialing(mut dial) }) = self.attempt.take() else { return };
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
                self.log_failure(failure, None);
            }
        }
    }
}
