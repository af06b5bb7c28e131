//! AES-GCM as RFC 5647 has it, under OpenSSH's names: the length is in the clear and authenticated.

use aws_lc_rs::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

use super::{CipherName, KeyMaterial, LENGTH_BYTES};
use crate::transport::TransportError;

/// Four fixed bytes, then the invocation counter.
pub(super) const IV_LEN: usize = 12;
const FIXED: usize = 4;
const TAG_LEN: usize = 16;

/// A key with the nonce of its next packet. The counter has 64 bits and every key seals fewer than 2^32 packets, so no
/// nonce comes twice.
pub(crate) struct GcmKey {
    key: LessSafeKey,
    fixed: [u8; FIXED],
    counter: u64,
}

impl GcmKey {
    pub(super) fn new(cipher: CipherName, keys: &KeyMaterial<'_>) -> Result<Self, TransportError> {
        let wrong = TransportError::Cryptography("AES-GCM key");
        let algorithm = if cipher == CipherName::Aes128Gcm { &AES_128_GCM } else { &AES_256_GCM };
        let key = LessSafeKey::new(UnboundKey::new(algorithm, keys.key).map_err(|_| wrong.clone())?);
        let (fixed, counter) = keys.iv.split_first_chunk::<FIXED>().ok_or(wrong.clone())?;
        let counter = counter.first_chunk::<8>().ok_or(wrong)?;
        Ok(Self { key, fixed: *fixed, counter: u64::from_be_bytes(*counter) })
    }

    fn next_nonce(&mut self) -> Nonce {
        let mut nonce = [0; IV_LEN];
        let (fixed, counter) = nonce.split_at_mut(FIXED);
        fixed.copy_from_slice(&self.fixed);
        counter.copy_from_slice(&self.counter.to_be_bytes());
        self.counter = self.counter.wrapping_add(1);
        Nonce::assume_unique_for_key(nonce)
    }

    pub(super) fn seal(&mut self, packet: &mut [u8]) -> Result<(), TransportError> {
        let nonce = self.next_nonce();
        let failed = TransportError::Cryptography("AES-GCM seal");
        let (length, rest) = packet.split_first_chunk_mut::<LENGTH_BYTES>().ok_or(failed.clone())?;
        let (body, room) = rest.split_last_chunk_mut::<TAG_LEN>().ok_or(failed.clone())?;
        let tag = self.key.seal_in_place_separate_tag(nonce, Aad::from(*length), body).map_err(|_| failed)?;
        room.copy_from_slice(tag.as_ref());
        Ok(())
    }

    pub(super) fn open(&mut self, packet: &mut [u8]) -> Result<(), TransportError> {
        let nonce = self.next_nonce();
        let (length, rest) = packet.split_first_chunk_mut::<LENGTH_BYTES>().ok_or(TransportError::Integrity)?;
        self.key.open_in_place(nonce, Aad::from(*length), rest).map_err(|_| TransportError::Integrity)?;
        Ok(())
    }
}
