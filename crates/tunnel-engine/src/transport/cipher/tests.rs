//! Known answers, and packets that were changed on their way.

mod vectors;

use bytes::{Bytes, BytesMut};

use super::*;
use crate::transport::packet::PacketWriter;
use crate::transport::packet::tests::{every_protection, pair};

/// PROTOCOL.chacha20poly1305 has no vectors; this one is RFC 5647's mode under a fixed key, made with OpenSSL.
#[test]
fn aes_gcm_is_the_one_of_nist() {
    // GCM test case 4 of the GCM specification (McGrew and Viega), as far as SSH's fields allow: a packet of one block
    // under an all-zero key and IV, checked against its own decryption by another counter.
    let keys = KeyMaterial { key: &[0; 16], iv: &[0; 12], mac_key: &[] };
    let mut sealer = Sealer::new(CipherName::Aes128Gcm, None, &keys).unwrap();
    let mut packet = [&[0, 0, 0, 16][..], &[0; 16], &[0; 16]].concat();
    sealer.seal(0, &mut packet).unwrap();
    // AES-128-GCM of sixteen zeros under a zero key and nonce (GCM specification, test case 2): the ciphertext does not
    // depend on the additional data.
    let expected = [0x03, 0x88, 0xda, 0xce, 0x60, 0xb6, 0xa3, 0x92, 0xf3, 0x28, 0xc2, 0xb9, 0x71, 0xb2, 0xfe, 0x78];
    assert_eq!(packet.get(4..20), Some(&expected[..]));
}

#[test]
fn counter_mode_is_that_of_nist_sp_800_38a() {
    let key = [0x2b, 0x7e, 0x15, 0x16, 0x28, 0xae, 0xd2, 0xa6, 0xab, 0xf7, 0x15, 0x88, 0x09, 0xcf, 0x4f, 0x3c];
    let iv = [0xf0, 0xf1, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8, 0xf9, 0xfa, 0xfb, 0xfc, 0xfd, 0xfe, 0xff];
    let plain = [0x6b, 0xc1, 0xbe, 0xe2, 0x2e, 0x40, 0x9f, 0x96, 0xe9, 0x3d, 0x7e, 0x11, 0x73, 0x93, 0x17, 0x2a];
    let first = [0x87, 0x4d, 0x61, 0x91, 0xb6, 0x20, 0xe3, 0x26, 0x1b, 0xef, 0x68, 0x64, 0x99, 0x0d, 0xb6, 0xce];
    let keys = KeyMaterial { key: &key, iv: &iv, mac_key: &[9; 32] };
    let mut sealer = Sealer::new(CipherName::Aes128Ctr, Some(MacName::Sha256), &keys).unwrap();
    let mut packet = [&plain[..], &[0; 32]].concat();
    sealer.seal(0, &mut packet).unwrap();
    assert_eq!(packet.get(..16), Some(&first[..]));
    let opener = Opener::new(CipherName::Aes128Ctr, Some(MacName::Sha256), &keys).unwrap();
    let length = u32::from_be_bytes([0x6b, 0xc1, 0xbe, 0xe2]);
    assert_eq!(opener.length(0, &packet), Ok(length), "looking does not move the counter");
    assert_eq!(opener.length(0, &packet), Ok(length));
}

/// NIST SP 800-38A, F.2.1: CBC-AES128, the first two blocks.
#[test]
fn chaining_mode_is_that_of_nist_sp_800_38a() {
    let key = [0x2b, 0x7e, 0x15, 0x16, 0x28, 0xae, 0xd2, 0xa6, 0xab, 0xf7, 0x15, 0x88, 0x09, 0xcf, 0x4f, 0x3c];
    let iv: Vec<u8> = (0..16).collect();
    let plain = [
        [0x6b, 0xc1, 0xbe, 0xe2, 0x2e, 0x40, 0x9f, 0x96, 0xe9, 0x3d, 0x7e, 0x11, 0x73, 0x93, 0x17, 0x2a],
        [0xae, 0x2d, 0x8a, 0x57, 0x1e, 0x03, 0xac, 0x9c, 0x9e, 0xb7, 0x6f, 0xac, 0x45, 0xaf, 0x8e, 0x51],
    ];
    let encrypted = [
        [0x76, 0x49, 0xab, 0xac, 0x81, 0x19, 0xb2, 0x46, 0xce, 0xe9, 0x8e, 0x9b, 0x12, 0xe9, 0x19, 0x7d],
        [0x50, 0x86, 0xcb, 0x9b, 0x50, 0x72, 0x19, 0xee, 0x95, 0xdb, 0x11, 0x3a, 0x91, 0x76, 0x78, 0xb2],
    ];
    let keys = KeyMaterial { key: &key, iv: &iv, mac_key: &[9; 20] };
    let protection = (CipherName::Aes128Cbc, Some(MacName::Sha1));
    let mut sealer = Sealer::new(protection.0, protection.1, &keys).unwrap();
    let mut opener = Opener::new(protection.0, protection.1, &keys).unwrap();
    for (number, (plain, encrypted)) in plain.iter().zip(encrypted).enumerate() {
        // A packet each: the chain goes on from one to the next.
        let mut packet = [&plain[..], &[0; 20]].concat();
        sealer.seal(number as u32, &mut packet).unwrap();
        assert_eq!(packet.get(..16), Some(&encrypted[..]));
        let length = u32::from_be_bytes(*plain.first_chunk().unwrap());
        assert_eq!(opener.length(number as u32, &packet), Ok(length), "looking does not move on");
        opener.open(number as u32, &mut packet).unwrap();
        assert_eq!(packet.get(..16), Some(&plain[..]));
    }
}

