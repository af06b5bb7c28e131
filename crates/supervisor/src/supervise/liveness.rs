//! Whether every tunnel's loop still turns: asked at each watchdog tick, answered before the next.

use tokio::sync::oneshot::{self, error::TryRecvError};

/// The questions of one round.
#[derive(Default)]
pub(super) struct Round {
    asked: Vec<(String, oneshot::Receiver<()>)>,
    /// Questions that could not be put, kept so that they stay unanswered.
    kept: Vec<oneshot::Sender<()>>,
}

impl Round {
    /// One more question; give the sender to the tunnel.
    pub(super) fn ask(&mut self, tunnel: &str) -> oneshot::Sender<()> {
        let (sender, receiver) = oneshot::channel();
        self.asked.push((tunnel.to_owned(), receiver));
        sender
    }

    /// The question could not be put.
    pub(super) fn keep(&mut self, question: oneshot::Sender<()>) {
        self.kept.push(question);
    }

    /// Who did not answer. A tunnel that was ended meanwhile has dropped the question, which is an answer.
    pub(super) fn silent(self) -> Vec<String> {
        let answered = |receiver: &mut oneshot::Receiver<()>| receiver.try_recv() != Err(TryRecvError::Empty);
        self.asked.into_iter().filter_map(|(name, mut asked)| (!answered(&mut asked)).then_some(name)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_those_that_neither_answered_nor_ended_are_silent() {
        let mut round = Round::default();
        let answers = round.ask("answers");
        let ended = round.ask("ended");
        let stuck = round.ask("stuck");
        round.keep(stuck);
        answers.send(()).unwrap();
        drop(ended);
        assert_eq!(round.silent(), ["stuck"]);
    }
}
