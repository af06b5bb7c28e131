//! Ciphers: one direction of a connection under one set of keys.
//!
//! A packet lies in one buffer as `length ‖ padding length ‖ payload ‖ padding ‖ tag` and is sealed and opened in place.

mod cbc;
mod chacha;
mod ctr;
mod gcm;
#[cfg(test)]
mod tests;
mod with_mac;

use super::TransportError;
use super::mac::{Mac, MacName};

/// The field in front of each packet.
pub(super) const LENGTH_BYTES: usize = 4;

/// A cipher.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CipherName {
    Aes128Gcm,
    Aes256Gcm,
    ChaCha20Poly1305,
    Aes128Ctr,
    Aes192Ctr,
    Aes256Ctr,
    Aes128Cbc,
    Aes192Cbc,
    Aes256Cbc,
}

impl CipherName {
    pub(crate) const ALL: [Self; 9] = [
        Self::Aes128Gcm,
        Self::Aes256Gcm,
        Self::ChaCha20Poly1305,
        Self::Aes128Ctr,
        Self::Aes192Ctr,
        Self::Aes256Ctr,
        Self::Aes128Cbc,
        Self::Aes192Cbc,
        Self::Aes256Cbc,
    ];

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.name() == name)
    }

    pub(crate) const fn name(self) -> &'static str {
        self.parts().0
    }

    const fn mode(self) -> Mode {
        self.parts().1
    }

    pub(super) const fn key_len(self) -> usize {
        self.parts().2
    }

    /// Name, mode, length of the key in bytes.
    const fn parts(self) -> (&'static str, Mode, usize) {
        match self {
            Self::Aes128Gcm => ("aes128-gcm@openssh.com", Mode::Gcm, 16),
            Self::Aes256Gcm => ("aes256-gcm@openssh.com", Mode::Gcm, 32),
            Self::ChaCha20Poly1305 => ("chacha20-poly1305@openssh.com", Mode::ChaCha, 64),
            Self::Aes128Ctr => ("aes128-ctr", Mode::Ctr, 16),
            Self::Aes192Ctr => ("aes192-ctr", Mode::Ctr, 24),
            Self::Aes256Ctr => ("aes256-ctr", Mode::Ctr, 32),
            Self::Aes128Cbc => ("aes128-cbc", Mode::Cbc, 16),
            Self::Aes192Cbc => ("aes192-cbc", Mode::Cbc, 24),
            Self::Aes256Cbc => ("aes256-cbc", Mode::Cbc, 32),
        }
    }

    /// Authenticates by itself, and the negotiated MAC is not used.
    pub(crate) const fn is_aead(self) -> bool {
        matches!(self.mode(), Mode::Gcm | Mode::ChaCha)
    }

    pub(super) const fn iv_len(self) -> usize {
        match self.mode() {
            Mode::Gcm => gcm::IV_LEN,
            Mode::ChaCha => 0,
            Mode::Ctr | Mode::Cbc => with_mac::BLOCK,
        }
    }

    /// In bytes: OpenSSH renews keys earlier under ciphers with short blocks.
    pub(super) const fn block_len(self) -> usize {
        match self.mode() {
            Mode::ChaCha => 8,
            Mode::Gcm | Mode::Ctr | Mode::Cbc => 16,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Gcm,
    ChaCha,
    Ctr,
    Cbc,
}

/// Keys of one direction, as derived by RFC 4253 section 7.2.
pub(super) struct KeyMaterial<'a> {
    pub(super) key: &'a [u8],
    pub(super) iv: &'a [u8],
    pub(super) mac_key: &'a [u8],
}

/// How the padding of a packet is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Alignment {
    /// A multiple of this…
    pub(super) block: usize,
    /// …with the length field, or without it.
    pub(super) with_length: bool,
}

/// What becomes of the packets of one direction. `C` is its half of ChaCha20-Poly1305, `B` its half of CBC.
pub(super) enum PacketCipher<C, B> {
    /// Before the first keys.
    Clear,
    Gcm(gcm::GcmKey),
    ChaCha(C),
    WithMac(Box<with_mac::CipherWithMac<B>>),
}

/// Makes packets.
pub(super) type Sealer = PacketCipher<chacha::ChachaSealer, cbc::CbcEncryption>;

/// Reads packets.
pub(super) type Opener = PacketCipher<chacha::ChachaOpener, cbc::CbcDecryption>;

