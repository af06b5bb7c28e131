//! Why the server refused a global request (RFC 4254 section 4). Its answer has no room for a reason; OpenSSH says it in
//! a debug message right before the answer, and answers come in the order of the requests.
//!
//! Two kinds of debug messages stand before an answer and are no reason for it. What sshd noted while it authenticated
//! the user (`…/authorized_keys:1: key options: …`, files that it could not read) is sent between its
//! USERAUTH_SUCCESS and the first request that it looks at, so before the first answer of a connection only the
//! texts count with which OpenSSH refuses. And a listen address that its GatewayPorts overrides is told whether the
//! listener then comes about or not. A port that is taken has no text at all, and must not get one of these: with a
//! reason it would be told as forbidden.

use std::collections::VecDeque;

use bytes::Bytes;

use super::TransportError;
use super::message::{MSG_GLOBAL_REQUEST, MSG_REQUEST_FAILURE, MSG_REQUEST_SUCCESS, MSG_UNIMPLEMENTED};
use super::wire::MessageReader;

/// Refusals whose askers have not looked; they look in the same turn of the runtime.
const MAX_KEPT: usize = 64;
/// How OpenSSH's refusals of a request to listen begin (sshd's serverloop.c and channels.c).
const REFUSALS: [&str; 3] = ["Server has disabled ", "port forwarding refused", "Received request "];
/// How OpenSSH's word on a listen address that it changed begins (sshd's channels.c).
const OVERRIDDEN: &str = "Forwarding listen address ";

/// The announcement of host keys.
const HOST_KEYS: &[u8] = b"hostkeys-00@openssh.com";
/// Requests of a server that a client knows.
const KNOWN: [&[u8]; 2] = [HOST_KEYS, b"keepalive@openssh.com"];
/// Requests of the server's that wait for our no. OpenSSH has one under way: its keepalive.
const MAX_OWED: u32 = 16 * 1024;

/// The name of a request that no client knows, if `payload` is one.
pub(super) fn unknown_request(payload: &[u8]) -> Option<String> {
    let mut reader = MessageReader::new("global request", payload);
    (reader.u8().ok()? == MSG_GLOBAL_REQUEST).then_some(())?;
    let name = reader.string().ok()?;
    (!KNOWN.contains(&name)).then(|| String::from_utf8_lossy(name).into_owned())
}

fn are_strings(mut reader: MessageReader<'_>) -> bool {
    while !reader.rest().is_empty() {
        if reader.string().is_err() {
            return false;
        }
    }
    true
}

/// The requests of a connection that wait for an answer, and why some were refused.
#[derive(Default)]
pub(super) struct GlobalRequests {
    /// The number of each's packet, and what stands behind its name and `want reply`.
    waiting: VecDeque<(u32, Vec<u8>)>,
    /// The last text since the last answer that can be the reason of a refusal.
    said: Option<String>,
    /// A request was answered, so all that the server had to say of the login has come.
    answered: bool,
    refused: VecDeque<(Vec<u8>, String)>,
    /// Requests of the server's that are to be answered with no.
    owed: u32,
}

impl GlobalRequests {
    /// A message of ours goes to the server, in the packet with this number.
    pub(super) fn sent(&mut self, payload: &[u8], sequence: u32) -> Result<(), TransportError> {
        let mut reader = MessageReader::new("global request", payload);
        if reader.u8()? != MSG_GLOBAL_REQUEST {
            return Ok(());
        }
        reader.string()?;
        if reader.boolean()? {
            if self.waiting.is_empty() {
                self.said = None;
            }
            self.waiting.push_back((sequence, reader.rest().to_vec()));
        }
        Ok(())
    }

    /// A debug message came.
    pub(super) fn debug_text(&mut self, text: &str) {
        let can_be_it = self.answered || REFUSALS.iter().any(|refusal| text.starts_with(refusal));
        if !self.waiting.is_empty() && can_be_it && !text.starts_with(OVERRIDDEN) {
            self.said = Some(text.to_owned());
        }
    }

    /// The same message, or what it stands for: a server may not know the message that asks (libssh's does not know
    /// keepalive@openssh.com), and says so by its number (RFC 4253 section 11.4). That is the answer, and russh, which waits for
    /// one for each request in its turn, is given the refusal that it knows. `None`: it answers no request.
    pub(super) fn answer(&self, payload: Bytes) -> Option<Bytes> {
        if payload.first() != Some(&MSG_UNIMPLEMENTED) {
            return Some(payload);
        }
        let mut number = MessageReader::new("UNIMPLEMENTED", payload.get(1..)?);
        let (asked, number) = (self.waiting.front()?.0, number.u32().ok()?);
        (asked == number).then(|| Bytes::from_static(&[MSG_REQUEST_FAILURE]))
    }

