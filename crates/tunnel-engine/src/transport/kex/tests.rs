//! Known answers of each method, and what no server may send.

use aws_lc_rs::agreement::{self, PrivateKey, UnparsedPublicKey, X25519};
use aws_lc_rs::digest;
use aws_lc_rs::kem::{EncapsulationKey, ML_KEM_768};

use super::*;
use crate::transport::random::seeded;
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
    let ours = curve::CurveKeyPair::with_curve(KexName::Curve25519, &X25519, curve).unwrap();
    let public = hex("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f");
    assert_eq!(ours.public(), public);
    let mut encoded = Vec::new();
    put_mpint(&mut encoded, &secret);
    assert_eq!(ours.agree(&alice).unwrap().to_vec(), encoded);
}

/// A value of the C2SP vector for ML-KEM-768 (CCTV, ML-KEM/intermediate; CC0): the decapsulation key `dk`, the ciphertext
/// `c`, the shared secret `K`.
pub(in crate::transport) fn ml_kem_vector(name: &str) -> Vec<u8> {
    let line = include_str!("tests/ml_kem_768.txt").lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    hex(line.unwrap())
}

/// The published ML-KEM key with RFC 7748's keys: the SHA-256 of both secrets, as Python's `hashlib` makes it. A ciphertext for
/// another key gives the secret of FIPS 203's implicit rejection.
#[test]
fn ml_kem_hybrid_gives_the_hash_of_published_secrets() {
    let bob = hex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb");
    let alice = hex("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a");
    let curve = PrivateKey::from_private_key(&X25519, &bob).unwrap();
    seeded::begin(Some(0));
    let ours = curve::CurveKeyPair::with_curve(KexName::MlKem768X25519, &X25519, curve).unwrap();
    seeded::begin(None);
    let (kem_public, curve_public) = ours.public().split_at(1184);
    assert_eq!(digest::digest(&digest::SHA3_256, kem_public).as_ref(), &ml_kem_vector("dk")[2336..2368]);
    assert_eq!(curve_public, hex("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f"));
    let mut ciphertext = ml_kem_vector("c");
    for secret in [
        "039bd1b22bc17707e8ff2a6693a4448248329cef6da88937eba50058e5a0d305",
        "e00f5aa07b61dcad5ad3f6a97784067893e36ef99735cf470c7845ae6798f835",
    ] {
        let mut encoded = Vec::new();
        put_string(&mut encoded, &hex(secret));
        assert_eq!(ours.agree(&[&ciphertext[..], &alice].concat()).unwrap().to_vec(), encoded);
        ciphertext[0] ^= 1;
    }
}

/// RFC 5903 section 8.1: the initiator's key with the responder's value.
#[test]
fn nistp256_gives_the_secret_of_rfc_5903() {
    let ours = hex("c88f01f510d9ac3f70a292daa2316de544e9aab8afe84049c62a9c57862d1433");
    let theirs =
        hex("04d12dfb5289c8d4f81208b70270398c342296970a0bccb74c736fc7554494bf6356fbf3ca366cc23e8157854c13c58d6aac23f0\
                      46ada30f8353e74f33039872ab");
    let secret = hex("d6840f6b42f6edafd13116e0e12565202fef8e9ece7dce03812464d04b9442de");
    agrees(KexName::EcdhP256, &ours, &theirs, &secret);
}

/// Of Python's `cryptography`.
#[test]
fn other_nist_curves_give_the_secrets_of_another_implementation() {
    let ours: Vec<u8> = (0..48).collect();
    let theirs =
        hex("049dcbbb3229e7c1be3fb4f39c86caaebb51c3cf41132a3bf7597d75e7432aaf63f811da68d41b180fd39c19bb71c04a779e7cb4\
                      abbb0ea3499e8376a49bc6836912e3bcaf6ddb4eb216bedbc2b2afe4d209f691867af033ced56a530f28dea334");
    let secret =
        hex("971994641f09e44f44bba8bba76b867708e23ac6e630f3b806539080c1332fba94d527974942dbadaec3402091ffe5e5");
    agrees(KexName::EcdhP384, &ours, &theirs, &secret);
    let ours: Vec<u8> = (0..66).collect();
    let theirs = hex(
        "04012f6355119416e88f57062d37677227754e9ba4ce50cdb30f4dcce030d217ca017803cbb017de0cb285b686a693709239a391\
                      b5f5194429a396ff2f4fc5722a7a7d01e532c01faa1925e70edb5ac7d5a8b53470d79485c3887e3a54ac7f5da44d514d6584286f6a\
                      132e272509b636a643be5f8a86444b5e5ef20f736cb693234a427f93",
    );
    let secret =
        hex("016068c799330203690dc00de92546fa56ceb6952e61793c3d847266484badb9e36f69bbb19af25b6343c544ef7e7c17b9ee3f11\
                      e78e9fd0c3b187607f9bdd689ca8");
    agrees(KexName::EcdhP521, &ours, &theirs, &secret);
}

