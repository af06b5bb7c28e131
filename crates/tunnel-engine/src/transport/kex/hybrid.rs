//! ML-KEM-768 beside X25519: an attacker has to break both.

use aws_lc_rs::digest;
use aws_lc_rs::kem::{AlgorithmId, Ciphertext, DecapsulationKey, ML_KEM_768};
use zeroize::Zeroizing;

use crate::transport::TransportError;
use crate::transport::wire::put_string;

const CIPHERTEXT_BYTES: usize = 1088;

/// Our key pair of the key encapsulation mechanism.
pub(super) struct Kem(DecapsulationKey<AlgorithmId>);

impl Kem {
    pub(super) fn generate() -> Result<Self, TransportError> {
        let key = DecapsulationKey::generate(&ML_KEM_768);
        key.map(Self).map_err(|_| TransportError::Cryptography("ML-KEM key generation"))
    }

    pub(super) fn public(&self) -> Result<Vec<u8>, TransportError> {
        let failed = |_| TransportError::Cryptography("ML-KEM public key");
        Ok(self.0.encapsulation_key().map_err(failed)?.key_bytes().map_err(failed)?.as_ref().to_vec())
    }

    /// The server's ciphertext, and what follows it.
    pub(super) fn split<'a>(&self, theirs: &'a [u8]) -> Result<(&'a [u8], &'a [u8]), TransportError> {
        theirs.split_at_checked(CIPHERTEXT_BYTES).ok_or(TransportError::InvalidExchange)
    }

    pub(super) fn decapsulate(&self, ciphertext: &[u8]) -> Result<Zeroizing<Vec<u8>>, TransportError> {
        let secret = self.0.decapsulate(Ciphertext::from(ciphertext)).map_err(|_| TransportError::InvalidExchange)?;
        Ok(Zeroizing::new(secret.as_ref().to_vec()))
    }
}

/// The hash of both secrets, as a string.
pub(super) fn combine(secrets: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut encoded = Zeroizing::new(Vec::new());
    put_string(&mut encoded, digest::digest(&digest::SHA256, secrets).as_ref());
    encoded
}