    /// Whether a message is a request of the server's that russh need not hear of: all but well-formed announcements of host
    /// keys. It is refused, where it asks for an answer, as OpenSSH refuses even a keepalive; russh would answer a request
    /// that asks for none, too, and end the session over a name that is not UTF-8.
    ///
    /// # Errors
    /// It is malformed; or the server does not take its answers.
    pub(super) fn refuse(&mut self, payload: &[u8]) -> Result<bool, TransportError> {
        if payload.first() != Some(&MSG_GLOBAL_REQUEST) {
            return Ok(false);
        }
        let mut reader = MessageReader::new("global request", payload);
        reader.u8()?;
        let name = reader.string()?;
        if reader.boolean()? {
            if self.owed >= MAX_OWED {
                return Err(TransportError::Flood);
            }
            self.owed += 1;
        }
        Ok(name != HOST_KEYS || !are_strings(reader))
    }

    /// The next answer to a request of the server's.
    pub(super) fn poll_answer(&mut self) -> Option<Vec<u8>> {
        self.owed = self.owed.checked_sub(1)?;
        Some(vec![MSG_REQUEST_FAILURE])
    }

    /// A message came.
    pub(super) fn came(&mut self, payload: &[u8]) {
        let number = payload.first();
        if !matches!(number, Some(&(MSG_REQUEST_SUCCESS | MSG_REQUEST_FAILURE))) {
            return;
        }
        let said = self.said.take();
        let Some((_, request)) = self.waiting.pop_front() else { return };
        self.answered = true;
        if let (Some(&MSG_REQUEST_FAILURE), Some(said)) = (number, said) {
            if self.refused.len() >= MAX_KEPT {
                self.refused.pop_front();
            }
            self.refused.push_back((request, said));
        }
    }

