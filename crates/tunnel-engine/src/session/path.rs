//! Is the way to the server alive? A pure judge over what the wire and the kernel have seen. Doubt ends nothing:
//! it says that another session should be opened beside this one.

use std::time::{Duration, Instant};

use crate::link::TcpStatus;

/// Bytes of ours without an acknowledgement for so long raise doubt. A path this slow is a rare one, a path whose
/// queues are merely full goes on acknowledging.
const UNACKNOWLEDGED: Duration = Duration::from_secs(3);
/// What goes out without an answer for so long is followed by a question, long before the keepalive would ask.
const ASK_AFTER: Duration = Duration::from_millis(1500);
/// A question that is not answered for so long raises doubt: a busy server may take its time.
const UNANSWERED: Duration = Duration::from_secs(3);
/// The same, when there is a reason for doubt already.
const EXAMINED: Duration = Duration::from_secs(1);
/// Slow paths have as many round trips as this before any of these times counts.
const ROUND_TRIPS: u32 = 4;
/// With no more than this under way, a question that was put arrives in no time even on a slow path: acknowledgements
/// that go on without an answer are those of a machine whose sshd is stuck.
const FEW_BYTES: u64 = 16 << 10;
/// How often the kernel is asked while bytes are under way. Never on an idle session.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// What is known of the way to the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Path {
    /// Nothing speaks against it.
    Clear,
    /// It may be dead. The session is not over: it goes on if the path does.
    Doubtful {
        /// Since when.
        since: Instant,
        /// Reason of the doubt.
        why: Doubt,
    },
}

/// Reason to doubt a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doubt {
    /// The server's machine acknowledges nothing that we send.
    Unacknowledged,
    /// The server was asked and said nothing.
    Unanswered,
    /// The server answers questions, but no request for a connection.
    OpensNothing,
    /// This machine no longer has the address that the session was made from.
    AddressGone,
}

