//! The data types of RFC 4251 section 5: a reader that never panics and never copies, and writers.

use super::TransportError;

/// Reads a message from its front.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MessageReader<'a> {
    rest: &'a [u8],
    what: &'static str,
}

impl<'a> MessageReader<'a> {
    pub(crate) const fn new(what: &'static str, bytes: &'a [u8]) -> Self {
        Self { rest: bytes, what }
    }

    pub(crate) fn bytes(&mut self, count: usize) -> Result<&'a [u8], TransportError> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(TransportError::Malformed(self.what))?;
        self.rest = rest;
        Ok(taken)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, TransportError> {
        let (first, rest) = self.rest.split_first().ok_or(TransportError::Malformed(self.what))?;
        self.rest = rest;
        Ok(*first)
    }

    /// Any value but 0 is true.
    pub(crate) fn boolean(&mut self) -> Result<bool, TransportError> {
        self.u8().map(|byte| byte != 0)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, TransportError> {
        let (first, rest) = self.rest.split_first_chunk::<4>().ok_or(TransportError::Malformed(self.what))?;
        self.rest = rest;
        Ok(u32::from_be_bytes(*first))
    }

    pub(crate) fn string(&mut self) -> Result<&'a [u8], TransportError> {
        let length = self.u32()?;
        self.bytes(usize::try_from(length).map_err(|_| TransportError::Malformed(self.what))?)
    }

    /// A string that has to be ASCII, as the names of algorithms are.
    pub(crate) fn name(&mut self) -> Result<&'a str, TransportError> {
        let bytes = self.string()?;
        let text = std::str::from_utf8(bytes).ok().filter(|text| text.is_ascii());
        text.ok_or(TransportError::Malformed(self.what))
    }

    /// The names of a name-list; an empty list has none.
    pub(crate) fn name_list(&mut self) -> Result<Vec<&'a str>, TransportError> {
        Ok(self.name()?.split(',').filter(|name| !name.is_empty()).collect())
    }

    /// A number that is not negative, without its leading zeros. More of them than RFC 4251 allows are accepted: some
    /// servers pad their signatures.
    pub(crate) fn unsigned(&mut self) -> Result<&'a [u8], TransportError> {
        let bytes = self.string()?;
        if bytes.first().is_some_and(|byte| byte & 0x80 != 0) {
            return Err(TransportError::Malformed(self.what));
        }
        Ok(without_leading_zeros(bytes))
    }

    pub(crate) const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Nothing may follow.
    pub(crate) fn end(&self) -> Result<(), TransportError> {
        if self.rest.is_empty() { Ok(()) } else { Err(TransportError::Malformed(self.what)) }
    }
}

pub(crate) fn without_leading_zeros(bytes: &[u8]) -> &[u8] {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    bytes.get(zeros..).unwrap_or_default()
}

/// The longest name of an algorithm or method (RFC 4250 section 4.6.1), and how many are taken from a list whose other
/// names mean nothing.
const MAX_NAME: usize = 64;
const MAX_NAMES: usize = 128;

/// Of a list in which a server may name anything, what can be a name (RFC 4250 section 4.6.1), as a list.
pub(crate) fn known_names(list: &[u8]) -> String {
    let names = list.split(|byte| *byte == b',').filter_map(|name| std::str::from_utf8(name).ok());
    let can_be =
        |name: &&str| !name.is_empty() && name.len() <= MAX_NAME && name.bytes().all(|it| it.is_ascii_graphic());
    names.filter(can_be).take(MAX_NAMES).collect::<Vec<_>>().join(",")
}

pub(crate) fn put_u32(out: &mut Vec<u8>, value: u32) {
    out.extend_from_slice(&value.to_be_bytes());
}

/// `bytes` must be shorter than 4 GiB, as everything here is.
pub(crate) fn put_string(out: &mut Vec<u8>, bytes: &[u8]) {
    put_u32(out, u32::try_from(bytes.len()).unwrap_or(u32::MAX));
    out.extend_from_slice(bytes);
}

/// The content of an mpint: a big-endian number that is not negative.
pub(crate) fn mpint(bytes: &[u8]) -> Vec<u8> {
    let bytes = without_leading_zeros(bytes);
    let sign = usize::from(bytes.first().is_some_and(|byte| byte & 0x80 != 0));
    [[0].get(..sign).unwrap_or_default(), bytes].concat()
}

/// A big-endian number that is not negative, as an mpint.
pub(crate) fn put_mpint(out: &mut Vec<u8>, bytes: &[u8]) {
    let bytes = without_leading_zeros(bytes);
    let sign = usize::from(bytes.first().is_some_and(|byte| byte & 0x80 != 0));
    put_u32(out, u32::try_from(bytes.len() + sign).unwrap_or(u32::MAX));
    out.extend_from_slice(&[0][..sign]);
    out.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        put_mpint(&mut out, bytes);
        assert_eq!(out.get(4..), Some(mpint(bytes).as_slice()));
        out
    }

    #[test]
    fn numbers_are_written_as_rfc_4251_shows_them() {
        assert_eq!(written(&[]), [0, 0, 0, 0]);
        assert_eq!(written(&[0, 0]), [0, 0, 0, 0]);
        let long = [0x09, 0xa3, 0x78, 0xf9, 0xb2, 0xe3, 0x32, 0xa7];
        assert_eq!(written(&long), [&[0, 0, 0, 8][..], &long].concat());
        assert_eq!(written(&[0x80]), [0, 0, 0, 2, 0, 0x80]);
    }

    #[test]
    fn names_are_ascii_and_short() {
        assert_eq!(known_names(b"publickey,\xff\xe9,,pass word,password,"), "publickey,password");
        let long = "x".repeat(MAX_NAME);
        assert_eq!(known_names(format!("{long}y,{long},a").as_bytes()), format!("{long},a"));
        assert_eq!(known_names(&b"a,".repeat(9999)).len(), 2 * MAX_NAMES - 1);
    }

    #[test]
    fn truncated_fields_are_errors() {
        let whole = [&[0, 0, 0, 3][..], b"a,b", &[7]].concat();
        let read = |bytes| {
            let mut reader = MessageReader::new("test", bytes);
            let names = reader.name_list()?;
            let byte = reader.u8()?;
            reader.end().map(|()| (names, byte))
        };
        assert_eq!(read(&whole), Ok((vec!["a", "b"], 7)));
        assert!((0..whole.len()).all(|end| read(&whole[..end]).is_err()));
        assert!(read(&[&whole[..], &[0]].concat()).is_err(), "something follows");
        assert!(MessageReader::new("test", &[0xff; 6]).string().is_err());
    }

    #[test]
    fn negative_numbers_are_refused_and_padded_ones_are_not() {
        assert!(MessageReader::new("test", &[0, 0, 0, 1, 0x80]).unsigned().is_err());
        assert_eq!(MessageReader::new("test", &[0, 0, 0, 3, 0, 0, 0x80]).unsigned(), Ok(&[0x80][..]));
        assert_eq!(MessageReader::new("test", &[0, 0, 0, 0]).unsigned(), Ok(&[][..]));
    }
}
