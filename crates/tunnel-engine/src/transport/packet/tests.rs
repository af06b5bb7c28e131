//! Packets in any pieces.

use proptest::prelude::*;

use super::*;
use crate::transport::cipher::{CipherName, KeyMaterial};
use crate::transport::mac::MacName;

/// Each cipher, with each MAC where it needs one.
pub(crate) fn every_protection() -> Vec<(CipherName, Option<MacName>)> {
    CipherName::ALL
        .into_iter()
        .flat_map(|cipher| match cipher.is_aead() {
            true => vec![(cipher, None)],
            false => MacName::ALL.into_iter().map(|mac| (cipher, Some(mac))).collect(),
        })
        .collect()
}

/// Both ends of one direction.
pub(crate) fn pair((cipher, mac): (CipherName, Option<MacName>)) -> (PacketWriter, PacketReader) {
    let (key, iv, mac_key) = ([3; 64], [5; 16], [7; 64]);
    let mac_len = mac.map_or(0, MacName::len);
    let keys = KeyMaterial { key: &key[..cipher.key_len()], iv: &iv[..cipher.iv_len()], mac_key: &mac_key[..mac_len] };
    let (mut outbound, mut inbound) = (PacketWriter::new(), PacketReader::new());
    outbound.rekey(Sealer::new(cipher, mac, &keys).unwrap(), true);
    inbound.rekey(Opener::new(cipher, mac, &keys).unwrap(), true);
    (outbound, inbound)
}

fn payloads() -> impl Strategy<Value = Vec<Vec<u8>>> {
    proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..400), 1..8)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn packets_are_the_same_whatever_the_pieces(payloads in payloads(), piece in 1_usize..500) {
        for protection in every_protection() {
            let (mut sealer, mut opener) = pair(protection);
            let mut sealed = BytesMut::new();
            for payload in &payloads {
                sealer.seal(payload, &mut sealed).unwrap();
            }
            let (mut input, mut taken) = (BytesMut::new(), Vec::new());
            for piece in sealed.chunks(piece) {
                input.extend_from_slice(piece);
                while let Some(payload) = opener.next(&mut input).unwrap() {
                    taken.push(payload.to_vec());
                }
            }
            prop_assert_eq!(&taken, &payloads);
            prop_assert!(input.is_empty());
            prop_assert_eq!(opener.counts(), sealer.counts());
        }
    }

    #[test]
    fn any_input_is_refused_or_waited_for(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        for protection in every_protection() {
            let (_, mut opener) = pair(protection);
            let mut input = BytesMut::from(bytes.as_slice());
            while let Ok(Some(_)) = opener.next(&mut input) {}
        }
        let (mut clear, mut input) = (PacketReader::new(), BytesMut::from(bytes.as_slice()));
        while let Ok(Some(_)) = clear.next(&mut input) {}
    }
}

#[test]
fn lengths_that_no_packet_has_are_refused() {
    for length in [0, 1, 4, 5, 11, MAX_PACKET + 4, u32::MAX] {
        let mut input = BytesMut::from([&length.to_be_bytes()[..], &[0; 16]].concat().as_slice());
        assert_eq!(PacketReader::new().next(&mut input), Err(TransportError::PacketLength(length)));
    }
}

#[test]
fn padding_longer_than_the_packet_is_malformed() {
    let packet = |padding: u8| {
        let mut input = BytesMut::from([&[0, 0, 0, 12, padding][..], &[0; 11]].concat().as_slice());
        PacketReader::new().next(&mut input)
    };
    assert_eq!(packet(11), Ok(Some(Bytes::new())));
    assert_eq!(packet(12), Err(TransportError::Malformed("padding")));
    assert_eq!(packet(3), Err(TransportError::Malformed("padding")), "less than four");
}
