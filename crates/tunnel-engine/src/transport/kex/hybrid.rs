//! A key encapsulation mechanism beside X25519: an attacker has to break both (draft-ietf-sshm-mlkem-hybrid-kex).

use aws_lc_rs::digest;
use aws_lc_rs::kem::{AlgorithmId, Ciphertext, DecapsulationKey, ML_KEM_768};
use zeroize::Zeroizing;

use super::name::KexName;
use crate::transport::TransportError;
use crate::transport::wire::put_string;

const CIPHERTEXT_BYTES: usize = 1088;

/// Our key pair of the key encapsulation mechanism.
pub(super) struct Kem(DecapsulationKey<AlgorithmId>);

impl Kem {
    /// `None`: the method is no hybrid.
    pub(super) fn generate(name: KexName) -> Result<Option<Self>, TransportError> {
        if name != KexName::MlKem768X25519 {
            return Ok(None);
        }
        let key = DecapsulationKey::generate(&ML_KEM_768);
        key.map(|key| Some(Self(key))).map_err(|_| TransportError::Cryptography("ML-KEM key generation"))
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
pub(super) fn combine(name: KexName, secrets: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut encoded = Zeroizing::new(Vec::new());
    put_string(&mut encoded, digest::digest(name.hash(), secrets).as_ref());
    encoded
}
