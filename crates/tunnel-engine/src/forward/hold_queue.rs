//! Connections that wait for a session: in order of arrival, at most so many, each at most so long.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// A place in the order of arrival.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ArrivalSeq(u64);

/// Gives out tickets in order.
#[derive(Debug, Default)]
pub(super) struct ArrivalOrder(u64);

impl ArrivalOrder {
    pub(super) fn next(&mut self) -> ArrivalSeq {
        self.0 += 1;
        ArrivalSeq(self.0)
    }
}

/// The queue. It keeps no time: `now` is an argument.
#[derive(Debug)]
pub(super) struct HoldQueue<T> {
    waiting: VecDeque<HeldConnection<T>>,
}

/// One that waits.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct HeldConnection<T> {
    pub(super) seq: ArrivalSeq,
    /// When it has waited long enough. It keeps this through every return to the queue, so that sessions that come
    /// and go cannot keep it for ever.
    pub(super) until: Instant,
    pub(super) connection: T,
}

impl<T> HoldQueue<T> {
    pub(super) const fn new() -> Self {
        Self { waiting: VecDeque::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Adds one at its place in the order of arrival: one that comes back goes before those that came after it.
    pub(super) fn put(&mut self, held: HeldConnection<T>) {
        let place = self.waiting.partition_point(|other| other.seq < held.seq);
        self.waiting.insert(place, held);
    }

    /// The one that came first.
    pub(super) fn take(&mut self) -> Option<HeldConnection<T>> {
        self.waiting.pop_front()
    }

    /// Takes out those that have waited long enough.
    pub(super) fn expired(&mut self, now: Instant) -> Vec<T> {
        self.remove(|held| held.until <= now)
    }

    /// Takes out those whose peer is gone.
    pub(super) fn abandoned(&mut self, is_abandoned: impl Fn(&T) -> bool) -> Vec<T> {
        self.remove(|held| is_abandoned(&held.connection))
    }

    /// All may wait so much longer.
    pub(super) fn postpone(&mut self, time: Duration) {
        for held in &mut self.waiting {
            held.until = held.until.checked_add(time).unwrap_or(held.until);
        }
    }

    /// When the next one will have waited long enough.
    pub(super) fn next_expiry(&self) -> Option<Instant> {
        self.waiting.iter().map(|held| held.until).min()
    }

    fn remove(&mut self, condemned: impl Fn(&HeldConnection<T>) -> bool) -> Vec<T> {
        let mut removed = Vec::new();
        let mut kept = VecDeque::with_capacity(self.waiting.len());
        for held in self.waiting.drain(..) {
            if condemned(&held) {
                removed.push(held.connection);
            } else {
                kept.push_back(held);
            }
        }
        self.waiting = kept;
        removed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(30);

    fn held(seq: u64, until: Instant) -> HeldConnection<u64> {
        HeldConnection { seq: ArrivalSeq(seq), until, connection: seq }
    }

    fn order(queue: &mut HoldQueue<u64>) -> Vec<u64> {
        std::iter::from_fn(|| queue.take()).map(|held| held.connection).collect()
    }

    #[test]
    fn returned_connections_keep_their_order() {
        let until = crate::clock::now() + PATIENCE;
        let mut queue = HoldQueue::new();
        for seq in [3, 1, 4, 2] {
            queue.put(held(seq, until));
        }
        assert_eq!(order(&mut queue), [1, 2, 3, 4]);
    }

    #[test]
    fn held_connection_leaves_at_its_deadline() {
        let start = crate::clock::now();
        let mut queue = HoldQueue::new();
        queue.put(held(1, start + PATIENCE));
        queue.put(held(2, start + PATIENCE * 2));
        assert_eq!(queue.next_expiry(), Some(start + PATIENCE));
        assert!(queue.expired(start + PATIENCE - Duration::from_nanos(1)).is_empty());
        assert_eq!(queue.expired(start + PATIENCE), [1]);
        assert_eq!(queue.next_expiry(), Some(start + PATIENCE * 2));
        assert_eq!(order(&mut queue), [2]);
    }

    #[test]
    fn connections_without_peer_are_taken_out() {
        let until = crate::clock::now() + PATIENCE;
        let mut queue = HoldQueue::new();
        for seq in 1..=5 {
            queue.put(held(seq, until));
        }
        assert_eq!(queue.abandoned(|connection| connection % 2 == 0), [2, 4]);
        assert_eq!(order(&mut queue), [1, 3, 5]);
    }
}
