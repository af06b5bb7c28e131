//! Message authentication codes for ciphers that have none of their own (RFC 4253 section 6.4, RFC 6668), in the
//! original order (MAC of the plain packet) and in OpenSSH's `-etm` (MAC of the encrypted one).

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac::{Algorithm, Context, HMAC_SHA1_FOR_LEGACY_USE_ONLY, HMAC_SHA256, HMAC_SHA512, Key, Tag};

use super::TransportError;

/// A MAC algorithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MacName {
    Sha256Etm,
    Sha512Etm,
    Sha256,
    Sha512,
    Sha1Etm,
    Sha1,
}

impl MacName {
    pub(crate) const ALL: [Self; 6] =
        [Self::Sha256Etm, Self::Sha512Etm, Self::Sha256, Self::Sha512, Self::Sha1Etm, Self::Sha1];

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.name() == name)
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Sha256Etm => "hmac-sha2-256-etm@openssh.com",
            Self::Sha512Etm => "hmac-sha2-512-etm@openssh.com",
            Self::Sha256 => "hmac-sha2-256",
            Self::Sha512 => "hmac-sha2-512",
            Self::Sha1Etm => "hmac-sha1-etm@openssh.com",
            Self::Sha1 => "hmac-sha1",
        }
    }

    /// The encrypted packet is authenticated, and its length is not encrypted.
    pub(crate) const fn is_etm(self) -> bool {
        matches!(self, Self::Sha256Etm | Self::Sha512Etm | Self::Sha1Etm)
    }

    /// Of the key and of the code, in bytes.
    pub(crate) const fn len(self) -> usize {
        match self {
            Self::Sha256Etm | Self::Sha256 => 32,
            Self::Sha512Etm | Self::Sha512 => 64,
            Self::Sha1Etm | Self::Sha1 => 20,
        }
    }

    fn algorithm(self) -> Algorithm {
        match self {
            Self::Sha256Etm | Self::Sha256 => HMAC_SHA256,
            Self::Sha512Etm | Self::Sha512 => HMAC_SHA512,
            Self::Sha1Etm | Self::Sha1 => HMAC_SHA1_FOR_LEGACY_USE_ONLY,
        }
    }
}

/// A MAC with its key.
pub(super) struct Mac {
    pub(super) name: MacName,
    key: Key,
}

impl Mac {
    pub(super) fn new(name: MacName, key: &[u8]) -> Self {
        Self { name, key: Key::new(name.algorithm(), key) }
    }

    /// Over the sequence number and the packet.
    pub(super) fn sign(&self, sequence: u32, packet: &[u8]) -> Tag {
        let mut context = Context::with_key(&self.key);
        context.update(&sequence.to_be_bytes());
        context.update(packet);
        context.sign()
    }

    pub(super) fn verify(&self, sequence: u32, packet: &[u8], tag: &[u8]) -> Result<(), TransportError> {
        let expected = self.sign(sequence, packet);
        verify_slices_are_equal(expected.as_ref(), tag).map_err(|_| TransportError::Integrity)
    }
}
