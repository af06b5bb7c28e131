//! Each method, and a cipher, a MAC and compression of their own in each direction.

use super::*;
use crate::transport::packet::tests::every_protection;

/// Bytes that cannot be compressed.
fn noise(round: u8) -> Vec<u8> {
    let mut state = 0x9e37_79b9_u32 ^ u32::from(round);
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        (state >> 24) as u8
    };
    [&[94, round][..], &(0..1000).map(|_| next()).collect::<Vec<u8>>()].concat()
}

/// Messages both ways across renewed keys, from the login on.
fn carries(terms: Terms) {
    let mut pair = Pair::with_terms(BYTES_16K, terms);
    pair.deliver_all().unwrap();
    let [ConnectionEvent::NewKeys(agreed)] = pair.events.as_slice() else { panic!("{:?}", pair.events) };
    assert_eq!((agreed.kex, agreed.sending, agreed.receiving), (terms.kex, terms.receiving, terms.sending));
    pair.events.clear();
    pair.server.log_in().unwrap();
    pair.deliver_all().unwrap();
    let messages: Vec<Vec<u8>> = (0..40).map(noise).collect();
    for message in &messages {
        pair.client.send(message, clock::now()).unwrap();
        pair.server.send(message).unwrap();
        pair.deliver_all().unwrap();
    }
    assert_eq!(pair.messages()[1..], messages, "{terms:?}");
    assert_eq!(pair.server.received, messages, "{terms:?}");
    let renewed = pair.events.iter().filter(|event| matches!(event, ConnectionEvent::NewKeys(_))).count();
    assert!(renewed >= 2, "{renewed} of {terms:?}");
}

#[test]
fn cipher_mac_and_compression_may_differ_by_direction() {
    let all = every_protection();
    for (at, (cipher, mac)) in all.iter().copied().enumerate() {
        // Another cipher, another MAC in another order, or none.
        let (other, other_mac) = all[(at + 8) % all.len()];
        assert!(cipher != other && (mac.is_none() || mac != other_mac));
        let is_compressed = at % 2 == 0;
        let sending = Protection { cipher, mac, is_compressed };
        let receiving = Protection { cipher: other, mac: other_mac, is_compressed: !is_compressed };
        carries(Terms { sending, receiving, ..terms(at % 3 != 0) });
    }
}

/// Groups 17 and 18 take seconds in a build for debugging, and a server by Streamlined NTRU Prime is OpenSSH's to play.
#[test]
fn every_method_carries_messages() {
    let slow =
        [KexName::Group17Sha512, KexName::Group18Sha512, KexName::Sntrup761X25519, KexName::Sntrup761X25519Openssh];
    for kex in KexName::ALL.into_iter().filter(|name| !slow.contains(name)) {
        carries(Terms { kex, ..terms(true) });
    }
}
