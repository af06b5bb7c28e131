//! The transport layer of one connection as the client: bytes in, messages out and back, without a socket, a clock or a
//! runtime.
//!
//! ```text
//! handle_input ─► packet ─► exchange (20…49) ─► keys ─► packet
//!                   └─────► poll_event (everything else)
//! send ───────────────────► packet ─► poll_transmit
//! ```

use std::collections::VecDeque;
use std::time::Instant;

use bytes::{Bytes, BytesMut};

use super::exchange::{Exchange, ExchangeStep, Idents, NewKeys, Offered};
use super::kex::{Work, WorkResult};
use super::message::{
    self, COOKIE_BYTES, DebugText, MSG_DEBUG, MSG_DISCONNECT, MSG_EXT_INFO, MSG_IGNORE, MSG_KEX_INIT, MSG_KEX_LAST,
    MSG_KEXINIT, MSG_NEWKEYS, MSG_SERVICE_ACCEPT, MSG_UNIMPLEMENTED, MSG_USERAUTH_SUCCESS,
};
use super::negotiate::{Agreement, LocalOffer};
use super::packet::{PacketReader, PacketWriter};
use super::rekey::{Age, Limits};
use super::{TransportError, random};

/// Messages that wait to be polled: past it, input stays where it is.
const MAX_EVENTS: usize = 1024;
/// As many bytes of them: what is compressed is small as input.
const MAX_EVENT_BYTES: usize = 1024 * 1024;
/// From here on the server takes nothing, and nothing more is made for it.
const MAX_UNSENT: usize = 256 * 1024;
/// Small messages and answers are made up to here.
const MAX_ANSWERS: usize = 4 * MAX_UNSENT;
/// Where the numbers of messages above the transport layer begin.
const FIRST_UPPER: u8 = 50;

/// What a connection is begun with.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    /// Identifications without their line ends: both have been said when a [`Connection`] begins.
    pub(crate) client_ident: String,
    pub(crate) server_ident: Vec<u8>,
    pub(crate) offer: LocalOffer,
    pub(crate) limits: Limits,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ConnectionEvent {
    /// Is this host key to be believed? Asked once; nothing goes on before [`Connection::believe_host_key`].
    HostKey { algorithm: String, blob: Vec<u8> },
    /// New keys are in use in both directions.
    NewKeys(Agreement),
    /// A message for the layers above: its payload, and the number of its packet.
    Message(Bytes, u32),
    /// The server says what it does.
    Debug(DebugText),
}

/// The session identifier, and how the server has proven it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct SessionProof {
    /// The hash of the first exchange.
    pub(crate) session_id: Vec<u8>,
    pub(crate) host_key: Vec<u8>,
    /// Of the host key, over the session identifier.
    pub(crate) signature: Vec<u8>,
}

/// One connection.
pub(crate) struct Connection {
    config: Config,
    inbound: PacketReader,
    outbound: PacketWriter,
    exchange: Option<Exchange>,
    work: Pending,
    /// Since the first keys.
    established: Option<Established>,
    strict: bool,
    /// The first exchange is over in both directions.
    is_keyed: bool,
    events: VecDeque<ConnectionEvent>,
    /// Of the messages among them.
    event_bytes: usize,
    unsent: BytesMut,
}

/// A step of the exchange that is computed elsewhere.
enum Pending {
    None,
    /// Until it is polled for.
    Due(Work),
    Running,
}

struct Established {
    proof: SessionProof,
    agreement: Agreement,
    keys_since: Instant,
}

impl Connection {
    /// Begins with our KEXINIT.
    pub(crate) fn new(config: Config) -> Result<Self, TransportError> {
        let mut connection = Self {
            config,
            inbound: PacketReader::new(),
            outbound: PacketWriter::new(),
            exchange: None,
            work: Pending::None,
            established: None,
            strict: false,
            is_keyed: false,
            events: VecDeque::new(),
            event_bytes: 0,
            unsent: BytesMut::new(),
        };
        connection.offer()?;
        Ok(connection)
    }

    /// Takes whole packets from the front of `input`, as many as there are or can be taken now; what is left is to be
    /// given again with what comes behind it.
    ///
    /// # Errors
    /// The connection is over. [`Connection::poll_transmit`] gives a last word to the server.
    pub(crate) fn handle_input(&mut self, input: &mut BytesMut, now: Instant) -> Result<(), TransportError> {
        let handled = self.take_packets(input, now);
        self.disconnect_with_reason(handled)
    }

    fn disconnect_with_reason(&mut self, handled: Result<(), TransportError>) -> Result<(), TransportError> {
        if let Err(error) = &handled {
            self.goodbye(message::disconnect_reason(error), &error.to_string());
        }
        handled
    }

