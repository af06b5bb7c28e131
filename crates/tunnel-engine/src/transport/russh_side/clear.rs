//! What russh is told and says inside this process: packets as before the first keys, with an exchange of keys by the
//! method `none`, after which they stay so.

use std::borrow::Cow;

use bytes::BytesMut;

use crate::transport::TransportError;
use crate::transport::message::{COOKIE_BYTES, MSG_KEXINIT, MSG_NEWKEYS};
use crate::transport::packet::{MAX_PACKET, PacketWriter};
use crate::transport::wire::{put_string, put_u32};

const NONE: &str = "none";
/// Some host key algorithm has to be agreed on; the method `none` shows none.
const HOST_KEY: &str = "ssh-ed25519";

/// The server's part of the conversation with russh.
pub(super) struct Clear {
    outbound: PacketWriter,
    /// The beginning of a packet of russh's whose rest it has not written yet.
    partial: Vec<u8>,
    /// russh's identification has come.
    identified: bool,
}

impl Clear {
    /// Says the first words to `to_russh`.
    pub(super) fn begin(to_russh: &mut BytesMut) -> Result<Self, TransportError> {
        let mut clear = Self { outbound: PacketWriter::new(), partial: Vec::new(), identified: false };
        to_russh.extend_from_slice(b"SSH-2.0-tunneld\r\n");
        clear.deliver(&kexinit(), to_russh)?;
        Ok(clear)
    }

    /// A message for russh.
    pub(super) fn deliver(&mut self, payload: &[u8], to_russh: &mut BytesMut) -> Result<(), TransportError> {
        self.outbound.seal(payload, to_russh)
    }

    /// The next message for the server, from the front of what russh has `written`; `None`: all of it was taken.
    pub(super) fn next<'a>(&mut self, written: &mut &'a [u8]) -> Result<Option<Cow<'a, [u8]>>, TransportError> {
        if !self.identified {
            self.pass_identification(written)?;
        }
        while !written.is_empty() {
            let payload = if self.partial.is_empty() { whole(written)? } else { self.complete(written)? };
            match payload {
                None if self.partial.is_empty() => {
                    self.partial.extend_from_slice(written);
                    *written = &[];
                }
                // The exchange that it is told to have.
                None => {}
                Some(payload) if matches!(payload.first(), Some(&(MSG_KEXINIT | MSG_NEWKEYS)) | None) => {}
                Some(payload) => return Ok(Some(payload)),
            }
        }
        Ok(None)
    }

    fn pass_identification(&mut self, written: &mut &[u8]) -> Result<(), TransportError> {
        if let Some(end) = written.iter().position(|byte| *byte == b'\n') {
            *written = written.get(end + 1..).unwrap_or_default();
            self.identified = true;
        } else {
            // Its rest is passed over by the next call.
            *written = &[];
        }
        Ok(())
    }

    /// The packet that began in an earlier write, if it is whole now.
    fn complete<'a>(&mut self, written: &mut &'a [u8]) -> Result<Option<Cow<'a, [u8]>>, TransportError> {
        let missing = match self.partial.first_chunk::<4>() {
            None => 4 - self.partial.len(),
            Some(length) => (4 + checked(u32::from_be_bytes(*length))?).saturating_sub(self.partial.len()),
        };
        let (now, later) = written.split_at(missing.min(written.len()));
        self.partial.extend_from_slice(now);
        *written = later;
        let payload = whole(&mut self.partial.as_slice())?.map(|payload| Cow::Owned(payload.into_owned()));
        if payload.is_some() {
            self.partial = Vec::new();
        }
        Ok(payload)
    }
}

/// Splits a whole packet off the front and gives its payload.
fn whole<'a>(written: &mut &'a [u8]) -> Result<Option<Cow<'a, [u8]>>, TransportError> {
    let odd = TransportError::Malformed("russh's packet");
    let Some((length, rest)) = written.split_first_chunk::<4>() else { return Ok(None) };
    let Some((packet, later)) = rest.split_at_checked(checked(u32::from_be_bytes(*length))?) else { return Ok(None) };
    let (padding, content) = packet.split_first().ok_or(odd.clone())?;
    let end = content.len().checked_sub(usize::from(*padding)).ok_or(odd.clone())?;
    *written = later;
    Ok(Some(Cow::Borrowed(content.get(..end).ok_or(odd)?)))
}

fn checked(length: u32) -> Result<usize, TransportError> {
    if (1..=MAX_PACKET).contains(&length) { Ok(length as usize) } else { Err(TransportError::PacketLength(length)) }
}

/// All lists but one have one name.
fn kexinit() -> Vec<u8> {
    let mut out = vec![MSG_KEXINIT];
    out.extend_from_slice(&[0; COOKIE_BYTES]);
    for list in [NONE, HOST_KEY, NONE, NONE, NONE, NONE, NONE, NONE, "", ""] {
        put_string(&mut out, list.as_bytes());
    }
    out.push(0);
    put_u32(&mut out, 0);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packets(payloads: &[&[u8]]) -> Vec<u8> {
        let mut out = BytesMut::from(&b"SSH-2.0-russh\r\n"[..]);
        let mut sealer = PacketWriter::new();
        for payload in payloads {
            sealer.seal(payload, &mut out).unwrap();
        }
        out.to_vec()
    }

    fn heard(clear: &mut Clear, mut written: &[u8]) -> Vec<Vec<u8>> {
        let mut heard = Vec::new();
        while let Some(payload) = clear.next(&mut written).unwrap() {
            heard.push(payload.to_vec());
        }
        heard
    }

    #[test]
    fn messages_are_the_same_whatever_the_pieces() {
        let written = packets(&[&[MSG_KEXINIT, 1], &[MSG_NEWKEYS], &[50; 300], &[94; 3]]);
        for piece in 1..written.len() {
            let mut clear = Clear::begin(&mut BytesMut::new()).unwrap();
            let all: Vec<Vec<u8>> = written.chunks(piece).flat_map(|piece| heard(&mut clear, piece)).collect();
            assert_eq!(all, [vec![50; 300], vec![94; 3]], "in pieces of {piece}");
        }
    }

    #[test]
    fn impossible_lengths_are_errors() {
        let mut clear = Clear::begin(&mut BytesMut::new()).unwrap();
        let written = [&b"SSH-2.0-x\r\n"[..], &[0xff; 8]].concat();
        assert!(clear.next(&mut written.as_slice()).is_err());
        let mut clear = Clear::begin(&mut BytesMut::new()).unwrap();
        let written = [&b"SSH-2.0-x\r\n"[..], &[0, 0, 0, 2, 9, 1]].concat();
        assert!(clear.next(&mut written.as_slice()).is_err(), "more padding than packet");
    }
}
