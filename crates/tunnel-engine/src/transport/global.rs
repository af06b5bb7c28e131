//! Global requests (RFC 4254 section 4): ours, which the server answers in their order, and the server's, which are refused.
//!
//! A refusal has no room for a reason; OpenSSH says it in a debug message right before. Two kinds of debug messages stand
//! before an answer and are no reason for it. What sshd noted while it authenticated
//! the user (`…/authorized_keys:1: key options: …`, files that it could not read) is sent between its
//! USERAUTH_SUCCESS and the first request that it looks at, so before the first answer of a connection only the
//! texts count with which OpenSSH refuses. And a listen address that its GatewayPorts overrides is told whether the
//! listener then comes about or not. A port that is taken has no text at all, and must not get one of these: with a
//! reason it would be told as forbidden.

use std::collections::VecDeque;
use std::task::Waker;

use super::message::{MSG_GLOBAL_REQUEST, MSG_REQUEST_FAILURE, MSG_REQUEST_SUCCESS};
use super::wire::{MessageReader, put_string};
use super::{TransportError, wake};

/// How OpenSSH's refusals of a request to listen begin (sshd's serverloop.c and channels.c).
const REFUSALS: [&str; 3] = ["Server has disabled ", "port forwarding refused", "Received request "];
/// How OpenSSH's word on a listen address that it changed begins (sshd's channels.c).
const OVERRIDDEN: &str = "Forwarding listen address ";

/// The announcement of host keys (OpenSSH's PROTOCOL, section 2.5).
const HOST_KEYS: &[u8] = b"hostkeys-00@openssh.com";
const KEEPALIVE: &[u8] = b"keepalive@openssh.com";
/// Requests of the server's that wait for our no. OpenSSH has one under way: its keepalive.
const MAX_OWED: u32 = 16 * 1024;

/// What the server asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ServerRequest {
    /// It says which host keys it has, by their blobs, and wants no answer.
    HostKeys(Vec<Vec<u8>>),
    /// Nothing that is done here.
    Refused,
    /// What no client knows, by its name.
    Unknown(String),
}

/// What the server says to a request of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum GlobalAnswer {
    /// Yes, and these fields.
    Success(Vec<u8>),
    /// No. `said`: its words about it, if it said any; not escaped.
    Failure { said: Option<String> },
}

/// The requests of one connection, in both directions.
#[derive(Default)]
pub(super) struct GlobalRequests {
    unsent: VecDeque<(Asker, Vec<u8>)>,
    /// With the number of each's packet.
    waiting: VecDeque<(Asker, u32)>,
    /// Until the asker looks, which it does in the same turn of the runtime, or has gone.
    answers: Vec<(u64, GlobalAnswer)>,
    next: u64,
    /// The last text since the last answer that can be the reason of a refusal.
    said: Option<String>,
    /// A request was answered, so all that the server had to say of the login has come.
    answered: bool,
    /// Requests of the server's that are to be answered with no.
    owed: u32,
}

struct Asker {
    id: u64,
    waker: Option<Waker>,
    has_gone: bool,
}

impl GlobalRequests {
    /// Asks for something, with an answer; gives what names the request. It is due.
    pub(super) fn ask(&mut self, name: &str, fields: &[u8]) -> u64 {
        let id = self.next;
        self.next += 1;
        let mut message = vec![MSG_GLOBAL_REQUEST];
        put_string(&mut message, name.as_bytes());
        message.push(1);
        message.extend_from_slice(fields);
        self.unsent.push_back((Asker { id, waker: None, has_gone: false }, message));
        id
    }

    /// The answer, once; `None`: none has come, and `waker` is woken when it does.
    pub(super) fn take_answer(&mut self, id: u64, waker: &Waker) -> Option<GlobalAnswer> {
        if let Some(at) = self.answers.iter().position(|(answered, _)| *answered == id) {
            return Some(self.answers.swap_remove(at).1);
        }
        if let Some(asker) = self.asker(id) {
            asker.waker = Some(waker.clone());
        }
        None
    }

    /// No one waits for the answer any more. It still comes, in its turn.
    pub(super) fn forget(&mut self, id: u64) {
        self.answers.retain(|(answered, _)| *answered != id);
        if let Some(asker) = self.asker(id) {
            (asker.waker, asker.has_gone) = (None, true);
        }
    }

    /// The next message that is due, which goes into the packet with this number.
    pub(super) fn poll_message(&mut self, sequence: u32) -> Option<Vec<u8>> {
        if let Some(owed) = self.owed.checked_sub(1) {
            self.owed = owed;
            return Some(vec![MSG_REQUEST_FAILURE]);
        }
        let (asker, message) = self.unsent.pop_front()?;
        if self.waiting.is_empty() {
            self.said = None;
        }
        self.waiting.push_back((asker, sequence));
        Some(message)
    }

