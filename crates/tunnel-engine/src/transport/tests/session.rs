//! Whole connections by a script: keys, messages both ways, renewed keys, and what goes wrong on the way.

use std::time::{Duration, Instant};

use bytes::BytesMut;

use super::everything;
use super::server::{ServerFault, Terms, TransportServer};
use crate::clock;
use crate::transport::message::{MSG_EXT_INFO, MSG_SERVICE_ACCEPT};
use crate::transport::negotiate::Protection;
use crate::transport::{CipherName, Connection, ConnectionEvent, KexName, Limits, MacName, TransportError};

/// Keys are renewed after so much time, or as many bytes where the script wants it.
const RENEWAL: Duration = Duration::from_secs(3600);
const RENEWAL_BYTES: u64 = 2048;
/// Arithmetic with groups takes milliseconds: a script gets a few.
const MAX_LONG: usize = 6;
/// Steps of a script: more would only be slow.
const MAX_STEPS: usize = 48;
/// Of an exchange with a group, which takes long, one byte of the script in so many asks.
const RARE: u8 = 0xf0;

/// What a script is played with; a step is its kind, the length of what belongs to it, and that.
const TERMS_BYTES: usize = 8;

/// What both ends have at the end.
#[derive(Debug, Default)]
pub struct Played {
    /// Why the client ended the connection.
    pub error: Option<String>,
    /// Messages for the layers above, as the client took them.
    pub taken: Vec<Vec<u8>>,
    /// What the server sealed, in this order.
    pub sealed: Vec<Vec<u8>>,
    /// Messages that the client sent, and those that the server read.
    pub sent: Vec<Vec<u8>>,
    /// See `sent`.
    pub read: Vec<Vec<u8>>,
    /// The server could not read what the client sent.
    pub unreadable: bool,
    /// The script has a fault that was met: the server did not keep to the protocol.
    pub lied: bool,
    /// A packet under keys was changed on its way.
    pub tampered: bool,
    /// A packet without keys was.
    pub tampered_in_clear: bool,
    /// Both take strict key exchange.
    pub strict: bool,
    /// What the server sends is compressed from the login on…
    pub is_compressed: bool,
    /// …and what the client sends.
    pub is_client_compressed: bool,
    /// The first keys are in use.
    pub is_keyed: bool,
    /// The script was not played to its end.
    pub unfinished: bool,
}

struct Player {
    client: Connection,
    server: TransportServer,
    input: BytesMut,
    to_server: BytesMut,
    piece: usize,
    now: Instant,
    long: usize,
    played: Played,
}

/// Plays a script.
pub fn play(script: &[u8]) -> Played {
    let (head, steps) = script.split_at(script.len().min(TERMS_BYTES));
    let mut player = match Player::new(head) {
        Ok(player) => player,
        Err(error) => return Played { error: Some(error.to_string()), ..Played::default() },
    };
    if let Err(error) = player.play(steps) {
        player.played.error = Some(error.to_string());
    }
    player.end()
}

impl Player {
    fn new(head: &[u8]) -> Result<Self, TransportError> {
        let byte = |at: usize| head.get(at).copied().unwrap_or_default();
        let flags = byte(5);
        let protection = |cipher: u8, mac: u8, is_compressed: bool| {
            let cipher = pick(&CipherName::ALL, cipher);
            Protection { cipher, mac: (!cipher.is_aead()).then(|| pick(&MacName::ALL, mac)), is_compressed }
        };
        let terms = Terms {
            kex: method(byte(0)),
            sending: protection(byte(1), byte(2), flags & 1 != 0),
            receiving: protection(byte(3), byte(4), flags & 2 != 0),
            strict: flags & 4 == 0,
        };
        let bytes = (flags & 8 != 0).then_some(RENEWAL_BYTES);
        let mut server = TransportServer::new(terms)?;
        server.guesses = flags & 16 != 0;
        Ok(Self {
            client: Connection::new(everything(Limits { bytes, time: Some(RENEWAL) }))?,
            server,
            input: BytesMut::new(),
            to_server: BytesMut::new(),
            piece: match byte(6) {
                0 => usize::MAX,
                piece => usize::from(piece),
            },
            now: clock::now(),
            long: 0,
            played: Played {
                strict: terms.strict,
                is_compressed: terms.sending.is_compressed,
                is_client_compressed: terms.receiving.is_compressed,
                ..Played::default()
            },
        })
    }

