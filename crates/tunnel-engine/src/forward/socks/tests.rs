//! SOCKS requests in every version, piecemeal and wrong.

use proptest::prelude::*;

use super::*;
use crate::session::OpenError;

/// What a peer experiences: all that was said, and how it ended.
#[derive(Debug, PartialEq)]
struct PeerTranscript {
    said: Vec<u8>,
    end: SocksStep,
    left: Vec<u8>,
}

/// Feeds `pieces` one after the other, as long as the handshake wants more.
fn talk(pieces: &[&[u8]]) -> PeerTranscript {
    let mut handshake = SocksHandshake::default();
    let mut input = BytesMut::new();
    let mut said = Vec::new();
    let mut pieces = pieces.iter();
    let end = loop {
        match handshake.advance(&mut input) {
            SocksStep::Need => {
                assert!(input.len() < MAX_HANDSHAKE, "wants more than its bound");
                match pieces.next() {
                    Some(piece) => input.extend_from_slice(piece),
                    None => break SocksStep::Need,
                }
            }
            SocksStep::Say(words) => said.extend_from_slice(&words),
            end @ (SocksStep::Request(_) | SocksStep::Reject(_)) => break end,
        }
    };
    for piece in pieces {
        input.extend_from_slice(piece);
    }
    PeerTranscript { said, end, left: input.to_vec() }
}

fn asks_for(bytes: &[u8]) -> String {
    match talk(&[bytes]).end {
        SocksStep::Request(request) => format!("{}", request.target()),
        SocksStep::Reject(words) => format!("reject {:02x?}", words.as_ref()),
        SocksStep::Need => "need".to_owned(),
        SocksStep::Say(_) => unreachable!("`talk` never ends with it"),
    }
}

const HELLO: &[u8] = &[5, 1, 0];

fn after_hello(request: &[u8]) -> Vec<u8> {
    [HELLO, request].concat()
}

#[test]
fn a_socks5_request_names_its_target_in_each_address_type() {
    assert_eq!(asks_for(&after_hello(&[5, 1, 0, 1, 192, 0, 2, 1, 0, 80])), "192.0.2.1:80");
    assert_eq!(asks_for(&after_hello(b"\x05\x01\x00\x03\x02db\x0c\xea")), "db:3306");
    let v6 = [&[5, 1, 0, 4][..], &std::net::Ipv6Addr::LOCALHOST.octets(), &[0, 22]].concat();
    assert_eq!(asks_for(&after_hello(&v6)), "[::1]:22");
}

#[test]
fn socks4_names_targets_by_address_4a_by_name() {
    assert_eq!(asks_for(b"\x04\x01\x00\x50\xc0\x00\x02\x01me\x00"), "192.0.2.1:80");
    assert_eq!(asks_for(b"\x04\x01\x00\x50\x00\x00\x00\x01\x00intranet\x00"), "intranet:80");
}

#[test]
fn bytes_behind_the_request_are_left_for_the_target() {
    let talked = talk(&[&after_hello(b"\x05\x01\x00\x03\x02db\x0c\xeaGET /")]);
    assert_eq!(talked.said, [5, 0]);
    assert_eq!(talked.left, b"GET /");
    assert_eq!(talk(&[b"\x04\x01\x00\x50\xc0\x00\x02\x01\x00early"]).left, b"early");
}

#[test]
fn unsupported_requests_are_refused_in_protocol() {
    assert_eq!(asks_for(&[5, 1, 2]), "reject [05, ff]", "a password is not asked for");
    assert_eq!(asks_for(&after_hello(&[5, 2, 0, 1])), "reject [05, 07, 00, 01, 00, 00, 00, 00, 00, 00]", "BIND");
    assert_eq!(asks_for(&after_hello(&[5, 1, 0, 9])), "reject [05, 08, 00, 01, 00, 00, 00, 00, 00, 00]");
    assert_eq!(
        asks_for(&after_hello(b"\x05\x01\x00\x03\x00\x00\x50")),
        "reject [05, 01, 00, 01, 00, 00, 00, 00, 00, 00]"
    );
    assert_eq!(asks_for(b"\x04\x02\x00\x50\xc0\x00\x02\x01\x00"), "reject [00, 5b, 00, 00, 00, 00, 00, 00]");
}

