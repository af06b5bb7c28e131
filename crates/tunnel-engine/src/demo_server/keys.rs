//! Keys made on the spot, as text, so that other code need not know russh's types.

use russh::keys::key::safe_rng;
use russh::keys::ssh_key::LineEnding;
use russh::keys::{Algorithm, PrivateKey};

/// An RSA key of this size takes a moment to make, and no client refuses it (OpenSSH's RequiredRSASize is 1024).
const RSA_BITS: usize = 2048;

/// A private key.
#[derive(Clone)]
pub struct DemoKey(PrivateKey);

impl DemoKey {
    /// A new ed25519 key.
    pub fn ed25519() -> Result<Self, KeyError> {
        Ok(Self(PrivateKey::random(&mut safe_rng(), Algorithm::Ed25519).map_err(KeyError::new)?))
    }

    /// A new RSA key. Slow.
    pub fn rsa() -> Result<Self, KeyError> {
        let pair = russh::keys::ssh_key::private::RsaKeypair::random(&mut safe_rng(), RSA_BITS);
        Ok(Self(PrivateKey::from(pair.map_err(KeyError::new)?)))
    }

    /// Reads an unencrypted private key in OpenSSH's format.
    pub fn from_openssh(text: &str) -> Result<Self, KeyError> {
        Ok(Self(PrivateKey::from_openssh(text).map_err(KeyError::new)?))
    }

    /// The private key in OpenSSH's format, for a file.
    pub fn private_openssh(&self) -> Result<String, KeyError> {
        Ok(self.0.to_openssh(LineEnding::LF).map_err(KeyError::new)?.to_string())
    }

    /// The public half as a line of `authorized_keys` or `known_hosts` has it: `ssh-ed25519 AAAA…`.
    pub fn public_openssh(&self) -> Result<String, KeyError> {
        self.0.public_key().to_openssh().map_err(KeyError::new)
    }

    pub(super) const fn inner(&self) -> &PrivateKey {
        &self.0
    }
}

impl std::fmt::Debug for DemoKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Key({})", self.0.algorithm())
    }
}

/// A key that cannot be made, read or written.
#[derive(Debug, thiserror::Error)]
#[error("the key cannot be used: {0}")]
pub struct KeyError(String);

impl KeyError {
    pub(super) fn new(error: impl std::fmt::Display) -> Self {
        Self(error.to_string())
    }
}
