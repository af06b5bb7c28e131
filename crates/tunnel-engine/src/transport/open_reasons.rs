//! In which words the server refused to open a channel (RFC 4254 section 5.1). russh does not say to the asker which
//! channel it was; the asker knows what it asked for.

use std::collections::{HashMap, VecDeque};

use super::TransportError;
use super::message::{MSG_CHANNEL_OPEN, MSG_CHANNEL_OPEN_CONFIRMATION, MSG_CHANNEL_OPEN_FAILURE};
use super::wire::{MessageReader, put_string};

/// Refusals whose askers have not looked; they look in the same turn of the runtime.
const MAX_KEPT: usize = 256;

/// A server's refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OpenRefusal {
    /// The number of its reason.
    pub(crate) code: u32,
    /// Its words, not escaped.
    pub(crate) words: String,
}

/// The channels of a connection that wait for an answer, and why some were refused.
#[derive(Default)]
pub(super) struct PendingOpens {
    /// By our numbers.
    waiting: HashMap<u32, Vec<u8>>,
    refused: VecDeque<(Vec<u8>, OpenRefusal)>,
}

/// What identifies a request: the kind of the channel, and the fields of that kind.
pub(crate) fn request(kind: &str, fields: &[u8]) -> Vec<u8> {
    let mut request = Vec::new();
    put_string(&mut request, kind.as_bytes());
    request.extend_from_slice(fields);
    request
}

impl PendingOpens {
    /// A message of ours goes to the server.
    pub(super) fn sent(&mut self, payload: &[u8]) -> Result<(), TransportError> {
        let mut reader = MessageReader::new("CHANNEL_OPEN", payload);
        if reader.u8()? != MSG_CHANNEL_OPEN {
            return Ok(());
        }
        let (kind, ours) = (reader.string()?, reader.u32()?);
        // The window and the longest packet.
        let _ = (reader.u32()?, reader.u32()?);
        let mut asked = Vec::new();
        put_string(&mut asked, kind);
        asked.extend_from_slice(reader.rest());
        self.waiting.insert(ours, asked);
        Ok(())
    }

    /// A message came.
    pub(super) fn came(&mut self, payload: &[u8]) -> Result<(), TransportError> {
        let mut reader = MessageReader::new("answer to CHANNEL_OPEN", payload);
        match reader.u8()? {
            MSG_CHANNEL_OPEN_CONFIRMATION => drop(self.waiting.remove(&reader.u32()?)),
            MSG_CHANNEL_OPEN_FAILURE => {
                let (ours, code) = (reader.u32()?, reader.u32()?);
                let words = String::from_utf8_lossy(reader.string()?).into_owned();
                if let Some(asked) = self.waiting.remove(&ours) {
                    if self.refused.len() >= MAX_KEPT {
                        self.refused.pop_front();
                    }
                    self.refused.push_back((asked, OpenRefusal { code, words }));
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Why the [`request`] was refused.
    pub(super) fn take_refusal(&mut self, request: &[u8]) -> Option<OpenRefusal> {
        let at = self.refused.iter().position(|(asked, _)| asked == request)?;
        self.refused.remove(at).map(|(_, refusal)| refusal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::wire::put_u32;

    fn open(ours: u32, target: &[u8]) -> Vec<u8> {
        let mut out = vec![MSG_CHANNEL_OPEN];
        put_string(&mut out, b"direct-tcpip");
        for number in [ours, 1 << 21, 1 << 15] {
            put_u32(&mut out, number);
        }
        [&out[..], target].concat()
    }

    fn refused(ours: u32, code: u32, words: &[u8]) -> Vec<u8> {
        let mut out = vec![MSG_CHANNEL_OPEN_FAILURE];
        put_u32(&mut out, ours);
        put_u32(&mut out, code);
        put_string(&mut out, words);
        put_string(&mut out, b"");
        out
    }

    #[test]
    fn refusals_in_any_order_reach_those_who_asked() {
        let mut opens = PendingOpens::default();
        for (ours, target) in [(1, b"a"), (2, b"b"), (3, b"c")] {
            opens.sent(&open(ours, target)).unwrap();
        }
        opens.came(&refused(3, 2, b"refus\xe9")).unwrap();
        opens.came(&[&[MSG_CHANNEL_OPEN_CONFIRMATION, 0, 0, 0, 2][..], &[0; 12]].concat()).unwrap();
        opens.came(&refused(1, 1, b"not you")).unwrap();
        opens.came(&refused(9, 1, b"not asked for")).unwrap();
        assert_eq!(opens.take_refusal(&request("direct-tcpip", b"b")), None);
        let told = opens.take_refusal(&request("direct-tcpip", b"a")).unwrap();
        assert_eq!((told.code, told.words.as_str()), (1, "not you"));
        let told = opens.take_refusal(&request("direct-tcpip", b"c")).unwrap();
        assert_eq!((told.code, told.words.as_str()), (2, "refus\u{fffd}"));
        assert!(opens.waiting.is_empty() && opens.refused.is_empty());
    }

    #[test]
    fn truncated_answers_are_errors() {
        let whole = refused(1, 2, b"no");
        assert!((1..whole.len() - 4).all(|end| PendingOpens::default().came(&whole[..end]).is_err()));
    }
}
