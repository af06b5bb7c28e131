//! The other end of a connection, for unit tests and fuzz targets: a server of one method, one key, and one cipher, MAC
//! and compression for each direction, with faults on demand.

use std::collections::VecDeque;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use bytes::BytesMut;

use super::answer::{answer, group_to_choose};
use crate::transport::TransportError;
use crate::transport::cipher::{Opener, Sealer};
use crate::transport::exchange::with_keys;
use crate::transport::kex::{ExchangeHash, Group, GroupSizes, KexName, KeyDeriver};
use crate::transport::message::{
    COOKIE_BYTES, MSG_GROUP, MSG_GROUP_INIT, MSG_GROUP_REPLY, MSG_GROUP_REQUEST, MSG_KEX_INIT, MSG_KEX_REPLY,
    MSG_KEXINIT, MSG_NEWKEYS, MSG_UNIMPLEMENTED, MSG_USERAUTH_SUCCESS,
};
use crate::transport::negotiate::Protection;
use crate::transport::packet::{PacketReader, PacketWriter};
use crate::transport::wire::{MessageReader, put_string, put_u32};

/// What the server has, and so what both agree on.
#[derive(Debug, Clone, Copy)]
pub(in crate::transport) struct Terms {
    pub(in crate::transport) kex: KexName,
    /// From the server to the client.
    pub(in crate::transport) sending: Protection,
    /// From the client to the server.
    pub(in crate::transport) receiving: Protection,
    pub(in crate::transport) strict: bool,
}

/// What becomes of one of the server's packets. The first four are the server's own doing, the others another's who has no
/// keys.
#[derive(Debug, Clone)]
pub(in crate::transport) enum ServerFault {
    /// Another payload is sealed before it.
    Insert(Vec<u8>),
    /// Another payload is sealed in its place.
    Replace(Vec<u8>),
    /// A byte of its payload is another.
    Change { at: usize, with: u8 },
    /// Its payload ends here.
    Cut(usize),
    /// A byte of the sealed packet is another.
    Flip { at: usize, with: u8 },
    /// The sealed packet comes twice.
    Repeat,
    /// The sealed packet does not come.
    Drop,
    /// Bytes come behind the sealed packet.
    Raw(Vec<u8>),
}

impl ServerFault {
    /// Another than the server has done it.
    const fn is_on_the_way(&self) -> bool {
        matches!(self, Self::Flip { .. } | Self::Repeat | Self::Drop | Self::Raw(_))
    }
}

pub(in crate::transport) struct TransportServer {
    terms: Terms,
    inbound: PacketReader,
    outbound: PacketWriter,
    host_key: Ed25519KeyPair,
    output: BytesMut,
    session_id: Vec<u8>,
    /// KEXINITs of the exchange that is under way.
    ours: Option<Vec<u8>>,
    theirs: Option<Vec<u8>>,
    /// Of a group exchange: what is hashed, and the group.
    group: (Vec<u8>, Option<Group>),
    opener: Option<Opener>,
    /// Each behind so many packets.
    faults: VecDeque<(usize, ServerFault)>,
    /// Its packets go under keys.
    is_keyed: bool,
    /// A packet without keys was changed on its way.
    pub(in crate::transport) tampered_in_clear: bool,
    /// A packet under keys was.
    pub(in crate::transport) tampered: bool,
    /// It did not keep to the protocol.
    pub(in crate::transport) lied: bool,
    /// Payloads under keys, in this order.
    pub(in crate::transport) sealed: Vec<Vec<u8>>,
    /// Messages of the layers above.
    pub(in crate::transport) received: Vec<Vec<u8>>,
    pub(in crate::transport) unimplemented: Vec<u32>,
    pub(in crate::transport) signs_something_else: bool,
    /// A wrong guess follows its first KEXINIT.
    pub(in crate::transport) guesses: bool,
}

fn host_key(seed: u8) -> Result<Ed25519KeyPair, TransportError> {
    Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).map_err(|_| TransportError::Cryptography("a key of a seed"))
}

impl TransportServer {
    pub(in crate::transport) fn new(terms: Terms) -> Result<Self, TransportError> {
        Ok(Self {
            terms,
            inbound: PacketReader::new(),
            outbound: PacketWriter::new(),
            host_key: host_key(1)?,
            output: BytesMut::new(),
            session_id: Vec::new(),
            ours: None,
            theirs: None,
            group: (Vec::new(), None),
            opener: None,
            faults: VecDeque::new(),
            is_keyed: false,
            tampered_in_clear: false,
            tampered: false,
            lied: false,
            sealed: Vec::new(),
            received: Vec::new(),
            unimplemented: Vec::new(),
            signs_something_else: false,
            guesses: false,
        })
    }

