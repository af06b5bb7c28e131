//! The bytes of one channel that came and are not taken.
//!
//! Large pieces stay in the buffers in which they came while little waits: no copy. All others are copied, and small
//! ones put together, so that a server that sends a byte a packet makes its bytes cost what they are.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

/// A smaller piece is copied at once: less than a quarter of the packets that it came with.
const SMALL_PIECE: usize = 8 * 1024;
/// How much of a connection's unread bytes stays in the buffers in which they came. Beyond, readers are slow, and what
/// came for them must not keep what came beside it for others: 32 times as much at worst.
const KEPT_IN_PLACE: usize = 512 * 1024;
/// Small pieces are put together up to here.
const GATHERED: usize = 32 * 1024;

/// How many bytes of a connection are in the buffers in which they came.
#[derive(Debug, Default)]
pub(super) struct InPlace(usize);

/// Of one channel.
#[derive(Default)]
pub(super) struct ChannelInbox {
    pieces: VecDeque<Piece>,
    /// Small ones after all others.
    gathered: BytesMut,
}

struct Piece {
    bytes: Bytes,
    is_in_place: bool,
}

impl ChannelInbox {
    pub(super) fn put(&mut self, data: Bytes, in_place: &mut InPlace) {
        if data.len() < SMALL_PIECE {
            if self.gathered.len() + data.len() > GATHERED {
                self.finish_gathered();
            }
            return self.gathered.extend_from_slice(&data);
        }
        self.finish_gathered();
        let is_in_place = in_place.0 + data.len() <= KEPT_IN_PLACE;
        if is_in_place {
            in_place.0 += data.len();
        }
        let bytes = if is_in_place { data } else { Bytes::copy_from_slice(&data) };
        self.pieces.push_back(Piece { bytes, is_in_place });
    }

    pub(super) fn take(&mut self, in_place: &mut InPlace) -> Option<Bytes> {
        let Some(piece) = self.pieces.pop_front() else {
            return (!self.gathered.is_empty()).then(|| std::mem::take(&mut self.gathered).freeze());
        };
        if self.pieces.is_empty() {
            // What an idle channel does not need.
            self.pieces = VecDeque::new();
        }
        if piece.is_in_place {
            in_place.0 -= piece.bytes.len();
        }
        Some(piece.bytes)
    }

    /// Drops all of them.
    pub(super) fn clear(&mut self, in_place: &mut InPlace) {
        while self.take(in_place).is_some() {}
    }

    #[cfg(any(test, feature = "fuzzing"))]
    pub(super) fn len(&self) -> usize {
        self.pieces.iter().map(|piece| piece.bytes.len()).sum::<usize>() + self.gathered.len()
    }

    fn finish_gathered(&mut self) {
        if !self.gathered.is_empty() {
            let bytes = std::mem::take(&mut self.gathered).freeze();
            self.pieces.push_back(Piece { bytes, is_in_place: false });
        }
    }

    /// Memory for the bytes that wait, where they do not lie in a buffer with others.
    #[cfg(test)]
    pub(super) fn cost(&self) -> usize {
        let copied = self.pieces.iter().filter(|piece| !piece.is_in_place).map(|piece| piece.bytes.len());
        copied.sum::<usize>() + self.gathered.capacity() + self.pieces.capacity() * size_of::<Piece>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(inbox: &mut ChannelInbox, in_place: &mut InPlace) -> Vec<u8> {
        std::iter::from_fn(|| inbox.take(in_place)).flatten().collect()
    }

    #[test]
    fn bytes_keep_their_order_whatever_the_pieces() {
        let (mut inbox, mut in_place) = (ChannelInbox::default(), InPlace::default());
        let mut said = Vec::new();
        for (step, length) in [1, 9000, 3, 3, 8192, 8191, 8191, 8191, 8191, 8191, 70_000, 1].into_iter().enumerate() {
            let data = vec![u8::try_from(step).unwrap(); length];
            said.extend_from_slice(&data);
            inbox.put(data.into(), &mut in_place);
        }
        assert!(all(&mut inbox, &mut in_place) == said);
        assert_eq!(in_place.0, 0);
    }

    #[test]
    fn byte_a_packet_costs_a_byte() {
        let (mut inbox, mut in_place) = (ChannelInbox::default(), InPlace::default());
        let window = 2 * 1024 * 1024;
        for _ in 0..window {
            inbox.put(Bytes::from_static(b"x"), &mut in_place);
        }
        let cost = inbox.cost();
        assert!(cost < window + window / 8, "{cost} bytes of memory for {window}");
        assert_eq!(all(&mut inbox, &mut in_place).len(), window);
    }

    #[test]
    fn slow_readers_keep_little_of_what_came_beside_their_bytes() {
        let mut in_place = InPlace::default();
        let mut inboxes: Vec<ChannelInbox> = (0..100).map(|_| ChannelInbox::default()).collect();
        for inbox in &mut inboxes {
            // Each in a buffer of its own, as after other packets.
            (0..10).for_each(|_| inbox.put(Bytes::from(vec![0; 256 * 1024]).slice(..SMALL_PIECE), &mut in_place));
        }
        assert!(in_place.0 <= KEPT_IN_PLACE);
        inboxes.iter_mut().for_each(|inbox| inbox.clear(&mut in_place));
        assert_eq!(in_place.0, 0, "and all of it is free again");
    }
}
