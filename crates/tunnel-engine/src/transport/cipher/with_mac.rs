//! Ciphers with a MAC beside them, in RFC 4253's order (MAC of the plain packet) and in OpenSSH's `-etm` (MAC of the
//! encrypted one, whose length is in the clear).

use super::cbc::{CbcDecryption, CbcEncryption};
use super::ctr::CtrKey;
use super::{CipherName, FromKeys, KeyMaterial, LENGTH_BYTES, Mode};
use crate::transport::TransportError;
use crate::transport::mac::Mac;

/// Of all of them, in bytes.
pub(super) const BLOCK: usize = 16;

/// One direction. `B` is its half of CBC.
pub(crate) struct CipherWithMac<B> {
    cipher: BlockCipher<B>,
    mac: Mac,
}

#[expect(clippy::large_enum_variant, reason = "it is in a box")]
enum BlockCipher<B> {
    Ctr(CtrKey),
    Cbc(B),
}

impl<B: FromKeys> CipherWithMac<B> {
    pub(super) fn new(cipher: CipherName, mac: Mac, keys: &KeyMaterial<'_>) -> Result<Self, TransportError> {
        let cipher = match cipher.mode() == Mode::Cbc {
            true => BlockCipher::Cbc(B::from_keys(cipher, keys)?),
            false => BlockCipher::Ctr(CtrKey::new(cipher, keys)?),
        };
        Ok(Self { cipher, mac })
    }
}

impl<B> CipherWithMac<B> {
    pub(super) const fn is_etm(&self) -> bool {
        self.mac.name.is_etm()
    }

    pub(super) const fn is_cbc(&self) -> bool {
        matches!(self.cipher, BlockCipher::Cbc(_))
    }

    pub(super) const fn tag_len(&self) -> usize {
        self.mac.name.len()
    }
}

impl CipherWithMac<CbcEncryption> {
    pub(super) fn seal(&mut self, sequence: u32, packet: &mut [u8]) -> Result<(), TransportError> {
        let short = TransportError::Cryptography("our own packet is too short");
        let at = packet.len().checked_sub(self.tag_len()).ok_or(short.clone())?;
        let (content, room) = packet.split_at_mut_checked(at).ok_or(short.clone())?;
        if self.is_etm() {
            self.encrypt(content.get_mut(LENGTH_BYTES..).ok_or(short)?)?;
            room.copy_from_slice(self.mac.sign(sequence, content).as_ref());
        } else {
            room.copy_from_slice(self.mac.sign(sequence, content).as_ref());
            self.encrypt(content)?;
        }
        Ok(())
    }

    fn encrypt(&mut self, blocks: &mut [u8]) -> Result<(), TransportError> {
        match &mut self.cipher {
            BlockCipher::Ctr(key) => key.apply(blocks),
            BlockCipher::Cbc(key) => key.encrypt(blocks),
        }
    }
}

impl CipherWithMac<CbcDecryption> {
    /// The first block of the next packet, decrypted beside it.
    pub(super) fn peek(&self, head: &[u8]) -> Result<[u8; BLOCK], TransportError> {
        let block = *head.first_chunk().ok_or(TransportError::Malformed("packet"))?;
        match &self.cipher {
            BlockCipher::Ctr(key) => key.peek(block),
            BlockCipher::Cbc(key) => key.peek(block),
        }
    }

    pub(super) fn open(&mut self, sequence: u32, packet: &mut [u8]) -> Result<(), TransportError> {
        let at = packet.len().checked_sub(self.tag_len()).ok_or(TransportError::Integrity)?;
        let (content, tag) = packet.split_at_mut_checked(at).ok_or(TransportError::Integrity)?;
        if self.is_etm() {
            self.mac.verify(sequence, content, tag)?;
            self.decrypt(content.get_mut(LENGTH_BYTES..).ok_or(TransportError::Integrity)?)
        } else {
            self.decrypt(content)?;
            self.mac.verify(sequence, content, tag)
        }
    }

    fn decrypt(&mut self, blocks: &mut [u8]) -> Result<(), TransportError> {
        match &mut self.cipher {
            BlockCipher::Ctr(key) => key.apply(blocks),
            BlockCipher::Cbc(key) => key.decrypt(blocks),
        }
    }
}
