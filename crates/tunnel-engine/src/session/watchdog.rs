//! The keepalive: asks the server whether it is alive, raises doubt early, and ends the session when no answer comes.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::answer_wait::{AnswerWait, WaitFacts};
use super::link::SessionShared;
use super::liveness::{AliveLimit, LinkActivity, LivenessVerdict, UnansweredProbe};
use super::path::{PathJudge, PathSample, PathStep};
use super::requests::Requests;
use crate::alarm::Alarm;
use crate::clock;
use crate::failure::{Failure, FailureKind};
use crate::link::is_gone;

/// A question that has no answer so long after the server answered later ones is put again. Longer than any queue of
/// a link delays an answer.
const FORGET_AFTER: Duration = Duration::from_secs(180);

/// An open that waits for so long is most likely one whose target does not answer. Whether the server still opens
/// channels at all is asked with one that has no target.
const OPEN_WAITS: Duration = Duration::from_secs(10);
/// How often, while opens go on waiting.
const OPENS_PROVEN_FOR: Duration = Duration::from_secs(30);

/// One session's.
struct SessionWatchdog {
    line: Arc<Requests>,
    /// `None`: the keepalive is off, and the session is never ended from here.
    alive_limit: Option<AliveLimit>,
    /// Our address on the link.
    local: Option<SocketAddr>,
    /// What one connection may have in flight towards us.
    window: u64,
    judge: PathJudge,
    /// The oldest one without an answer: no other is put before it is answered, so it is never forgotten.
    question: Option<PendingPing>,
    /// A request for a channel that leads nowhere, without an answer.
    open: Option<PendingPing>,
    /// When the last one was answered.
    opens_proven: Option<Instant>,
    /// Bytes from the server at the last look.
    bytes_in: u64,
    /// From when this process has run without a pause.
    running_since: Instant,
    /// Pauses of the process that were noticed elsewhere.
    paused: Duration,
    /// When the next look was to be.
    planned: Option<Instant>,
    /// Unless something else happens, nothing is to be seen before this.
    checks_at: Option<Instant>,
}

/// A ping that is not answered yet.
struct PendingPing {
    put: Instant,
    wait: AnswerWait,
    answer: Pin<Box<dyn Future<Output = ()> + Send>>,
}

/// Watches until the peer is dead or the session over. It reads only what the wire and the requests have noted, so it
/// also sees a peer that died while the transport waits for it to take our bytes.
pub(super) async fn watch(
    line: Arc<Requests>,
    alive_limit: Option<AliveLimit>,
    local: Option<SocketAddr>,
    window: u32,
) {
    let shared = line.shared.clone();
    let mut watchdog = SessionWatchdog::new(line, alive_limit, local, window);
    if alive_limit.is_some() {
        // For the round trip.
        watchdog.ask();
    }
    let mut alarm = Alarm::default();
    loop {
        let written = shared.link_monitor.bytes().1;
        let check_again = match watchdog.checks_at.take() {
            Some(at) => Some(at),
            None => {
                let Some(PathStep { check_again, .. }) = watchdog.check() else { return };
                check_again
            }
        };
        watchdog.planned = [check_again, watchdog.keepalive_due(), watchdog.open_due()].into_iter().flatten().min();
        tokio::select! {
            () = shared.ending.gone().cancelled() => return,
            () = shared.examine.notified() => watchdog.judge.probe_path(clock::now()),
            () = answered(watchdog.question.as_mut()) => watchdog.question = None,
            () = answered(watchdog.open.as_mut()) => watchdog.opens_are_proven(),
            () = shared.answers.open_waits() => watchdog.open_waits(),
            () = shared.unknown.came() => shared.unknown.log_due(false),
            () = alarm.wait(watchdog.planned) => {}
            // An idle session costs nothing until it writes.
            () = shared.link_monitor.wrote(written), if check_again.is_none() => watchdog.wrote(),
        }
    }
}

impl SessionWatchdog {
    fn new(line: Arc<Requests>, alive_limit: Option<AliveLimit>, local: Option<SocketAddr>, window: u32) -> Self {
        let now = clock::now();
        Self {
            bytes_in: line.shared.link_monitor.bytes().0,
            line,
            alive_limit,
            local,
            window: u64::from(window),
            judge: PathJudge::new(now),
            question: None,
            open: None,
            opens_proven: None,
            running_since: now,
            paused: clock::paused(),
            planned: None,
            checks_at: None,
        }
    }