    /// A debug message came.
    pub(super) fn debug_text(&mut self, text: &str) {
        let can_be_it = self.answered || REFUSALS.iter().any(|refusal| text.starts_with(refusal));
        if !self.waiting.is_empty() && can_be_it && !text.starts_with(OVERRIDDEN) {
            self.said = Some(text.to_owned());
        }
    }

    /// An answer came: `payload` is the server's yes or no. One to nothing is passed over, as by OpenSSH
    /// (client_global_request_reply).
    pub(super) fn answer(&mut self, payload: &[u8]) {
        let said = self.said.take();
        let Some((asker, _)) = self.waiting.pop_front() else { return };
        self.answered = true;
        let answer = match payload.split_first() {
            Some((&MSG_REQUEST_SUCCESS, fields)) => GlobalAnswer::Success(fields.to_vec()),
            _ => GlobalAnswer::Failure { said },
        };
        if !asker.has_gone {
            self.answers.push((asker.id, answer));
            asker.waker.into_iter().for_each(Waker::wake);
        }
    }

    /// The server does not know the message in the packet with this number (RFC 4253 section 11.4): libssh's says so of
    /// keepalive@openssh.com. Of the request whose turn it is that is a no.
    pub(super) fn unimplemented(&mut self, sequence: u32) {
        if self.waiting.front().is_some_and(|(_, asked)| *asked == sequence) {
            self.answer(&[MSG_REQUEST_FAILURE]);
        }
    }

    /// The server asks. Its request is refused, where it wants an answer, as OpenSSH refuses even a keepalive.
    ///
    /// # Errors
    /// It is malformed; or the server does not take its answers.
    pub(super) fn asked(&mut self, payload: &[u8]) -> Result<ServerRequest, TransportError> {
        let mut reader = MessageReader::new("global request", payload);
        reader.u8()?;
        let name = reader.string()?;
        if reader.boolean()? {
            if self.owed >= MAX_OWED {
                return Err(TransportError::Flood);
            }
            self.owed += 1;
        }
        Ok(match name {
            HOST_KEYS => strings(reader).map_or(ServerRequest::Refused, ServerRequest::HostKeys),
            KEEPALIVE => ServerRequest::Refused,
            _ => ServerRequest::Unknown(String::from_utf8_lossy(name).into_owned()),
        })
    }

    /// No more answers come.
    pub(super) fn wake_all(&mut self) {
        let unsent = self.unsent.iter_mut().map(|(asker, _)| asker);
        self.waiting.iter_mut().map(|(asker, _)| asker).chain(unsent).for_each(|asker| wake(&mut asker.waker));
    }

    fn asker(&mut self, id: u64) -> Option<&mut Asker> {
        let unsent = self.unsent.iter_mut().map(|(asker, _)| asker);
        self.waiting.iter_mut().map(|(asker, _)| asker).chain(unsent).find(|asker| asker.id == id)
    }
}

