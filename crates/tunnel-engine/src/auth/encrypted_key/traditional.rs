//! OpenSSL's traditional encryption of PKCS#1 and SEC1 keys: `Proc-Type: 4,ENCRYPTED` and `DEK-Info` (RFC 1421), the
//! cipher's key from one round of MD5 (EVP_BytesToKey(3)). ssh-keygen writes it for `-m PEM`.

use md5::{Digest, Md5};
use pkcs8::der::asn1::{Null, ObjectIdentifier, OctetStringRef};
use pkcs8::spki::AlgorithmIdentifierRef;
use pkcs8::{PrivateKeyInfoRef, SecretDocument};
use russh::keys::PrivateKey;
use ssh_cipher::Cipher;
use zeroize::Zeroizing;

use super::pem::Pem;
use super::{DecryptError, unpad};

const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
/// Of the salt, which is the start of the initialization vector.
const SALT_BYTES: usize = 8;

/// An encrypted key.
pub(in crate::auth) struct TraditionalKey {
    kind: PemKind,
    cipher: Cipher,
    iv: Vec<u8>,
    content: Vec<u8>,
}

#[derive(Clone, Copy)]
enum PemKind {
    Rsa,
    Ec,
}

impl TraditionalKey {
    pub(super) fn read(pem: &Pem<'_>) -> Result<Option<Self>, DecryptError> {
        if !pem.header("Proc-Type").is_some_and(|value| value.ends_with("ENCRYPTED")) {
            return Ok(None);
        }
        let damaged = |what: &str| DecryptError::Unusable(format!("it is a damaged private key: {what}"));
        let info = pem.header("DEK-Info").ok_or_else(|| damaged("it has no DEK-Info header"))?;
        let (name, iv) = info.split_once(',').ok_or_else(|| damaged("its DEK-Info header has no vector"))?;
        let cipher = match name.trim().to_ascii_uppercase().as_str() {
            "DES-EDE3-CBC" => Cipher::TdesCbc,
            "AES-128-CBC" => Cipher::Aes128Cbc,
            "AES-192-CBC" => Cipher::Aes192Cbc,
            "AES-256-CBC" => Cipher::Aes256Cbc,
            other => return Err(DecryptError::Unsupported(other.to_owned())),
        };
        let kind = match pem.label {
            "RSA PRIVATE KEY" => PemKind::Rsa,
            "EC PRIVATE KEY" => PemKind::Ec,
            "DSA PRIVATE KEY" => {
                return Err(DecryptError::Unusable("it is a DSA key, which tunneld does not use".into()));
            }
            other => return Err(DecryptError::Unusable(format!("it holds `{other}`, not a private key for ssh"))),
        };
        let length = cipher.key_and_iv_size().map_or(0, |(_, iv)| iv);
        let iv = hex(iv.trim()).filter(|iv| iv.len() == length && iv.len() >= SALT_BYTES);
        let iv = iv.ok_or_else(|| damaged("the vector of its DEK-Info header is not one of its cipher"))?;
        let content = pem.content.as_deref().ok_or_else(|| damaged("it is not base64"))?;
        Ok(Some(Self { kind, cipher, iv, content: content.to_vec() }))
    }

    pub(super) fn open(&self, passphrase: &str) -> Result<PrivateKey, DecryptError> {
        let length = self.cipher.key_and_iv_size().map_or(0, |(key, _)| key);
        let key = derive(passphrase, self.iv.get(..SALT_BYTES).unwrap_or_default(), length);
        let mut message = Zeroizing::new(self.content.clone());
        let length = unpad(self.cipher, &key, &self.iv, &mut message)?;
        let der = message.get(..length).unwrap_or_default();
        // One wrong passphrase in 256 leaves what looks like padding, and no key.
        match self.kind {
            PemKind::Ec => russh::keys::pkcs8::decode_pkcs8(der, None).map_err(|_| DecryptError::WrongPassphrase),
            PemKind::Rsa => {
                let document = in_pkcs8(der).map_err(|_| DecryptError::WrongPassphrase)?;
                russh::keys::pkcs8::decode_pkcs8(document.as_bytes(), None).map_err(|_| DecryptError::WrongPassphrase)
            }
        }
    }
}

/// EVP_BytesToKey(3) with MD5 and one round: D(i) = MD5(D(i-1) || passphrase || salt).
fn derive(passphrase: &str, salt: &[u8], length: usize) -> Zeroizing<Vec<u8>> {
    let rounds = length.div_ceil(Md5::output_size());
    // All of it at once: a vector that grows would leave copies behind.
    let mut key = Zeroizing::new(Vec::with_capacity(rounds * Md5::output_size()));
    for round in 0..rounds {
        let before = round.checked_sub(1).map_or(0, |last| last * Md5::output_size());
        let mut digest = Md5::new();
        digest.update(key.get(before..).unwrap_or_default());
        digest.update(passphrase.as_bytes());
        digest.update(salt);
        key.extend_from_slice(&Zeroizing::new(<[u8; 16]>::from(digest.finalize()))[..]);
    }
    key.truncate(length);
    key
}

/// A PKCS#1 key as PKCS#8, which is what russh decodes from bytes.
fn in_pkcs8(pkcs1: &[u8]) -> pkcs8::der::Result<SecretDocument> {
    let algorithm = AlgorithmIdentifierRef { oid: RSA_ENCRYPTION, parameters: Some(Null.into()) };
    SecretDocument::encode_msg(&PrivateKeyInfoRef::new(algorithm, OctetStringRef::new(pkcs1)?))
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text.chars().map(|c| c.to_digit(16).map(|digit| digit as u8)).collect::<Option<_>>()?;
    let pairs = digits.chunks(2).map(|pair| match pair {
        [high, low] => Some(high << 4 | low),
        _ => None,
    });
    pairs.collect()
}
