//! Known answers of each method, and what no server may send.

use aws_lc_rs::agreement::{self, PrivateKey, UnparsedPublicKey, X25519};
use aws_lc_rs::digest;
use aws_lc_rs::kem::{EncapsulationKey, ML_KEM_768};

use super::*;
use crate::transport::wire::{put_mpint, put_string};

fn hex(text: &str) -> Vec<u8> {
    let digit = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(digit).collect()
}

/// RFC 7748 section 6.1: Bob's key with Alice's public value.
#[test]
fn curve25519_gives_the_secret_of_rfc_7748() {
    let bob = hex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb");
    let alice = hex("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a");
    let secret = hex("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742");
    let curve = PrivateKey::from_private_key(&X25519, &bob).unwrap();
    let ours = curve::KeyPair::with_curve(KexName::Curve25519, &X25519, curve).unwrap();
    let public = hex("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f");
    assert_eq!(ours.public(), public);
    let mut encoded = Vec::new();
    put_mpint(&mut encoded, &secret);
    assert_eq!(ours.agree(&alice).unwrap().to_vec(), encoded);
}

fn curves() -> impl Iterator<Item = (KexName, &'static agreement::Algorithm)> {
    KexName::ALL.into_iter().filter_map(|name| Some((name, curve::curve(name)?)))
}

#[test]
fn both_ends_of_each_curve_get_the_same_secret() {
    for (name, algorithm) in curves() {
        let ours = curve::KeyPair::generate(name, algorithm).unwrap();
        let theirs = PrivateKey::generate(algorithm).unwrap();
        let mut public = theirs.compute_public_key().unwrap().as_ref().to_vec();
        let kem_bytes = ours.public().len() - public.len();
        let (kem_public, curve_public) = ours.public().split_at(kem_bytes);
        let mut secret = Vec::new();
        if name == KexName::MlKem768X25519 {
            let key = EncapsulationKey::new(&ML_KEM_768, kem_public).unwrap();
            let (ciphertext, shared) = key.encapsulate().unwrap();
            public = [ciphertext.as_ref(), &public].concat();
            secret.extend_from_slice(shared.as_ref());
        } else if kem_bytes > 0 {
            let key = sntrup761::EncapsulationKey::try_from(kem_public).unwrap();
            let (ciphertext, shared) = key.encapsulate_deterministic([3; 32]);
            public = [ciphertext.as_ref(), &public].concat();
            secret.extend_from_slice(shared.as_ref());
        }
        let peer = UnparsedPublicKey::new(algorithm, curve_public);
        agreement::agree(&theirs, peer, (), |curve| {
            secret.extend_from_slice(curve);
            Ok(())
        })
        .unwrap();
        let mut expected = Vec::new();
        if kem_bytes > 0 {
            put_string(&mut expected, digest::digest(name.hash(), &secret).as_ref());
        } else {
            put_mpint(&mut expected, &secret);
        }
        assert_eq!(ours.agree(&public).unwrap().to_vec(), expected, "{}", name.name());
    }
}

#[test]
fn values_of_small_order_and_of_wrong_length_are_refused() {
    for (name, algorithm) in curves() {
        let ours = curve::KeyPair::generate(name, algorithm).unwrap();
        for length in [0, 1, 31, 32, 33, 65, 97, 133, 1071, 1120, 1121] {
            assert_eq!(ours.agree(&vec![0; length]).err(), Some(TransportError::InvalidExchange), "{length}");
        }
    }
}

#[test]
fn groups_and_ntru_take_long() {
    for name in KexName::ALL {
        let is_group = name.name().starts_with("diffie-hellman") || name.name().starts_with("sntrup");
        match Method::of(name) {
            Method::Keys(work) => assert_eq!(work.is_long(), is_group),
            Method::GroupExchange => assert!(name.name().contains("group-exchange")),
        }
    }
}

#[test]
fn large_groups_in_an_exchange_are_for_who_asks() {
    assert_eq!(GroupSizes::for_offer(&[KexName::Group16Sha512, KexName::GroupExchangeSha256]).largest, 4096);
    assert_eq!(GroupSizes::for_offer(&[KexName::Group17Sha512, KexName::GroupExchangeSha256]).largest, 8192);
}

#[test]
fn keys_longer_than_a_hash_are_continued() {
    let deriver = KeyDeriver {
        name: KexName::Curve25519,
        secret: &[0, 0, 0, 1, 5],
        exchange_hash: &[1; 32],
        session_id: &[2; 32],
    };
    let long = deriver.derive(b'C', 64);
    let first = digest::digest(&digest::SHA256, &[&[0, 0, 0, 1, 5][..], &[1; 32], b"C", &[2; 32]].concat());
    assert_eq!(long.get(..32), Some(first.as_ref()));
    let second = digest::digest(&digest::SHA256, &[&[0, 0, 0, 1, 5][..], &[1; 32], first.as_ref()].concat());
    assert_eq!(long.get(32..), Some(second.as_ref()));
    assert_eq!(deriver.derive(b'C', 20).as_slice(), &long[..20]);
}
