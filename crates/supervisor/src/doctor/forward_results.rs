//! What was asked about each forward, and what came of it.

use tunnel_engine::failure::Failure;
use tunnel_engine::forward::ProbeResult;
use tunnel_engine::session::ForwardError;
use tunnel_engine::spec::Listen;

use super::daemon::DaemonForward;
use crate::tunnel::PortHolder;

/// What is known of all forwards of a tunnel.
pub(super) struct ForwardResults {
    /// As the tunnel has them.
    pub(super) forwards: Vec<ForwardResult>,
    /// Whether the login may connect anywhere from the server; `None`: not asked.
    pub(super) may_connect: Option<bool>,
    /// Of a tunnel with takeover and remote forwards: whether the login has a shell for it.
    pub(super) shell: Option<Result<(), String>>,
    /// Time was up before all were asked.
    pub(super) unfinished: bool,
}

#[derive(Default)]
pub(super) struct ForwardResult {
    pub(super) listen: Option<ListenResult>,
    pub(super) target: Option<ProbeResult>,
    /// Of a tunnel device: whether the server opens its own.
    pub(super) device: Option<Result<(), Failure>>,
}

/// What came of asking to listen.
pub(super) enum ListenResult {
    /// The daemon has it, and says so.
    Held(DaemonForward),
    /// Here it can be bound.
    Free(String),
    /// Here it cannot.
    Taken(Failure),
    /// The server listened for a moment, and what a connection to it came to.
    Granted {
        port: Option<u16>,
        reached: ProbeResult,
        /// At an address that is not loopback's first, for a forward that is to listen on all.
        outside: Option<ProbeResult>,
    },
    Refused(ListenRefusal),
    /// It did not answer.
    Silent(String),
    /// It was not asked, for this reason.
    NotAsked(String),
    /// A stale socket file is there, which the tunnel's takeover removes.
    Stale,
}

/// Why the server may have refused to listen.
pub(super) struct ListenRefusal {
    pub(super) error: ForwardError,
    /// What the login's shell saw there.
    pub(super) holder: Result<PortHolder, String>,
    /// A connection to the port, where there was no shell to look: whether something takes it.
    pub(super) answers: Option<bool>,
    /// Whether it would listen on a port of its own choice.
    pub(super) any_port: Option<bool>,
}

impl ListenRefusal {
    /// Where the login was not asked for more.
    pub(super) fn of(listen: &Listen, holder: Result<PortHolder, String>) -> Self {
        let error = ForwardError::Refused { listen: listen.to_string(), reason: None };
        Self { error, holder, answers: None, any_port: None }
    }
}
