//! OpenSSH's key revocation lists (PROTOCOL.krl): is this key, or its certificate, in one? The list is read from end to
//! end for each question: nothing of it is kept, and a list that is damaged anywhere answers nothing.

use aws_lc_rs::digest;

/// "SSHKRL\n\0".
const MAGIC: &[u8] = b"SSHKRL\n\0";
/// The only version there is.
const VERSION: u32 = 1;
/// As ssh: 16384 bits, and a byte for the sign.
const MAX_BITMAP: usize = 16_384 / 8 + 1;
const SHA1_LENGTH: usize = 20;
const SHA256_LENGTH: usize = 32;

const CERTIFICATES: u8 = 1;
const EXPLICIT_KEY: u8 = 2;
const FINGERPRINT_SHA1: u8 = 3;
const SIGNATURE: u8 = 4;
const FINGERPRINT_SHA256: u8 = 5;
const EXTENSION: u8 = 255;

const SERIAL_LIST: u8 = 0x20;
const SERIAL_RANGE: u8 = 0x21;
const SERIAL_BITMAP: u8 = 0x22;
const KEY_ID: u8 = 0x23;
const CERTIFICATE_EXTENSION: u8 = 0x39;

/// Whom a list is asked about. Keys are in their wire form, without certificates.
pub(super) struct RevocationQuery<'a> {
    pub(super) key: &'a [u8],
    pub(super) certificate: Option<CertificateFields<'a>>,
}

/// What a certificate says of itself.
pub(super) struct CertificateFields<'a> {
    /// The key that signed it.
    pub(super) authority: &'a [u8],
    pub(super) serial: u64,
    pub(super) id: &'a str,
}

/// Why a list cannot be used. ssh then believes no key at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum KrlError {
    #[error("it ends in the middle")]
    Truncated,
    #[error("it has version {0} of the format, and only 1 is known")]
    Version(u32),
    #[error("it has a section of the unknown type {0}")]
    Section(u8),
    #[error("it has the unknown critical extension `{0}`")]
    Critical(String),
    #[error("a section holds more than it says")]
    Trailing,
    #[error("a fingerprint has the wrong length")]
    Fingerprint,
    #[error("serial numbers do not make sense")]
    Serials,
    #[error("a text holds a zero byte")]
    Text,
}

/// Is it a list of this format at all?
pub(super) fn is_krl(content: &[u8]) -> bool {
    content.starts_with(MAGIC)
}

/// True when the key, its certificate or the certificate's authority is in the list.
///
/// # Errors
/// The list is damaged, or says more than we understand.
pub(super) fn revokes(list: &[u8], suspect: &RevocationQuery<'_>) -> Result<bool, KrlError> {
    let keys = std::iter::once(suspect.key).chain(suspect.certificate.as_ref().map(|certified| certified.authority));
    let keys: Vec<KrlKey<'_>> = keys.map(KrlKey::of).collect();
    let mut list = Bytes(list.strip_prefix(MAGIC).ok_or(KrlError::Truncated)?);
    match list.u32()? {
        VERSION => {}
        other => return Err(KrlError::Version(other)),
    }
    // No flag is defined.
    let _version_date_and_flags: [u64; 3] = [list.u64()?, list.u64()?, list.u64()?];
    let _reserved = list.string()?;
    let _comment = list.text()?;
    let mut revoked = false;
    while !list.is_empty() {
        let kind = list.u8()?;
        let mut section = Bytes(list.string()?);
        match kind {
            CERTIFICATES => revoked |= certificates(section, suspect.certificate.as_ref())?,
            EXPLICIT_KEY => revoked |= blobs(section, None, |blob| keys.iter().any(|key| key.blob == blob))?,
            FINGERPRINT_SHA1 => {
                revoked |= blobs(section, Some(SHA1_LENGTH), |hash| keys.iter().any(|key| key.sha1.as_ref() == hash))?;
            }
            FINGERPRINT_SHA256 => {
                revoked |=
                    blobs(section, Some(SHA256_LENGTH), |hash| keys.iter().any(|key| key.sha256.as_ref() == hash))?;
            }
            EXTENSION => extension(&mut section)?,
            // Its second half. ssh looks at neither: who may write the file is for the system to say.
            SIGNATURE => drop(list.string()?),
            unknown => return Err(KrlError::Section(unknown)),
        }
    }
    Ok(revoked)
}

/// A key in every form that a list may have it in.
struct KrlKey<'a> {
    blob: &'a [u8],
    sha1: digest::Digest,
    sha256: digest::Digest,
}

impl<'a> KrlKey<'a> {
    fn of(blob: &'a [u8]) -> Self {
        let hash = |algorithm| digest::digest(algorithm, blob);
        Self { blob, sha1: hash(&digest::SHA1_FOR_LEGACY_USE_ONLY), sha256: hash(&digest::SHA256) }
    }
}