    /// Arithmetic that takes long, to be done elsewhere and given to [`Connection::handle_work`]. No packet is taken
    /// until then.
    pub(crate) fn poll_work(&mut self) -> Option<Work> {
        match std::mem::replace(&mut self.work, Pending::Running) {
            Pending::Due(work) => Some(work),
            other @ (Pending::None | Pending::Running) => {
                self.work = other;
                None
            }
        }
    }

    /// # Errors
    /// As of [`Connection::handle_input`], which is to be called again afterwards.
    pub(crate) fn handle_work(&mut self, done: WorkResult, now: Instant) -> Result<(), TransportError> {
        self.work = Pending::None;
        let handled = self.handle_done(done, now);
        self.disconnect_with_reason(handled)
    }

    /// Waits for [`Connection::handle_work`], and takes no packet.
    pub(crate) const fn is_computing(&self) -> bool {
        !matches!(self.work, Pending::None)
    }

    fn take_packets(&mut self, input: &mut BytesMut, now: Instant) -> Result<(), TransportError> {
        while self.events.len() < MAX_EVENTS
            && self.event_bytes < MAX_EVENT_BYTES
            && !self.is_computing()
            && !matches!(self.exchange, Some(Exchange::Proven(_)))
        {
            let sequence = self.inbound.sequence();
            let Some(payload) = self.inbound.next(input)? else { return Ok(()) };
            self.handle_packet(payload, sequence, now)?;
            self.renew_keys_if_due(now)?;
        }
        Ok(())
    }

    /// How many bytes the next packet needs, as far as that is known.
    pub(crate) fn wanted(&self) -> usize {
        self.inbound.wanted()
    }

    pub(crate) fn poll_event(&mut self) -> Option<ConnectionEvent> {
        let event = self.events.pop_front();
        if let Some(ConnectionEvent::Message(payload, _)) = &event {
            self.event_bytes -= payload.len();
        }
        event
    }

    /// Bytes for the server.
    pub(crate) fn poll_transmit(&mut self) -> Option<BytesMut> {
        (!self.unsent.is_empty()).then(|| self.unsent.split())
    }

    /// How many bytes [`Connection::poll_transmit`] would give.
    pub(crate) fn unsent(&self) -> usize {
        self.unsent.len()
    }

    /// Gives memory back that a connection without traffic does not need.
    pub(crate) fn shrink(&mut self) {
        if self.unsent.is_empty() {
            self.unsent = BytesMut::new();
        }
    }

