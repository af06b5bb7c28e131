//! The keepalive: asks a silent peer for a sign of life, raises doubt early, and ends the session when none comes.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::link::Shared;
use super::liveness::{Patience, Verdict};
use super::path::{Judge, Next, Sample};
use super::requests::Line;
use crate::alarm::Alarm;
use crate::clock;
use crate::dial::is_gone;
use crate::failure::{Failure, FailureKind};

/// For a question outside the keepalive, on a session without one.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);

/// One session's.
struct Watchdog {
    line: Arc<Line>,
    /// `None`: the keepalive is off, and the session is never ended from here.
    patience: Option<Patience>,
    /// Our address on the link.
    local: Option<SocketAddr>,
    judge: Judge,
    question: Option<Question>,
}

/// A ping that is not answered yet.
struct Question {
    put: Instant,
    answer: Pin<Box<dyn Future<Output = ()> + Send>>,
}

/// Watches until the peer is dead or the session over. It reads only what the wire has noted, so it also sees a
/// peer that died while russh's loop waits for it to take our bytes.
pub(super) async fn watch(line: Arc<Line>, patience: Option<Patience>, local: Option<SocketAddr>) {
    let shared = line.shared.clone();
    let mut watchdog = Watchdog { line, patience, local, judge: Judge::new(clock::now()), question: None };
    if patience.is_some() {
        // For the round trip.
        watchdog.ask();
    }
    let mut alarm = Alarm::default();
    loop {
        let written = shared.wire.bytes().1;
        let Some(Next { look_again, .. }) = watchdog.look() else { return };
        let deadline = [look_again, watchdog.keepalive_due()].into_iter().flatten().min();
        tokio::select! {
            () = shared.ending.gone().cancelled() => return,
            () = shared.examine.notified() => watchdog.judge.examine(shared.wire.bytes().0, clock::now()),
            () = answered(watchdog.question.as_mut()) => watchdog.question = None,
            () = alarm.wait(deadline) => {}
            // An idle session costs nothing until it writes.
            () = shared.wire.wrote(written), if look_again.is_none() => {}
        }
    }
}

impl Watchdog {
    /// `None`: the peer is dead, and the session has been told.
    fn look(&mut self) -> Option<Next> {
        let now = clock::now();
        match self.patience.map(|patience| patience.judge(&self.line.shared.wire.signs(), now)) {
            Some(Verdict::Silent) => return self.dead("said nothing"),
            Some(Verdict::Stalled) => return self.dead("took nothing"),
            Some(Verdict::Alive { .. }) | None => {}
        }
        let seen = self.sample();
        let before = self.judge.path();
        let next = self.judge.judge(&seen, now);
        if self.judge.path() != before {
            self.line.shared.path.send_replace(self.judge.path());
        }
        if next.ask || self.silent_since(now) {
            self.ask();
        }
        Some(next)
    }

    fn sample(&self) -> Sample {
        let wire = &self.line.shared.wire;
        let signs = wire.signs();
        let unanswered_since = wire.unanswered_since();
        // When the last word was the peer's, there is nothing to ask the kernel.
        let worth_it = unanswered_since.is_some() || self.judge.is_suspicious();
        Sample {
            bytes_in: wire.bytes().0,
            last_byte: signs.last_byte,
            unanswered_since,
            unanswered_bytes: wire.unanswered_bytes(),
            reading: signs.reading_since.is_some(),
            look: worth_it.then(|| wire.look()).flatten(),
            rtt: self.line.rtt(),
            asked_at: self.question.as_ref().map(|question| question.put),
            may_ask: self.patience.is_some(),
            address_gone: self.judge.is_suspicious() && self.local.is_some_and(is_gone),
        }
    }

    /// The peer has said nothing for one interval, and was not asked.
    fn silent_since(&self, now: Instant) -> bool {
        self.ask_due().is_some_and(|due| due <= now)
    }

    fn ask_due(&self) -> Option<Instant> {
        let patience = self.patience.filter(|_| self.question.is_none())?;
        Some(self.line.shared.wire.signs().last_byte + patience.interval())
    }

    /// When the keepalive has to ask, or to judge.
    fn keepalive_due(&self) -> Option<Instant> {
        let verdict = self.patience?.judge(&self.line.shared.wire.signs(), clock::now());
        let dead = match verdict {
            Verdict::Alive { look_again } => Some(look_again),
            Verdict::Silent | Verdict::Stalled => None,
        };
        [dead, self.ask_due()].into_iter().flatten().min()
    }

    fn ask(&mut self) {
        let (line, timeout) = (self.line.clone(), self.patience.map_or(ANSWER_WITHIN, |patience| patience.interval()));
        let put = clock::now();
        let answer = Box::pin(async move {
            // Its failure is no news: the judges go by the silence. But it is not asked again before its time.
            if line.ping(timeout).await.is_err() {
                tokio::time::sleep_until((put + timeout).into()).await;
            }
        });
        self.question = Some(Question { put, answer });
    }

    fn dead(&self, what: &str) -> Option<Next> {
        let limit = self.patience.map_or(ANSWER_WITHIN, |patience| patience.limit());
        end(&self.line.shared, what, limit);
        None
    }
}

async fn answered(question: Option<&mut Question>) {
    match question {
        Some(question) => question.answer.as_mut().await,
        None => std::future::pending().await,
    }
}

fn end(shared: &Shared, what: &str, limit: Duration) {
    let message = format!("`{}` {what} for {}s (keepalive)", shared.who, limit.as_secs_f64());
    shared.ending.end(Failure::new(FailureKind::KeepaliveTimeout, message));
    shared.wire.cut_in_silence();
}
