//! Another between client and server, without keys (Terrapin, CVE-2023-48795): packets before the keys that are not noticed
//! shift the numbers of those behind them.

use super::*;
use crate::transport::packet::PacketWriter;

/// Before the server's KEXINIT, and behind its KEXINIT and its reply.
const POSITIONS: [Option<usize>; 3] = [None, Some(0), Some(1)];
/// What RFC 4253 allows at any time.
const HARMLESS: [u8; 3] = [MSG_IGNORE, MSG_DEBUG, MSG_UNIMPLEMENTED];
/// What belongs to another time, and one number that means nothing.
const OUT_OF_TURN: [u8; 6] = [MSG_SERVICE_ACCEPT, MSG_EXT_INFO, 10, MSG_USERAUTH_SUCCESS, 80, 94];

fn in_clear(number: u8) -> Vec<u8> {
    let mut out = BytesMut::new();
    PacketWriter::new().seal(&[number, 0, 0, 0, 0, 0, 0, 0, 0, 0], &mut out).unwrap();
    out.to_vec()
}

/// A connection whose first exchange has such a packet at this position.
fn injected(terms: Terms, at: Option<usize>, number: u8) -> Pair {
    let mut pair = Pair::with_terms(Limits::default(), terms);
    match at {
        None => pair.to_client.extend_from_slice(&in_clear(number)),
        Some(at) => pair.server.order(at, ServerFault::Raw(in_clear(number))),
    }
    pair
}

#[test]
fn strict_exchange_takes_no_message_of_others() {
    for at in POSITIONS {
        for number in HARMLESS.into_iter().chain(OUT_OF_TURN) {
            let settled = injected(terms(true), at, number).deliver_all();
            assert!(matches!(settled, Err(TransportError::Unexpected(_))), "{number} at {at:?}: {settled:?}");
        }
    }
}

#[test]
fn exchange_that_is_not_strict_takes_harmless_messages_only() {
    for at in POSITIONS {
        for number in HARMLESS {
            injected(terms(false), at, number).deliver_all().unwrap();
        }
        for number in OUT_OF_TURN {
            let settled = injected(terms(false), at, number).deliver_all();
            assert_eq!(settled, Err(TransportError::Unexpected(number)), "at {at:?}");
        }
    }
}

#[test]
fn strict_exchange_refuses_other_messages() {
    for at in 0..3 {
        let mut pair = Pair::new(Limits::default(), true);
        pair.server.order(at, ServerFault::Insert(vec![MSG_IGNORE, 0, 0, 0, 0]));
        assert!(matches!(pair.deliver_all(), Err(TransportError::Unexpected(_))), "at {at}");
    }
}

#[test]
fn packet_in_clear_behind_the_keys_is_refused() {
    for strict in [true, false] {
        let mut pair = injected(terms(strict), Some(2), MSG_IGNORE);
        assert!(pair.deliver_all().is_err(), "strict: {strict}");
    }
}

/// The attack itself: a packet more before the keys, and the first one behind them, in which a server names its extensions,
/// is gone.
#[test]
fn prefix_is_cut_off_only_without_strict_exchange() {
    let chacha = Protection { cipher: CipherName::ChaCha20Poly1305, mac: None, is_compressed: false };
    let attacked = |cipher: Protection, strict: bool, at| {
        let mut pair = injected(Terms { sending: cipher, ..terms(strict) }, at, MSG_IGNORE);
        let keyed = pair.deliver_all();
        pair.server.order(0, ServerFault::Drop);
        pair.server.send(&[MSG_EXT_INFO, 0, 0, 0, 0]).unwrap();
        pair.server.send(&[94, 1]).unwrap();
        keyed.and_then(|()| pair.deliver_all()).map(|()| pair.messages())
    };
    for at in POSITIONS {
        assert_eq!(attacked(chacha, false, at), Ok(vec![vec![94, 1]]), "the attack works where nothing hinders it");
        assert!(matches!(attacked(chacha, true, at), Err(TransportError::Unexpected(_))));
        assert!(attacked(GCM, false, at).is_err(), "AES-GCM counts by itself");
        assert!(attacked(GCM, true, at).is_err());
    }
}
