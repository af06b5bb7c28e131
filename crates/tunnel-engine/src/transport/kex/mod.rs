//! Key exchange methods in which the client sends one value and the server answers with one: curves (RFC 5656, RFC 8731)
//! and the hybrid of a curve with ML-KEM (draft-ietf-sshm-mlkem-hybrid-kex).

mod hash;
mod hybrid;
#[cfg(test)]
mod tests;

use aws_lc_rs::agreement::{self, ECDH_P256, ECDH_P384, ECDH_P521, PrivateKey, UnparsedPublicKey, X25519};
use aws_lc_rs::digest;
use zeroize::Zeroizing;

pub(super) use hash::{ExchangeHash, KeyDeriver};

use super::TransportError;
use super::wire::put_mpint;

/// A key exchange method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KexName {
    MlKem768X25519,
    Curve25519,
    /// The name of the same before RFC 8731.
    Curve25519Libssh,
    EcdhP256,
    EcdhP384,
    EcdhP521,
}

impl KexName {
    pub(crate) const ALL: [Self; 6] = [
        Self::MlKem768X25519,
        Self::Curve25519,
        Self::Curve25519Libssh,
        Self::EcdhP256,
        Self::EcdhP384,
        Self::EcdhP521,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::MlKem768X25519 => "mlkem768x25519-sha256",
            Self::Curve25519 => "curve25519-sha256",
            Self::Curve25519Libssh => "curve25519-sha256@libssh.org",
            Self::EcdhP256 => "ecdh-sha2-nistp256",
            Self::EcdhP384 => "ecdh-sha2-nistp384",
            Self::EcdhP521 => "ecdh-sha2-nistp521",
        }
    }

    /// For the exchange hash and the keys.
    fn hash(self) -> &'static digest::Algorithm {
        match self {
            Self::MlKem768X25519 | Self::Curve25519 | Self::Curve25519Libssh | Self::EcdhP256 => &digest::SHA256,
            Self::EcdhP384 => &digest::SHA384,
            Self::EcdhP521 => &digest::SHA512,
        }
    }

    fn curve(self) -> &'static agreement::Algorithm {
        match self {
            Self::MlKem768X25519 | Self::Curve25519 | Self::Curve25519Libssh => &X25519,
            Self::EcdhP256 => &ECDH_P256,
            Self::EcdhP384 => &ECDH_P384,
            Self::EcdhP521 => &ECDH_P521,
        }
    }
}

/// Our half of one exchange.
pub(super) struct KeyExchange {
    name: KexName,
    curve: PrivateKey,
    /// Beside the curve, in a hybrid.
    kem: Option<hybrid::Kem>,
    /// What the server is sent.
    public: Vec<u8>,
}

impl KeyExchange {
    /// With fresh keys.
    pub(super) fn begin(name: KexName) -> Result<Self, TransportError> {
        let failed = |_| TransportError::Cryptography("key generation");
        Self::with_curve(name, PrivateKey::generate(name.curve()).map_err(failed)?)
    }

    fn with_curve(name: KexName, curve: PrivateKey) -> Result<Self, TransportError> {
        let failed = |_| TransportError::Cryptography("key generation");
        let kem = if name == KexName::MlKem768X25519 { Some(hybrid::Kem::generate()?) } else { None };
        let mut public = kem.as_ref().map(hybrid::Kem::public).transpose()?.unwrap_or_default();
        public.extend_from_slice(curve.compute_public_key().map_err(failed)?.as_ref());
        Ok(Self { name, curve, kem, public })
    }

    /// For SSH_MSG_KEX_ECDH_INIT.
    pub(super) fn public(&self) -> &[u8] {
        &self.public
    }

    /// The shared secret, encoded as it is hashed, from the server's value.
    pub(super) fn finish(&self, theirs: &[u8]) -> Result<Zeroizing<Vec<u8>>, TransportError> {
        match &self.kem {
            Some(kem) => {
                let (ciphertext, theirs) = kem.split(theirs)?;
                let mut secret = kem.decapsulate(ciphertext)?;
                self.agree(theirs, |curve| secret.extend_from_slice(curve))?;
                Ok(hybrid::combine(&secret))
            }
            None => {
                let mut encoded = Zeroizing::new(Vec::new());
                self.agree(theirs, |curve| put_mpint(&mut encoded, curve))?;
                Ok(encoded)
            }
        }
    }

    fn agree(&self, theirs: &[u8], take: impl FnOnce(&[u8])) -> Result<(), TransportError> {
        let theirs = UnparsedPublicKey::new(self.name.curve(), theirs);
        agreement::agree(&self.curve, theirs, TransportError::InvalidExchange, |secret| {
            // RFC 8731 section 3: a point of small order gives zero.
            if secret.iter().all(|byte| *byte == 0) {
                return Err(TransportError::InvalidExchange);
            }
            take(secret);
            Ok(())
        })
    }
}
