//! One packet of each cipher with each MAC, as another implementation seals it: Python's `cryptography` and `hmac`.

use aws_lc_rs::digest::{SHA256, digest};
use bytes::BytesMut;

use super::super::*;
use crate::transport::packet::tests::every_protection;

/// The first half of the SHA-256 of the sealed packet.
const SEALED: [(CipherName, Option<MacName>, &str); 39] = [
    (CipherName::Aes128Gcm, None, "bc4f74830c3684c6b74a4c9dcc00dcd3"),
    (CipherName::Aes256Gcm, None, "d029f3c934f4b90f7d73ccb8c73d60fb"),
    (CipherName::ChaCha20Poly1305, None, "50fb0eb1efe3bcd066207cdc79060a65"),
    (CipherName::Aes128Ctr, Some(MacName::Sha256Etm), "85264548313c538cd7b4b148f8cabd01"),
    (CipherName::Aes128Ctr, Some(MacName::Sha512Etm), "53502ca992eecd1a3454d616f964408c"),
    (CipherName::Aes128Ctr, Some(MacName::Sha256), "ac646388b7d3217dd51f40ec7ebc4b99"),
    (CipherName::Aes128Ctr, Some(MacName::Sha512), "0b755a4d4b19de3be522cdcbc9affb88"),
    (CipherName::Aes128Ctr, Some(MacName::Sha1Etm), "86cc32ccbcc0d2b3ddcf3485a4892b9a"),
    (CipherName::Aes128Ctr, Some(MacName::Sha1), "5294f1ada3c9f8524f14685f6163573a"),
    (CipherName::Aes192Ctr, Some(MacName::Sha256Etm), "1433f069fa94ae2cde71f3351bf56526"),
    (CipherName::Aes192Ctr, Some(MacName::Sha512Etm), "c001942e1ff6e4d8a0ce3b1c39fe2ccd"),
    (CipherName::Aes192Ctr, Some(MacName::Sha256), "15c9db8b490d5ac6be54c712387e4c5d"),
    (CipherName::Aes192Ctr, Some(MacName::Sha512), "d86ad827462370a569d44c0b7bea30af"),
    (CipherName::Aes192Ctr, Some(MacName::Sha1Etm), "1a403d2b30a6c43a1e16beaf2e2718cb"),
    (CipherName::Aes192Ctr, Some(MacName::Sha1), "56cf91e6303d3711d7113d3fd0ac6949"),
    (CipherName::Aes256Ctr, Some(MacName::Sha256Etm), "421e41f05ed257f6014c76e6e1d3b6a4"),
    (CipherName::Aes256Ctr, Some(MacName::Sha512Etm), "b9a1773265c7dde6f1cd855611237430"),
    (CipherName::Aes256Ctr, Some(MacName::Sha256), "3c131a24b368838d402369e60a3ec9eb"),
    (CipherName::Aes256Ctr, Some(MacName::Sha512), "d88dedf2d93e57aad06628512efc8aec"),
    (CipherName::Aes256Ctr, Some(MacName::Sha1Etm), "d5537d4904994043ae3c22fe18286b2b"),
    (CipherName::Aes256Ctr, Some(MacName::Sha1), "c7ee325088b95be6be55bbb4b2f9e7cc"),
    (CipherName::Aes128Cbc, Some(MacName::Sha256Etm), "0ea1e09b0d06288205211f16f68c4e05"),
    (CipherName::Aes128Cbc, Some(MacName::Sha512Etm), "0e352a279abeaedd65af78f489a8d460"),
    (CipherName::Aes128Cbc, Some(MacName::Sha256), "864bd051c30e4d7ca3ff88eaf29aa30b"),
    (CipherName::Aes128Cbc, Some(MacName::Sha512), "35381e06df34fb4e8ac8ee197ffe5599"),
    (CipherName::Aes128Cbc, Some(MacName::Sha1Etm), "acf85abf56118baae3c9cddd730ec8bb"),
    (CipherName::Aes128Cbc, Some(MacName::Sha1), "1b99c47d5beb09ee93f7487128563e5d"),
    (CipherName::Aes192Cbc, Some(MacName::Sha256Etm), "5b8f65b21818910477938024687ca38b"),
    (CipherName::Aes192Cbc, Some(MacName::Sha512Etm), "84256ffe5426b4138dc8e8ddbd2930e3"),
    (CipherName::Aes192Cbc, Some(MacName::Sha256), "549e2e104435f52df2cf70e3efdf38ee"),
    (CipherName::Aes192Cbc, Some(MacName::Sha512), "6938f8f3da866d81973a406535673aa0"),
    (CipherName::Aes192Cbc, Some(MacName::Sha1Etm), "6bf1a912ff2309655687f5665b7a458f"),
    (CipherName::Aes192Cbc, Some(MacName::Sha1), "3bff6744e6a27dee0b01f7f27dfb1bdb"),
    (CipherName::Aes256Cbc, Some(MacName::Sha256Etm), "5eec7c2c53b91b7bbcbfdff2c82011fb"),
    (CipherName::Aes256Cbc, Some(MacName::Sha512Etm), "200e6325e938429353726ed7aa3125ce"),
    (CipherName::Aes256Cbc, Some(MacName::Sha256), "b24056620d1a36ccdc9b231823bbf559"),
    (CipherName::Aes256Cbc, Some(MacName::Sha512), "af49cfb40b47c37ea9d282ee581d2c14"),
    (CipherName::Aes256Cbc, Some(MacName::Sha1Etm), "7a1e80c2fc2b4bc2c67822f175b74e7e"),
    (CipherName::Aes256Cbc, Some(MacName::Sha1), "22ae02d501a039da1ff64921c7099d24"),
];

