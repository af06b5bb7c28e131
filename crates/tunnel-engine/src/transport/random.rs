//! Random bytes and keys for a connection, in one place, so that a test can repeat a recorded one.

use aws_lc_rs::agreement::{Algorithm, PrivateKey};
use aws_lc_rs::rand;

use super::TransportError;

pub(super) fn fill(bytes: &mut [u8]) -> Result<(), TransportError> {
    #[cfg(test)]
    if seeded::fill(bytes) {
        return Ok(());
    }
    rand::fill(bytes).map_err(|_| TransportError::Cryptography("random bytes"))
}

/// A fresh key on a curve.
pub(super) fn private_key(curve: &'static Algorithm) -> Result<PrivateKey, TransportError> {
    #[cfg(test)]
    if let Some(key) = seeded::private_key(curve) {
        return Ok(key);
    }
    PrivateKey::generate(curve).map_err(|_| TransportError::Cryptography("key generation"))
}

/// Bytes of a seed, for the connections of one thread.
#[cfg(test)]
pub(super) mod seeded {
    use std::cell::Cell;

    use aws_lc_rs::agreement::{Algorithm, ECDH_P256, ECDH_P384, ECDH_P521, PrivateKey};

    thread_local! {
        static STATE: Cell<Option<u64>> = const { Cell::new(None) };
    }

    /// From here on; `None`: random ones again.
    pub(in crate::transport) fn begin(seed: Option<u64>) {
        STATE.set(seed);
    }

    /// SplitMix64. `false`: there is no seed.
    pub(super) fn fill(bytes: &mut [u8]) -> bool {
        let Some(mut state) = STATE.get() else { return false };
        for byte in bytes {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            *byte = (mixed >> 56) as u8;
        }
        STATE.set(Some(state));
        true
    }

    pub(super) fn private_key(curve: &'static Algorithm) -> Option<PrivateKey> {
        let length = match curve {
            curve if *curve == ECDH_P256 => 32,
            curve if *curve == ECDH_P384 => 48,
            curve if *curve == ECDH_P521 => 66,
            _ => 32,
        };
        let mut bytes = vec![0; length];
        fill(&mut bytes).then_some(())?;
        // Smaller than the order of each curve.
        if length != 32 || *curve == ECDH_P256 {
            bytes[0] = 0;
        }
        PrivateKey::from_private_key(curve, &bytes).ok()
    }
}