    #[cfg(test)]
    pub(in crate::transport) fn change_host_key(&mut self) -> Result<(), TransportError> {
        self.host_key = host_key(2)?;
        Ok(())
    }

    /// A fault behind so many packets without one.
    pub(in crate::transport) fn order(&mut self, packets: usize, fault: ServerFault) {
        self.faults.push_back((packets, fault));
    }

    pub(in crate::transport) fn take_output(&mut self) -> BytesMut {
        self.output.split()
    }

    /// No exchange of its own doing is under way.
    pub(in crate::transport) const fn can_send(&self) -> bool {
        self.is_keyed && self.ours.is_none() && self.opener.is_none()
    }

    pub(in crate::transport) fn send(&mut self, payload: &[u8]) -> Result<(), TransportError> {
        let fault = match self.faults.front_mut() {
            Some((0, _)) => self.faults.pop_front().map(|(_, fault)| fault),
            Some((packets, _)) => {
                *packets -= 1;
                None
            }
            None => None,
        };
        let mut payload = payload.to_vec();
        if let Some(fault) = &fault {
            let seen = if !fault.is_on_the_way() {
                &mut self.lied
            } else if self.is_keyed {
                &mut self.tampered
            } else {
                &mut self.tampered_in_clear
            };
            *seen = true;
        }
        match &fault {
            Some(ServerFault::Insert(other)) => self.seal(other)?,
            Some(ServerFault::Replace(other)) => payload.clone_from(other),
            Some(ServerFault::Change { at, with }) => change(&mut payload, *at, *with),
            Some(ServerFault::Cut(at)) => payload.truncate(*at),
            Some(ServerFault::Flip { .. } | ServerFault::Repeat | ServerFault::Drop | ServerFault::Raw(_)) | None => {}
        }
        let start = self.output.len();
        self.seal(&payload)?;
        match fault {
            Some(ServerFault::Flip { at, with }) => change(self.output.get_mut(start..).unwrap_or_default(), at, with),
            Some(ServerFault::Repeat) => {
                let packet = self.output.get(start..).unwrap_or_default().to_vec();
                self.output.extend_from_slice(&packet);
            }
            Some(ServerFault::Drop) => self.output.truncate(start),
            Some(ServerFault::Raw(bytes)) => self.output.extend_from_slice(&bytes),
            Some(
                ServerFault::Insert(_) | ServerFault::Replace(_) | ServerFault::Change { .. } | ServerFault::Cut(_),
            )
            | None => {}
        }
        Ok(())
    }

    fn seal(&mut self, payload: &[u8]) -> Result<(), TransportError> {
        if self.is_keyed {
            self.sealed.push(payload.to_vec());
        }
        self.outbound.seal(payload, &mut self.output)
    }

    /// The user is logged in.
    pub(in crate::transport) fn log_in(&mut self) -> Result<(), TransportError> {
        self.send(&[MSG_USERAUTH_SUCCESS])?;
        self.outbound.compression.log_in();
        self.inbound.compression.log_in();
        Ok(())
    }

    /// Sends its KEXINIT.
    pub(in crate::transport) fn begin(&mut self) -> Result<(), TransportError> {
        let follows = std::mem::take(&mut self.guesses);
        let Terms { kex, sending, receiving, strict } = self.terms;
        let names = [
            follows.then_some("other"),
            Some(kex.name()),
            (strict && self.session_id.is_empty()).then_some("kex-strict-s-v00@openssh.com"),
        ];
        let kex = names.into_iter().flatten().collect::<Vec<_>>().join(",");
        let mac = |direction: Protection| direction.mac.map_or("", |mac| mac.name());
        let compression = |direction: Protection| if direction.is_compressed { "zlib@openssh.com" } else { "none" };
        let mut out = [&[MSG_KEXINIT][..], &[9; COOKIE_BYTES]].concat();
        for list in [
            kex.as_str(),
            "ssh-ed25519",
            receiving.cipher.name(),
            sending.cipher.name(),
            mac(receiving),
            mac(sending),
            compression(receiving),
            compression(sending),
            "",
            "",
        ] {
            put_string(&mut out, list.as_bytes());
        }
        out.push(u8::from(follows));
        put_u32(&mut out, 0);
        self.send(&out)?;
        if follows {
            self.send(&[MSG_KEX_REPLY, 1, 2, 3])?;
        }
        self.ours = Some(out);
        Ok(())
    }

