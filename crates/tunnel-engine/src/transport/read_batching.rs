//! When a session's socket wakes its reader for many bytes at a time (`SO_RCVLOWAT`, socket(7)) instead of for each
//! segment.
//!
//! A fast server fills a socket in pieces of a packet, and a reader that is woken for each of them spends as much on
//! waking as on deciphering, on both sides of a loopback or a virtual network. What is left of a burst waits for the
//! next bytes or for [`MAX_PAUSE`], so reads are batched only in a long fast stream, and later when such streams turn
//! out to be short.

use std::time::{Duration, Instant};

const NANOS_PER_SECOND: u128 = 1_000_000_000;

/// What wakes the reader while reads are batched: as much as it reads at once.
pub(super) const LOW_WATER: u32 = 256 * 1024;
/// Otherwise any byte does.
pub(super) const ANY_BYTE: u32 = 1;
/// How long bytes below [`LOW_WATER`] wait at most, up to the millisecond by which timers are late. After such a pause
/// the stream is over.
const MAX_PAUSE: Duration = Duration::from_millis(2);
/// Bytes a second of a fast stream: slower ones have fewer bytes than [`LOW_WATER`] in [`MAX_PAUSE`] soon.
const MIN_RATE: u128 = 192 * 1024 * 1024;
/// So many bytes without a pause are a long stream…
const MIN_STREAM: u64 = 4 * 1024 * 1024;
/// …or up to so many, while streams end soon after reads were batched.
const MAX_STREAM: u64 = 64 * 1024 * 1024;
/// A batched stream that brings this many times what began the batching was worth it.
const WORTH: u64 = 4;

/// The reads of one socket.
#[derive(Debug)]
pub(super) struct ReadBatching {
    stream: Option<StreamRate>,
    /// What a stream has to bring before it is batched.
    threshold: u64,
}

#[derive(Debug)]
struct StreamRate {
    /// Of the stream, or of its batching.
    since: Instant,
    last_read: Instant,
    bytes: u64,
    is_batched: bool,
}

impl ReadBatching {
    pub(super) const fn new() -> Self {
        Self { stream: None, threshold: MIN_STREAM }
    }

    /// Bytes were read. Gives the new low-water mark, if it changes.
    pub(super) fn on_read(&mut self, bytes: usize, now: Instant) -> Option<u32> {
        let new = StreamRate { since: now, last_read: now, bytes: 0, is_batched: false };
        let stream = self.stream.get_or_insert(new);
        if !stream.is_batched && now.saturating_duration_since(stream.last_read) >= MAX_PAUSE {
            (stream.since, stream.bytes) = (now, 0);
        }
        stream.last_read = now;
        stream.bytes += bytes as u64;
        if stream.is_batched || stream.bytes < self.threshold {
            return None;
        }
        let is_fast = now.saturating_duration_since(stream.since).as_nanos() * MIN_RATE
            <= u128::from(stream.bytes) * NANOS_PER_SECOND;
        (stream.since, stream.bytes, stream.is_batched) = (now, 0, is_fast);
        is_fast.then_some(LOW_WATER)
    }

    /// When [`on_timeout`](Self::on_timeout) is due.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.stream.as_ref().filter(|stream| stream.is_batched).map(|stream| stream.last_read + MAX_PAUSE)
    }

    /// The stream is over if its time is. Gives the new low-water mark, if it changes.
    pub(super) fn on_timeout(&mut self, now: Instant) -> Option<u32> {
        if self.poll_timeout().is_none_or(|due| now < due) {
            return None;
        }
        let bytes = self.stream.take()?.bytes;
        if bytes >= WORTH * self.threshold {
            self.threshold = MIN_STREAM;
        } else if bytes < self.threshold {
            self.threshold = (2 * self.threshold).min(MAX_STREAM);
        }
        Some(ANY_BYTE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const READ: usize = 64 * 1024;
    const FAST: Duration = Duration::from_micros(100);

    /// How many bytes a fast stream brings until it is batched.
    fn bytes_until_batched(batching: &mut ReadBatching, now: &mut Instant) -> u64 {
        let mut bytes = 0;
        loop {
            *now += FAST;
            bytes += READ as u64;
            if batching.on_read(READ, *now) == Some(LOW_WATER) {
                return bytes;
            }
            assert!(bytes < 2 * MAX_STREAM, "never");
        }
    }

    fn end(batching: &mut ReadBatching, now: &mut Instant) {
        *now += MAX_PAUSE;
        assert_eq!(batching.on_timeout(*now), Some(ANY_BYTE));
        assert_eq!(batching.poll_timeout(), None);
    }

    #[test]
    fn long_fast_stream_is_batched_until_nothing_comes() {
        let (mut batching, mut now) = (ReadBatching::new(), crate::clock::now());
        assert_eq!(bytes_until_batched(&mut batching, &mut now), MIN_STREAM);
        assert_eq!(batching.poll_timeout(), Some(now + MAX_PAUSE));
        now += FAST;
        assert_eq!(batching.on_read(1, now), None);
        assert_eq!(batching.on_timeout(now + FAST), None, "there was a read since");
        end(&mut batching, &mut now);
    }

    #[test]
    fn slow_stream_and_separate_bursts_are_not_batched() {
        let (mut batching, mut now) = (ReadBatching::new(), crate::clock::now());
        for (bytes, gap) in [(READ, 4 * FAST), (8 * READ, MAX_PAUSE)] {
            for _ in 0..10_000 {
                now += gap;
                assert_eq!(batching.on_read(bytes, now), None);
            }
        }
        assert_eq!(batching.poll_timeout(), None);
    }

    #[test]
    fn streams_that_end_soon_are_batched_later_and_later() {
        let (mut batching, mut now) = (ReadBatching::new(), crate::clock::now());
        for threshold in [4, 8, 16, 32, 64, 64].map(|mib: u64| mib << 20) {
            let bytes = bytes_until_batched(&mut batching, &mut now);
            assert!(bytes >= threshold && bytes <= threshold + 2 * READ as u64, "{bytes} instead of {threshold}");
            end(&mut batching, &mut now);
        }
        bytes_until_batched(&mut batching, &mut now);
        for _ in 0..WORTH * MAX_STREAM / READ as u64 {
            now += FAST;
            assert_eq!(batching.on_read(READ, now), None);
        }
        end(&mut batching, &mut now);
        assert!(bytes_until_batched(&mut batching, &mut now) < 2 * MIN_STREAM, "a long one makes up for them");
    }
}
