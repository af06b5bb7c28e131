//! AES in cipher block chaining (RFC 4253 section 6.3), for servers that have nothing better and users who ask for it.
//! The last block of a packet is the initialisation vector of the next one.

use aes::cipher::typenum::U16;
use aes::cipher::{Array, BlockModeDecrypt, BlockModeEncrypt, InnerIvInit, InvalidLength, KeyInit, KeyIvInit};
use aes::{Aes128, Aes192, Aes256};
use cbc::{Decryptor, Encryptor};

use super::with_mac::BLOCK;
use super::{CipherName, FromKeys, KeyMaterial};
use crate::transport::TransportError;

const WRONG: fn(InvalidLength) -> TransportError = |_| TransportError::Cryptography("AES-CBC key");

/// To the server.
pub(crate) enum CbcEncryption {
    Aes128(Encryptor<Aes128>),
    Aes192(Encryptor<Aes192>),
    Aes256(Encryptor<Aes256>),
}

impl FromKeys for CbcEncryption {
    fn from_keys(cipher: CipherName, keys: &KeyMaterial<'_>) -> Result<Self, TransportError> {
        let (key, iv) = (keys.key, keys.iv);
        Ok(match cipher.key_len() {
            16 => Self::Aes128(Encryptor::new_from_slices(key, iv).map_err(WRONG)?),
            24 => Self::Aes192(Encryptor::new_from_slices(key, iv).map_err(WRONG)?),
            _ => Self::Aes256(Encryptor::new_from_slices(key, iv).map_err(WRONG)?),
        })
    }
}

impl CbcEncryption {
    pub(super) fn encrypt(&mut self, bytes: &mut [u8]) -> Result<(), TransportError> {
        let blocks = blocks(bytes)?;
        match self {
            Self::Aes128(key) => key.encrypt_blocks(blocks),
            Self::Aes192(key) => key.encrypt_blocks(blocks),
            Self::Aes256(key) => key.encrypt_blocks(blocks),
        }
        Ok(())
    }
}

/// From the server.
pub(crate) struct CbcDecryption {
    key: CbcKey,
    /// The last block that came, still encrypted.
    iv: [u8; BLOCK],
}

enum CbcKey {
    Aes128(Aes128),
    Aes192(Aes192),
    Aes256(Aes256),
}

impl FromKeys for CbcDecryption {
    fn from_keys(cipher: CipherName, keys: &KeyMaterial<'_>) -> Result<Self, TransportError> {
        let key = match cipher.key_len() {
            16 => CbcKey::Aes128(Aes128::new_from_slice(keys.key).map_err(WRONG)?),
            24 => CbcKey::Aes192(Aes192::new_from_slice(keys.key).map_err(WRONG)?),
            _ => CbcKey::Aes256(Aes256::new_from_slice(keys.key).map_err(WRONG)?),
        };
        let iv = keys.iv.first_chunk().ok_or(TransportError::Cryptography("AES-CBC key"))?;
        Ok(Self { key, iv: *iv })
    }
}

impl CbcDecryption {
    pub(super) fn decrypt(&mut self, bytes: &mut [u8]) -> Result<(), TransportError> {
        let last = bytes.last_chunk().copied();
        self.transform(bytes)?;
        self.iv = last.unwrap_or(self.iv);
        Ok(())
    }

    /// The next block, without moving on.
    pub(super) fn peek(&self, mut block: [u8; BLOCK]) -> Result<[u8; BLOCK], TransportError> {
        self.transform(&mut block)?;
        Ok(block)
    }

    fn transform(&self, bytes: &mut [u8]) -> Result<(), TransportError> {
        let (blocks, iv) = (blocks(bytes)?, &Array(self.iv));
        match &self.key {
            CbcKey::Aes128(key) => Decryptor::inner_iv_init(key.clone(), iv).decrypt_blocks(blocks),
            CbcKey::Aes192(key) => Decryptor::inner_iv_init(key.clone(), iv).decrypt_blocks(blocks),
            CbcKey::Aes256(key) => Decryptor::inner_iv_init(key.clone(), iv).decrypt_blocks(blocks),
        }
        Ok(())
    }
}

fn blocks(bytes: &mut [u8]) -> Result<&mut [Array<u8, U16>], TransportError> {
    match Array::slice_as_chunks_mut(bytes) {
        (blocks, []) => Ok(blocks),
        _ => Err(TransportError::Cryptography("a part of a block")),
    }
}
