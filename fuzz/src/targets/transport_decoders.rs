//! What a server's messages hold, each read by itself.

use tunnel_engine::fuzzing::decode;

/// The longest payload that a packet may have.
const MAX_PAYLOAD: usize = 256 * 1024;

/// No panic, no signature that is taken without its key, no text that is not one, and no more memory than a packet's.
pub fn transport_decoders(data: &[u8]) {
    let decoded = decode(data);
    assert!(!decoded.is_forged && !decoded.is_mangled && !decoded.is_unsteady, "{decoded:?}");
    assert!(decoded.inflated <= MAX_PAYLOAD, "{decoded:?}");
}