impl Doubt {
    /// In a sentence about the server: "it …".
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unacknowledged => "does not acknowledge what is sent to it",
            Self::Unanswered => "does not answer",
            Self::OpensNothing => "answers, but opens no connection any more",
            Self::AddressGone => "cannot be reached from an address that this machine no longer has",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PathSample {
    /// From the server, ever.
    pub bytes_in: u64,
    /// Time of the last byte.
    pub last_byte: Instant,
    /// When we first wrote after that.
    pub unanswered_since: Option<Instant>,
    /// Bytes written since.
    pub unanswered_bytes: u64,
    /// The link is read. While it is not, the server's silence means nothing.
    pub reading: bool,
    /// When the server last answered a request of ours.
    pub last_answer: Instant,
    /// The link below, where it can be seen.
    pub tcp: Option<TcpStatus>,
    /// The last measured round trip.
    pub rtt: Option<Duration>,
    /// The question that is still without an answer was put then.
    pub asked_at: Option<Instant>,
    /// From when the wait for its answer counts: later, while a full queue explains that none comes.
    pub counts_from: Option<Instant>,
    /// A connection has been opened since then, after the last answer, and waits.
    pub open_since: Option<Instant>,
    /// From when the wait for a channel that leads nowhere counts, which it was asked for because others do not open.
    pub opens_count_from: Option<Instant>,
    /// The server may be asked without being told to: the keepalive is on.
    pub may_ask: bool,
    /// The local address is gone.
    pub address_gone: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PathStep {
    /// Put a question to the server now.
    pub ask: bool,
    /// When to judge again. `None`: when something is written.
    pub check_again: Option<Instant>,
}

/// Remembers what one sample cannot say.
#[derive(Debug)]
pub(super) struct PathJudge {
    path: Path,
    /// When there was last nothing to complain about below SSH.
    fine_at: Instant,
    /// Bytes that had come when the doubt arose.
    bytes_seen: u64,
    examined: Option<Examination>,
    /// Nothing was under way: what is seen next began only then.
    idle: bool,
    /// The shortest round trip so far: the path's own. A longer one may have been measured over a gap, and patience
    /// with the next gap must not grow by it.
    quickest: Option<Duration>,
}

#[derive(Debug, Clone, Copy)]
struct Examination {
    began: Instant,
    asked: bool,
}

impl PathJudge {
    pub(super) const fn new(now: Instant) -> Self {
        Self { path: Path::Clear, fine_at: now, bytes_seen: 0, examined: None, idle: true, quickest: None }
    }

    pub(super) const fn path(&self) -> Path {
        self.path
    }

    /// The server is to prove that it answers.
    pub(super) const fn probe_path(&mut self, now: Instant) {
        self.examined = Some(Examination { began: now, asked: false });
    }

    /// Something goes out now on a path at rest: when to look for the first time. `None`: at once.
    pub(super) fn first_check(&mut self, now: Instant) -> Option<Instant> {
        if !self.idle || self.is_suspicious() {
            return None;
        }
        self.fine_at = self.fine_at.max(now);
        self.idle = false;
        Some(now + LOOK_EVERY)
    }

    /// This process did not run until `now`: what it did not see until then speaks against nothing.
    pub(super) fn resumed(&mut self, now: Instant) {
        self.fine_at = now;
        if let Some(examined) = &mut self.examined {
            examined.began = now;
        }
    }

    /// An examination is under way, or there is doubt: worth looking at the local address.
    pub(super) const fn is_suspicious(&self) -> bool {
        self.examined.is_some() || !matches!(self.path, Path::Clear)
    }

    pub(super) fn judge(&mut self, seen: &PathSample, now: Instant) -> PathStep {
        self.quickest = [self.quickest, seen.rtt].into_iter().flatten().min();
        let seen = &PathSample { rtt: self.quickest, ..*seen };
        self.note_what_is_fine(seen, now);
        if self.examined.is_some_and(|examined| seen.last_answer > examined.began) {
            self.examined = None;
        }
        match (self.path, self.doubt(seen, now)) {
            (Path::Clear, Some(why)) => {
                self.bytes_seen = seen.bytes_in;
                self.path = Path::Doubtful { since: now, why };
            }
            (Path::Doubtful { since, why }, None) if self.is_over(seen, since, why) => self.path = Path::Clear,
            (Path::Doubtful { since, .. }, Some(why)) => self.path = Path::Doubtful { since, why },
            (Path::Doubtful { .. } | Path::Clear, None) => {}
        }
        let next = self.next(seen, now);
        self.idle = next.check_again.is_none();
        next
    }

    fn note_what_is_fine(&mut self, seen: &PathSample, now: Instant) {
        let begins = self.idle || seen.tcp.is_none_or(|tcp| !tcp.outstanding);
        let acknowledged = seen.tcp.map_or(self.fine_at, |tcp| tcp.last_ack);
        self.fine_at = self.fine_at.max(acknowledged).max(seen.last_byte).max(if begins { now } else { self.fine_at });
    }

    fn doubt(&self, seen: &PathSample, now: Instant) -> Option<Doubt> {
        let outstanding = seen.tcp.is_some_and(|tcp| tcp.outstanding);
        if seen.address_gone && self.is_suspicious() {
            return Some(Doubt::AddressGone);
        }
        if outstanding && now >= self.fine_at + alive_limit(UNACKNOWLEDGED, seen) {
            return Some(Doubt::Unacknowledged);
        }
        // While much is under way the question may be, too.
        let few = |asked| seen.unanswered_bytes <= FEW_BYTES && seen.tcp.is_some_and(|tcp| tcp.last_ack > asked);
        let arrived = seen.asked_at.is_some_and(|asked| !outstanding || few(asked));
        let silent = seen.counts_from.filter(|_| seen.reading && arrived);
        let silent = silent.is_some_and(|from| now >= from + alive_limit(UNANSWERED, seen));
        let failed = seen.reading && self.examined.is_some_and(|examined| now >= examined.until(seen));
        if silent || failed {
            return Some(Doubt::Unanswered);
        }
        let opens_nothing = seen.opens_count_from.filter(|_| seen.reading);
        let opens_nothing = opens_nothing.is_some_and(|at| now >= at + alive_limit(UNANSWERED, seen));
        opens_nothing.then_some(Doubt::OpensNothing)
    }

    /// A server that did not answer has to; a byte ends every other doubt. Acknowledgements alone do so only where the
    /// server cannot be asked: its machine may take ours and still wait minutes before it sends its own lost bytes
    /// again.
    fn is_over(&self, seen: &PathSample, since: Instant, why: Doubt) -> bool {
        if why == Doubt::OpensNothing {
            return seen.opens_count_from.is_none();
        }
        let answered = seen.last_answer >= since;
        let received = seen.bytes_in > self.bytes_seen && why != Doubt::Unanswered;
        let acknowledged = seen.tcp.is_some_and(|tcp| !tcp.outstanding || tcp.last_ack > since);
        answered || received || (acknowledged && !seen.may_ask && self.examined.is_none() && !seen.address_gone)
    }

    fn next(&mut self, seen: &PathSample, now: Instant) -> PathStep {
        let doubtful = self.path != Path::Clear;
        let ask_at = match (seen.asked_at, &mut self.examined) {
            (_, Some(examined)) if !examined.asked => {
                examined.asked = true;
                Some(now)
            }
            (Some(_), _) => None,
            (None, _) if doubtful && seen.may_ask => Some(now),
            (None, _) => {
                let waits = [seen.unanswered_since, seen.open_since].into_iter().flatten().min();
                waits.filter(|_| seen.may_ask && seen.reading).map(|since| since + ASK_AFTER)
            }
        };
        let outstanding = seen.tcp.is_some_and(|tcp| tcp.outstanding);
        let active = doubtful || outstanding || ask_at.is_some() || seen.asked_at.is_some() || self.examined.is_some();
        let active = active || seen.opens_count_from.is_some();
        let examined = self.examined.map(|examined| examined.until(seen));
        let silent = seen.counts_from.map(|from| from + alive_limit(UNANSWERED, seen));
        let opens = seen.opens_count_from.map(|at| at + alive_limit(UNANSWERED, seen));
        // A session at rest has just been asked. Its answer wakes the watchdog, and before it is late there is nothing
        // to see: hundreds of sessions ask at once.
        let at_rest = !doubtful && self.examined.is_none() && opens.is_none();
        let just_asked = at_rest && seen.asked_at == Some(now) && seen.unanswered_since.or(seen.open_since).is_none();
        let check_again = (!just_asked).then_some(now + LOOK_EVERY);
        let due = [check_again, ask_at, examined, silent, opens].into_iter().flatten().filter(|at| *at > now).min();
        PathStep { ask: ask_at.is_some_and(|at| at <= now), check_again: due.filter(|_| active) }
    }
}

impl Examination {
    /// When it has failed. A path that goes on acknowledging has as long as any other question.
    fn until(&self, seen: &PathSample) -> Instant {
        let moves = seen.tcp.is_some_and(|tcp| tcp.last_ack > self.began);
        self.began + alive_limit(if moves { UNANSWERED } else { EXAMINED }, seen)
    }
}

fn alive_limit(at_least: Duration, seen: &PathSample) -> Duration {
    seen.rtt.map_or(at_least, |rtt| at_least.max(rtt.saturating_mul(ROUND_TRIPS)))
}

#[cfg(test)]
mod tests;