    /// Why the request that begins with `fields` was refused, if the server said so.
    pub(super) fn take_reason(&mut self, fields: &[u8]) -> Option<String> {
        let at = self.refused.iter().position(|(request, _)| request.starts_with(fields))?;
        self.refused.remove(at).map(|(_, said)| said)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::wire::put_string;

    fn request(fields: &[u8], want_reply: u8) -> Vec<u8> {
        let mut out = vec![MSG_GLOBAL_REQUEST];
        put_string(&mut out, b"tcpip-forward");
        [&out[..], &[want_reply], fields].concat()
    }

    #[test]
    fn each_refusal_has_the_words_before_it() {
        let mut requests = GlobalRequests::default();
        requests.debug_text("key options");
        for fields in [b"first", b"other", b"third"] {
            requests.sent(&request(fields, 1), 7).unwrap();
        }
        requests.came(&[MSG_REQUEST_FAILURE]);
        requests.debug_text("Server has disabled port forwarding.");
        requests.came(&[MSG_REQUEST_FAILURE]);
        requests.debug_text("for the one that was granted");
        requests.came(&[MSG_REQUEST_SUCCESS]);
        assert_eq!(requests.take_reason(b"first"), None, "a busy port has none");
        assert_eq!(requests.take_reason(b"other").as_deref(), Some("Server has disabled port forwarding."));
        assert_eq!(requests.take_reason(b"other"), None);
        assert_eq!(requests.take_reason(b"third"), None);
    }

    #[test]
    fn words_about_the_login_refuse_no_request() {
        let login = "/root/.ssh/authorized_keys:1: key options: agent-forwarding port-forwarding pty user-rc";
        let mut requests = GlobalRequests::default();
        for fields in [b"first", b"other"] {
            requests.sent(&request(fields, 1), 7).unwrap();
        }
        requests.debug_text(login);
        requests.debug_text("Could not open authorized keys '/root/.ssh/authorized_keys2': No such file or directory");
        requests.came(&[MSG_REQUEST_FAILURE]);
        requests.debug_text("Forwarding listen address \"127.0.0.1\" overridden by server GatewayPorts");
        requests.came(&[MSG_REQUEST_FAILURE]);
        assert_eq!((requests.take_reason(b"first"), requests.take_reason(b"other")), (None, None));
    }

    #[test]
    fn first_refusal_is_told_without_the_login() {
        let mut requests = GlobalRequests::default();
        requests.sent(&request(b"first", 1), 7).unwrap();
        requests.debug_text("/root/.ssh/authorized_keys:1: key options: pty");
        requests.debug_text("Server has disabled port forwarding.");
        requests.came(&[MSG_REQUEST_FAILURE]);
        assert_eq!(requests.take_reason(b"first").as_deref(), Some("Server has disabled port forwarding."));
    }

    #[test]
    fn requests_that_a_client_knows_are_not_unknown() {
        let request = |name: &[u8]| {
            let mut out = vec![MSG_GLOBAL_REQUEST];
            put_string(&mut out, name);
            unknown_request(&out)
        };
        assert_eq!(request(b"odd@example.com").as_deref(), Some("odd@example.com"));
        assert_eq!(request(KNOWN[0]), None);
        assert_eq!(unknown_request(&[MSG_REQUEST_SUCCESS]), None);
        assert_eq!(unknown_request(&[MSG_GLOBAL_REQUEST, 0, 0]), None);
    }

    fn asked(name: &[u8], want_reply: u8, fields: &[u8]) -> Vec<u8> {
        let mut out = vec![MSG_GLOBAL_REQUEST];
        put_string(&mut out, name);
        [&out[..], &[want_reply], fields].concat()
    }

    #[test]
    fn requests_of_the_server_are_refused_where_they_want_an_answer() {
        let mut requests = GlobalRequests::default();
        let refused: [(&[u8], u8, &[u8]); 4] = [
            (b"keepalive@openssh.com", 1, b""),
            (b"caf\xe9@example.com", 0, b"anything"),
            (b"odd", 1, b"\xff"),
            (HOST_KEYS, 0, b"garbage"),
        ];
        for (name, want_reply, fields) in refused {
            assert_eq!(requests.refuse(&asked(name, want_reply, fields)), Ok(true), "{name:?}");
        }
        let keys = asked(HOST_KEYS, 0, &[0, 0, 0, 1, 7, 0, 0, 0, 0]);
        assert_eq!(requests.refuse(&keys), Ok(false));
        assert_eq!(requests.refuse(&[MSG_REQUEST_SUCCESS]), Ok(false));
        let answers: Vec<Vec<u8>> = std::iter::from_fn(|| requests.poll_answer()).collect();
        assert_eq!(answers, [[MSG_REQUEST_FAILURE], [MSG_REQUEST_FAILURE]]);
        let whole = asked(b"odd", 1, b"");
        assert!((1..whole.len()).all(|end| requests.refuse(&whole[..end]).is_err()));
    }

    #[test]
    fn server_that_takes_no_answers_is_given_up() {
        let (mut requests, keepalive) = (GlobalRequests::default(), asked(KNOWN[1], 1, b""));
        for _ in 0..MAX_OWED {
            assert_eq!(requests.refuse(&keepalive), Ok(true));
        }
        assert_eq!(requests.refuse(&keepalive), Err(TransportError::Flood));
    }

    #[test]
    fn a_request_that_the_server_does_not_know_is_answered_in_its_turn() {
        let unimplemented = |number| Bytes::from(crate::transport::message::unimplemented(number));
        let mut requests = GlobalRequests::default();
        assert_eq!(requests.answer(unimplemented(7)), None, "none waits");
        requests.sent(&request(b"first", 1), 7).unwrap();
        requests.sent(&request(b"second", 1), 9).unwrap();
        for other in [unimplemented(8), unimplemented(9), Bytes::from_static(&[MSG_UNIMPLEMENTED, 0])] {
            assert_eq!(requests.answer(other), None, "of another message, or out of turn");
        }
        for number in [7, 9] {
            let answer = requests.answer(unimplemented(number)).expect("an answer");
            assert_eq!(&answer[..], [MSG_REQUEST_FAILURE]);
            requests.came(&answer);
        }
        assert_eq!(
            requests.answer(Bytes::from_static(&[MSG_REQUEST_SUCCESS])).as_deref(),
            Some(&[MSG_REQUEST_SUCCESS][..])
        );
    }

    #[test]
    fn request_without_an_answer_takes_none() {
        let mut requests = GlobalRequests::default();
        requests.sent(&request(b"silent", 0), 7).unwrap();
        requests.sent(&request(b"asked", 1), 7).unwrap();
        requests.debug_text("port forwarding refused");
        requests.came(&[MSG_REQUEST_FAILURE]);
        assert_eq!(requests.take_reason(b"asked").as_deref(), Some("port forwarding refused"));
        requests.came(&[MSG_REQUEST_FAILURE]);
    }
}
