//! The server's signature under an exchange: by the key in its host key blob, or by the one in its certificate.
//! Whether that key is to be believed is not asked here.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ECDSA_P521_SHA512_FIXED, ED25519,
    RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY, RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY,
    RSA_PKCS1_1024_8192_SHA512_FOR_LEGACY_USE_ONLY, RsaParameters, RsaPublicKeyComponents, UnparsedPublicKey,
    VerificationAlgorithm,
};

use super::TransportError;
use super::wire::MessageReader;

const CERTIFICATE: &str = "-cert-v01@openssh.com";

/// Whether signatures by this algorithm can be checked.
pub(crate) fn is_known(algorithm: &str) -> bool {
    const PLAIN: [&str; 7] = [
        "ssh-ed25519",
        "ecdsa-sha2-nistp256",
        "ecdsa-sha2-nistp384",
        "ecdsa-sha2-nistp521",
        "rsa-sha2-256",
        "rsa-sha2-512",
        "ssh-rsa",
    ];
    PLAIN.contains(&algorithm.strip_suffix(CERTIFICATE).unwrap_or(algorithm))
}

/// Whether `signature` over `hash` was made with the negotiated `algorithm` by the key in `blob`.
pub(super) fn verify(algorithm: &str, blob: &[u8], signature: &[u8], hash: &[u8]) -> Result<(), TransportError> {
    let plain = algorithm.strip_suffix(CERTIFICATE);
    let (scheme, is_certificate) = (plain.unwrap_or(algorithm), plain.is_some());
    let mut key = MessageReader::new("host key", blob);
    let family = key.name()?;
    if family != blob_type(scheme, is_certificate) {
        return Err(TransportError::Malformed("host key of another type than agreed"));
    }
    if is_certificate {
        // The nonce; the key's own fields follow as in a plain one.
        key.string()?;
    }
    let mut signed = MessageReader::new("host key signature", signature);
    if signed.name()? != scheme {
        return Err(TransportError::WrongSignature);
    }
    let signature = signed.string()?;
    signed.end()?;
    match scheme {
        "ssh-ed25519" => check(&ED25519, key.string()?, signature, hash),
        "ecdsa-sha2-nistp256" => ecdsa(key, signature, hash, &ECDSA_P256_SHA256_FIXED, ("nistp256", 32)),
        "ecdsa-sha2-nistp384" => ecdsa(key, signature, hash, &ECDSA_P384_SHA384_FIXED, ("nistp384", 48)),
        "ecdsa-sha2-nistp521" => ecdsa(key, signature, hash, &ECDSA_P521_SHA512_FIXED, ("nistp521", 66)),
        // How short an RSA key may be is the user's to say (`required_rsa_size`), and is checked with the key itself.
        "rsa-sha2-256" => rsa(key, signature, hash, &RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY),
        "rsa-sha2-512" => rsa(key, signature, hash, &RSA_PKCS1_1024_8192_SHA512_FOR_LEGACY_USE_ONLY),
        "ssh-rsa" => rsa(key, signature, hash, &RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY),
        _ => Err(TransportError::Cryptography("an unknown host key algorithm")),
    }
}

/// RSA keys sign in several ways, and all have one name.
fn blob_type(scheme: &str, is_certificate: bool) -> String {
    let family = if scheme.starts_with("rsa-") { "ssh-rsa" } else { scheme };
    if is_certificate { format!("{family}{CERTIFICATE}") } else { family.to_owned() }
}

fn check(
    algorithm: &'static dyn VerificationAlgorithm,
    key: &[u8],
    signature: &[u8],
    hash: &[u8],
) -> Result<(), TransportError> {
    UnparsedPublicKey::new(algorithm, key).verify(hash, signature).map_err(|_| TransportError::WrongSignature)
}

fn ecdsa(
    mut key: MessageReader<'_>,
    signature: &[u8],
    hash: &[u8],
    algorithm: &'static dyn VerificationAlgorithm,
    (curve, size): (&str, usize),
) -> Result<(), TransportError> {
    if key.name()? != curve {
        return Err(TransportError::Malformed("host key on another curve"));
    }
    let point = key.string()?;
    let mut parts = MessageReader::new("ECDSA signature", signature);
    let mut fixed = Vec::with_capacity(2 * size);
    for _ in 0..2 {
        let number = parts.unsigned()?;
        let zeros = size.checked_sub(number.len()).ok_or(TransportError::WrongSignature)?;
        fixed.resize(fixed.len() + zeros, 0);
        fixed.extend_from_slice(number);
    }
    parts.end()?;
    check(algorithm, point, &fixed, hash)
}

fn rsa(
    mut key: MessageReader<'_>,
    signature: &[u8],
    hash: &[u8],
    how: &'static RsaParameters,
) -> Result<(), TransportError> {
    let (e, n) = (key.unsigned()?, key.unsigned()?);
    // Some servers leave leading zeros of the signature out.
    let mut padded = vec![0; n.len().saturating_sub(signature.len())];
    padded.extend_from_slice(signature);
    RsaPublicKeyComponents { n, e }.verify(how, hash, &padded).map_err(|_| TransportError::WrongSignature)
}
