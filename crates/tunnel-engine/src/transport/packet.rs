//! Packets out of bytes and into bytes (RFC 4253 section 6): framing, padding, sequence numbers, and their counts.

use bytes::{Buf as _, Bytes, BytesMut};

use super::cipher::{Alignment, LENGTH_BYTES, Opener, Sealer};
use super::compression::{Deflater, Delayed, Inflater};
use super::{TransportError, random};

/// The longest packet that is taken, in bytes after its length field; as OpenSSH. RFC 4253 section 6.1 asks for 35,000
/// at least.
pub(super) const MAX_PACKET: u32 = 256 * 1024;
/// With its length field.
const MAX_WIRE_PACKET: usize = MAX_PACKET as usize + LENGTH_BYTES;
/// The length of the padding, one byte of content.
const MIN_PACKET: u32 = 5;
const PADDING_LENGTH_BYTES: usize = 1;
const MIN_PADDING: usize = 4;
/// Random bytes for the padding of several packets, fetched at once.
const RANDOM_POOL: usize = 256;

/// Packets from the server.
pub(super) struct PacketReader {
    cipher: Opener,
    pub(super) compression: Delayed<Inflater>,
    sequence: u32,
    /// The length of the packet whose rest has not come yet.
    expected: Option<usize>,
    /// The connection has failed, which is told after so many bytes.
    fails_after: Option<usize>,
    /// Since the keys: bytes and packets.
    bytes: u64,
    packets: u64,
}

impl PacketReader {
    pub(super) const fn new() -> Self {
        let compression = Delayed::new();
        Self {
            cipher: Opener::Clear,
            compression,
            sequence: 0,
            expected: None,
            fails_after: None,
            bytes: 0,
            packets: 0,
        }
    }

    /// From the next packet on.
    pub(super) fn rekey(&mut self, cipher: Opener, reset_sequence: bool) {
        self.cipher = cipher;
        (self.bytes, self.packets) = (0, 0);
        if reset_sequence {
            self.sequence = 0;
        }
    }

    /// Of the next packet.
    pub(super) const fn sequence(&self) -> u32 {
        self.sequence
    }

    /// Bytes and packets under these keys.
    pub(super) const fn counts(&self) -> (u64, u64) {
        (self.bytes, self.packets)
    }

    /// Takes the payload of the next packet from the front of `input`; `None`: the packet is not there yet.
    pub(super) fn next(&mut self, input: &mut BytesMut) -> Result<Option<Bytes>, TransportError> {
        if let Some(rest) = self.fails_after {
            return self.discard(rest, input);
        }
        let total = match self.expected {
            Some(total) => total,
            None => {
                let Some(head) = input.get(..self.cipher.bytes_for_length()) else { return Ok(None) };
                match self.total(self.cipher.length(self.sequence, head)?) {
                    Ok(total) => *self.expected.insert(total),
                    Err(_) if self.cipher.hides_where_it_fails() => return self.discard(MAX_WIRE_PACKET, input),
                    Err(error) => return Err(error),
                }
            }
        };
        if input.len() < total {
            return Ok(None);
        }
        self.expected = None;
        let mut packet = input.split_to(total);
        match self.cipher.open(self.sequence, &mut packet) {
            Err(_) if self.cipher.hides_where_it_fails() => {
                return self.discard(MAX_WIRE_PACKET.saturating_sub(total), input);
            }
            opened => opened?,
        }
        packet.truncate(total.saturating_sub(self.cipher.tag_len()));
        packet.advance(LENGTH_BYTES);
        let padding = usize::from(packet.get_u8());
        let payload = packet.len().checked_sub(padding).filter(|_| padding >= MIN_PADDING);
        packet.truncate(payload.ok_or(TransportError::Malformed("padding"))?);
        self.sequence = self.sequence.wrapping_add(1);
        self.bytes += total as u64;
        self.packets += 1;
        let payload = packet.freeze();
        match self.compression.stream() {
            Some(inflater) => inflater.inflate(&payload).map(Some),
            None => Ok(Some(payload)),
        }
    }

    /// The connection has failed; this is told when `rest` more bytes have come.
    fn discard(&mut self, rest: usize, input: &mut BytesMut) -> Result<Option<Bytes>, TransportError> {
        let now = rest.min(input.len());
        input.advance(now);
        self.fails_after = Some(rest - now);
        if now < rest { Ok(None) } else { Err(TransportError::Integrity) }
    }

