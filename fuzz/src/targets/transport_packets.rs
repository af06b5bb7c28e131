//! The first exchange of keys with a server that sends what it likes.

use tunnel_engine::fuzzing::handshake;

/// The longest packet that is ever waited for, with what is around it.
const MAX_WANTED: usize = 300 * 1024;

/// In any pieces: no panic, no keys that were not agreed on, and no more memory or words than the packets are worth.
pub fn transport_packets(data: &[u8]) {
    for piece in [usize::MAX, 7] {
        let seen = handshake(data, piece);
        assert!(seen.wanted <= MAX_WANTED, "{seen:?}");
        // Our offer, and at most an answer of 64 bytes for each of its packets of 16 bytes and more.
        assert!(seen.said <= 8192 + 4 * data.len(), "{seen:?} for {} bytes", data.len());
        assert!(!seen.is_keyed, "a signature was forged");
    }
}
