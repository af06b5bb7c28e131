//! PKCS#8's `EncryptedPrivateKeyInfo` (RFC 5958): PBES2 (RFC 8018), which ssh-keygen writes for `-m PKCS8`, and the
//! triple DES of PKCS#12 (RFC 7292 appendix B), which older OpenSSL wrote.

use pkcs8::der::asn1::{AnyRef, ObjectIdentifier, OctetStringRef};
use pkcs8::der::{Decode, Reader, SliceReader};
use pkcs8::pkcs5::pbes2::{DES_EDE3_CBC_OID, Kdf, PBES2_OID, Parameters};
use pkcs8::spki::AlgorithmIdentifierRef;
use russh::keys::PrivateKey;
use sha1::{Digest, Sha1};
use ssh_cipher::Cipher;
use zeroize::Zeroizing;

use super::pem::Pem;
use super::{DecryptError, MAX_DERIVATION_MEMORY, MAX_ITERATIONS, unpad};

const PBE_SHA1_3DES: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.12.1.3");
/// Lanes of scrypt, which run one after another here. OpenSSL writes 1.
const MAX_SCRYPT_LANES: u16 = 16;

/// By the number of the algorithm: what is met in old files, and not implemented.
const NAMES: &[(&str, &str)] = &[
    ("1.2.840.113549.1.5.1", "PBE-MD2-DES"),
    ("1.2.840.113549.1.5.3", "PBE-MD5-DES"),
    ("1.2.840.113549.1.5.4", "PBE-MD2-RC2-64"),
    ("1.2.840.113549.1.5.6", "PBE-MD5-RC2-64"),
    ("1.2.840.113549.1.5.10", "PBE-SHA1-DES"),
    ("1.2.840.113549.1.5.11", "PBE-SHA1-RC2-64"),
    ("1.2.840.113549.1.12.1.1", "PBE-SHA1-RC4-128"),
    ("1.2.840.113549.1.12.1.2", "PBE-SHA1-RC4-40"),
    ("1.2.840.113549.1.12.1.4", "PBE-SHA1-2DES"),
    ("1.2.840.113549.1.12.1.5", "PBE-SHA1-RC2-128"),
    ("1.2.840.113549.1.12.1.6", "PBE-SHA1-RC2-40"),
    ("1.3.14.3.2.7", "DES-CBC"),
    ("1.2.840.113549.3.2", "RC2-CBC"),
    ("1.2.392.200011.61.1.1.1.2", "CAMELLIA-128-CBC"),
    ("1.2.392.200011.61.1.1.1.3", "CAMELLIA-192-CBC"),
    ("1.2.392.200011.61.1.1.1.4", "CAMELLIA-256-CBC"),
    ("1.2.410.200046.1.1.2", "ARIA-128-CBC"),
    ("1.2.410.200046.1.1.7", "ARIA-192-CBC"),
    ("1.2.410.200046.1.1.12", "ARIA-256-CBC"),
    ("1.2.410.200004.1.4", "SEED-CBC"),
];

/// An encrypted key.
pub(in crate::auth) struct Pkcs8Key {
    scheme: Scheme,
    content: Vec<u8>,
}

enum Scheme {
    Pbes2(Box<Parameters>),
    Pkcs12 { salt: Vec<u8>, iterations: u32 },
}

impl Pkcs8Key {
    pub(super) fn read(pem: &Pem<'_>) -> Result<Self, DecryptError> {
        let content = pem.content.as_deref().ok_or_else(|| damaged("it is not base64"))?;
        let (algorithm, content) = outer(content).map_err(|error| damaged(&error.to_string()))?;
        let parameters = algorithm.parameters.ok_or_else(|| damaged("its encryption has no parameters"))?;
        let scheme = match algorithm.oid {
            PBES2_OID => pbes2(parameters)?,
            PBE_SHA1_3DES => pkcs12(parameters)?,
            other => return Err(DecryptError::Unsupported(name(other))),
        };
        Ok(Self { scheme, content: content.to_vec() })
    }

    pub(super) fn open(&self, passphrase: &str) -> Result<PrivateKey, DecryptError> {
        let mut message = Zeroizing::new(self.content.clone());
        let length = match &self.scheme {
            Scheme::Pbes2(parameters) => {
                let opened = parameters.decrypt_in_place(passphrase, &mut message);
                opened.map_err(|_| DecryptError::WrongPassphrase)?.len()
            }
            Scheme::Pkcs12 { salt, iterations } => {
                let (key, iv) = pkcs12_key(passphrase, salt, *iterations);
                unpad(Cipher::TdesCbc, &key[..], &iv[..], &mut message)?
            }
        };
        let der = message.get(..length).unwrap_or_default();
        // What came out right tells of a key that is of no use here; anything else, of a wrong passphrase.
        russh::keys::pkcs8::decode_pkcs8(der, None).map_err(|error| match pkcs8::PrivateKeyInfoRef::try_from(der) {
            Ok(_) => DecryptError::Unusable(format!("it holds a key that cannot be used: {error}")),
            Err(_) => DecryptError::WrongPassphrase,
        })
    }
}

fn damaged(what: &str) -> DecryptError {
    DecryptError::Unusable(format!("it is a damaged private key: {what}"))
}

fn name(oid: ObjectIdentifier) -> String {
    let dotted = oid.to_string();
    let known = NAMES.iter().find(|(known, _)| *known == dotted).map(|(_, name)| (*name).to_owned());
    known.unwrap_or_else(|| format!("the algorithm {dotted}"))
}

fn outer(der: &[u8]) -> pkcs8::der::Result<(AlgorithmIdentifierRef<'_>, &[u8])> {
    let mut reader = SliceReader::new(der)?;
    reader.sequence(|reader| {
        let algorithm = AlgorithmIdentifierRef::decode(reader)?;
        let content = <&OctetStringRef>::decode(reader)?;
        Ok((algorithm, content.as_bytes()))
    })
}

