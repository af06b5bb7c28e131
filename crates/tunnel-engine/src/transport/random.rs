//! Random bytes and keys for a connection, in one place, so that a test can repeat a recorded one.

use aws_lc_rs::agreement::{Algorithm, PrivateKey};
use aws_lc_rs::kem::{AlgorithmId, DecapsulationKey, ML_KEM_768};
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

/// A fresh key of ML-KEM-768, and the public key in bytes.
pub(super) fn ml_kem_key() -> Result<(DecapsulationKey<AlgorithmId>, Vec<u8>), TransportError> {
    #[cfg(test)]
    if let Some(key) = seeded::ml_kem_key() {
        return Ok(key);
    }
    let failed = |_| TransportError::Cryptography("ML-KEM key generation");
    let key = DecapsulationKey::generate(&ML_KEM_768).map_err(failed)?;
    let public = key.encapsulation_key().map_err(failed)?.key_bytes().map_err(failed)?.as_ref().to_vec();
    Ok((key, public))
}

/// Bytes of a seed, for the connections of one thread.
#[cfg(test)]
pub(super) mod seeded {
    use std::cell::Cell;

    use aws_lc_rs::agreement::{Algorithm, ECDH_P256, ECDH_P384, ECDH_P521, PrivateKey};
    use aws_lc_rs::kem::{AlgorithmId, DecapsulationKey, ML_KEM_768};

    use crate::transport::kex::ml_kem_vector;

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

    /// The published key, which holds its public half (FIPS 203 section 7.1).
    pub(super) fn ml_kem_key() -> Option<(DecapsulationKey<AlgorithmId>, Vec<u8>)> {
        STATE.get()?;
        let bytes = ml_kem_vector("dk");
        Some((DecapsulationKey::new(&ML_KEM_768, &bytes).ok()?, bytes[1152..2336].to_vec()))
    }
}
