//! The last events, and those who follow them.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::broadcast;

use super::event::Event;

/// Events that are kept: with forty tunnels whose server is away, those of the last hour. At most about 2 MiB.
const MAX_KEPT: usize = 4096;

/// Events that wait for a follower that is slow: a burst of two hundred tunnels that lose their sessions and come back.
const MAX_WAITING: usize = 1024;

/// A reader's place in the stream. One that falls behind by [`MAX_WAITING`] loses the oldest, and is told how many.
pub(super) type Following = broadcast::Receiver<Arc<Event>>;

#[derive(Debug, Default)]
pub(super) struct Events {
    kept: VecDeque<Arc<Event>>,
    /// None before the first follower.
    followers: Option<broadcast::Sender<Arc<Event>>>,
}

impl Events {
    pub(super) fn add(&mut self, event: Event) {
        let event = Arc::new(event);
        if self.kept.len() >= MAX_KEPT {
            self.kept.pop_front();
        }
        self.kept.push_back(event.clone());
        if let Some(followers) = &self.followers {
            // An error: no follower is left.
            let _ = followers.send(event);
        }
    }

    /// All that are kept, the oldest first.
    pub(super) fn kept(&self) -> Vec<Arc<Event>> {
        self.kept.iter().cloned().collect()
    }

    /// Those that come from now on.
    pub(super) fn follow(&mut self) -> Following {
        self.followers.get_or_insert_with(|| broadcast::channel(MAX_WAITING).0).subscribe()
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use tokio::sync::broadcast::error::TryRecvError;

    use super::super::event::EventName;
    use super::*;

    fn event(number: usize) -> Event {
        Event::of_daemon(EventName::Network, &number.to_string(), SystemTime::UNIX_EPOCH)
    }

    #[test]
    fn oldest_events_make_room() {
        let mut events = Events::default();
        (0..MAX_KEPT + 2).for_each(|number| events.add(event(number)));
        let kept = events.kept();
        assert_eq!((kept.len(), kept[0].message.as_str()), (MAX_KEPT, "2"));
    }

    #[test]
    fn slow_follower_learns_how_many_it_missed() {
        let mut events = Events::default();
        let mut following = events.follow();
        (0..MAX_WAITING + 7).for_each(|number| events.add(event(number)));
        assert_eq!(following.try_recv(), Err(TryRecvError::Lagged(7)));
        assert_eq!(following.try_recv().unwrap().message, "7");
    }
}
