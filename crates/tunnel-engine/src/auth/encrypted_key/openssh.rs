//! OpenSSH's own container (its PROTOCOL.key): bcrypt derives the key of one of the ciphers of ssh.

use russh::keys::PrivateKey;
use russh::keys::ssh_key::encoding::Decode;
use russh::keys::ssh_key::{self, Kdf};
use ssh_cipher::Cipher;

use super::DecryptError;
use super::pem::Pem;
use crate::auth::small_scalar;

const MAGIC: &[u8] = b"openssh-key-v1\0";
/// About half a minute, longer than a login may take. ssh-keygen writes 16 (24 since OpenSSH 9.4), `-a` more.
const MAX_ROUNDS: u32 = 4096;

/// An encrypted key.
pub(in crate::auth) struct OpensshKey<'a> {
    key: Box<PrivateKey>,
    text: &'a str,
}

impl<'a> OpensshKey<'a> {
    pub(super) fn read(text: &'a str, pem: &Pem<'_>) -> Result<Option<Self>, DecryptError> {
        if let Some(name) = cipher_name(pem)
            && Cipher::new(&name).is_err()
        {
            return Err(DecryptError::Unsupported(format!("`{name}`")));
        }
        let Some(key) = PrivateKey::from_openssh(text).ok().filter(PrivateKey::is_encrypted) else { return Ok(None) };
        if let Kdf::Bcrypt { rounds, .. } = key.kdf()
            && *rounds > MAX_ROUNDS
        {
            return Err(DecryptError::TooCostly(format!("{rounds} rounds of bcrypt (more than {MAX_ROUNDS})")));
        }
        Ok(Some(Self { key: Box::new(key), text }))
    }

    pub(super) fn open(&self, passphrase: &str) -> Result<PrivateKey, DecryptError> {
        self.key.decrypt(passphrase).or_else(|error| match (small_scalar::read(self.text, Some(passphrase)), error) {
            (Some(key), _) => Ok(key),
            (None, ssh_key::Error::Encrypted) => Err(DecryptError::Unusable("it is encrypted twice".to_owned())),
            (None, _) => Err(DecryptError::WrongPassphrase),
        })
    }
}

fn cipher_name(pem: &Pem<'_>) -> Option<String> {
    String::decode(&mut pem.content.as_ref()?.strip_prefix(MAGIC)?).ok()
}
