//! PuTTY's `.ppk` files. ssh does not read them; russh does.

use russh::keys::{PrivateKey, decode_secret_key};

use super::{DecryptError, MAX_DERIVATION_MEMORY};

const FIRST_WORD: &str = "PuTTY-User-Key-File-";
/// Passes over the memory, in KiB: some seconds. PuTTY measures out a tenth of one.
const MAX_ARGON2_WORK: u64 = 8 << 20;

/// An encrypted key.
pub(in crate::auth) struct PuttyKey<'a> {
    text: &'a str,
}

impl<'a> PuttyKey<'a> {
    pub(super) fn read(text: &'a str) -> Result<Option<Self>, DecryptError> {
        let header = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        if !text.trim_start().starts_with(FIRST_WORD) || header("Encryption:").is_none_or(|cipher| cipher == "none") {
            return Ok(None);
        }
        let number = |name: &str| header(name).map_or(Some(0), |value| value.parse::<u64>().ok());
        let costs = number("Argon2-Memory:").zip(number("Argon2-Passes:"));
        let (memory, passes) =
            costs.ok_or_else(|| DecryptError::Unusable("its Argon2 headers are no numbers".to_owned()))?;
        if memory.saturating_mul(1 << 10) > MAX_DERIVATION_MEMORY || memory.saturating_mul(passes) > MAX_ARGON2_WORK {
            return Err(DecryptError::TooCostly(format!("{passes} passes of Argon2 over {memory} KiB")));
        }
        Ok(Some(Self { text }))
    }

    pub(super) fn open(&self, passphrase: &str) -> Result<PrivateKey, DecryptError> {
        decode_secret_key(self.text, Some(passphrase)).map_err(|_| DecryptError::WrongPassphrase)
    }
}
