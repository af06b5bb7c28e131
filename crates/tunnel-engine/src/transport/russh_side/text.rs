//! Texts for people (RFC 4251 section 5: UTF-8), and the names that russh reads as texts. Servers send other encodings; one
//! text must not end a login, so what does not decode is replaced before russh sees it.

use bytes::Bytes;

use crate::transport::TransportError;
use crate::transport::message::{
    MSG_DISCONNECT, MSG_USERAUTH_BANNER, MSG_USERAUTH_FAILURE, MSG_USERAUTH_INFO_REQUEST, MSG_USERAUTH_REQUEST,
};
use crate::transport::wire::{MessageReader, known_names, put_string, put_u32};

const INTERACTIVE: &[u8] = b"keyboard-interactive";
/// In a longer message each sequence that does not decode is one byte afterwards, so that it is no longer than before:
/// russh takes no packet longer than the server's may be.
const LONG: usize = 64 * 1024;

/// The texts of one login.
#[derive(Debug, Default)]
pub(in crate::transport) struct Texts {
    /// The login is by questions and answers, so that message 60 has texts; with another method it has a key.
    is_interactive: bool,
}

impl Texts {
    /// A message of ours goes to the server.
    pub(in crate::transport) fn sent(&mut self, payload: &[u8]) -> Result<(), TransportError> {
        let mut reader = MessageReader::new("authentication request", payload);
        if reader.u8()? == MSG_USERAUTH_REQUEST {
            // User and service.
            let _ = (reader.string()?, reader.string()?);
            self.is_interactive = reader.string()? == INTERACTIVE;
        }
        Ok(())
    }

    /// `payload` with its texts in UTF-8; itself where they are already.
    ///
    /// # Errors
    /// The message is malformed.
    pub(in crate::transport) fn in_utf8(&self, payload: Bytes) -> Result<Bytes, TransportError> {
        let mark = if payload.len() > LONG { "?" } else { "\u{fffd}" };
        let mut copy = Copy { reader: MessageReader::new("text", &payload), out: Vec::new(), mark };
        match payload.first() {
            Some(&MSG_DISCONNECT) => copy.fixed(5)?.text_and_language()?,
            Some(&MSG_USERAUTH_BANNER) => copy.fixed(1)?.text_and_language()?,
            Some(&MSG_USERAUTH_FAILURE) => copy.fixed(1)?.names()?.rest(),
            Some(&MSG_USERAUTH_INFO_REQUEST) if self.is_interactive => copy.fixed(1)?.questions()?,
            // The name of an algorithm and a key; or what is asked about a password, and its language.
            Some(&MSG_USERAUTH_INFO_REQUEST) => copy.fixed(1)?.text()?.rest(),
            Some(_) | None => return Ok(payload),
        }
        copy.reader.end()?;
        let out = copy.out;
        Ok(if out == *payload { payload } else { out.into() })
    }
}

/// A message, field by field.
struct Copy<'a> {
    reader: MessageReader<'a>,
    out: Vec<u8>,
    /// What stands for bytes that do not decode.
    mark: &'static str,
}