fn agrees(name: KexName, ours: &[u8], theirs: &[u8], secret: &[u8]) {
    let algorithm = curve::curve(name).unwrap();
    let key = PrivateKey::from_private_key(algorithm, ours).unwrap();
    let mut encoded = Vec::new();
    put_mpint(&mut encoded, secret);
    assert_eq!(curve::CurveKeyPair::with_curve(name, algorithm, key).unwrap().agree(theirs).unwrap().to_vec(), encoded);
}

fn curves() -> impl Iterator<Item = (KexName, &'static agreement::Algorithm)> {
    KexName::ALL.into_iter().filter_map(|name| Some((name, curve::curve(name)?)))
}

#[test]
fn both_ends_of_each_curve_get_the_same_secret() {
    for (name, algorithm) in curves() {
        let ours = curve::CurveKeyPair::generate(name, algorithm).unwrap();
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
        let ours = curve::CurveKeyPair::generate(name, algorithm).unwrap();
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
fn large_groups_in_an_exchange_are_for_lists_with_large_groups() {
    assert_eq!(GroupSizes::for_offer(&[KexName::Group16Sha512, KexName::GroupExchangeSha256]).largest, 4096);
    assert_eq!(GroupSizes::for_offer(&[KexName::Group17Sha512, KexName::GroupExchangeSha256]).largest, 8192);
}

/// One method of each hash, with the hash of an exchange and a key of 64 bytes as Python's `hashlib` makes them.
#[test]
fn hashes_and_keys_are_those_of_another_implementation() {
    let mut secret = Vec::new();
    put_mpint(&mut secret, &(200..232).collect::<Vec<u8>>());
    for (name, hash, key) in [
        (
            KexName::Group14Sha1,
            "bccf880340286ba4e5d1c547b912bfe615b5c919",
            "cca7debfc1b8518278ac82716f245414e113f8f60f79bf92b8c071fb0e1c5fa713980fec2eb54f6ed89ad0cd4240cb5a93f2b53f989e98d7\
             e4b9519dc69a62a9",
        ),
        (
            KexName::Curve25519,
            "4b4f1fb2ab8d75a552e782afd5e69a016e599e44dae55ae908e1df36e850f480",
            "52c0d527e21267e4ed8533827aafede20eacf22237478d3739feb152043f74ab856701c8de5a3b9c97cf9e458eaf481405a67e8129e8cdae\
             8f0179a980b9b4b2",
        ),
        (
            KexName::EcdhP384,
            "2a7596fca0c3594b47942a8f024798709d21f92d018930123588ff13e83e04eaf5749a30f632d9df58d6b967d7a4acaa",
            "2a623fdd48644d3bb28a4ae0f43eb779d566153bd7e84df79137cd0a6275ea3a624dcae8afd34e93954286ce50aeb4a0896f5c7e2311d33e\
             53096bf304db8400",
        ),
        (
            KexName::Group16Sha512,
            "1888798dc8ef7e60227e9492f95f561aec4f797ee5e7e36d4c0b9918356f561ec2f0b0803fc243709c527450a3091ba634e5c883e8a533f6\
             6d7150d5a3111b8c",
            "55d94c93a450a5e7c8cef2a2cf446f200dbe4c3253c26076d458910465dbe7d67ef0018b34a59a5f16e4f65590fa92e4339118e4beb2d864\
             c44c95e6e9efcf61",
        ),
    ] {
        let said = ExchangeHash {
            client_ident: b"SSH-2.0-client",
            server_ident: b"SSH-2.0-server",
            client_init: b"\x14I_C",
            server_init: b"\x14I_S",
            host_key: b"K_S",
            group: b"group",
            client_public: b"Q_C",
            server_public: b"Q_S",
            secret: &secret,
        };
        assert_eq!(said.compute(name), hex(hash));
        let length = name.hash().output_len();
        let deriver = KeyDeriver {
            name,
            secret: &secret,
            exchange_hash: &vec![length as u8; length],
            session_id: &vec![length as u8 + 1; length],
        };
        assert_eq!(deriver.derive(b'E', 64).to_vec(), hex(key));
    }
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
