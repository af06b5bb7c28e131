//! The algorithms that OpenSSH has and tunneld does not, each with the reason.

use super::{AlgorithmKind, wildcard};

const DSA: &str = "DSA keys have 1024 bits and sign with SHA-1; use Ed25519, ECDSA or RSA";
const SHA1_CERTIFICATE: &str = "it is signed with SHA-1; have the certificate signed with rsa-sha2-512 or Ed25519";
const SECURITY_KEY_OF_A_HOST: &str = "host keys on security keys are not read; give the server an Ed25519 host key";
const MD5: &str =
    "MD5 is broken; use hmac-sha2-256 or hmac-sha2-512, or a cipher that needs no MAC, such as aes128-gcm";
const CUT_SHA1: &str = "a SHA-1 MAC of 96 bits is too short; use hmac-sha2-256, or hmac-sha1 for an old server";
const UMAC: &str = "UMAC is not implemented; use hmac-sha2-256, or a cipher that needs no MAC, such as aes128-gcm";
const POST_QUANTUM: &str = "this hybrid is not implemented; use mlkem768x25519-sha256 or sntrup761x25519-sha512";

const CIPHERS: &[(&str, &str)] = &[(
    "3des-cbc",
    "its blocks of 64 bits give plaintext away (Sweet32); use aes128-ctr, or aes128-cbc for an old server",
)];

const MACS: &[(&str, &str)] = &[
    ("hmac-md5", MD5),
    ("hmac-md5-96", MD5),
    ("hmac-md5-etm@openssh.com", MD5),
    ("hmac-md5-96-etm@openssh.com", MD5),
    ("hmac-sha1-96", CUT_SHA1),
    ("hmac-sha1-96-etm@openssh.com", CUT_SHA1),
    ("umac-64@openssh.com", UMAC),
    ("umac-64-etm@openssh.com", UMAC),
    ("umac-128@openssh.com", UMAC),
    ("umac-128-etm@openssh.com", UMAC),
];

const KEX: &[(&str, &str)] = &[("mlkem768nistp256-sha256", POST_QUANTUM)];

const HOST_KEYS: &[(&str, &str)] = &[
    ("ssh-dss", DSA),
    ("ssh-dss-cert-v01@openssh.com", DSA),
    ("ssh-rsa-cert-v01@openssh.com", SHA1_CERTIFICATE),
    ("sk-ssh-ed25519@openssh.com", SECURITY_KEY_OF_A_HOST),
    ("sk-ssh-ed25519-cert-v01@openssh.com", SECURITY_KEY_OF_A_HOST),
    ("sk-ecdsa-sha2-nistp256@openssh.com", SECURITY_KEY_OF_A_HOST),
    ("sk-ecdsa-sha2-nistp256-cert-v01@openssh.com", SECURITY_KEY_OF_A_HOST),
    ("webauthn-sk-ecdsa-sha2-nistp256@openssh.com", SECURITY_KEY_OF_A_HOST),
];

const PUBLIC_KEYS: &[(&str, &str)] = &[
    ("ssh-dss", DSA),
    ("ssh-dss-cert-v01@openssh.com", DSA),
    ("webauthn-sk-ecdsa-sha2-nistp256@openssh.com", "only browsers sign so; use sk-ecdsa-sha2-nistp256@openssh.com"),
];

const CA_SIGNATURES: &[(&str, &str)] = &[
    ("ssh-dss", DSA),
    ("ssh-rsa", SHA1_CERTIFICATE),
    ("webauthn-sk-ecdsa-sha2-nistp256@openssh.com", "only browsers sign so; have the authority sign with Ed25519"),
];

/// Why tunneld does not have an algorithm that OpenSSH has, and what to use instead; for a pattern, of the first that it
/// matches. `None`: OpenSSH has none of that name and kind either.
pub fn missing_algorithm(kind: AlgorithmKind, pattern: &str) -> Option<&'static str> {
    let names = match kind {
        AlgorithmKind::Cipher => CIPHERS,
        AlgorithmKind::Kex => KEX,
        AlgorithmKind::Mac => MACS,
        AlgorithmKind::HostKey => HOST_KEYS,
        AlgorithmKind::PublicKey => PUBLIC_KEYS,
        AlgorithmKind::CaSignature => CA_SIGNATURES,
    };
    names.iter().find(|(name, _)| wildcard(pattern, name)).map(|(_, why)| *why)
}