impl Copy<'_> {
    fn fixed(&mut self, bytes: usize) -> Result<&mut Self, TransportError> {
        self.out.extend_from_slice(self.reader.bytes(bytes)?);
        Ok(self)
    }

    fn text(&mut self) -> Result<&mut Self, TransportError> {
        let mut text = String::new();
        for chunk in self.reader.string()?.utf8_chunks() {
            text.push_str(chunk.valid());
            if !chunk.invalid().is_empty() {
                text.push_str(self.mark);
            }
        }
        put_string(&mut self.out, text.as_bytes());
        Ok(self)
    }

    /// The methods with which a login may go on. What is none is left out.
    fn names(&mut self) -> Result<&mut Self, TransportError> {
        put_string(&mut self.out, known_names(self.reader.string()?).as_bytes());
        Ok(self)
    }

    fn rest(&mut self) {
        let rest = self.reader.rest();
        self.out.extend_from_slice(rest);
        self.reader = MessageReader::new("text", &[]);
    }

    /// Some servers leave the language out.
    fn text_and_language(&mut self) -> Result<(), TransportError> {
        self.text()?;
        if self.reader.rest().is_empty() {
            put_string(&mut self.out, b"");
            return Ok(());
        }
        self.text().map(drop)
    }

    /// RFC 4256 section 3.2: name, instruction and language, and each question with whether its answer is shown.
    fn questions(&mut self) -> Result<(), TransportError> {
        self.text()?.text()?.text()?;
        let count = self.reader.u32()?;
        put_u32(&mut self.out, count);
        for _ in 0..count {
            self.text()?.fixed(1)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn goodbye(text: &[u8]) -> Bytes {
        let mut out = vec![MSG_DISCONNECT];
        put_u32(&mut out, 2);
        put_string(&mut out, text);
        put_string(&mut out, b"");
        out.into()
    }

    fn in_utf8(payload: Bytes) -> Result<Bytes, TransportError> {
        Texts::default().in_utf8(payload)
    }

    #[test]
    fn latin_1_is_replaced_and_utf_8_is_kept() {
        assert_eq!(in_utf8(goodbye("refusé".as_bytes())).unwrap(), goodbye("refusé".as_bytes()));
        assert_eq!(in_utf8(goodbye(b"refus\xe9")).unwrap(), goodbye("refus\u{fffd}".as_bytes()));
    }

    #[test]
    fn missing_language_is_added_and_truncation_is_an_error() {
        let whole = goodbye(b"no");
        assert_eq!(in_utf8(whole.slice(..whole.len() - 4)).unwrap(), whole);
        assert!((1..9).all(|end| in_utf8(whole.slice(..end)).is_err()));
        assert!(in_utf8(Bytes::from([&whole[..], b"x"].concat())).is_err());
    }

    #[test]
    fn other_messages_are_not_looked_into() {
        let data = Bytes::from_static(&[94, 0xff]);
        assert_eq!(in_utf8(data.clone()).unwrap(), data);
    }

    #[test]
    fn prompts_are_texts_accepted_keys_are_not() {
        let mut asked = vec![MSG_USERAUTH_INFO_REQUEST];
        for text in [&b"Anmeldung"[..], b"f\xfcr", b""] {
            put_string(&mut asked, text);
        }
        put_u32(&mut asked, 1);
        put_string(&mut asked, b"Schl\xfcssel: ");
        asked.push(0);
        let asked = Bytes::from(asked);
        assert_eq!(in_utf8(asked.clone()).unwrap(), asked, "no questions were asked for");
        let mut request = vec![MSG_USERAUTH_REQUEST];
        for text in [&b"u"[..], b"ssh-connection", INTERACTIVE, b"", b""] {
            put_string(&mut request, text);
        }
        let mut texts = Texts::default();
        texts.sent(&request).unwrap();
        let told = texts.in_utf8(asked.clone()).unwrap();
        assert!(String::from_utf8_lossy(&told).contains("Schl\u{fffd}ssel: ") && told.last() == Some(&0));
        assert!((1..asked.len()).all(|end| texts.in_utf8(asked.slice(..end)).is_err()));
        let mut many = asked[..asked.len() - 19].to_vec();
        put_u32(&mut many, u32::MAX);
        assert!(texts.in_utf8(many.into()).is_err(), "more questions than bytes");
    }

    #[test]
    fn long_texts_do_not_grow() {
        let replaced = in_utf8(goodbye(&[0xe9; LONG])).unwrap();
        assert_eq!(replaced, goodbye(&[b'?'; LONG]));
    }

    #[test]
    fn methods_of_a_refusal_are_names() {
        let refused = |methods: &[u8]| {
            let mut out = vec![MSG_USERAUTH_FAILURE];
            put_string(&mut out, methods);
            out.push(1);
            Bytes::from(out)
        };
        assert_eq!(in_utf8(refused(b"publickey,\xff\xe9,,password")).unwrap(), refused(b"publickey,password"));
        assert_eq!(in_utf8(refused(b"publickey")).unwrap(), refused(b"publickey"));
    }
}