const SEQUENCE: u32 = 7;

fn bytes<const N: usize>(first: u8) -> [u8; N] {
    std::array::from_fn(|at| first + at as u8)
}

/// A payload of 40 bytes with padding that is not random, and room for the tag.
fn packet(alignment: Alignment, tag: usize) -> BytesMut {
    let measured = 1 + 40 + if alignment.with_length { LENGTH_BYTES } else { 0 };
    let missing = alignment.block - measured % alignment.block;
    let padding = if missing < 4 { missing + alignment.block } else { missing };
    let mut packet = BytesMut::new();
    packet.extend_from_slice(&(1 + 40 + padding as u32).to_be_bytes());
    packet.extend_from_slice(&[padding as u8]);
    packet.extend_from_slice(&bytes::<40>(0));
    packet.resize(packet.len() + padding, 9);
    packet.resize(packet.len() + tag, 0);
    packet
}

#[test]
fn each_cipher_and_mac_seals_as_another_implementation() {
    assert_eq!(SEALED.map(|(cipher, mac, _)| (cipher, mac)).to_vec(), every_protection());
    let (key, iv, mac_key) = (bytes::<64>(0), bytes::<16>(100), bytes::<64>(150));
    for (cipher, mac, expected) in SEALED {
        let keys = KeyMaterial {
            key: &key[..cipher.key_len()],
            iv: &iv[..cipher.iv_len()],
            mac_key: &mac_key[..mac.map_or(0, MacName::len)],
        };
        let mut sealer = Sealer::new(cipher, mac, &keys).unwrap();
        let plain = packet(sealer.alignment(), sealer.tag_len());
        let mut sealed = plain.clone();
        sealer.seal(SEQUENCE, &mut sealed).unwrap();
        let hash: String = digest(&SHA256, &sealed).as_ref()[..16].iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hash, expected, "{cipher:?} {mac:?}");
        let mut opener = Opener::new(cipher, mac, &keys).unwrap();
        opener.open(SEQUENCE, &mut sealed).unwrap();
        let content = plain.len() - sealer.tag_len();
        assert_eq!(sealed[LENGTH_BYTES..content], plain[LENGTH_BYTES..content], "{cipher:?} {mac:?}");
    }
}
