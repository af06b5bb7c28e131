//! A host key as known_hosts and the wire have it: a type and a blob, compared byte for byte.

use std::fmt;

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use russh::keys::PublicKey;
use russh::keys::ssh_key::public::KeyData;

/// A public key in its wire form (RFC 4253 section 6.6). Types that we do not implement are kept too: a server
/// known by one of them is known.
#[derive(Clone, PartialEq, Eq)]
pub struct HostKey {
    kind: String,
    blob: Vec<u8>,
}

impl HostKey {
    /// Reads the type and the base64 of a known_hosts line. `None` when they do not fit together.
    pub fn parse(kind: &str, base64: &str) -> Option<Self> {
        let blob = STANDARD.decode(base64).ok()?;
        let length = u32::from_be_bytes(*blob.first_chunk::<4>()?) as usize;
        let inner = blob.get(4..)?.get(..length)?;
        (inner == kind.as_bytes() && blob.len() > 4 + length).then(|| Self { kind: kind.to_owned(), blob })
    }

    /// The key that a server presented, or the one that signed its certificate. `None` when it cannot be encoded.
    pub(crate) fn of(key: &KeyData) -> Option<Self> {
        let kind = key.algorithm().as_str().to_owned();
        Some(Self { kind, blob: PublicKey::from(key.clone()).to_bytes().ok()? })
    }

    /// `SHA256:…`, as ssh-keygen -l prints it.
    pub fn fingerprint(&self) -> String {
        let hash = digest::digest(&digest::SHA256, &self.blob);
        format!("SHA256:{}", STANDARD_NO_PAD.encode(hash.as_ref()))
    }

    /// `ssh-ed25519`.
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// As it is on the wire.
    pub(super) fn blob(&self) -> &[u8] {
        &self.blob
    }

    /// True when a server that has this key can prove it with the algorithm of that name: an RSA key signs with several.
    pub(crate) fn serves(&self, algorithm: &str) -> bool {
        let kind = if matches!(algorithm, "rsa-sha2-512" | "rsa-sha2-256") { "ssh-rsa" } else { algorithm };
        self.kind == kind
    }

    /// Type and base64, as a known_hosts line has them.
    pub(super) fn to_known_hosts(&self) -> String {
        format!("{} {}", self.kind, STANDARD.encode(&self.blob))
    }
}

/// `ssh-ed25519 SHA256:…`.
impl fmt::Display for HostKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.fingerprint())
    }
}

impl fmt::Debug for HostKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
