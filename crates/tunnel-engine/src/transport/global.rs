//! Why the server refused a global request (RFC 4254 section 4). Its answer has no room for a reason; OpenSSH says it in
//! a debug message right before the answer, and answers come in the order of the requests.

use std::collections::VecDeque;

use super::TransportError;
use super::message::{MSG_GLOBAL_REQUEST, MSG_REQUEST_FAILURE, MSG_REQUEST_SUCCESS};
use super::wire::MessageReader;

/// Refusals whose askers have not looked; they look in the same turn of the runtime.
const MAX_KEPT: usize = 64;
/// Debug messages between two answers that are kept.
const MAX_SAID: usize = 8;

/// Requests of a server that a client knows.
const KNOWN: [&[u8]; 2] = [b"hostkeys-00@openssh.com", b"keepalive@openssh.com"];

/// The name of a request that no client knows, if `payload` is one.
pub(super) fn unknown_request(payload: &[u8]) -> Option<String> {
    let mut reader = MessageReader::new("global request", payload);
    (reader.u8().ok()? == MSG_GLOBAL_REQUEST).then_some(())?;
    let name = reader.string().ok()?;
    (!KNOWN.contains(&name)).then(|| String::from_utf8_lossy(name).into_owned())
}

/// The requests of a connection that wait for an answer, and why some were refused.
#[derive(Default)]
pub(super) struct GlobalRequests {
    /// What stands behind the name and `want reply` of each.
    waiting: VecDeque<Vec<u8>>,
    /// Since the last answer.
    said: Vec<String>,
    refused: VecDeque<(Vec<u8>, String)>,
}

impl GlobalRequests {
    /// A message of ours goes to the server.
    pub(super) fn sent(&mut self, payload: &[u8]) -> Result<(), TransportError> {
        let mut reader = MessageReader::new("global request", payload);
        if reader.u8()? != MSG_GLOBAL_REQUEST {
            return Ok(());
        }
        reader.string()?;
        if reader.boolean()? {
            if self.waiting.is_empty() {
                self.said.clear();
            }
            self.waiting.push_back(reader.rest().to_vec());
        }
        Ok(())
    }

    /// A debug message came.
    pub(super) fn debug_text(&mut self, text: &str) {
        if !self.waiting.is_empty() && self.said.len() < MAX_SAID {
            self.said.push(text.to_owned());
        }
    }

    /// A message came.
    pub(super) fn came(&mut self, payload: &[u8]) {
        let number = payload.first();
        if !matches!(number, Some(&(MSG_REQUEST_SUCCESS | MSG_REQUEST_FAILURE))) {
            return;
        }
        let said = std::mem::take(&mut self.said);
        let Some(request) = self.waiting.pop_front() else { return };
        if number == Some(&MSG_REQUEST_FAILURE) && !said.is_empty() {
            if self.refused.len() >= MAX_KEPT {
                self.refused.pop_front();
            }
            self.refused.push_back((request, said.join("; ")));
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
            requests.sent(&request(fields, 1)).unwrap();
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

    #[test]
    fn request_without_an_answer_takes_none() {
        let mut requests = GlobalRequests::default();
        requests.sent(&request(b"silent", 0)).unwrap();
        requests.sent(&request(b"asked", 1)).unwrap();
        requests.debug_text("refused");
        requests.came(&[MSG_REQUEST_FAILURE]);
        assert_eq!(requests.take_reason(b"asked").as_deref(), Some("refused"));
        requests.came(&[MSG_REQUEST_FAILURE]);
    }
}
