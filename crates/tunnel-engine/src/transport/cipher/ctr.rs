//! AES in counter mode (RFC 4344 section 4).

use aws_lc_rs::cipher::{AES_128, AES_192, AES_256, EncryptingKey, EncryptionContext, UnboundCipherKey};
use aws_lc_rs::iv::FixedLength;

use super::with_mac::BLOCK;
use super::{CipherName, KeyMaterial};
use crate::transport::TransportError;

/// A key with the counter of its next block. Encryption and decryption are the same.
pub(super) struct CtrKey {
    key: EncryptingKey,
    counter: u128,
}

impl CtrKey {
    pub(super) fn new(cipher: CipherName, keys: &KeyMaterial<'_>) -> Result<Self, TransportError> {
        let wrong = TransportError::Cryptography("AES-CTR key");
        let algorithm = match cipher.key_len() {
            16 => &AES_128,
            24 => &AES_192,
            _ => &AES_256,
        };
        let key = UnboundCipherKey::new(algorithm, keys.key).and_then(EncryptingKey::ctr).map_err(|_| wrong.clone())?;
        let counter = keys.iv.first_chunk().ok_or(wrong)?;
        Ok(Self { key, counter: u128::from_be_bytes(*counter) })
    }

    /// The next block, without moving the counter.
    pub(super) fn peek(&self, mut block: [u8; BLOCK]) -> Result<[u8; BLOCK], TransportError> {
        self.transform(&mut block)?;
        Ok(block)
    }

    pub(super) fn apply(&mut self, blocks: &mut [u8]) -> Result<(), TransportError> {
        self.transform(blocks)?;
        self.counter = self.counter.wrapping_add((blocks.len() / BLOCK) as u128);
        Ok(())
    }

    fn transform(&self, blocks: &mut [u8]) -> Result<(), TransportError> {
        let context = EncryptionContext::Iv128(FixedLength::from(self.counter.to_be_bytes()));
        let done = self.key.less_safe_encrypt(blocks, context);
        done.map(drop).map_err(|_| TransportError::Cryptography("AES-CTR"))
    }
}