/// All that follows, if it is strings.
fn strings(mut reader: MessageReader<'_>) -> Option<Vec<Vec<u8>>> {
    let mut strings = Vec::new();
    while !reader.rest().is_empty() {
        strings.push(reader.string().ok()?.to_vec());
    }
    Some(strings)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NO: [u8; 1] = [MSG_REQUEST_FAILURE];

    /// With so many requests sent, whose packets are numbered from 7.
    fn sent(count: u64) -> GlobalRequests {
        let mut requests = GlobalRequests::default();
        for id in 0..count {
            assert_eq!(requests.ask("tcpip-forward", b"fields"), id);
        }
        for sequence in (7..).take(usize::try_from(count).unwrap()) {
            assert_eq!(requests.poll_message(sequence).unwrap(), b"\x50\0\0\0\x0dtcpip-forward\x01fields");
        }
        assert_eq!(requests.poll_message(0), None);
        requests
    }

    fn answer(requests: &mut GlobalRequests, id: u64) -> Option<GlobalAnswer> {
        requests.take_answer(id, Waker::noop())
    }

    fn no(said: &str) -> Option<GlobalAnswer> {
        Some(GlobalAnswer::Failure { said: (!said.is_empty()).then(|| said.to_owned()) })
    }

    #[test]
    fn each_refusal_has_the_words_before_it() {
        let mut requests = GlobalRequests::default();
        requests.debug_text("key options");
        requests = sent(3);
        requests.answer(&NO);
        requests.debug_text("Server has disabled port forwarding.");
        requests.answer(&NO);
        requests.debug_text("for the one that was granted");
        requests.answer(&[MSG_REQUEST_SUCCESS, 1, 2]);
        assert_eq!(answer(&mut requests, 0), no(""), "a busy port has none");
        assert_eq!(answer(&mut requests, 1), no("Server has disabled port forwarding."));
        assert_eq!(answer(&mut requests, 1), None, "it is told once");
        assert_eq!(answer(&mut requests, 2), Some(GlobalAnswer::Success(vec![1, 2])));
    }

    #[test]
    fn words_about_the_login_refuse_no_request() {
        let login = "/root/.ssh/authorized_keys:1: key options: agent-forwarding port-forwarding pty user-rc";
        let mut requests = sent(2);
        requests.debug_text(login);
        requests.debug_text("Could not open authorized keys '/root/.ssh/authorized_keys2': No such file or directory");
        requests.answer(&NO);
        requests.debug_text("Forwarding listen address \"127.0.0.1\" overridden by server GatewayPorts");
        requests.answer(&NO);
        assert_eq!((answer(&mut requests, 0), answer(&mut requests, 1)), (no(""), no("")));
    }

    #[test]
    fn first_refusal_is_told_without_the_login() {
        let mut requests = sent(1);
        requests.debug_text("/root/.ssh/authorized_keys:1: key options: pty");
        requests.debug_text("Server has disabled port forwarding.");
        requests.answer(&NO);
        assert_eq!(answer(&mut requests, 0), no("Server has disabled port forwarding."));
    }

    fn asked(name: &[u8], want_reply: u8, fields: &[u8]) -> Vec<u8> {
        let mut out = vec![MSG_GLOBAL_REQUEST];
        put_string(&mut out, name);
        [&out[..], &[want_reply], fields].concat()
    }

    #[test]
    fn requests_of_the_server_are_refused_where_they_want_an_answer() {
        let mut requests = GlobalRequests::default();
        let mut ask = |message: Vec<u8>| requests.asked(&message);
        let unknown = |name: &str| Ok(ServerRequest::Unknown(name.to_owned()));
        assert_eq!(ask(asked(KEEPALIVE, 1, b"")), Ok(ServerRequest::Refused));
        assert_eq!(ask(asked(b"caf\xe9@example.com", 0, b"anything")), unknown("caf\u{fffd}@example.com"));
        assert_eq!(ask(asked(b"odd", 1, b"\xff")), unknown("odd"));
        assert_eq!(ask(asked(HOST_KEYS, 0, b"garbage")), Ok(ServerRequest::Refused));
        let keys = asked(HOST_KEYS, 0, &[0, 0, 0, 1, 7, 0, 0, 0, 0]);
        assert_eq!(ask(keys), Ok(ServerRequest::HostKeys(vec![vec![7], vec![]])));
        let whole = asked(b"odd", 1, b"");
        assert!((0..whole.len()).all(|end| ask(whole[..end].to_vec()).is_err()));
        assert_eq!((requests.poll_message(1), requests.poll_message(2)), (Some(NO.to_vec()), Some(NO.to_vec())));
        assert_eq!(requests.poll_message(3), None);
    }

    #[test]
    fn server_that_takes_no_answers_is_given_up() {
        let (mut requests, keepalive) = (GlobalRequests::default(), asked(KEEPALIVE, 1, b""));
        for _ in 0..MAX_OWED {
            assert_eq!(requests.asked(&keepalive), Ok(ServerRequest::Refused));
        }
        assert_eq!(requests.asked(&keepalive), Err(TransportError::Flood));
    }

    #[test]
    fn a_request_that_the_server_does_not_know_is_answered_in_its_turn() {
        let mut requests = sent(2);
        for other in [6, 8, 9] {
            requests.unimplemented(other);
            assert_eq!(answer(&mut requests, 0), None, "of another message, or out of turn");
        }
        for (id, number) in [(0, 7), (1, 8)] {
            requests.unimplemented(number);
            assert_eq!(answer(&mut requests, id), no(""));
        }
        requests.unimplemented(9);
        requests.answer(&NO);
        assert!(requests.answers.is_empty(), "none waits");
    }

    #[test]
    fn asker_that_has_gone_keeps_its_turn() {
        let mut requests = sent(2);
        requests.forget(0);
        requests.answer(&NO);
        requests.answer(&[MSG_REQUEST_SUCCESS]);
        assert_eq!(answer(&mut requests, 0), None);
        assert_eq!(answer(&mut requests, 1), Some(GlobalAnswer::Success(Vec::new())));
        let id = requests.ask("x", b"");
        assert!(requests.poll_message(9).is_some());
        requests.answer(&NO);
        requests.forget(id);
        assert!(requests.answers.is_empty() && requests.waiting.is_empty());
    }
}
