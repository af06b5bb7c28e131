//! chacha20-poly1305@openssh.com (OpenSSH PROTOCOL.chacha20poly1305): the length has a key of its own.

use aws_lc_rs::aead::chacha20_poly1305_openssh::{KEY_LEN, OpeningKey, SealingKey, TAG_LEN};

use super::{CipherName, FromKeys, KeyMaterial, LENGTH_BYTES};
use crate::transport::TransportError;

/// To the server.
pub(crate) struct ChachaSealer(SealingKey);

/// From the server.
pub(crate) struct ChachaOpener(OpeningKey);

fn key<'a>(keys: &KeyMaterial<'a>) -> Result<&'a [u8; KEY_LEN], TransportError> {
    keys.key.first_chunk().ok_or(TransportError::Cryptography("ChaCha20 key"))
}

impl FromKeys for ChachaSealer {
    fn from_keys(_: CipherName, keys: &KeyMaterial<'_>) -> Result<Self, TransportError> {
        key(keys).map(|key| Self(SealingKey::new(key)))
    }
}

impl FromKeys for ChachaOpener {
    fn from_keys(_: CipherName, keys: &KeyMaterial<'_>) -> Result<Self, TransportError> {
        key(keys).map(|key| Self(OpeningKey::new(key)))
    }
}

impl ChachaSealer {
    pub(super) fn seal(&self, sequence: u32, packet: &mut [u8]) -> Result<(), TransportError> {
        let room = packet.split_last_chunk_mut::<TAG_LEN>();
        let (content, tag) = room.ok_or(TransportError::Cryptography("ChaCha20-Poly1305 seal"))?;
        self.0.seal_in_place(sequence, content, tag);
        Ok(())
    }
}

impl ChachaOpener {
    pub(super) fn length(&self, sequence: u32, encrypted: [u8; LENGTH_BYTES]) -> [u8; LENGTH_BYTES] {
        self.0.decrypt_packet_length(sequence, encrypted)
    }

    pub(super) fn open(&self, sequence: u32, packet: &mut [u8]) -> Result<(), TransportError> {
        let (content, tag) = packet.split_last_chunk_mut::<TAG_LEN>().ok_or(TransportError::Integrity)?;
        self.0.open_in_place(sequence, content, tag).map(drop).map_err(|_| TransportError::Integrity)
    }
}
