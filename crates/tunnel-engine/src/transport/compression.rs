//! zlib@openssh.com: the payloads of one direction are pieces of one zlib stream (RFC 4253 section 6.2), which begins
//! with the login and anew with each set of keys, as OpenSSH's does.

use bytes::Bytes;
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use super::TransportError;
use super::packet::MAX_PACKET;

pub(super) const ZLIB_DELAYED: &str = "zlib@openssh.com";

/// A payload becomes no longer than a packet may be that is not compressed.
const MAX_INFLATED: usize = MAX_PACKET as usize;
/// What a payload is expected to become at least, and in times of its own length.
const FIRST_ROOM: usize = 512;
const USUAL_RATIO: usize = 4;
/// What a deflated piece may be longer than the payload before more room is made.
const DEFLATE_MARGIN: usize = 64;

/// Compression of one direction: agreed on with the keys, at work from the login on.
pub(super) struct Delayed<T> {
    is_agreed: bool,
    is_logged_in: bool,
    stream: Option<Box<T>>,
}

impl<T: Default> Delayed<T> {
    pub(super) const fn new() -> Self {
        Self { is_agreed: false, is_logged_in: false, stream: None }
    }

    /// With new keys.
    pub(super) fn rekey(&mut self, is_agreed: bool) {
        self.is_agreed = is_agreed;
        self.begin();
    }

    /// From the next packet on the login is over.
    pub(super) fn log_in(&mut self) {
        if !self.is_logged_in {
            self.is_logged_in = true;
            self.begin();
        }
    }

    fn begin(&mut self) {
        self.stream = (self.is_agreed && self.is_logged_in).then(Box::default);
    }

    /// Agreed on, and not at work yet: the server's login and a message of ours may cross, and then it is not known to
    /// the server how that one is to be read.
    pub(super) const fn is_waiting(&self) -> bool {
        self.is_agreed && !self.is_logged_in
    }

    pub(super) fn stream(&mut self) -> Option<&mut T> {
        self.stream.as_deref_mut()
    }
}

/// To the server.
pub(super) struct Deflater(Compress);

impl Default for Deflater {
    fn default() -> Self {
        Self(Compress::new(Compression::fast(), true))
    }
}

impl Deflater {
    /// The parts of one payload.
    pub(super) fn deflate(&mut self, payload: [&[u8]; 2]) -> Result<Vec<u8>, TransportError> {
        let length = payload.iter().map(|part| part.len()).sum::<usize>();
        let mut out = Vec::with_capacity(length + DEFLATE_MARGIN);
        let [first, last] = payload;
        self.push(first, FlushCompress::None, &mut out)?;
        self.push(last, FlushCompress::Partial, &mut out)?;
        Ok(out)
    }

    fn push(&mut self, mut input: &[u8], flush: FlushCompress, out: &mut Vec<u8>) -> Result<(), TransportError> {
        loop {
            if out.capacity() - out.len() < DEFLATE_MARGIN {
                out.reserve(out.len().max(DEFLATE_MARGIN));
            }
            let before = self.0.total_in();
            let failed = |_| TransportError::Cryptography("compression");
            self.0.compress_vec(input, out, flush).map_err(failed)?;
            input = rest(input, self.0.total_in() - before);
            // A full buffer says that there is more.
            if input.is_empty() && out.len() < out.capacity() {
                return Ok(());
            }
        }
    }
}

/// From the server.
pub(super) struct Inflater(Decompress);

impl Default for Inflater {
    fn default() -> Self {
        Self(Decompress::new(true))
    }
}

