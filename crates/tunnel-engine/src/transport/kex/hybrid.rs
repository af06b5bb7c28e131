//! A key encapsulation mechanism beside X25519: an attacker has to break both (draft-ietf-sshm-mlkem-hybrid-kex,
//! draft-ietf-sshm-ntruprime-ssh).

use aws_lc_rs::digest;
use aws_lc_rs::kem::{AlgorithmId, Ciphertext, DecapsulationKey};
use zeroize::Zeroizing;

use super::name::{KexName, Mechanism};
use crate::transport::wire::put_string;
use crate::transport::{TransportError, random};

const ML_KEM_CIPHERTEXT_BYTES: usize = 1088;
const SEED_BYTES: usize = 32;
/// The mechanism's secret and the curve's, 32 bytes each: memory that never grows leaves no copy behind.
const SECRETS_BYTES: usize = 64;

/// Our key pair of the mechanism.
pub(super) enum Kem {
    MlKem(DecapsulationKey<AlgorithmId>),
    Sntrup(Box<sntrup761::DecapsulationKey>),
}

impl Kem {
    /// A fresh key, and the public key in bytes.
    pub(super) fn generate(mechanism: Mechanism) -> Result<(Self, Vec<u8>), TransportError> {
        match mechanism {
            Mechanism::MlKem768 => random::ml_kem_key().map(|(key, public)| (Self::MlKem(key), public)),
            Mechanism::Sntrup761 => {
                let mut seed = Zeroizing::new([0; SEED_BYTES]);
                random::fill(&mut *seed)?;
                let (public, key) = sntrup761::generate_key_from_seed(*seed);
                Ok((Self::Sntrup(Box::new(key)), public.as_ref().to_vec()))
            }
        }
    }

    /// The server's ciphertext, and what follows it.
    pub(super) fn split<'a>(&self, theirs: &'a [u8]) -> Result<(&'a [u8], &'a [u8]), TransportError> {
        let length = match self {
            Self::MlKem(_) => ML_KEM_CIPHERTEXT_BYTES,
            Self::Sntrup(_) => sntrup761::CIPHERTEXT_SIZE,
        };
        theirs.split_at_checked(length).ok_or(TransportError::InvalidExchange)
    }

    /// A ciphertext for another key gives another secret. There is room for the curve's behind it.
    pub(super) fn decapsulate(&self, ciphertext: &[u8]) -> Result<Zeroizing<Vec<u8>>, TransportError> {
        let mut secret = Zeroizing::new(Vec::with_capacity(SECRETS_BYTES));
        match self {
            Self::MlKem(key) => {
                let known = key.decapsulate(Ciphertext::from(ciphertext));
                secret.extend_from_slice(known.map_err(|_| TransportError::InvalidExchange)?.as_ref());
            }
            Self::Sntrup(key) => {
                let ciphertext = sntrup761::Ciphertext::try_from(ciphertext);
                let ciphertext = ciphertext.map_err(|_| TransportError::InvalidExchange)?;
                secret.extend_from_slice(key.decapsulate(&ciphertext).as_ref());
            }
        }
        Ok(secret)
    }
}

/// The hash of both secrets, as a string.
pub(in crate::transport) fn combine(name: KexName, secrets: &[u8]) -> Zeroizing<Vec<u8>> {
    let hash = digest::digest(name.hash(), secrets);
    let mut encoded = Zeroizing::new(Vec::with_capacity(size_of::<u32>() + hash.as_ref().len()));
    put_string(&mut encoded, hash.as_ref());
    encoded
}
