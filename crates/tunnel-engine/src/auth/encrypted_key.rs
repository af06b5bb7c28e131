//! Private key files under a passphrase, in every encryption that ssh opens. What a file asks for is looked at before
//! any of it is done: a cipher that is not implemented has a name, and a key derivation that would run for hours is
//! refused. Opening blocks for as long as the derivation takes.

mod openssh;
mod pem;
mod pkcs8;
mod putty;
#[cfg(test)]
mod tests;
mod traditional;

use russh::keys::PrivateKey;
use ssh_cipher::Cipher;

use pem::Pem;

/// PBKDF2 and PKCS#12 iterations: some seconds. OpenSSL writes 2048, password managers up to a million.
const MAX_ITERATIONS: u32 = 10_000_000;
/// What scrypt and Argon2 may take of the memory that all tunnels share. OpenSSL's scrypt takes 16 MiB, PuTTY 8.
const MAX_DERIVATION_MEMORY: u64 = 256 << 20;

/// A private key file that is encrypted, by its container.
pub(super) enum EncryptedKey<'a> {
    /// `BEGIN OPENSSH PRIVATE KEY`: ssh-keygen's own.
    OpenSsh(openssh::OpensshKey<'a>),
    /// `DEK-Info`: OpenSSL's traditional form, of RSA and EC keys.
    Traditional(traditional::TraditionalKey),
    /// `BEGIN ENCRYPTED PRIVATE KEY`: PKCS#8.
    Pkcs8(pkcs8::Pkcs8Key),
    /// PuTTY's.
    Putty(putty::PuttyKey<'a>),
}

/// Why an encrypted key is not opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum DecryptError {
    /// The passphrase is another one. (A damaged file may look the same.)
    #[error("the passphrase does not open it")]
    WrongPassphrase,
    /// An encryption that is not implemented.
    #[error("it is encrypted with {0}, which tunneld does not implement")]
    Unsupported(String),
    /// A key derivation beyond the bounds here.
    #[error("its passphrase is derived with {0}, which tunneld does not run")]
    TooCostly(String),
    /// Opened, but a key that cannot be used; or not what its first line says.
    #[error("{0}")]
    Unusable(String),
}

impl<'a> EncryptedKey<'a> {
    /// `None`: the file is not encrypted, or no private key.
    ///
    /// # Errors
    /// No passphrase would open it: [`DecryptError::Unsupported`], [`DecryptError::TooCostly`], [`DecryptError::Unusable`].
    pub(super) fn read(text: &'a str) -> Result<Option<Self>, DecryptError> {
        if let Some(sealed) = putty::PuttyKey::read(text)? {
            return Ok(Some(Self::Putty(sealed)));
        }
        let Some(pem) = Pem::read(text) else { return Ok(None) };
        match pem.label {
            "OPENSSH PRIVATE KEY" => Ok(openssh::OpensshKey::read(text, &pem)?.map(Self::OpenSsh)),
            "ENCRYPTED PRIVATE KEY" => pkcs8::Pkcs8Key::read(&pem).map(|sealed| Some(Self::Pkcs8(sealed))),
            _ => Ok(traditional::TraditionalKey::read(&pem)?.map(Self::Traditional)),
        }
    }

    /// Decrypts it.
    ///
    /// # Errors
    /// [`DecryptError::WrongPassphrase`], or [`DecryptError::Unusable`] of what was inside.
    pub(super) fn open(&self, passphrase: &str) -> Result<PrivateKey, DecryptError> {
        match self {
            Self::OpenSsh(sealed) => sealed.open(passphrase),
            Self::Traditional(sealed) => sealed.open(passphrase),
            Self::Pkcs8(sealed) => sealed.open(passphrase),
            Self::Putty(sealed) => sealed.open(passphrase),
        }
    }
}

/// Decrypts in place a message in cipher block chaining, and gives its length without the padding (RFC 8018 section
/// 6.1.1). Padding that is none shows that the key is wrong.
fn unpad(cipher: Cipher, key: &[u8], iv: &[u8], message: &mut [u8]) -> Result<usize, DecryptError> {
    cipher.decrypt(key, iv, message, None).map_err(|_| DecryptError::WrongPassphrase)?;
    let pad = message.last().copied().map_or(0, usize::from);
    let length = message.len().checked_sub(pad).ok_or(DecryptError::WrongPassphrase)?;
    let padded = (1..=cipher.block_size()).contains(&pad);
    let alike = message.get(length..).unwrap_or_default().iter().all(|byte| usize::from(*byte) == pad);
    if padded && alike { Ok(length) } else { Err(DecryptError::WrongPassphrase) }
}