impl Inflater {
    /// One payload.
    pub(super) fn inflate(&mut self, mut input: &[u8]) -> Result<Bytes, TransportError> {
        let room = input.len().saturating_mul(USUAL_RATIO).clamp(FIRST_ROOM, MAX_INFLATED);
        let mut out = Vec::with_capacity(room);
        loop {
            if out.len() == out.capacity() {
                let more = out.len().min((MAX_INFLATED + 1).saturating_sub(out.len()));
                out.reserve_exact(more);
            }
            let before = (self.0.total_in(), self.0.total_out());
            let status = self.0.decompress_vec(input, &mut out, FlushDecompress::Sync);
            let after = (self.0.total_in(), self.0.total_out());
            input = rest(input, after.0 - before.0);
            // The end of the stream is no end that a packet has.
            if !matches!(status, Ok(Status::Ok | Status::BufError)) || out.len() > MAX_INFLATED {
                return Err(TransportError::Compression);
            }
            // With all input taken and room left, flate2 may still have more: at the edge of its window.
            if after == before && out.len() < out.capacity() {
                return if input.is_empty() { Ok(out.into()) } else { Err(TransportError::Compression) };
            }
        }
    }
}

fn rest(input: &[u8], taken: u64) -> &[u8] {
    usize::try_from(taken).ok().and_then(|taken| input.get(taken..)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn payloads_are_the_same_behind_both_ends(
            payloads in proptest::collection::vec((any::<u8>(), proptest::collection::vec(0..4_u8, 1..40_000)), 1..6)
        ) {
            let (mut deflater, mut inflater) = (Deflater::default(), Inflater::default());
            for (number, payload) in &payloads {
                let deflated = deflater.deflate([&[*number], payload]).unwrap();
                let whole = [&[*number][..], payload].concat();
                prop_assert_eq!(inflater.inflate(&deflated).unwrap(), whole);
            }
        }

        #[test]
        fn any_input_is_inflated_within_the_bound_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            let mut inflater = Inflater::default();
            if let Ok(inflated) = inflater.inflate(&bytes) {
                prop_assert!(inflated.len() <= MAX_INFLATED);
            }
        }
    }

    /// A window of 32 KiB ends within each of them.
    #[test]
    fn long_payloads_of_little_are_whole_wherever_the_window_ends() {
        let (mut deflater, mut inflater) = (Deflater::default(), Inflater::default());
        for round in 0..400 {
            let payload = vec![94; 32 * 1024 + round];
            assert_eq!(
                inflater.inflate(&deflater.deflate([&[1; 9], &payload]).unwrap()).unwrap().len(),
                9 + payload.len()
            );
        }
    }

    #[test]
    fn longest_payload_passes_and_a_longer_one_fails() {
        let through = |length: usize| {
            let zeros = vec![0; length];
            Inflater::default().inflate(&Deflater::default().deflate([&zeros, &[]]).unwrap())
        };
        assert_eq!(through(MAX_INFLATED).map(|inflated| inflated.len()), Ok(MAX_INFLATED));
        assert_eq!(through(MAX_INFLATED + 1), Err(TransportError::Compression));
        assert_eq!(through(64 << 20), Err(TransportError::Compression), "64 MiB of zeros in 64 KiB");
    }

    #[test]
    fn ended_and_invalid_streams_are_refused() {
        // An empty final block.
        assert_eq!(Inflater::default().inflate(&[0x78, 0x9c, 3, 0, 0, 0, 0, 1]), Err(TransportError::Compression));
        assert_eq!(Inflater::default().inflate(&[1; 40]), Err(TransportError::Compression));
    }

    #[test]
    fn compression_begins_with_the_login_and_anew_with_each_keys() {
        let mut delayed = Delayed::<Deflater>::new();
        delayed.rekey(true);
        assert!(delayed.stream().is_none() && delayed.is_waiting());
        delayed.log_in();
        let first = delayed.stream().unwrap().deflate([b"the same", b" words"]).unwrap();
        let second = delayed.stream().unwrap().deflate([b"the same", b" words"]).unwrap();
        assert_ne!(first, second, "a stream remembers");
        delayed.rekey(true);
        assert_eq!(delayed.stream().unwrap().deflate([b"the same", b" words"]).unwrap(), first);
        delayed.rekey(false);
        assert!(delayed.stream().is_none() && !delayed.is_waiting());
    }
}
