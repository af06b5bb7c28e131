//! What is told of a session whose link is not read, because a reader of ours takes nothing.

use std::fmt;
use std::time::Instant;

/// Whose connection a channel carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// The forward's listen address.
    pub listen: String,
    /// Who connected there.
    pub peer: String,
}

/// A session is held back by a slow reader: more waits than is kept, so its link is not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldBack {
    /// Since when. It is over when little waits again.
    pub since: Instant,
    /// The connection with the most unread bytes; `None` where it is not one of a forward.
    pub owner: Option<Owner>,
    /// Its unread bytes, as they are kept here.
    pub waiting: usize,
}

impl fmt::Display for HeldBack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = self.waiting / (1024 * 1024);
        match &self.owner {
            Some(Owner { listen, peer }) => {
                write!(f, "held back by a slow reader: {listen} from {peer} has {mib} MiB waiting")
            }
            None => write!(f, "held back by a slow reader: a connection has {mib} MiB waiting"),
        }
    }
}
