//! Whole connections against a server with faults on demand.

mod directions;
mod injected;
mod recorded;

use bytes::BytesMut;
use proptest::prelude::*;

use super::*;
use crate::clock;
use crate::transport::cipher::CipherName;
use crate::transport::kex::KexName;
use crate::transport::negotiate::Protection;
use crate::transport::negotiate::tests::offer;
use crate::transport::tests::server::{ServerFault, Terms, TransportServer};
use crate::transport::tests::{CLIENT_IDENT, SERVER_IDENT};

const GCM: Protection = Protection { cipher: CipherName::Aes256Gcm, mac: None, is_compressed: false };

const fn terms(strict: bool) -> Terms {
    Terms { kex: KexName::Curve25519, sending: GCM, receiving: GCM, strict }
}

fn client(limits: Limits) -> Connection {
    let config = Config {
        client_ident: CLIENT_IDENT.to_owned(),
        server_ident: SERVER_IDENT.to_vec(),
        offer: LocalOffer { compression: true, ..offer() },
        limits,
    };
    Connection::new(config).unwrap()
}

/// Both ends, and what lies between them.
struct Pair {
    client: Connection,
    server: TransportServer,
    to_client: BytesMut,
    to_server: BytesMut,
    /// With the client, and not taken yet.
    input: BytesMut,
    /// Events of the client, without the question about the host key.
    events: Vec<ConnectionEvent>,
    piece: usize,
}

impl Pair {
    fn new(limits: Limits, strict: bool) -> Self {
        Self::with_terms(limits, terms(strict))
    }

    fn with_terms(limits: Limits, terms: Terms) -> Self {
        Self {
            client: client(limits),
            server: TransportServer::new(terms).unwrap(),
            to_client: BytesMut::new(),
            to_server: BytesMut::new(),
            input: BytesMut::new(),
            events: Vec::new(),
            piece: usize::MAX,
        }
    }

    fn with_keys(limits: Limits) -> Self {
        let mut pair = Self::new(limits, true);
        pair.deliver_all().unwrap();
        assert!(matches!(pair.events.as_slice(), [ConnectionEvent::NewKeys(_)]), "{:?}", pair.events);
        pair.events.clear();
        pair
    }

    /// Carries bytes both ways until none are under way.
    fn deliver_all(&mut self) -> Result<(), TransportError> {
        loop {
            self.to_client.extend_from_slice(&self.server.take_output());
            while let Some(output) = self.client.poll_transmit() {
                self.to_server.extend_from_slice(&output);
            }
            if self.to_client.is_empty() && self.to_server.is_empty() {
                return Ok(());
            }
            self.server.handle_input(&mut self.to_server).unwrap();
            while !self.to_client.is_empty() {
                let piece = self.to_client.split_to(self.piece.min(self.to_client.len()));
                self.input.extend_from_slice(&piece);
                self.hand_over()?;
            }
        }
    }

    fn hand_over(&mut self) -> Result<(), TransportError> {
        loop {
            self.client.handle_input(&mut self.input, clock::now())?;
            if let Some(work) = self.client.poll_work() {
                self.client.handle_work(work.run(), clock::now())?;
                continue;
            }
            match self.client.poll_event() {
                Some(ConnectionEvent::HostKey { .. }) => self.client.believe_host_key(clock::now())?,
                Some(event) => self.events.push(event),
                None => return Ok(()),
            }
        }
    }

    fn messages(&self) -> Vec<Vec<u8>> {
        let messages = self.events.iter().filter_map(|event| match event {
            ConnectionEvent::Message(payload, _) => Some(payload.to_vec()),
            ConnectionEvent::HostKey { .. } | ConnectionEvent::NewKeys(_) | ConnectionEvent::Debug(_) => None,
        });
        messages.collect()
    }
}

const BYTES_16K: Limits = Limits { bytes: Some(16 * 1024), time: None };

#[test]
fn keys_are_agreed_on_and_messages_pass_both_ways() {
    for strict in [true, false] {
        let mut pair = Pair::new(Limits::default(), strict);
        pair.deliver_all().unwrap();
        pair.client.send(b"\x5eping", clock::now()).unwrap();
        pair.server.send(b"\x5epong").unwrap();
        pair.deliver_all().unwrap();
        assert_eq!(pair.server.received, [b"\x5eping".to_vec()]);
        assert_eq!(pair.messages(), [b"\x5epong".to_vec()]);
    }
}

#[test]
fn nothing_is_sent_before_the_host_key_is_believed() {
    let mut pair = Pair::new(Limits::default(), true);
    pair.to_server = pair.client.poll_transmit().unwrap();
    pair.server.handle_input(&mut pair.to_server).unwrap();
    let mut input = pair.server.take_output();
    pair.client.handle_input(&mut input, clock::now()).unwrap();
    let mut output = pair.client.poll_transmit().unwrap();
    pair.server.handle_input(&mut output).unwrap();
    input.extend_from_slice(&pair.server.take_output());
    pair.client.handle_input(&mut input, clock::now()).unwrap();
    assert!(matches!(pair.client.poll_event(), Some(ConnectionEvent::HostKey { .. })));
    pair.client.handle_input(&mut input, clock::now()).unwrap();
    assert!(pair.client.poll_event().is_none() && pair.client.poll_transmit().is_none());
    assert!(!pair.client.can_send() && pair.client.send(b"\x5ex", clock::now()).is_err());
    pair.client.believe_host_key(clock::now()).unwrap();
    pair.client.handle_input(&mut input, clock::now()).unwrap();
    assert!(matches!(pair.client.poll_event(), Some(ConnectionEvent::NewKeys(_))) && pair.client.can_send());
}