fn pbes2(parameters: AnyRef<'_>) -> Result<Scheme, DecryptError> {
    let refused = |error: pkcs8::der::Error| {
        if let pkcs8::der::ErrorKind::OidUnknown { oid } = error.kind() {
            return DecryptError::Unsupported(name(oid));
        }
        damaged(&error.to_string())
    };
    let (cipher, iv) = cipher(parameters).map_err(refused)?;
    // The crate below takes the first eight bytes of this vector without a look at how many there are.
    if cipher == DES_EDE3_CBC_OID && iv.len() != Cipher::TdesCbc.block_size() {
        return Err(damaged("the vector of its cipher has the wrong length"));
    }
    let parameters = Parameters::try_from(parameters).map_err(refused)?;
    match &parameters.kdf {
        Kdf::Pbkdf2(kdf) => check_iterations(kdf.iteration_count)?,
        Kdf::Scrypt(kdf) => {
            let memory = kdf.cost_parameter.saturating_mul(u64::from(kdf.block_size)).saturating_mul(128);
            if memory > MAX_DERIVATION_MEMORY || kdf.parallelization > MAX_SCRYPT_LANES {
                let lanes = kdf.parallelization;
                return Err(DecryptError::TooCostly(format!("scrypt over {lanes} times {} MiB", memory >> 20)));
            }
        }
        _ => return Err(DecryptError::Unsupported("a key derivation that is not known".to_owned())),
    }
    Ok(Scheme::Pbes2(Box::new(parameters)))
}

/// The cipher of PBES2 parameters, and its vector.
fn cipher(parameters: AnyRef<'_>) -> pkcs8::der::Result<(ObjectIdentifier, &[u8])> {
    parameters.sequence(|reader| {
        let _kdf = AlgorithmIdentifierRef::decode(reader)?;
        let cipher = AlgorithmIdentifierRef::decode(reader)?;
        let iv = cipher.parameters.and_then(|iv| iv.decode_as::<&OctetStringRef>().ok());
        Ok((cipher.oid, iv.map(OctetStringRef::as_bytes).unwrap_or_default()))
    })
}

fn pkcs12(parameters: AnyRef<'_>) -> Result<Scheme, DecryptError> {
    let read = parameters.sequence(|reader| {
        let salt = <&OctetStringRef>::decode(reader)?.as_bytes().to_vec();
        Ok((salt, u32::decode(reader)?))
    });
    let (salt, iterations) = read.map_err(|error: pkcs8::der::Error| damaged(&error.to_string()))?;
    if salt.is_empty() || salt.len() > SHA1_BLOCK {
        return Err(damaged("its salt has the wrong length"));
    }
    check_iterations(iterations)?;
    Ok(Scheme::Pkcs12 { salt, iterations })
}

fn check_iterations(count: u32) -> Result<(), DecryptError> {
    if count > MAX_ITERATIONS {
        return Err(DecryptError::TooCostly(format!("{count} iterations (more than {MAX_ITERATIONS})")));
    }
    Ok(())
}

/// `v` of RFC 7292 appendix B.2: what SHA-1 takes at a time.
const SHA1_BLOCK: usize = 64;
/// `u`: what it gives.
const SHA1_OUTPUT: usize = 20;

/// Key and vector of triple DES. The stable `pkcs12` crate stands on the previous generation of all the crates here.
fn pkcs12_key(passphrase: &str, salt: &[u8], iterations: u32) -> (Zeroizing<[u8; 24]>, Zeroizing<[u8; 8]>) {
    let (mut key, mut iv) = (Zeroizing::new([0; 24]), Zeroizing::new([0; 8]));
    pkcs12_derive(1, passphrase, salt, iterations, &mut key[..]);
    pkcs12_derive(2, passphrase, salt, iterations, &mut iv[..]);
    (key, iv)
}

/// RFC 7292 appendix B.2; `purpose` is its ID byte.
fn pkcs12_derive(purpose: u8, passphrase: &str, salt: &[u8], iterations: u32, output: &mut [u8]) {
    // A BMPString with its two zero bytes.
    let units = passphrase.encode_utf16().chain([0]).flat_map(u16::to_be_bytes);
    let password = Zeroizing::new(units.collect::<Vec<u8>>());
    let filled = |bytes: &[u8]| bytes.len().div_ceil(SHA1_BLOCK) * SHA1_BLOCK;
    let salted = salt.iter().copied().cycle().take(filled(salt));
    let mut input: Zeroizing<Vec<u8>> = Zeroizing::new(Vec::with_capacity(filled(salt) + filled(&password)));
    input.extend(salted);
    input.extend(password.iter().copied().cycle().take(filled(&password)));
    for piece in output.chunks_mut(SHA1_OUTPUT) {
        let first = Sha1::new().chain_update([purpose; SHA1_BLOCK]).chain_update(&input[..]).finalize();
        let mut digest: Zeroizing<[u8; SHA1_OUTPUT]> = Zeroizing::new(first.into());
        for _ in 1..iterations {
            *digest = Sha1::digest(&digest[..]).into();
        }
        piece.copy_from_slice(digest.get(..piece.len()).unwrap_or_default());
        // Each block of the input grows by the digest, repeated to a block's length, and one.
        for block in input.chunks_mut(SHA1_BLOCK) {
            let mut carry = 1;
            for (index, byte) in block.iter_mut().enumerate().rev() {
                let sum =
                    u16::from(*byte) + u16::from(digest.get(index % SHA1_OUTPUT).copied().unwrap_or_default()) + carry;
                *byte = (sum & 0xff) as u8;
                carry = sum >> 8;
            }
        }
    }
}