#[test]
fn nonsense_ends_at_its_first_byte() {
    assert_eq!(asks_for(b"CONNECT db:3306 HTTP/1.1\r\n"), "reject []");
    assert_eq!(asks_for(b"\x05\x01\x00\x04"), "reject []", "another version in the middle");
}

#[test]
fn unterminated_user_id_and_name_are_bounded() {
    let endless = [b"\x04\x01\x00\x50\xc0\x00\x02\x01".as_slice(), &[b'a'; MAX_HANDSHAKE]].concat();
    assert!(asks_for(&endless).starts_with("reject"));
    let endless = [b"\x04\x01\x00\x50\x00\x00\x00\x01\x00".as_slice(), &[b'a'; MAX_HANDSHAKE]].concat();
    assert!(asks_for(&endless).starts_with("reject"));
}

#[test]
fn the_servers_refusal_is_told_in_socks_codes() {
    let code = |error: OpenError| SocksRefusal::from(&error) as u8;
    assert_eq!(code(OpenError::Prohibited("open failed".into())), 2);
    assert_eq!(code(OpenError::ConnectFailed("Connection refused".into())), 5);
    assert_eq!(code(OpenError::ConnectFailed("Name or service not known".into())), 4);
    assert_eq!(code(OpenError::ConnectFailed("Error resolving 'h' port '1'".into())), 4);
    assert_eq!(code(OpenError::ConnectFailed("No route to host".into())), 4);
    assert_eq!(code(OpenError::ConnectFailed("Network is unreachable".into())), 3);
    assert_eq!(code(OpenError::ConnectFailed("Connection timed out".into())), 6);
    assert_eq!(code(OpenError::ConnectFailed("open failed".into())), 1);
    assert_eq!(code(OpenError::UnknownType("unknown channel type".into())), 1);
    assert_eq!(code(OpenError::ResourceShortage("too many open files".into())), 1);
    assert_eq!(code(OpenError::Other { code: 77, words: "no route to host".into() }), 4);
    assert_eq!(code(OpenError::Other { code: u32::MAX, words: String::new() }), 1);
}

/// Byte strings that get somewhere: the beginnings of requests, with anything behind.
fn any_input() -> impl Strategy<Value = Vec<u8>> {
    let anything = proptest::collection::vec(any::<u8>(), 0..400);
    let start = prop_oneof![
        Just(Vec::new()),
        Just(HELLO.to_vec()),
        Just(after_hello(&[5, 1, 0, 1])),
        Just(after_hello(&[5, 1, 0, 3, 9])),
        Just(after_hello(&[5, 1, 0, 4])),
        Just(vec![4, 1, 0, 80]),
        Just(vec![4, 1, 0, 80, 0, 0, 0, 7]),
        Just(b"\x04\x01\x00\x50\x00\x00\x00\x01\x00intranet".to_vec()),
    ];
    (start, anything).prop_map(|(start, rest)| [start, rest].concat())
}

proptest! {
    #[test]
    fn answer_does_not_depend_on_byte_splits(
        input in any_input(),
        cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..8),
    ) {
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(input.len() + 1)).collect();
        cuts.sort_unstable();
        let mut pieces = Vec::new();
        let mut from = 0;
        for cut in cuts {
            pieces.push(&input[from..cut]);
            from = cut;
        }
        pieces.push(&input[from..]);
        prop_assert_eq!(talk(&pieces), talk(&[&input]));
    }

    #[test]
    fn nothing_is_lost_between_the_handshake_and_what_follows_it(input in any_input(), tail in any::<[u8; 16]>()) {
        let whole = [&input[..], &tail].concat();
        if let PeerTranscript { end: SocksStep::Request(request), left, .. } = talk(&[&input]) {
            let longer = talk(&[&whole]);
            prop_assert_eq!(longer.end, SocksStep::Request(request));
            prop_assert_eq!(longer.left, [&left[..], &tail].concat());
        }
    }
}
