//! Elliptic curves (RFC 5656, RFC 8731), alone or in a hybrid with a key encapsulation mechanism.

use aws_lc_rs::agreement::{self, PrivateKey, UnparsedPublicKey, X25519};
use zeroize::Zeroizing;

use super::hybrid;
use super::name::{Arithmetic, KexName};
use crate::transport::wire::put_mpint;
use crate::transport::{TransportError, random};

/// The secret of the largest curve (P-521) with its length and sign.
const MAX_MPINT_BYTES: usize = 4 + 1 + 66;

/// The curve of a method; `None`: it has a group.
pub(super) fn curve(name: KexName) -> Option<&'static agreement::Algorithm> {
    match name.arithmetic() {
        Arithmetic::Curve(algorithm) => Some(algorithm),
        Arithmetic::Hybrid(_) => Some(&X25519),
        Arithmetic::Group(_) | Arithmetic::GroupExchange => None,
    }
}

/// Our half of one exchange.
pub(crate) struct CurveKeyPair {
    name: KexName,
    algorithm: &'static agreement::Algorithm,
    curve: PrivateKey,
    /// Beside the curve, in a hybrid.
    kem: Option<hybrid::Kem>,
    public: Vec<u8>,
}

impl CurveKeyPair {
    /// With fresh keys.
    pub(super) fn generate(name: KexName, algorithm: &'static agreement::Algorithm) -> Result<Self, TransportError> {
        Self::with_curve(name, algorithm, random::private_key(algorithm)?)
    }

    pub(super) fn with_curve(
        name: KexName,
        algorithm: &'static agreement::Algorithm,
        curve: PrivateKey,
    ) -> Result<Self, TransportError> {
        let failed = |_| TransportError::Cryptography("key generation");
        let (kem, public) = name.mechanism().map(hybrid::Kem::generate).transpose()?.unzip();
        let mut public = public.unwrap_or_default();
        public.extend_from_slice(curve.compute_public_key().map_err(failed)?.as_ref());
        Ok(Self { name, algorithm, curve, kem, public })
    }

    pub(super) const fn name(&self) -> KexName {
        self.name
    }

    pub(super) fn public(&self) -> &[u8] {
        &self.public
    }

    /// The shared secret, encoded as it is hashed, from the server's value.
    pub(super) fn agree(&self, theirs: &[u8]) -> Result<Zeroizing<Vec<u8>>, TransportError> {
        match &self.kem {
            Some(kem) => {
                let (ciphertext, theirs) = kem.split(theirs)?;
                let mut secret = kem.decapsulate(ciphertext)?;
                self.agree_on_curve(theirs, |curve| secret.extend_from_slice(curve))?;
                Ok(hybrid::combine(self.name, &secret))
            }
            None => {
                let mut encoded = Zeroizing::new(Vec::with_capacity(MAX_MPINT_BYTES));
                self.agree_on_curve(theirs, |curve| put_mpint(&mut encoded, curve))?;
                Ok(encoded)
            }
        }
    }

    fn agree_on_curve(&self, theirs: &[u8], take: impl FnOnce(&[u8])) -> Result<(), TransportError> {
        let theirs = UnparsedPublicKey::new(self.algorithm, theirs);
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
