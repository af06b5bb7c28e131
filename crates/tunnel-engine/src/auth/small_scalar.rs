//! ECDSA keys over P-256 whose secret number is small. OpenSSH writes it without leading zeros (an mpint, RFC 4251
//! section 5), and ssh-key 0.7.0-rc.11, which reads keys for russh, takes no fewer than 32 bytes: one key in 256 would
//! be "not a key", or "the wrong passphrase". Such a key is read here; to be deleted once ssh-key pads it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use russh::keys::PrivateKey;
use russh::keys::ssh_key::encoding::{Decode, Reader};
use russh::keys::ssh_key::private::{EcdsaKeypair, EcdsaPrivateKey, KeypairData};
use russh::keys::ssh_key::sec1::EncodedPoint;
use zeroize::Zeroizing;

const HEAD: &str = "-----BEGIN OPENSSH PRIVATE KEY-----";
const FOOT: &str = "-----END OPENSSH PRIVATE KEY-----";
/// PROTOCOL.key of OpenSSH.
const MAGIC: &[u8] = b"openssh-key-v1\0";
const TYPE: &str = "ecdsa-sha2-nistp256";
const CURVE: &str = "nistp256";
/// Of a secret number of this curve.
const BYTES: usize = 32;

/// The key, if it is such a one and opens with this passphrase.
pub(super) fn read(text: &str, passphrase: Option<&str>) -> Option<PrivateKey> {
    let secrets = match passphrase {
        None => in_the_clear(text)?,
        Some(passphrase) => decrypted(text, passphrase)?,
    };
    let mut rest = secrets.as_slice();
    let reader = &mut rest;
    // Two equal numbers show that the passphrase was right.
    if u32::decode(reader).ok()? != u32::decode(reader).ok()? {
        return None;
    }
    if String::decode(reader).ok()? != TYPE || String::decode(reader).ok()? != CURVE {
        return None;
    }
    let public = EncodedPoint::from_bytes(Vec::decode(reader).ok()?).ok()?;
    let small = Zeroizing::new(Vec::decode(reader).ok()?);
    let comment = String::decode(reader).ok()?;
    let mut scalar = Zeroizing::new([0; BYTES]);
    scalar.get_mut(BYTES.checked_sub(small.len())?..)?.copy_from_slice(&small);
    let pair = EcdsaKeypair::NistP256 { public, private: EcdsaPrivateKey::from(*scalar) };
    PrivateKey::new(KeypairData::Ecdsa(pair), comment).ok()
}

/// The secret part of a key that is not encrypted.
fn in_the_clear(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let (_, body) = text.split_once(HEAD)?;
    let (body, _) = body.split_once(FOOT)?;
    let body: Zeroizing<String> = Zeroizing::new(body.split_ascii_whitespace().collect());
    let bytes = Zeroizing::new(STANDARD.decode(body.as_bytes()).ok()?);
    let mut rest = bytes.strip_prefix(MAGIC)?;
    let reader = &mut rest;
    let cipher = String::decode(reader).ok()?;
    let _kdf = (String::decode(reader).ok()?, Vec::<u8>::decode(reader).ok()?);
    let keys = u32::decode(reader).ok()?;
    let _public = Vec::<u8>::decode(reader).ok()?;
    let secrets = Zeroizing::new(Vec::decode(reader).ok()?);
    (cipher == "none" && keys == 1 && reader.is_finished()).then_some(secrets)
}

/// The same of one that is, by a cipher without a tag: that is all that ssh-keygen uses unless it is told otherwise.
fn decrypted(text: &str, passphrase: &str) -> Option<Zeroizing<Vec<u8>>> {
    let key = PrivateKey::from_openssh(text).ok()?;
    let (secret, start) = key.kdf().derive_key_and_iv(key.cipher(), passphrase).ok()?;
    let mut secrets = Zeroizing::new(key.key_data().encrypted()?.to_vec());
    key.cipher().decrypt(&secret, &start, &mut secrets, None).ok()?;
    Some(secrets)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: &str = include_str!("small_scalar/plain");
    const LOCKED: &str = include_str!("small_scalar/locked");

    #[test]
    fn it_is_read_with_and_without_a_passphrase() {
        let plain = read(PLAIN, None).unwrap();
        assert_eq!(
            plain.fingerprint(Default::default()).to_string(),
            "SHA256:Uja0XIEGiufQgfVdGQVrew43nrpIfaciemFEit4Eq8A",
            "as ssh-keygen -l has it"
        );
        let locked = read(LOCKED, Some("open sesame")).unwrap();
        assert_eq!(locked.key_data().ecdsa(), plain.key_data().ecdsa());
        assert_eq!(plain.comment().to_string(), "small");
        assert!(read(LOCKED, Some("another")).is_none());
        assert!(read(LOCKED, None).is_none());
    }

    #[test]
    fn the_library_still_does_not_read_it() {
        assert!(PrivateKey::from_openssh(PLAIN).is_err(), "this file can go");
    }

    #[test]
    fn what_is_not_such_a_key_is_left_alone() {
        for text in ["", HEAD, &format!("{HEAD}\n{FOOT}\n"), &format!("{HEAD}\nb3BlbnNzaC1rZXktdjEAAAAA\n{FOOT}\n")] {
            assert!(read(text, None).is_none() && read(text, Some("x")).is_none());
        }
    }
}