#[test]
fn keys_are_renewed_by_volume_while_data_flows() {
    let mut pair = Pair::with_keys(BYTES_16K);
    let before = pair.client.proof().cloned();
    for round in 0..200_u8 {
        pair.server.send(&[&[94, round][..], &[7; 1000]].concat()).unwrap();
        pair.deliver_all().unwrap();
    }
    let renewed = pair.events.iter().filter(|event| matches!(event, ConnectionEvent::NewKeys(_))).count();
    assert!(renewed >= 12, "{renewed} for 200 KiB");
    assert_eq!(pair.messages().len(), 200);
    assert_eq!(pair.client.proof().cloned(), before, "the session identifier stays");
}

#[test]
fn both_sides_may_ask_for_new_keys_at_once() {
    let mut pair = Pair::with_keys(Limits::default());
    for round in 0..20_u8 {
        pair.client.renew_keys().unwrap();
        pair.server.send(&[94, round]).unwrap();
        pair.server.begin().unwrap();
        assert!(!pair.client.can_send());
        pair.deliver_all().unwrap();
        assert!(pair.client.can_send());
        pair.client.send(&[94, round], clock::now()).unwrap();
        pair.deliver_all().unwrap();
    }
    assert_eq!(pair.messages().len(), 20);
    assert_eq!(pair.server.received.len(), 20);
}

#[test]
fn keys_are_renewed_by_time_and_not_before() {
    let limit = std::time::Duration::from_secs(3600);
    let mut pair = Pair::with_keys(Limits { bytes: None, time: Some(limit) });
    let due = pair.client.poll_timeout().unwrap();
    pair.client.handle_timeout(due - std::time::Duration::from_secs(1)).unwrap();
    assert!(pair.client.can_send());
    pair.client.handle_timeout(due).unwrap();
    assert!(!pair.client.can_send() && pair.client.poll_timeout().is_none());
    pair.deliver_all().unwrap();
    assert!(pair.client.can_send());
}

#[test]
fn another_host_key_in_a_later_exchange_ends_the_connection() {
    let mut pair = Pair::with_keys(Limits::default());
    pair.server.change_host_key().unwrap();
    pair.client.renew_keys().unwrap();
    assert_eq!(pair.deliver_all(), Err(TransportError::HostKeyChanged));
}

#[test]
fn signature_of_another_exchange_is_refused() {
    let mut pair = Pair::new(Limits::default(), true);
    pair.server.signs_something_else = true;
    assert_eq!(pair.deliver_all(), Err(TransportError::WrongSignature));
    assert!(pair.client.poll_transmit().is_some(), "the server is told");
}

#[test]
fn server_may_go_on_until_its_new_keys() {
    let mut pair = Pair::with_keys(Limits::default());
    for round in 0..3 {
        pair.server.begin().unwrap();
        pair.server.send(&[94, round]).unwrap();
        // Before its reply, and before its NEWKEYS.
        pair.server.order(usize::from(round % 2), ServerFault::Insert(vec![94, round + 100]));
        pair.deliver_all().unwrap();
        assert!(pair.client.can_send());
    }
    let data: Vec<u8> = pair.messages().iter().map(|message| message[1]).collect();
    assert_eq!(data, [0, 100, 1, 101, 2, 102]);
}

#[test]
fn wrong_guess_is_passed_over() {
    let mut pair = Pair::new(Limits::default(), true);
    pair.server.guesses = true;
    pair.deliver_all().unwrap();
    assert!(matches!(pair.events.as_slice(), [ConnectionEvent::NewKeys(_)]));
}

#[test]
fn unknown_transport_message_is_answered_with_its_number() {
    let mut pair = Pair::with_keys(Limits::default());
    pair.server.send(&[94, 1]).unwrap();
    pair.server.send(&[10, 1]).unwrap();
    pair.deliver_all().unwrap();
    assert_eq!(pair.server.unimplemented, [1]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn connection_is_the_same_whatever_the_pieces(piece in 1_usize..200) {
        let mut pair = Pair::new(BYTES_16K, true);
        pair.piece = piece;
        pair.deliver_all().unwrap();
        for round in 0..40_u8 {
            pair.server.send(&[&[94, round][..], &[7; 1000]].concat()).unwrap();
            pair.deliver_all().unwrap();
        }
        let rounds: Vec<u8> = pair.messages().iter().map(|message| message[1]).collect();
        prop_assert_eq!(rounds, (0..40).collect::<Vec<u8>>());
    }

    #[test]
    fn any_first_bytes_are_refused_or_waited_for(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let mut input = BytesMut::from(bytes.as_slice());
        let _ = client(Limits::default()).handle_input(&mut input, clock::now());
    }
}

/// 500 messages of 100 KiB, which are a few bytes each on the way.
#[test]
fn compressed_messages_wait_for_those_before_them() {
    let compressed = Protection { is_compressed: true, ..GCM };
    let mut pair = Pair::with_terms(Limits { bytes: None, time: None }, Terms { receiving: compressed, ..terms(true) });
    pair.deliver_all().unwrap();
    pair.server.log_in().unwrap();
    pair.deliver_all().unwrap();
    let payload = [&[94][..], &[7; 100 * 1024]].concat();
    for _ in 0..500 {
        pair.server.send(&payload).unwrap();
    }
    let mut input = pair.server.take_output();
    pair.client.handle_input(&mut input, clock::now()).unwrap();
    assert_eq!((pair.client.events.len(), input.is_empty()), (11, false));
    let mut taken = 0;
    while pair.client.poll_event().is_some() {
        taken += 1;
        pair.client.handle_input(&mut input, clock::now()).unwrap();
    }
    assert_eq!((taken, input.is_empty()), (500, true));
}
