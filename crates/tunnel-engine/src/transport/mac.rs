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

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4231 and RFC 2202, each its test case 2; the first four bytes of what is signed are the sequence number.
    #[test]
    fn codes_are_those_of_their_rfcs() {
        for (name, expected) in [
            (MacName::Sha1, "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"),
            (MacName::Sha256, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
            (
                MacName::Sha512,
                "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea2505549758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a\
                 6b4b636e070a38bce737",
            ),
        ] {
            let mac = Mac::new(name, b"Jefe");
            let code = mac.sign(u32::from_be_bytes(*b"what"), b" do ya want for nothing?");
            let hex: String = code.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!((hex.as_str(), code.as_ref().len()), (expected, name.len()));
            mac.verify(u32::from_be_bytes(*b"what"), b" do ya want for nothing?", code.as_ref()).unwrap();
        }
    }

    #[test]
    fn wrong_and_shortened_codes_are_refused() {
        for name in MacName::ALL {
            let mac = Mac::new(name, &[1; 64]);
            let code = mac.sign(1, b"packet").as_ref().to_vec();
            for at in 0..code.len() {
                let mut wrong = code.clone();
                wrong[at] ^= 0x10;
                assert_eq!(mac.verify(1, b"packet", &wrong), Err(TransportError::Integrity));
                assert_eq!(mac.verify(1, b"packet", &code[..at]), Err(TransportError::Integrity));
            }
            assert_eq!(mac.verify(2, b"packet", &code), Err(TransportError::Integrity), "another number");
        }
    }
}