    pub(in crate::transport) fn handle_input(&mut self, input: &mut BytesMut) -> Result<(), TransportError> {
        while let Some(payload) = self.inbound.next(input)? {
            match payload.first() {
                Some(&MSG_KEXINIT) => {
                    if self.ours.is_none() {
                        self.begin()?;
                    }
                    self.theirs = Some(payload.to_vec());
                }
                Some(&MSG_GROUP_REQUEST) => self.choose_group(payload.get(1..).unwrap_or_default())?,
                Some(&(MSG_KEX_INIT | MSG_GROUP_INIT)) => self.answer(&payload)?,
                Some(&MSG_NEWKEYS) => self.take_keys()?,
                Some(&MSG_UNIMPLEMENTED) => {
                    let mut reader = MessageReader::new("UNIMPLEMENTED", payload.get(1..).unwrap_or_default());
                    self.unimplemented.push(reader.u32()?);
                }
                // Its goodbye.
                Some(1) => {}
                _ => self.received.push(payload.to_vec()),
            }
        }
        Ok(())
    }

    fn choose_group(&mut self, asked: &[u8]) -> Result<(), TransportError> {
        let chosen = group_to_choose();
        let mut reader = MessageReader::new("group", &chosen);
        let sizes = GroupSizes { smallest: 1, preferred: 2048, largest: u32::MAX };
        let group = Group::chosen(reader.unsigned()?, reader.unsigned()?, sizes)?;
        self.group = ([asked, &chosen].concat(), Some(group));
        self.send(&[&[MSG_GROUP][..], &chosen].concat())
    }

    fn answer(&mut self, payload: &[u8]) -> Result<(), TransportError> {
        let mut reader = MessageReader::new("key exchange", payload);
        let is_group_exchange = reader.u8()? == MSG_GROUP_INIT;
        let theirs = reader.string()?;
        let (asked, group) = std::mem::take(&mut self.group);
        let agreed = answer(self.terms.kex, group, theirs)?;
        let mut host_key = Vec::new();
        put_string(&mut host_key, b"ssh-ed25519");
        put_string(&mut host_key, self.host_key.public_key().as_ref());
        let hash = ExchangeHash {
            client_ident: super::CLIENT_IDENT.as_bytes(),
            server_ident: super::SERVER_IDENT,
            client_init: &self.theirs.take().unwrap_or_default(),
            server_init: &self.ours.take().unwrap_or_default(),
            host_key: &host_key,
            group: &asked,
            client_public: theirs,
            server_public: &agreed.public,
            secret: &agreed.secret,
        };
        let hash = hash.compute(self.terms.kex);
        if self.session_id.is_empty() {
            self.session_id.clone_from(&hash);
        }
        let signed = self.host_key.sign(if self.signs_something_else { b"else" } else { &hash });
        let mut signature = Vec::new();
        put_string(&mut signature, b"ssh-ed25519");
        put_string(&mut signature, signed.as_ref());
        let mut reply = vec![if is_group_exchange { MSG_GROUP_REPLY } else { MSG_KEX_REPLY }];
        for part in [&host_key[..], &agreed.public, &signature] {
            put_string(&mut reply, part);
        }
        self.send(&reply)?;
        self.send(&[MSG_NEWKEYS])?;
        let Terms { kex, sending, receiving, strict } = self.terms;
        let deriver =
            KeyDeriver { name: kex, secret: &agreed.secret, exchange_hash: &hash, session_id: &self.session_id };
        self.outbound.rekey(with_keys(&deriver, sending, *b"BDF", Sealer::new)?, strict);
        self.outbound.compression.rekey(sending.is_compressed);
        self.opener = Some(with_keys(&deriver, receiving, *b"ACE", Opener::new)?);
        self.is_keyed = true;
        Ok(())
    }

    /// The client's packets from here on.
    fn take_keys(&mut self) -> Result<(), TransportError> {
        let opener = self.opener.take().ok_or(TransportError::Unexpected(MSG_NEWKEYS))?;
        self.inbound.rekey(opener, self.terms.strict);
        self.inbound.compression.rekey(self.terms.receiving.is_compressed);
        Ok(())
    }
}

fn change(bytes: &mut [u8], at: usize, with: u8) {
    let length = bytes.len().max(1);
    if let Some(byte) = bytes.get_mut(at % length) {
        *byte ^= with;
    }
}