/// A section that is a list of strings.
fn blobs(mut section: Bytes<'_>, length: Option<usize>, is_ours: impl Fn(&[u8]) -> bool) -> Result<bool, KrlError> {
    let mut found = false;
    while !section.is_empty() {
        let blob = section.string()?;
        if length.is_some_and(|length| blob.len() != length) {
            return Err(KrlError::Fingerprint);
        }
        found |= is_ours(blob);
    }
    Ok(found)
}

/// The certificates of one authority, or of all where none is named.
fn certificates(mut section: Bytes<'_>, certified: Option<&CertificateFields<'_>>) -> Result<bool, KrlError> {
    let authority = section.string()?;
    section.string()?;
    let certified = certified.filter(|certified| authority.is_empty() || authority == certified.authority);
    // Zero is what an authority writes that does not count.
    let serial = certified.map(|certified| certified.serial).filter(|serial| *serial != 0);
    let mut revoked = false;
    while !section.is_empty() {
        let kind = section.u8()?;
        let mut part = Bytes(section.string()?);
        match kind {
            SERIAL_LIST => {
                while !part.is_empty() {
                    let listed = part.u64()?;
                    revoked |= in_range(listed, listed, serial)?;
                }
            }
            SERIAL_RANGE => {
                let (low, high) = (part.u64()?, part.u64()?);
                revoked |= in_range(low, high, serial)?;
            }
            SERIAL_BITMAP => {
                let offset = part.u64()?;
                revoked |= in_bitmap(offset, part.string()?, serial)?;
            }
            KEY_ID => {
                while !part.is_empty() {
                    let id = part.text()?;
                    revoked |= certified.is_some_and(|certified| certified.id.as_bytes() == id);
                }
            }
            CERTIFICATE_EXTENSION => extension(&mut part)?,
            unknown => return Err(KrlError::Section(unknown)),
        }
        part.end()?;
    }
    Ok(revoked)
}

fn in_range(low: u64, high: u64, serial: Option<u64>) -> Result<bool, KrlError> {
    if low == 0 || low > high {
        return Err(KrlError::Serials);
    }
    Ok(serial.is_some_and(|serial| (low..=high).contains(&serial)))
}

/// `bitmap` is a number (RFC 4251 section 5, mpint): its bit N stands for the serial number `offset` + N.
fn in_bitmap(offset: u64, bitmap: &[u8], serial: Option<u64>) -> Result<bool, KrlError> {
    if bitmap.first().is_some_and(|sign| sign & 0x80 != 0) || bitmap.len() > MAX_BITMAP {
        return Err(KrlError::Serials);
    }
    let bits = bitmap.iter().position(|byte| *byte != 0).map_or(&[][..], |first| &bitmap[first..]);
    let is_set = |bit: u64| {
        let place = usize::try_from(bit / 8).ok().and_then(|byte| bits.len().checked_sub(1)?.checked_sub(byte));
        place.and_then(|place| bits.get(place)).is_some_and(|byte| byte & (1 << (bit % 8)) != 0)
    };
    let most = bits.first().map_or(0, |byte| bits.len() as u64 * 8 - 1 - u64::from(byte.leading_zeros()));
    if offset.checked_add(most).is_none() || (offset == 0 && is_set(0)) {
        return Err(KrlError::Serials);
    }
    Ok(serial.and_then(|serial| serial.checked_sub(offset)).is_some_and(is_set))
}

/// None is defined: one that must be understood makes the list useless.
fn extension(section: &mut Bytes<'_>) -> Result<(), KrlError> {
    let (name, critical, _) = (section.text()?, section.u8()?, section.string()?);
    section.end()?;
    if critical != 0 {
        return Err(KrlError::Critical(String::from_utf8_lossy(name).into_owned()));
    }
    Ok(())
}

/// What is still to be read (RFC 4251 section 5).
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn end(&self) -> Result<(), KrlError> {
        if self.is_empty() { Ok(()) } else { Err(KrlError::Trailing) }
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], KrlError> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(KrlError::Truncated)?;
        self.0 = rest;
        Ok(*taken)
    }

    fn u8(&mut self) -> Result<u8, KrlError> {
        self.take().map(|[byte]| byte)
    }

    fn u32(&mut self) -> Result<u32, KrlError> {
        self.take().map(u32::from_be_bytes)
    }

    fn u64(&mut self) -> Result<u64, KrlError> {
        self.take().map(u64::from_be_bytes)
    }

    fn string(&mut self) -> Result<&'a [u8], KrlError> {
        let length = usize::try_from(self.u32()?).map_err(|_| KrlError::Truncated)?;
        let (taken, rest) = self.0.split_at_checked(length).ok_or(KrlError::Truncated)?;
        self.0 = rest;
        Ok(taken)
    }

    fn text(&mut self) -> Result<&'a [u8], KrlError> {
        let text = self.string()?;
        if text.contains(&0) { Err(KrlError::Text) } else { Ok(text) }
    }
}

#[cfg(test)]
mod tests;