    /// A session at rest has written something. Most answers are there before one could be late, so that a question
    /// that is answered costs one look and asks the kernel nothing.
    fn wrote(&mut self) {
        if self.question.is_none() && self.open.is_none() {
            self.checks_at = self.judge.first_check(clock::now());
        }
    }

    /// A connection is being opened, which is no reason to look before its answer could be late; nor to look later than was
    /// planned for another one.
    fn open_waits(&mut self) {
        let now = clock::now();
        let first = self.judge.first_check(now);
        let planned = self.planned.filter(|planned| first.is_none_or(|first| *planned <= first));
        self.checks_at = planned.or(first).filter(|at| *at > now);
    }

    /// `None`: the peer is dead, and the session has been told.
    fn check(&mut self) -> Option<PathStep> {
        let now = clock::now();
        self.notice_pause(now);
        let reading = self.is_reading();
        self.check_question(reading, now);
        let asked = self.question.as_ref().map(|question| self.asked(question, now));
        let activity = self.activity();
        match self.alive_limit.map(|alive_limit| alive_limit.judge(&activity, asked, now)) {
            Some(LivenessVerdict::Silent) => return self.dead("said nothing"),
            Some(LivenessVerdict::Unanswered) => {
                let sends = asked.is_some_and(|asked| activity.last_byte > asked.at);
                return self.dead(if sends { "sends, but answered nothing" } else { "answered nothing" });
            }
            Some(LivenessVerdict::Stalled) => return self.dead("took nothing"),
            Some(LivenessVerdict::Alive { .. }) | None => {}
        }
        if self.open_due().is_some_and(|due| due <= now) {
            self.ask_to_open();
        }
        let seen = self.sample(reading, asked);
        let before = self.judge.path();
        let next = self.judge.judge(&seen, now);
        if self.judge.path() != before {
            self.line.shared.path.send_replace(self.judge.path());
        }
        if self.question.is_none() && (next.ask || self.ask_due().is_some_and(|due| due <= now)) {
            self.ask();
            // The question may not go out (a key exchange is under way), so that no write wakes this task: the next
            // look has to be planned with the question in mind.
            let asked = self.question.as_ref().map(|question| self.asked(question, now));
            return Some(self.judge.judge(&self.sample(reading, asked), now));
        }
        Some(next)
    }

    /// What became due while this process did not run is judged by what comes now: the server is asked first.
    fn notice_pause(&mut self, now: Instant) {
        let paused = clock::paused();
        let late = self.planned.is_some_and(|planned| clock::is_late(planned, now));
        if late || paused != self.paused {
            self.paused = paused;
            self.running_since = now;
            self.judge.resumed(now);
            let seen = self.seen();
            for question in [&mut self.question, &mut self.open].into_iter().flatten() {
                question.put = now;
                question.wait.restart(&seen, now);
            }
        }
    }

    /// The link is read as fast as it gives. Under a flood the reader never waits, but bytes come in.
    fn is_reading(&mut self) -> bool {
        let shared = &self.line.shared;
        let bytes_in = shared.link_monitor.bytes().0;
        let came = std::mem::replace(&mut self.bytes_in, bytes_in) != bytes_in;
        came || shared.link_monitor.activity().reading_since.is_some()
    }

    fn check_question(&mut self, reading: bool, now: Instant) {
        let (seen, last_answer) = (self.seen(), self.line.shared.answers.last());
        for question in [&mut self.question, &mut self.open].into_iter().flatten() {
            if reading {
                question.wait.sample(&seen, now);
            } else {
                question.wait.restart(&seen, now);
            }
        }
        // It answers others, and this one may have been lost on it.
        if self.question.as_ref().is_some_and(|question| last_answer > question.put + FORGET_AFTER) {
            self.question = None;
        }
    }

    fn asked(&self, question: &PendingPing, now: Instant) -> UnansweredProbe {
        let last_answer = self.line.shared.answers.last();
        let counts_from = question.wait.counts_from(&self.seen_here(), now).max(last_answer);
        UnansweredProbe { at: question.put, counts_from, last_answer: last_answer.max(self.running_since) }
    }

    fn activity(&self) -> LinkActivity {
        self.line.shared.link_monitor.activity().since(self.running_since)
    }

    fn seen(&self) -> WaitFacts {
        let asked = self.question.is_some() || self.open.is_some();
        let tcp = asked.then(|| self.line.shared.link_monitor.tcp_status()).flatten();
        WaitFacts { outstanding: tcp.map(|tcp| tcp.outstanding), ..self.seen_here() }
    }

