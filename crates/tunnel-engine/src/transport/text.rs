//! Texts for people (RFC 4251 section 5: UTF-8), and the names, addresses and paths that russh reads as texts. Servers send
//! other encodings; one text must not end a session, so what does not decode is replaced before the layers above see it.

use bytes::Bytes;

use super::TransportError;
use super::message::{
    MSG_CHANNEL_OPEN, MSG_CHANNEL_REQUEST, MSG_DISCONNECT, MSG_USERAUTH_BANNER, MSG_USERAUTH_FAILURE,
    MSG_USERAUTH_INFO_REQUEST, MSG_USERAUTH_REQUEST,
};
use super::wire::{MessageReader, known_names, put_string, put_u32};

const INTERACTIVE: &[u8] = b"keyboard-interactive";
const EXIT_SIGNAL: &[u8] = b"exit-signal";
/// In a longer message each sequence that does not decode is one byte afterwards, so that it is no longer than before:
/// russh takes no packet longer than the server's may be.
const LONG: usize = 64 * 1024;

/// The texts of one connection.
#[derive(Debug, Default)]
pub(super) struct Texts {
    /// The login is by questions and answers, so that message 60 has texts; with another method it has a key.
    is_interactive: bool,
}

impl Texts {
    /// A message of ours goes to the server.
    pub(super) fn sent(&mut self, payload: &[u8]) -> Result<(), TransportError> {
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
    pub(super) fn in_utf8(&self, payload: Bytes) -> Result<Bytes, TransportError> {
        let mark = if payload.len() > LONG { "?" } else { "\u{fffd}" };
        let mut copy = Copy { reader: MessageReader::new("text", &payload), out: Vec::new(), mark };
        match payload.first() {
            Some(&MSG_DISCONNECT) => copy.fixed(5)?.text_and_language()?,
            Some(&MSG_USERAUTH_BANNER) => copy.fixed(1)?.text_and_language()?,
            Some(&MSG_USERAUTH_FAILURE) => copy.fixed(1)?.names()?.rest(),
            Some(&MSG_USERAUTH_INFO_REQUEST) if self.is_interactive => copy.fixed(1)?.questions()?,
            // The name of an algorithm and a key; or what is asked about a password, and its language.
            Some(&MSG_USERAUTH_INFO_REQUEST) => copy.fixed(1)?.text()?.rest(),
            Some(&MSG_CHANNEL_OPEN) => copy.fixed(1)?.open()?,
            Some(&MSG_CHANNEL_REQUEST) if is_exit_signal(&payload) => copy.fixed(5)?.exit_signal()?,
            Some(_) | None => return Ok(payload),
        }
        copy.reader.end()?;
        let out = copy.out;
        Ok(if out == *payload { payload } else { out.into() })
    }
}

fn is_exit_signal(payload: &[u8]) -> bool {
    let mut reader = MessageReader::new("channel request", payload);
    reader.bytes(5).and_then(|_| reader.string()).is_ok_and(|kind| kind == EXIT_SIGNAL)
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

    /// RFC 4254 section 5.1, and the fields of the types that russh reads. Of one without a meaning here it reads the name.
    fn open(&mut self) -> Result<(), TransportError> {
        let kind = MessageReader::clone(&self.reader).string()?;
        self.text()?.fixed(12)?;
        match kind {
            b"forwarded-tcpip" | b"direct-tcpip" => drop(self.text()?.fixed(4)?.text()?.fixed(4)?),
            b"forwarded-streamlocal@openssh.com" => drop(self.text()?.text()?),
            b"direct-streamlocal@openssh.com" => drop(self.text()?.text()?.fixed(4)?),
            b"x11" => drop(self.text()?.fixed(4)?),
            _ => self.rest(),
        }
        Ok(())
    }

    /// RFC 4254 section 6.10: the kind, no reply, the signal, whether a core was dumped, the text.
    fn exit_signal(&mut self) -> Result<(), TransportError> {
        self.text()?.fixed(1)?.text()?.fixed(1)?.text_and_language()
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

    #[test]
    fn channels_of_any_name_and_from_any_address_can_be_read() {
        let open = |kind: &[u8], fields: &[&[u8]]| {
            let mut out = vec![MSG_CHANNEL_OPEN];
            put_string(&mut out, kind);
            out.extend_from_slice(&[7; 12]);
            for field in fields {
                put_string(&mut out, field);
                if kind.ends_with(b"-tcpip") {
                    put_u32(&mut out, 80);
                }
            }
            Bytes::from(out)
        };
        let mark = "\u{fffd}".as_bytes();
        for kind in [&b"forwarded-tcpip"[..], b"direct-tcpip", b"forwarded-streamlocal@openssh.com"] {
            let told = in_utf8(open(kind, &[b"\xe9", b"\xff"])).unwrap();
            assert_eq!(told, open(kind, &[mark, mark]), "{}", kind.escape_ascii());
            let fine = open(kind, &[b"a", b"b"]);
            assert_eq!(in_utf8(fine.clone()).unwrap(), fine);
            assert!((1..fine.len()).all(|end| in_utf8(fine.slice(..end)).is_err()));
            assert!(in_utf8([&fine[..], b"x"].concat().into()).is_err(), "something follows");
        }
        assert_eq!(in_utf8(open(b"\xe9", &[b"\xff"])).unwrap(), open(mark, &[b"\xff"]), "what is in it is not read");
    }

    #[test]
    fn text_of_a_signal_is_replaced() {
        let mut ended = vec![MSG_CHANNEL_REQUEST];
        put_u32(&mut ended, 3);
        put_string(&mut ended, EXIT_SIGNAL);
        ended.push(0);
        put_string(&mut ended, b"TERM");
        ended.push(0);
        put_string(&mut ended, b"beendet \xfc");
        put_string(&mut ended, b"de");
        let told = in_utf8(ended.into()).unwrap();
        assert!(std::str::from_utf8(&told[5..]).is_ok_and(|text| text.contains("beendet \u{fffd}")));
    }
}