    fn play(&mut self, mut script: &[u8]) -> Result<(), TransportError> {
        // Faults before the first step that carries bytes are faults of the first exchange.
        for _ in 0..MAX_STEPS {
            let Some(([kind, length], rest)) = script.split_first_chunk::<2>() else { break };
            let (content, rest) = rest.split_at(rest.len().min(usize::from(*length)));
            script = rest;
            if let Some(fault) = fault(*kind, content) {
                self.server.order(usize::from(kind >> 4), fault);
                continue;
            }
            self.step(*kind, content)?;
            self.settle()?;
            if self.played.unfinished || self.played.unreadable {
                return Ok(());
            }
        }
        self.settle()
    }

    fn step(&mut self, kind: u8, content: &[u8]) -> Result<(), TransportError> {
        match kind % 16 {
            0 | 1 if self.server.can_send() => {
                // A number of the layers above; the login is a step of its own.
                let number = pick(&[94, 80, 90, 53, 98, 100, 255, MSG_SERVICE_ACCEPT, MSG_EXT_INFO], kind >> 4);
                self.server.send(&[&[number][..], content].concat())
            }
            2 if self.server.can_send() => self.server.begin(),
            3 if self.server.can_send() => self.server.log_in(),
            4 | 5 if self.client.can_send() => {
                let message = [&[94][..], content].concat();
                self.played.sent.push(message.clone());
                self.client.send(&message, self.now)
            }
            6 => {
                self.now += RENEWAL;
                self.client.handle_timeout(self.now)
            }
            _ => Ok(()),
        }
    }

    /// Carries bytes until none are under way.
    fn settle(&mut self) -> Result<(), TransportError> {
        loop {
            let from_server = self.server.take_output();
            while let Some(output) = self.client.poll_transmit() {
                self.to_server.extend_from_slice(&output);
            }
            if from_server.is_empty() && self.to_server.is_empty() {
                return Ok(());
            }
            for piece in from_server.chunks(self.piece) {
                self.input.extend_from_slice(piece);
                self.hand_over()?;
                if self.played.unfinished {
                    return Ok(());
                }
            }
            self.played.unreadable |= self.server.handle_input(&mut self.to_server).is_err();
            if self.played.unreadable {
                return Ok(());
            }
        }
    }

    fn hand_over(&mut self) -> Result<(), TransportError> {
        loop {
            self.client.handle_input(&mut self.input, self.now)?;
            if let Some(work) = self.client.poll_work() {
                self.long += usize::from(work.is_long());
                if self.long > MAX_LONG {
                    self.played.unfinished = true;
                    return Ok(());
                }
                self.client.handle_work(work.run(), self.now)?;
                continue;
            }
            match self.client.poll_event() {
                Some(ConnectionEvent::HostKey { .. }) => self.client.believe_host_key(self.now)?,
                Some(ConnectionEvent::NewKeys(_)) => self.played.is_keyed = true,
                Some(ConnectionEvent::Message(payload, _)) => self.played.taken.push(payload.to_vec()),
                Some(ConnectionEvent::Debug(_)) => {}
                None => return Ok(()),
            }
        }
    }

    fn end(self) -> Played {
        let Self { server, mut played, .. } = self;
        (played.sealed, played.read) = (server.sealed, server.received);
        (played.lied, played.tampered) = (server.lied, server.tampered);
        played.tampered_in_clear = server.tampered_in_clear;
        played
    }
}

/// Odd kinds above those of steps are faults, which come behind as many packets as their upper half says.
fn fault(kind: u8, content: &[u8]) -> Option<ServerFault> {
    let at = content.first_chunk::<2>().map_or(0, |at| usize::from(u16::from_be_bytes(*at)));
    // Never nothing.
    let with = content.get(2).copied().unwrap_or_default().max(1);
    Some(match kind % 16 {
        7 => ServerFault::Insert(content.to_vec()),
        8 => ServerFault::Replace(content.to_vec()),
        9 | 10 => ServerFault::Change { at, with },
        11 => ServerFault::Cut(at),
        12 => ServerFault::Flip { at, with },
        13 => ServerFault::Repeat,
        14 => ServerFault::Drop,
        15 => ServerFault::Raw(content.to_vec()),
        _ => return None,
    })
}

/// Groups are rare because they are slow, and the largest are not there.
fn method(byte: u8) -> KexName {
    const FAST: [KexName; 6] = [
        KexName::Curve25519,
        KexName::MlKem768X25519,
        KexName::Curve25519Libssh,
        KexName::EcdhP256,
        KexName::EcdhP384,
        KexName::EcdhP521,
    ];
    const SLOW: [KexName; 5] = [
        KexName::Group1Sha1,
        KexName::GroupExchangeSha256,
        KexName::Group14Sha256,
        KexName::GroupExchangeSha1,
        KexName::Group14Sha1,
    ];
    if byte < RARE { pick(&FAST, byte) } else { pick(&SLOW, byte) }
}

fn pick<T: Copy, const N: usize>(all: &[T; N], byte: u8) -> T {
    all[usize::from(byte) % N]
}
