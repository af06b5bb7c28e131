//! AES in counter mode (RFC 4344 section 4) with a MAC beside it.

use aws_lc_rs::cipher::{AES_128, AES_192, AES_256, EncryptingKey, EncryptionContext, UnboundCipherKey};
use aws_lc_rs::iv::FixedLength;

use super::{CipherName, KeyMaterial, LENGTH_BYTES};
use crate::transport::TransportError;
use crate::transport::mac::Mac;

pub(super) const BLOCK: usize = 16;

/// A key with the counter of its next block. Encryption and decryption are the same.
pub(crate) struct CtrKey {
    key: EncryptingKey,
    counter: u128,
    mac: Mac,
}

impl CtrKey {
    pub(super) fn new(cipher: CipherName, mac: Mac, keys: &KeyMaterial<'_>) -> Result<Self, TransportError> {
        let wrong = TransportError::Cryptography("AES-CTR key");
        let algorithm = match cipher {
            CipherName::Aes128Ctr => &AES_128,
            CipherName::Aes192Ctr => &AES_192,
            CipherName::Aes256Ctr | CipherName::Aes128Gcm | CipherName::Aes256Gcm | CipherName::ChaCha20Poly1305 => {
                &AES_256
            }
        };
        let key = UnboundCipherKey::new(algorithm, keys.key).and_then(EncryptingKey::ctr).map_err(|_| wrong.clone())?;
        let counter = keys.iv.first_chunk().ok_or(wrong)?;
        Ok(Self { key, counter: u128::from_be_bytes(*counter), mac })
    }

    pub(super) const fn is_etm(&self) -> bool {
        self.mac.name.is_etm()
    }

    pub(super) const fn tag_len(&self) -> usize {
        self.mac.name.len()
    }

    /// The first block of the next packet, decrypted beside it.
    pub(super) fn peek(&self, head: &[u8]) -> Result<[u8; BLOCK], TransportError> {
        let mut block = *head.first_chunk::<BLOCK>().ok_or(TransportError::Malformed("packet"))?;
        self.apply(&mut block)?;
        Ok(block)
    }

    pub(super) fn seal(&mut self, sequence: u32, packet: &mut [u8]) -> Result<(), TransportError> {
        let short = TransportError::Cryptography("AES-CTR seal");
        let at = packet.len().checked_sub(self.tag_len()).ok_or(short.clone())?;
        let (content, room) = packet.split_at_mut_checked(at).ok_or(short.clone())?;
        if self.is_etm() {
            self.transform(content.get_mut(LENGTH_BYTES..).ok_or(short)?)?;
            room.copy_from_slice(self.mac.sign(sequence, content).as_ref());
        } else {
            room.copy_from_slice(self.mac.sign(sequence, content).as_ref());
            self.transform(content)?;
        }
        Ok(())
    }

    pub(super) fn open(&mut self, sequence: u32, packet: &mut [u8]) -> Result<(), TransportError> {
        let at = packet.len().checked_sub(self.tag_len()).ok_or(TransportError::Integrity)?;
        let (content, tag) = packet.split_at_mut_checked(at).ok_or(TransportError::Integrity)?;
        if self.is_etm() {
            self.mac.verify(sequence, content, tag)?;
            self.transform(content.get_mut(LENGTH_BYTES..).ok_or(TransportError::Integrity)?)
        } else {
            self.transform(content)?;
            self.mac.verify(sequence, content, tag)
        }
    }

    fn transform(&mut self, blocks: &mut [u8]) -> Result<(), TransportError> {
        self.apply(blocks)?;
        self.counter = self.counter.wrapping_add((blocks.len() / BLOCK) as u128);
        Ok(())
    }

    fn apply(&self, blocks: &mut [u8]) -> Result<(), TransportError> {
        let context = EncryptionContext::Iv128(FixedLength::from(self.counter.to_be_bytes()));
        let done = self.key.less_safe_encrypt(blocks, context);
        done.map(drop).map_err(|_| TransportError::Cryptography("AES-CTR"))
    }
}
