//! What happens to a tunnel, told in order and without loss. A view shows only how things are; a log of starts and ends
//! needs each of them.

use std::sync::Arc;
use std::time::Duration;

use tunnel_engine::failure::{Failure, FailureKind};

/// Called on the tunnel's own loop: it must not wait.
pub type Observer = Arc<dyn Fn(&Occurrence<'_>) + Send + Sync>;

#[derive(Debug, Clone, PartialEq)]
pub enum Occurrence<'a> {
    Start {
        /// Its number, from 1.
        count: u64,
        /// autossh's count of short-lived starts in a row before it.
        tries: u32,
    },
    Up,
    /// The server chose the port of a remote forward.
    Allocated {
        port: u16,
        connect: String,
    },
    /// The session, or the attempt to have one, ended by itself.
    Ended {
        kind: FailureKind,
        /// autossh's count of short-lived starts in a row.
        tries: u32,
        /// The wait before the next start; zero: it follows at once. `None`: none follows by itself.
        wait: Option<Duration>,
        /// `gate_time` or `max_start`.
        gave_up: Option<FailureKind>,
    },
    /// The story of an end, told after it, or of a forward that could not be set up.
    Failure {
        failure: &'a Failure,
        /// The forward that failed, if one did.
        forward: Option<&'a str>,
    },
}