    /// When [`Connection::handle_timeout`] is to be called.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let established = self.established.as_ref().filter(|_| self.exchange.is_none())?;
        if self.outbound.compression.is_waiting() {
            // Keys are renewed after the login, which asks by itself.
            return None;
        }
        self.config.limits.due(established.keys_since)
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) -> Result<(), TransportError> {
        self.renew_keys_if_due(now)
    }

    /// Whether [`Connection::send`] may be called: not while keys are exchanged (RFC 4253 section 7.1), nor while the
    /// server takes nothing.
    pub(crate) fn can_send(&self) -> bool {
        self.can_send_small() && self.unsent.len() < MAX_UNSENT
    }

    /// As [`Connection::can_send`], for a small message that need not wait for the data before it.
    pub(crate) fn can_send_small(&self) -> bool {
        self.exchange.is_none() && self.established.is_some() && self.unsent.len() < MAX_ANSWERS
    }

    /// The server's identification, without its line end.
    pub(crate) fn server_ident(&self) -> &[u8] {
        &self.config.server_ident
    }

    /// The number of the next packet to the server.
    pub(crate) const fn next_sent(&self) -> u32 {
        self.outbound.sequence()
    }

    /// Sends a message of the layers above.
    ///
    /// # Errors
    /// An exchange is under way; or the connection is over.
    pub(crate) fn send(&mut self, payload: &[u8], now: Instant) -> Result<(), TransportError> {
        self.send_parts([payload, &[]], now)
    }

    /// As [`Connection::send`], for a message in two parts.
    pub(crate) fn send_parts(&mut self, payload: [&[u8]; 2], now: Instant) -> Result<(), TransportError> {
        if !self.can_send_small() {
            return Err(TransportError::Cryptography("a message was sent during a key exchange"));
        }
        self.outbound.seal_parts(payload, &mut self.unsent)?;
        self.renew_keys_if_due(now)
    }

    /// The user, or what known_hosts says, believes the host key.
    pub(crate) fn believe_host_key(&mut self, now: Instant) -> Result<(), TransportError> {
        match self.exchange.take() {
            Some(Exchange::Proven(keys)) => self.take_keys(*keys, now),
            other => {
                self.exchange = other;
                Ok(())
            }
        }
    }

    /// SSH_MSG_DISCONNECT, at any time.
    pub(crate) fn goodbye(&mut self, reason: u32, text: &str) {
        // Without it the server learns of the end by the end of the stream.
        let _ = self.outbound.seal(&message::disconnect(reason, text), &mut self.unsent);
    }

    /// Known since the first keys.
    pub(crate) fn proof(&self) -> Option<&SessionProof> {
        self.established.as_ref().map(|established| &established.proof)
    }

    /// Asks for new keys, unless they are being exchanged.
    #[cfg(test)]
    fn renew_keys(&mut self) -> Result<(), TransportError> {
        if self.can_send_small() { self.offer() } else { Ok(()) }
    }

    fn renew_keys_if_due(&mut self, now: Instant) -> Result<(), TransportError> {
        let Some(established) = self.established.as_ref().filter(|_| self.exchange.is_none()) else { return Ok(()) };
        if self.outbound.compression.is_waiting() {
            return Ok(());
        }
        let Agreement { sending, receiving, .. } = &established.agreement;
        let age = Age { since: established.keys_since, sent: self.outbound.counts(), received: self.inbound.counts() };
        let due = self.config.limits.are_reached(&age, (sending.cipher, receiving.cipher), now);
        if due { self.offer() } else { Ok(()) }
    }

    fn offer(&mut self) -> Result<(), TransportError> {
        let is_first = self.established.is_none();
        let mut cookie = [0; COOKIE_BYTES];
        random::fill(&mut cookie)?;
        let ours = self.config.offer.encode(cookie, is_first);
        self.outbound.seal(&ours, &mut self.unsent)?;
        self.exchange = Some(Exchange::Offered(Offered::new(ours, is_first)));
        Ok(())
    }

    fn handle_packet(&mut self, payload: Bytes, sequence: u32, now: Instant) -> Result<(), TransportError> {
        let Some(&number) = payload.first() else { return Err(TransportError::Malformed("empty packet")) };
        let is_first_exchange = !self.is_keyed;
        // Strict key exchange: nothing but the exchange itself before its end.
        if is_first_exchange && self.strict && !matches!(number, MSG_KEXINIT..=MSG_KEX_LAST | MSG_DISCONNECT) {
            return Err(TransportError::Unexpected(number));
        }
        match number {
            // It may answer a request of the layers above.
            MSG_UNIMPLEMENTED if self.is_keyed => self.pass(payload, sequence),
            MSG_IGNORE | MSG_UNIMPLEMENTED => Ok(()),
            MSG_DEBUG => {
                self.events.push_back(ConnectionEvent::Debug(DebugText::decode(&payload)?));
                Ok(())
            }
            MSG_DISCONNECT => {
                self.push_message(payload, sequence);
                Ok(())
            }
            MSG_KEXINIT => self.handle_kexinit(&payload, sequence, now),
            MSG_NEWKEYS => self.handle_new_keys(&payload, now),
            MSG_KEX_INIT..=MSG_KEX_LAST => self.handle_exchange(&payload, number, now),
            MSG_SERVICE_ACCEPT | MSG_EXT_INFO | FIRST_UPPER..=u8::MAX => self.pass(payload, sequence),
            _ if is_first_exchange => Err(TransportError::Unexpected(number)),
            _ => self.unimplemented(sequence),
        }
    }

    /// SSH_MSG_UNIMPLEMENTED, for the packet of the server's with this number (RFC 4253 section 11.4).
    ///
    /// # Errors
    /// The server takes none of its answers.
    pub(crate) fn unimplemented(&mut self, sequence: u32) -> Result<(), TransportError> {
        if self.unsent.len() > MAX_ANSWERS {
            return Err(TransportError::Flood);
        }
        self.outbound.seal(&message::unimplemented(sequence), &mut self.unsent)
    }

    fn pass(&mut self, payload: Bytes, sequence: u32) -> Result<(), TransportError> {
        let number = payload.first().copied().unwrap_or_default();
        // In a later exchange, too: the server may not have seen our KEXINIT when it sent this, and asyncssh 2.10 (Debian 12's)
        // goes on up to its NEWKEYS, which RFC 4253 section 7.1 forbids. The keys of before protect it.
        if !self.is_keyed {
            return Err(TransportError::Unexpected(number));
        }
        if number == MSG_USERAUTH_SUCCESS {
            self.inbound.compression.log_in();
            self.outbound.compression.log_in();
        }
        self.push_message(payload, sequence);
        Ok(())
    }

    fn push_message(&mut self, payload: Bytes, sequence: u32) {
        self.event_bytes += payload.len();
        self.events.push_back(ConnectionEvent::Message(payload, sequence));
    }

    fn handle_kexinit(&mut self, payload: &[u8], sequence: u32, now: Instant) -> Result<(), TransportError> {
        if self.exchange.is_none() {
            self.offer()?;
        }
        let Some(Exchange::Offered(offered)) = self.exchange.take() else {
            return Err(TransportError::Unexpected(MSG_KEXINIT));
        };
        let (agreed, next) = offered.agree(&self.config.offer, payload)?;
        if self.established.is_none() {
            self.strict = agreed.agreement().strict;
            // What came before it was not part of the exchange.
            if self.strict && sequence != 0 {
                return Err(TransportError::Unexpected(MSG_KEXINIT));
            }
        }
        self.exchange = Some(Exchange::Agreed(Box::new(agreed)));
        self.go_on(next, now)
    }

    fn handle_exchange(&mut self, payload: &[u8], number: u8, now: Instant) -> Result<(), TransportError> {
        let Some(Exchange::Agreed(agreed)) = &mut self.exchange else {
            return Err(TransportError::Unexpected(number));
        };
        let next = agreed.handle(payload)?;
        self.go_on(next, now)
    }

    fn go_on(&mut self, next: ExchangeStep, now: Instant) -> Result<(), TransportError> {
        match next {
            ExchangeStep::Wait => Ok(()),
            ExchangeStep::Send(message) => self.outbound.seal(&message, &mut self.unsent),
            ExchangeStep::Compute(work) if work.is_long() => {
                self.work = Pending::Due(work);
                Ok(())
            }
            ExchangeStep::Compute(work) => self.handle_done(work.run(), now),
            ExchangeStep::Keys(keys) => self.judge(*keys, now),
        }
    }

    fn handle_done(&mut self, done: WorkResult, now: Instant) -> Result<(), TransportError> {
        let Some(Exchange::Agreed(agreed)) = &mut self.exchange else {
            return Err(TransportError::Cryptography("a result of no exchange"));
        };
        let idents = Idents { client: self.config.client_ident.as_bytes(), server: &self.config.server_ident };
        let session_id = self.established.as_ref().map(|established| established.proof.session_id.as_slice());
        let next = agreed.computed(done, &idents, session_id)?;
        self.go_on(next, now)
    }

    fn judge(&mut self, keys: NewKeys, now: Instant) -> Result<(), TransportError> {
        match &self.established {
            // As OpenSSH's client: another key is another server.
            Some(established) if established.proof.host_key != keys.host_key => Err(TransportError::HostKeyChanged),
            Some(_) => self.take_keys(keys, now),
            None => {
                let algorithm = keys.agreement.host_key.clone();
                self.events.push_back(ConnectionEvent::HostKey { algorithm, blob: keys.host_key.clone() });
                self.exchange = Some(Exchange::Proven(Box::new(keys)));
                Ok(())
            }
        }
    }

    /// NEWKEYS: from the next packet on, we send under the new keys.
    fn take_keys(&mut self, keys: NewKeys, now: Instant) -> Result<(), TransportError> {
        self.outbound.seal(&[MSG_NEWKEYS], &mut self.unsent)?;
        if self.established.is_none() {
            let (session_id, host_key) = (keys.session_id.clone(), keys.host_key.clone());
            let proof = SessionProof { session_id, host_key, signature: keys.signature.clone() };
            self.established = Some(Established { proof, agreement: keys.agreement.clone(), keys_since: now });
        }
        let (sealer, receiving) = keys.take();
        self.outbound.rekey(sealer, self.strict);
        self.outbound.compression.rekey(receiving.agreement.sending.is_compressed);
        self.exchange = Some(Exchange::Taken(Box::new(receiving)));
        Ok(())
    }

    fn handle_new_keys(&mut self, payload: &[u8], now: Instant) -> Result<(), TransportError> {
        let Some(Exchange::Taken(receiving)) = self.exchange.take() else {
            return Err(TransportError::Unexpected(MSG_NEWKEYS));
        };
        if payload.len() != 1 {
            return Err(TransportError::Malformed("NEWKEYS"));
        }
        self.inbound.rekey(receiving.opener, self.strict);
        self.inbound.compression.rekey(receiving.agreement.receiving.is_compressed);
        self.is_keyed = true;
        if let Some(established) = &mut self.established {
            established.agreement = receiving.agreement.clone();
            established.keys_since = now;
        }
        self.events.push_back(ConnectionEvent::NewKeys(receiving.agreement));
        Ok(())
    }
}

#[cfg(test)]
mod tests;