/// One direction of a cipher.
pub(super) trait FromKeys: Sized {
    fn from_keys(cipher: CipherName, keys: &KeyMaterial<'_>) -> Result<Self, TransportError>;
}

impl<C: FromKeys, B: FromKeys> PacketCipher<C, B> {
    /// `mac` is `None` where the cipher authenticates by itself.
    pub(super) fn new(
        cipher: CipherName,
        mac: Option<MacName>,
        keys: &KeyMaterial<'_>,
    ) -> Result<Self, TransportError> {
        Ok(match (cipher.mode(), mac) {
            (Mode::Gcm, _) => Self::Gcm(gcm::GcmKey::new(cipher, keys)?),
            (Mode::ChaCha, _) => Self::ChaCha(C::from_keys(cipher, keys)?),
            (Mode::Ctr | Mode::Cbc, Some(mac)) => {
                let mac = Mac::new(mac, keys.mac_key);
                Self::WithMac(Box::new(with_mac::CipherWithMac::new(cipher, mac, keys)?))
            }
            (Mode::Ctr | Mode::Cbc, None) => return Err(TransportError::Cryptography("a cipher without a MAC")),
        })
    }
}

impl<C, B> PacketCipher<C, B> {
    /// What a packet's length is a multiple of.
    pub(super) const fn alignment(&self) -> Alignment {
        match self {
            Self::Clear => Alignment { block: 8, with_length: true },
            Self::Gcm(_) => Alignment { block: 16, with_length: false },
            Self::ChaCha(_) => Alignment { block: 8, with_length: false },
            Self::WithMac(key) => Alignment { block: with_mac::BLOCK, with_length: !key.is_etm() },
        }
    }

    pub(super) const fn tag_len(&self) -> usize {
        match self {
            Self::Clear => 0,
            Self::Gcm(_) | Self::ChaCha(_) => 16,
            Self::WithMac(key) => key.tag_len(),
        }
    }
}

impl Sealer {
    /// `packet` begins with the length and ends with room for the tag.
    pub(super) fn seal(&mut self, sequence: u32, packet: &mut [u8]) -> Result<(), TransportError> {
        match self {
            Self::Clear => Ok(()),
            Self::Gcm(key) => key.seal(packet),
            Self::ChaCha(key) => key.seal(sequence, packet),
            Self::WithMac(key) => key.seal(sequence, packet),
        }
    }
}

impl Opener {
    /// How many bytes must be there before the length is known.
    pub(super) const fn bytes_for_length(&self) -> usize {
        match self {
            Self::Clear | Self::Gcm(_) | Self::ChaCha(_) => LENGTH_BYTES,
            Self::WithMac(key) if key.is_etm() => LENGTH_BYTES,
            Self::WithMac(_) => with_mac::BLOCK,
        }
    }

    /// The packet length in `head`, the first [`Opener::bytes_for_length`] bytes of a packet. It is not authenticated
    /// yet where it is encrypted.
    pub(super) fn length(&self, sequence: u32, head: &[u8]) -> Result<u32, TransportError> {
        let first = |head: &[u8]| head.first_chunk().copied().ok_or(TransportError::Malformed("packet"));
        let length = match self {
            Self::Clear | Self::Gcm(_) => first(head)?,
            Self::ChaCha(key) => key.length(sequence, first(head)?),
            Self::WithMac(key) if key.is_etm() => first(head)?,
            Self::WithMac(key) => first(&key.peek(head)?)?,
        };
        Ok(u32::from_be_bytes(length))
    }

    /// A length that no packet has, or a wrong MAC, is told only after as many bytes as the longest packet has: when it
    /// is told would say something about what was decrypted (CVE-2008-5161).
    pub(super) const fn hides_where_it_fails(&self) -> bool {
        match self {
            Self::WithMac(key) => key.is_cbc() && !key.is_etm(),
            Self::Clear | Self::Gcm(_) | Self::ChaCha(_) => false,
        }
    }

    /// `packet` begins with the length and ends with the tag.
    pub(super) fn open(&mut self, sequence: u32, packet: &mut [u8]) -> Result<(), TransportError> {
        match self {
            Self::Clear => Ok(()),
            Self::Gcm(key) => key.open(packet),
            Self::ChaCha(key) => key.open(sequence, packet),
            Self::WithMac(key) => key.open(sequence, packet),
        }
    }
}