/// When a wrong length or MAC is told says nothing about what was decrypted (CVE-2008-5161).
#[test]
fn chained_packets_fail_only_after_the_longest_packet() {
    for change in [0, 20, 70] {
        let (mut sealer, mut opener) = pair((CipherName::Aes128Cbc, Some(MacName::Sha256)));
        let mut input = BytesMut::new();
        sealer.seal(&[7; 40], &mut input).unwrap();
        input[change] ^= 0x80;
        let mut taken = input.len();
        assert_eq!(opener.next(&mut input), Ok(None), "byte {change}");
        loop {
            input.extend_from_slice(&[1; 1024]);
            taken += 1024;
            match opener.next(&mut input) {
                Ok(None) => assert!(taken < (256 << 10) + 1024),
                failed => break assert_eq!((failed, taken >= 256 << 10), (Err(TransportError::Integrity), true)),
            }
        }
    }
}

/// A packet, and what becomes of it on its way.
fn refused(protection: (CipherName, Option<MacName>), change: impl Fn(&mut Vec<Vec<u8>>)) -> bool {
    let (mut sealer, mut opener) = pair(protection);
    let mut packets: Vec<Vec<u8>> = [&b"first"[..], b"second one", &[7; 300]]
        .iter()
        .map(|payload| {
            let mut out = BytesMut::new();
            sealer.seal(payload, &mut out).unwrap();
            out.to_vec()
        })
        .collect();
    let count = packets.len();
    change(&mut packets);
    let mut input = BytesMut::from(packets.concat().as_slice());
    let mut taken: Vec<Bytes> = Vec::new();
    loop {
        match opener.next(&mut input) {
            Ok(Some(payload)) => taken.push(payload),
            Ok(None) => return taken.len() < count,
            Err(_) => return true,
        }
    }
}

#[test]
fn whole_packets_are_taken() {
    for protection in every_protection() {
        assert!(!refused(protection, |_| {}), "{protection:?}");
    }
}

#[test]
fn flipped_bit_anywhere_is_refused() {
    for protection in every_protection() {
        let (mut sealer, _) = pair(protection);
        let mut out = BytesMut::new();
        sealer.seal(b"first", &mut out).unwrap();
        for at in 0..out.len() {
            assert!(refused(protection, |packets| packets[0][at] ^= 1 << (at % 8)), "{protection:?} at {at}");
        }
    }
}

#[test]
fn packet_cut_anywhere_is_refused() {
    for protection in every_protection() {
        let (mut sealer, _) = pair(protection);
        let mut out = BytesMut::new();
        sealer.seal(b"first", &mut out).unwrap();
        for length in 1..out.len() {
            assert!(refused(protection, |packets| packets[0].truncate(length)), "{protection:?} at {length}");
        }
    }
}

#[test]
fn repeated_reordered_missing_and_inserted_packets_are_refused() {
    for protection in every_protection() {
        assert!(refused(protection, |packets| packets.insert(1, packets[0].clone())), "repeated, {protection:?}");
        assert!(refused(protection, |packets| packets.insert(0, packets[2].clone())), "too early, {protection:?}");
        assert!(refused(protection, |packets| packets.swap(0, 1)), "reordered, {protection:?}");
        assert!(refused(protection, |packets| packets.swap(1, 2)), "reordered, {protection:?}");
        assert!(refused(protection, |packets| packets[0].clear()), "left out, {protection:?}");
        assert!(refused(protection, |packets| packets[1].clear()), "left out, {protection:?}");
        for length in [16, 64, 1024] {
            assert!(refused(protection, |packets| packets.insert(1, vec![0; length])), "inserted, {protection:?}");
        }
        assert!(refused(protection, |packets| packets.insert(1, of_other_keys(protection))), "forged, {protection:?}");
    }
}

/// A whole packet with the number that is due.
fn of_other_keys((cipher, mac): (CipherName, Option<MacName>)) -> Vec<u8> {
    let (key, iv, mac_key) = ([4; 64], [5; 16], [8; 64]);
    let mac_key = &mac_key[..mac.map_or(0, MacName::len)];
    let keys = KeyMaterial { key: &key[..cipher.key_len()], iv: &iv[..cipher.iv_len()], mac_key };
    let (mut sealer, mut out) = (PacketWriter::new(), BytesMut::new());
    sealer.rekey(Sealer::new(cipher, mac, &keys).unwrap(), true);
    sealer.seal(b"first", &mut out).unwrap();
    out.clear();
    sealer.seal(b"forged", &mut out).unwrap();
    out.to_vec()
}