    /// The whole packet with its length field and tag.
    fn total(&self, length: u32) -> Result<usize, TransportError> {
        let Alignment { block, with_length } = self.cipher.alignment();
        let measured = length as usize + if with_length { LENGTH_BYTES } else { 0 };
        // Nothing shorter than a block comes from a cipher.
        let fits = (MIN_PACKET..=MAX_PACKET).contains(&length) && measured >= block && measured.is_multiple_of(block);
        let total = LENGTH_BYTES + length as usize + self.cipher.tag_len();
        if fits { Ok(total) } else { Err(TransportError::PacketLength(length)) }
    }

    /// How many bytes `input` must have before the next packet can be taken, as far as that is known.
    pub(super) fn wanted(&self) -> usize {
        self.expected.unwrap_or(LENGTH_BYTES)
    }
}

/// Packets to the server.
pub(super) struct PacketWriter {
    cipher: Sealer,
    pub(super) compression: Delayed<Deflater>,
    sequence: u32,
    bytes: u64,
    packets: u64,
    random: [u8; RANDOM_POOL],
    random_used: usize,
}

impl PacketWriter {
    pub(super) const fn new() -> Self {
        Self {
            cipher: Sealer::Clear,
            compression: Delayed::new(),
            sequence: 0,
            bytes: 0,
            packets: 0,
            random: [0; RANDOM_POOL],
            random_used: RANDOM_POOL,
        }
    }

    /// From the next packet on.
    pub(super) fn rekey(&mut self, cipher: Sealer, reset_sequence: bool) {
        self.cipher = cipher;
        (self.bytes, self.packets) = (0, 0);
        if reset_sequence {
            self.sequence = 0;
        }
    }

    /// Of the next packet.
    pub(super) const fn sequence(&self) -> u32 {
        self.sequence
    }

    /// Bytes and packets under these keys.
    pub(super) const fn counts(&self) -> (u64, u64) {
        (self.bytes, self.packets)
    }

    /// Appends one packet with this payload to `out`.
    pub(super) fn seal(&mut self, payload: &[u8], out: &mut BytesMut) -> Result<(), TransportError> {
        self.seal_parts([payload, &[]], out)
    }

    /// As [`PacketWriter::seal`], for a payload in two parts.
    pub(super) fn seal_parts(&mut self, payload: [&[u8]; 2], out: &mut BytesMut) -> Result<(), TransportError> {
        match self.compression.stream() {
            Some(deflater) => {
                let deflated = deflater.deflate(payload)?;
                self.seal_payload([&deflated, &[]], out)
            }
            None => self.seal_payload(payload, out),
        }
    }

    fn seal_payload(&mut self, payload: [&[u8]; 2], out: &mut BytesMut) -> Result<(), TransportError> {
        let payload_len = payload.iter().map(|part| part.len()).sum::<usize>();
        if self.packets > u64::from(u32::MAX) {
            return Err(TransportError::PacketsExhausted);
        }
        let padding = self.padding(payload_len);
        let length = PADDING_LENGTH_BYTES + payload_len + padding;
        let start = out.len();
        out.reserve(LENGTH_BYTES + length + self.cipher.tag_len());
        let length = u32::try_from(length).map_err(|_| TransportError::Malformed("our own packet"))?;
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(&[u8::try_from(padding).unwrap_or(u8::MAX)]);
        payload.iter().for_each(|part| out.extend_from_slice(part));
        self.pad(padding, out)?;
        out.resize(out.len() + self.cipher.tag_len(), 0);
        let packet = out.get_mut(start..).unwrap_or_default();
        self.bytes += packet.len() as u64;
        self.packets += 1;
        self.cipher.seal(self.sequence, packet)?;
        self.sequence = self.sequence.wrapping_add(1);
        Ok(())
    }

    fn padding(&self, payload: usize) -> usize {
        let Alignment { block, with_length } = self.cipher.alignment();
        let measured = PADDING_LENGTH_BYTES + payload + if with_length { LENGTH_BYTES } else { 0 };
        let padding = block - measured % block;
        if padding < MIN_PADDING { padding + block } else { padding }
    }

    /// Random where it is encrypted.
    fn pad(&mut self, count: usize, out: &mut BytesMut) -> Result<(), TransportError> {
        if matches!(self.cipher, Sealer::Clear) {
            out.resize(out.len() + count, 0);
            return Ok(());
        }
        if self.random_used + count > RANDOM_POOL {
            random::fill(&mut self.random)?;
            self.random_used = 0;
        }
        out.extend_from_slice(self.random.get(self.random_used..self.random_used + count).unwrap_or_default());
        self.random_used += count;
        Ok(())
    }
}

#[cfg(test)]
pub(super) mod tests;
