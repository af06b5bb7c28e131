//! The last connections of users that were refused, each with its target and the words of what refused it.

use std::collections::VecDeque;
use std::time::SystemTime;

use super::probe::plain;
use crate::clock;
use crate::session::OpenError;
use crate::spec::Connect;

/// How many are kept for each forward: enough to see whether it is always the same target and the same reason.
const MAX_KEPT: usize = 5;

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedConnection {
    /// Time of the refusal.
    pub at: SystemTime,
    /// Its target.
    pub target: Connect,
    /// The reason code of SSH_MSG_CHANNEL_OPEN_FAILURE (RFC 4254 section 5.1); `None` where the server did not answer,
    /// and for a remote forward, whose target is on this side.
    pub code: Option<u32>,
    /// What refused it and why, the server's words included. Control characters are escaped.
    pub message: String,
    /// Connections that had been carried by then.
    opened: u64,
}

impl RefusedConnection {
    /// Refused by the server, after `opened` connections had been carried.
    pub(super) fn by_server(target: Connect, error: &OpenError, opened: u64) -> Self {
        Self { at: clock::wall(), target, code: error.code(), message: error.to_string(), opened }
    }

    /// Refused by a target on this side.
    pub(super) fn here(target: Connect, error: &std::io::Error, opened: u64) -> Self {
        Self { at: clock::wall(), target, code: None, message: plain(error), opened }
    }
}

/// The list. Empty, it holds no memory.
#[derive(Debug, Default)]
pub(super) struct LastRefused(VecDeque<RefusedConnection>);

impl LastRefused {
    pub(super) fn push(&mut self, connection: RefusedConnection) {
        if self.0.len() == MAX_KEPT {
            self.0.pop_front();
        }
        self.0.push_back(connection);
    }

    pub(super) fn newest_first(&self) -> Vec<RefusedConnection> {
        self.0.iter().rev().cloned().collect()
    }

    /// The newest one, unless more than the `opened` of then have been carried.
    pub(super) fn current(&self, opened: u64) -> Option<RefusedConnection> {
        self.0.back().filter(|last| last.opened == opened).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(code: u32, opened: u64) -> RefusedConnection {
        let target = Connect::Tcp { host: "db".to_owned(), port: 3306 };
        RefusedConnection::by_server(target, &OpenError::Other { code, words: "no".to_owned() }, opened)
    }

    #[test]
    fn only_the_last_few_are_kept() {
        let mut list = LastRefused::default();
        (0..100).for_each(|code| list.push(refused(code, 0)));
        let codes: Vec<_> = list.newest_first().iter().filter_map(|refused| refused.code).collect();
        assert_eq!(codes, [99, 98, 97, 96, 95]);
    }

    #[test]
    fn refusal_is_current_until_a_connection_is_carried() {
        let mut list = LastRefused::default();
        assert_eq!(list.current(0), None);
        list.push(refused(4, 7));
        assert_eq!(list.current(7).and_then(|refused| refused.code), Some(4));
        assert_eq!(list.current(8), None);
    }
}
