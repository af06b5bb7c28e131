//! The names that are looked up, and those that wait for it. The caller says what time it is.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;

/// Lookups at once. More names wait in the order in which they were asked for first.
pub(super) const MAX_THREADS: usize = 32;

/// Names that wait or are looked up. A config of thousands of servers fits.
const MAX_NAMES: usize = 4096;

/// A name keeps its place in the queue so long after it was last asked for: callers give up and come again, and would
/// otherwise start at the end each time. Longer than they wait in between.
const PLACE_KEPT: Duration = Duration::from_secs(60);

/// What was found when no caller waited any more is kept so long for the next one. Shorter than names usually live.
const ANSWER_KEPT: Duration = Duration::from_secs(30);

/// What the resolver said, without ports.
pub(super) type Answer = Arc<io::Result<Vec<SocketAddr>>>;

/// Each name once.
pub(super) struct Names {
    known: BTreeMap<Arc<str>, Name>,
    queue: VecDeque<Arc<str>>,
    threads: usize,
}

struct Name {
    first_asked: Instant,
    last_asked: Instant,
    tell: watch::Sender<Option<Answer>>,
    /// Until then an answer that no caller waited for is there for the next one.
    kept_until: Option<Instant>,
}

/// The lookup that a caller waits for.
pub(super) struct Asked {
    /// Since when the name is asked for.
    pub(super) since: Instant,
    pub(super) answer: watch::Receiver<Option<Answer>>,
    /// One more thread is to call [`Names::next`].
    pub(super) starts_thread: bool,
}

impl Names {
    pub(super) const fn new() -> Self {
        Self { known: BTreeMap::new(), queue: VecDeque::new(), threads: 0 }
    }

    /// `None`: too many names wait.
    pub(super) fn ask(&mut self, name: &str, now: Instant) -> Option<Asked> {
        self.known.retain(|_, known| known.kept_until.is_none_or(|until| now < until));
        if let Some(known) = self.known.get_mut(name) {
            let (since, answer) = (known.first_asked, known.tell.subscribe());
            known.last_asked = now;
            // An answer is given once: who asks again afterwards wants a new one.
            if known.kept_until.is_some() {
                self.known.remove(name);
            }
            return Some(Asked { since, answer, starts_thread: false });
        }
        if self.known.len() >= MAX_NAMES {
            return None;
        }
        let (tell, answer) = watch::channel(None);
        let key: Arc<str> = name.into();
        self.known.insert(key.clone(), Name { first_asked: now, last_asked: now, tell, kept_until: None });
        self.queue.push_back(key);
        let starts_thread = self.threads < MAX_THREADS;
        self.threads += usize::from(starts_thread);
        Some(Asked { since: now, answer, starts_thread })
    }

    /// What a thread looks up next; `None`: it ends.
    pub(super) fn next(&mut self, now: Instant) -> Option<Arc<str>> {
        while let Some(name) = self.queue.pop_front() {
            let wanted = self.known.get(&name).is_some_and(|known| {
                known.tell.receiver_count() > 0 || now.saturating_duration_since(known.last_asked) < PLACE_KEPT
            });
            if wanted {
                return Some(name);
            }
            self.known.remove(&name);
        }
        self.threads = self.threads.saturating_sub(1);
        None
    }

    pub(super) fn answered(&mut self, name: &str, answer: Answer, now: Instant) {
        let Some(known) = self.known.get_mut(name) else { return };
        if known.tell.receiver_count() == 0 && answer.is_ok() {
            known.kept_until = Some(now + ANSWER_KEPT);
            known.tell.send_replace(Some(answer));
        } else {
            known.tell.send_replace(Some(answer));
            self.known.remove(name);
        }
    }

    /// The thread that was to be started for `name` did not come about. Another looks it up where one runs.
    pub(super) fn thread_failed(&mut self, name: &str, error: &io::Error) {
        self.threads = self.threads.saturating_sub(1);
        if self.threads > 0 {
            return;
        }
        self.queue.retain(|waiting| &**waiting != name);
        if let Some(known) = self.known.remove(name) {
            let error = io::Error::new(error.kind(), format!("no thread for the lookup: {error}"));
            known.tell.send_replace(Some(Arc::new(Err(error))));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::clock;

    fn found() -> Answer {
        Arc::new(Ok(vec!["192.0.2.1:0".parse().unwrap()]))
    }

    #[test]
    fn names_are_looked_up_once_and_in_turn() {
        let (mut names, now) = (Names::new(), clock::now());
        let first = names.ask("a", now).unwrap();
        let _second = names.ask("b", now).unwrap();
        assert!(first.starts_thread);
        let later = names.ask("a", now + Duration::from_secs(7)).unwrap();
        assert!(!later.starts_thread && later.since == now);
        assert_eq!(names.next(now).as_deref(), Some("a"));
        names.answered("a", found(), now);
        assert!(first.answer.borrow().is_some() && later.answer.borrow().is_some());
        assert_eq!(names.next(now).as_deref(), Some("b"));
        assert_eq!((names.next(now), names.next(now), names.threads), (None, None, 0));
        assert!(names.ask("a", now).unwrap().answer.borrow().is_none(), "a new question has a new answer");
    }

    #[test]
    fn name_that_is_given_up_keeps_its_place_for_a_while() {
        let (mut names, now) = (Names::new(), clock::now());
        drop((names.ask("long ago", now), names.ask("lately", now), names.ask("new", now)));
        let later = now + PLACE_KEPT;
        drop(names.ask("lately", later - Duration::from_secs(1)));
        let waits = names.ask("new", later);
        assert_eq!(names.next(later).as_deref(), Some("lately"));
        names.answered("lately", found(), later);
        let next = names.ask("lately", later + ANSWER_KEPT / 2).unwrap();
        assert!(next.answer.borrow().is_some() && !next.starts_thread, "found for the next one");
        assert_eq!(names.next(later).as_deref(), Some("new"));
        drop(waits);
        names.answered("new", found(), later);
        assert!(names.ask("new", later + ANSWER_KEPT).unwrap().answer.borrow().is_none(), "not for ever");
    }

    #[test]
    fn threads_and_names_are_bounded() {
        let (mut names, now) = (Names::new(), clock::now());
        let asked: Vec<_> = (0..=MAX_NAMES).map(|number| names.ask(&number.to_string(), now)).collect();
        let started = asked.iter().flatten().filter(|asked| asked.starts_thread).count();
        assert_eq!((started, names.known.len()), (MAX_THREADS, MAX_NAMES));
        assert!(asked.last().is_some_and(Option::is_none));
    }

    #[test]
    fn a_name_without_a_thread_is_told_so() {
        let (mut names, now) = (Names::new(), clock::now());
        let asked = names.ask("a", now).unwrap();
        names.thread_failed("a", &io::ErrorKind::WouldBlock.into());
        assert!(asked.answer.borrow().as_deref().is_some_and(Result::is_err));
        assert!(names.queue.is_empty() && names.known.is_empty() && names.threads == 0);
    }
}