    /// Without what only the kernel knows.
    fn seen_here(&self) -> WaitFacts {
        let shared = &self.line.shared;
        let channels = *shared.connections.watch().borrow() as u64;
        WaitFacts {
            bulk: shared.answers.bulk(),
            bytes_out: shared.link_monitor.bytes().1,
            outstanding: None,
            stalled_since: shared.link_monitor.activity().stalled_since,
            windows: self.window * channels.max(1),
        }
    }

    fn sample(&self, reading: bool, asked: Option<UnansweredProbe>) -> PathSample {
        let shared = &self.line.shared;
        let unanswered_since = shared.link_monitor.unanswered_since();
        // When the last word was the peer's, there is nothing to ask the kernel.
        let worth_it = unanswered_since.is_some() || asked.is_some() || self.judge.is_suspicious();
        PathSample {
            bytes_in: shared.link_monitor.bytes().0,
            last_byte: self.activity().last_byte,
            unanswered_since,
            unanswered_bytes: shared.link_monitor.unanswered_bytes(),
            reading,
            last_answer: shared.answers.last(),
            tcp: worth_it.then(|| shared.link_monitor.tcp_status()).flatten(),
            rtt: self.line.rtt(),
            asked_at: asked.map(|asked| asked.at),
            counts_from: asked.map(|asked| asked.counts_from),
            open_since: shared.answers.open_since(),
            opens_count_from: self.open.as_ref().map(|open| open.wait.counts_from(&self.seen_here(), clock::now())),
            may_ask: self.alive_limit.is_some(),
            address_gone: self.judge.is_suspicious() && self.local.is_some_and(is_gone),
        }
    }

    /// When the server has answered nothing for so long that it is to be asked.
    fn ask_due(&self) -> Option<Instant> {
        let alive_limit = self.alive_limit.filter(|_| self.question.is_none())?;
        let last_answer = self.line.shared.answers.last();
        // After a pause of the process the answer decides, so it is asked at once.
        let paused = self.running_since > last_answer;
        Some(if paused { self.running_since } else { alive_limit.ask_at(last_answer) })
    }

    /// When the keepalive has to ask, or to judge.
    fn keepalive_due(&self) -> Option<Instant> {
        let now = clock::now();
        let asked = self.question.as_ref().map(|question| self.asked(question, now));
        let verdict = self.alive_limit?.judge(&self.activity(), asked, now);
        let dead = match verdict {
            LivenessVerdict::Alive { check_again } => Some(check_again),
            LivenessVerdict::Silent | LivenessVerdict::Unanswered | LivenessVerdict::Stalled => None,
        };
        [dead, self.ask_due()].into_iter().flatten().min()
    }

    fn ask(&mut self) {
        let line = self.line.clone();
        let put = clock::now();
        let answer = Box::pin(async move {
            // Its failure is the session's end, which is told elsewhere.
            if line.ask().await.is_none() {
                std::future::pending::<()>().await;
            }
        });
        self.question = Some(PendingPing { put, wait: AnswerWait::begin(&self.seen(), put), answer });
    }

    /// When the server is to prove that it opens channels.
    fn open_due(&self) -> Option<Instant> {
        let may_ask = self.alive_limit.is_some() && self.open.is_none();
        let since = self.line.shared.answers.oldest_open(clock::now()).filter(|_| may_ask)?;
        let again = self.opens_proven.map(|proven| proven + OPENS_PROVEN_FOR);
        Some((since + OPEN_WAITS).max(self.running_since).max(again.unwrap_or(since)))
    }

    fn ask_to_open(&mut self) {
        let line = self.line.clone();
        let put = clock::now();
        let answer = Box::pin(async move { line.prove_opens().await });
        self.open = Some(PendingPing { put, wait: AnswerWait::begin(&self.seen(), put), answer });
    }

    fn opens_are_proven(&mut self) {
        self.open = None;
        self.opens_proven = Some(clock::now());
    }

    fn dead(&self, what: &str) -> Option<PathStep> {
        let limit = self.alive_limit.map(|alive_limit| alive_limit.limit()).unwrap_or_default();
        end(&self.line.shared, what, limit);
        None
    }
}

async fn answered(question: Option<&mut PendingPing>) {
    match question {
        Some(question) => question.answer.as_mut().await,
        None => std::future::pending().await,
    }
}

fn end(shared: &SessionShared, what: &str, limit: Duration) {
    let message = format!("`{}` {what} for {}s (keepalive)", shared.who, limit.as_secs_f64());
    shared.ending.end(Failure::new(FailureKind::KeepaliveTimeout, message));
    shared.link_monitor.close_lingering();
}
